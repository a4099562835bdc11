"""Which of the known crash and interleaving points (C-nn) a world went through."""

from collections import Counter
from typing import Final, NamedTuple, Protocol


class Point(NamedTuple):
    """A crash or interleaving point, and what makes the report count it."""

    name: str
    counted: str


# Points as docs/simulation.md explains them. Each is counted only once it was gone through, at the
# place where that shows; an attempt that came to nothing (a dead process, a lost request) is none.
POINTS: Final[dict[str, Point]] = {
    "C1": Point("process dies before the order is stored", "deaths there"),
    "C2": Point("process dies between the order and the call to Stripe", "deaths there"),
    "C3": Point("request lost, refused or limited", "requests limited or not answered"),
    "C4": Point("Stripe made the session, the answer was lost", "sessions made so"),
    "C5": Point("Stripe's 500, kept under the key", "sessions made and answered by an error"),
    "C6": Point("attempt older than its idempotency key", "attempts closed for that"),
    "C7": Point("session made, its row not written", "deaths there, and sessions adopted later"),
    "C8": Point("answer to the browser lost", "new orders answered so"),
    "C9": Point("double click on the same cart", "orders that began while their twin was served"),
    "C10": Point("two tabs on the same command", "retries that began while another was served"),
    "C11": Point("one customer pays two commands", "second payments"),
    "C12": Point("webhook before the browser", "commands that an event paid"),
    "C13": Point("browser before the webhook", "commands that the return paid"),
    "C14": Point("both at once", "session events finished while its return was served"),
    "C15": Point("neither: found by reconciliation", "commands that it paid"),
    "C16": Point("worker dies with an event in its hands", "deaths there"),
    "C17": Point("process dies before the event is stored", "deaths there"),
    "C18": Point("worker dies between effect and done-mark", "deaths before their one commit"),
    "C19": Point("database busy in the webhook or in settling", "requests that ended so"),
    "C20": Point("completed, but not paid yet", "commands that waited"),
    "C21": Point("delayed payment fails", "sessions that failed"),
    "C22": Point("failure reported after another success", "events stored for a paid command"),
    "C23": Point("expiry reported after the payment", "events stored for a paid command"),
    "C24": Point("success reported before completion", "sessions whose events came so"),
    "C25": Point("money for a buried command", "sessions; none while the code is right"),
    "C27": Point("a session that is not ours", "sessions made by others, and their events"),
    "C28": Point("a second paid session of one command", "sessions; none while the code is right"),
    "C29": Point("price changed between session and payment", "lines paid at a former price"),
    "C30": Point("product withdrawn before the payment", "commands paid with such a line"),
    "C32": Point("refunded before we heard of the payment", "refunds of payments not in our books"),
    "C33": Point("dispute", "commands that became disputed"),
    "C34": Point(
        "two refunds of one payment at once", "refunds that began while another was served"
    ),
    "C35": Point("process dies between a refund and its row", "deaths there"),
    "C36": Point("clean-up meets a payment", "expiries refused because the session was paid"),
    "C37": Point("clean-up meets a new attempt", "retries that the fence turned away"),
    "C38": Point("clean-up dies half-way", "deaths there"),
    "C39": Point("two clean-ups at once", "commands buried while two clean-ups ran"),
    "C40": Point("mail server down, or unsure", "letters that met it"),
    "C42": Point("outcome of a COMMIT unknown", "transactions that ended so"),
    "C48": Point("clocks that disagree", "processes that started a minute or more off"),
    "C49": Point("webhook secret rolled", "rolls"),
    "C51": Point("an event that fails to the end", "events given up and shown"),
    "C52": Point("Stripe does not answer for hours", "requests during an outage"),
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
_BEFORE_THE_FENCE: Final = ("list_overdue", "fence_overdue", "fence_command")
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
    ("refund", "stripe:create_refund:200"): "C35",
    ("refund", "write_refunds"): "C35",
    ("refunds", "stripe:create_refund:200"): "C35",
    ("refunds", "write_refunds"): "C35",
}


class Served(Protocol):
    """A request that a server has taken up; settled once its caller has an answer or none."""

    settled: bool


class Points:
    """Counts the points of one world."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._served: dict[str, list[Served]] = {}
        self._done: dict[str, set[str]] = {}

    def take_up(self, what: str, request: Served) -> int:
        """A server takes up a request about that; how many others about it are being served."""
        others = self.served(what)
        self._served.setdefault(what, []).append(request)
        return others

    def served(self, what: str) -> int:
        """How many requests about that are being served right now."""
        known = self._served.get(what)
        if known is None:
            return 0
        known[:] = [request for request in known if not request.settled]
        return len(known)

    def died(self, task: str, label: str) -> None:
        """A process died while that task waited for that."""
        point = _DEATHS.get((task, label))
        if point is not None:
            self.reached[point] += 1
        if task == "inbox" and label not in (task, "events_due", "claim_events"):
            self.reached["C16"] += 1
        if task in ("clean-up", "cancel") and label not in (task, *_BEFORE_THE_FENCE):
            self.reached["C38"] += 1

    def paid(self, source: str) -> None:
        """A command became paid, and through which door."""
        point = {"browser": "C13", "webhook": "C12", "reconcile": "C15"}.get(source)
        if point is not None:
            self.reached[point] += 1

    def event_done(self, _event: str, kind: str, session: str) -> None:
        """An event was handled: in a strange order, perhaps."""
        if self.served(f"return {session}"):
            self.reached["C14"] += 1
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
