"""Which of the known crash and interleaving points (C-nn) a world went through."""

from collections import Counter
from typing import Final

# Points as docs/simulation.md explains them, in a few words. None: not reachable here, and why.
POINTS: Final[dict[str, str]] = {
    "C1": "process dies before the order is stored",
    "C2": "process dies between the order and the call to Stripe",
    "C3": "request lost, refused or limited",
    "C4": "Stripe made the session, the answer was lost",
    "C5": "Stripe's 500, kept under the key",
    "C6": "attempt older than its idempotency key",
    "C7": "session made, its row not written: adopted later",
    "C8": "answer to the browser lost",
    "C9": "double click on the same cart",
    "C10": "two tabs on the same command",
    "C11": "one customer pays two commands",
    "C12": "webhook before the browser",
    "C13": "browser before the webhook",
    "C14": "both at once",
    "C15": "neither: found by reconciliation",
    "C16": "worker dies with an event in its hands",
    "C17": "process dies before the event is stored",
    "C18": "worker dies between effect and done-mark",
    "C19": "database busy in the webhook or in settling",
    "C20": "completed, but not paid yet",
    "C21": "delayed payment fails",
    "C22": "failure reported after another success",
    "C23": "expiry reported after the payment",
    "C24": "success reported before completion",
    "C25": "money for a buried command",
    "C27": "a session that is not ours",
    "C28": "a second paid session of one command",
    "C29": "price changed between session and payment",
    "C30": "product withdrawn before the payment",
    "C32": "refunded before we heard of the payment",
    "C33": "dispute",
    "C34": "two refunds of one payment at once",
    "C35": "process dies between a refund and its row",
    "C36": "clean-up meets a payment",
    "C37": "clean-up meets a new attempt",
    "C38": "clean-up dies half-way",
    "C39": "two clean-ups at once",
    "C40": "mail server down, or unsure",
    "C42": "outcome of a COMMIT unknown",
    "C48": "clocks that disagree",
    "C49": "webhook secret rolled",
    "C51": "an event that fails to the end",
    "C52": "Stripe does not answer for hours",
}
ELSEWHERE: Final[dict[str, str]] = {
    "C26": "a command's row gone: tests/flows",
    "C31": "stock: comes with the stock issue",
    "C41": "PostgreSQL killed: tests/db",
    "C43": "failover that loses commits: proof/failover",
    "C44": "PostgreSQL's wait for a standby cut short: tests/db",
    "C45": "an old backup restored: tests/flows",
    "C46": "power cuts: proof and tests/db",
    "C47": "full disk: tests/db",
    "C50": "mixed versions: tests/db",
}
# A process died while this task waited for that: the point it went through.
_DEATHS: Final[dict[tuple[str, str], str]] = {
    ("create", "open_command"): "C1",
    ("create", "stripe:create_session"): "C2",
    ("create", "stripe:create_tax_rate"): "C2",
    ("create", "stripe:create_session:200"): "C7",
    ("create", "mark_open"): "C7",
    ("retry", "stripe:create_session:200"): "C7",
    ("retry", "mark_open"): "C7",
    ("webhook", "store_event"): "C17",
    ("inbox", "apply_report"): "C18",
    ("refund", "stripe:create_refund"): "C35",
    ("refund", "stripe:create_refund:200"): "C35",
    ("refund", "write_refunds"): "C35",
    ("refunds", "stripe:create_refund:200"): "C35",
    ("refunds", "write_refunds"): "C35",
}


class Points:
    """Counts the points of one world."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._done: dict[str, set[str]] = {}
        self._paid: set[str] = set()

    def died(self, task: str, label: str) -> None:
        """A process died while that task waited for that."""
        point = _DEATHS.get((task, label))
        if point is not None:
            self.reached[point] += 1
        if task == "inbox" and label not in (task, "events_due", "claim_events"):
            self.reached["C16"] += 1
        if task in ("clean-up", "cancel") and label not in (task, "list_overdue"):
            self.reached["C38"] += 1

    def paid(self, command: str, source: str) -> None:
        """A command became paid, and through which door."""
        self._paid.add(command)
        point = {"browser": "C13", "webhook": "C12", "reconcile": "C15"}.get(source)
        if point is not None:
            self.reached[point] += 1

    def event_done(self, _event: str, kind: str, session: str) -> None:
        """An event was handled: in a strange order, perhaps."""
        earlier = self._done.setdefault(session, set())
        kind = kind.removeprefix("checkout.session.")
        if kind == "completed" and "async_payment_succeeded" in earlier:
            self.reached["C24"] += 1
        earlier.add(kind)

    def event_about(self, kind: str, status: str) -> None:
        """An event is stored while its command stands there."""
        settled = status in ("paid", "partially_refunded", "refunded")
        if settled and kind == "checkout.session.expired":
            self.reached["C23"] += 1
        if settled and kind == "checkout.session.async_payment_failed":
            self.reached["C22"] += 1
