"""The watch: looks over the shop's shoulder after every transaction and cries out at once.

Triggers in the world's own copy of the database write down what every transaction changed, whoever
made it; each line is compared with what the stand-in for Stripe knows to be true at that moment.
"""

from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import orjson

from commande.core.command import SETTLED
from commande.core.letter import Letter
from commande.core.payment import StripeEvent
from commande.flows.checkout import Opened
from commande.simulation.stage import Stage

_NEWS: Final = "SELECT seq, what, id, one, two, three, four FROM watched WHERE seq > ?"
_PAID: Final = "SELECT snapshot, currency FROM commands WHERE id = ?"
_SOLD: Final = "SELECT id FROM products WHERE active"
_MONEY: Final = frozenset(SETTLED)
# What a line of the history shows to have happened.
_FACTS: Final = {
    "paid_after_expiry": "C25",
    "paid_twice": "C28",
    "price_moved": "C29",
    "session_adopted": "C7",
    "payment_processing": "C20",
    "payment_failed": "C21",
    "disputed": "C33",
    "event_failed": "C51",
}
_REFUNDS: Final = ("charge.refund", "refund.")
# A handler may have looked just before the refund came, and stood still: so long it cannot.
_LONG: Final = 200.0
# Errors that a delayed event may name: facts of ours. Anything else is a defect that was hidden.
_EXPECTED: Final = frozenset(
    {
        "stripe_unavailable", "stripe_refused", "stripe_object_missing", "session_invalid",
        "database_busy", "outcome_unknown", "refund_refused",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant does not hold."""

    invariant: str
    fact: str
    command_id: str | None = None

    def __str__(self) -> str:
        return f"{self.invariant}: {self.fact}"

    @property
    def is_crash(self) -> bool:
        """Whether code of ours only fell over: loud, but no proof that the deed would be seen."""
        return self.invariant == "I0" and " ended in " in self.fact


class Watch:
    """What was seen so far in one world."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._driver = stage.driver
        self._seen = 0
        self._changes = -1
        self.made: dict[str, str] = {}
        """Sessions that we made at Stripe, with their command."""
        self._attempts: set[str] = set()
        self.sessions: dict[str, list[str]] = {}
        """Commands with the sessions made for them."""
        self.handed: set[str] = set()
        """Sessions whose address left the server."""
        self.letters: Counter[str] = Counter()
        """Message-IDs that were handed to the mail server."""
        self._given_back: dict[str, float] = {}
        """Payment intents of which a whole refund was heard by webhook, and when first."""
        self.violations: list[Violation] = []

    def cry(self, invariant: str, fact: str, command_id: str | None = None) -> None:
        """Write a violation down; the world ends within the hour."""
        if invariant in self._stage.profile.tolerates:
            return
        violation = Violation(invariant, fact, command_id)
        self._stage.scheduler.note(f"VIOLATION {violation}")
        self.violations.append(violation)

    def truth(self, session_id: str | None) -> dict[str, Any]:
        """The session as the stand-in knows it."""
        return self._stage.engine.state.get("session", session_id or "") or {}

    def in_books(self, session_id: str) -> bool:
        """Whether the shop knows that this session was paid."""
        query = "SELECT 1 FROM payments WHERE stripe_session_id = ?"
        return self._driver.execute(query, (session_id,)).fetchone() is not None

    def is_processing(self, session: dict[str, Any]) -> bool:
        """Whether money of a completed session is on its way."""
        if session.get("status") != "complete" or session["payment_status"] != "unpaid":
            return False
        intent = self._stage.engine.state.get("payment_intent", session["payment_intent"] or "")
        return intent is not None and intent["status"] == "processing"

    # -- what leaves and enters ----------------------------------------------------------------

    def session_made(self, session: dict[str, Any]) -> None:
        """A request of ours made a session at Stripe, whether we heard of it or not."""
        command_id = session["metadata"].get("command_id", "")
        attempt_id = session["metadata"].get("attempt_id", "")
        if attempt_id in self._attempts:
            self.cry("I4", "two sessions were made for one attempt", command_id)
        self._attempts.add(attempt_id)
        self.made[session["id"]] = command_id
        self.sessions.setdefault(command_id, []).append(session["id"])

    def handed_out(self, opened: Opened) -> None:
        """An address leaves the server: I4, I7 and I11 must hold at this moment."""
        session_id = opened.url.rsplit("/", 1)[-1]
        self.handed.add(session_id)
        query = "SELECT state, command_id, amount_minor FROM attempts WHERE stripe_session_id = ?"
        row = self._driver.execute(query, (session_id,)).fetchone()
        if row is None or row[1] != opened.command_id:
            self.cry("I11", "an address left the server, and its session is in no row of ours",
                     opened.command_id)  # fmt: skip
        elif row[0] == "creating":
            self.cry("I11", "an address left the server before its attempt was open",
                     opened.command_id)  # fmt: skip
        elif row[2] != self.truth(session_id).get("amount_total"):
            self.cry("I2", "an address left the server with another total than frozen",
                     opened.command_id)  # fmt: skip
        payable = [
            made for made in self.sessions.get(opened.command_id, ())
            if made in self.handed and self.truth(made).get("status") == "open"
        ]  # fmt: skip
        if len(payable) > 1:
            self.cry("I4", f"{len(payable)} sessions of one command can be paid", opened.command_id)

    def heard(self, event: StripeEvent) -> None:
        """An event was stored and acknowledged; one that tells a whole refund is remembered."""
        intent = event.object.get("payment_intent")
        if (
            isinstance(intent, str)
            and event.type.startswith(_REFUNDS)
            and self._is_refunded(intent)
        ):
            self._given_back.setdefault(intent, self._stage.scheduler.now)

    def _is_refunded(self, intent: str) -> bool:
        rows = self._stage.engine.state.rows
        charge = rows["payment_intent"].get(intent, {}).get("latest_charge")
        return bool(rows["charge"].get(charge or "", {}).get("refunded"))

    def letter_sent(self, letter: Letter) -> None:
        """A letter reaches the mail server: its cause must be committed."""
        self.letters[letter.message_id] += 1
        kind, _, rest = letter.message_id.partition(".")
        if kind == "paid":
            command_id = rest.partition("@")[0].removeprefix("paid.")[:24]
            query = "SELECT paid_at FROM commands WHERE id = ?"
            row = self._driver.execute(query, (command_id,)).fetchone()
            if row is None or row[0] is None:
                self.cry("I6", "a confirmation was sent for a command that is not paid", command_id)

    # -- what every transaction changed --------------------------------------------------------

    def look(self, function: str) -> None:
        """Compare what the last transaction changed with the truth."""
        changes = self._driver.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        self._stage.stir()
        for seq, what, id_, *cells in self._driver.execute(_NEWS, (self._seen,)).fetchall():
            self._seen = seq
            self._stage.scheduler.note(f"{what} {id_} {cells[0]} {cells[1]}")
            getattr(self, f"_{what}")(id_, *cells, function)

    def _command(
        self, id_: str, old: str, new: str, session: str | None, rewritten: str, function: str
    ) -> None:
        if rewritten == "1":
            self.cry("I5", f"{function} changed what a paid command was paid for", id_)
        if old in _MONEY and new not in _MONEY:
            self.cry("I5", f"{function} moved a paid command to {new}", id_)
        elif new in _MONEY and old not in _MONEY:
            self._check_paid(id_, session)
        elif new == "expired":
            if self._stage.points.served("clean-up") > 1:
                self._stage.reach("C39")
            self._check_tombstone(id_, function)

    def _check_paid(self, id_: str, session_id: str | None) -> None:
        truth = self.truth(session_id)
        if self.made.get(session_id or "") != id_:
            self.cry("I7", "a command was paid by a session that was not made for it", id_)
        elif truth["payment_status"] != "paid":
            self.cry("I2", "a command was paid by a session that Stripe calls unpaid", id_)
        text, currency = self._driver.execute(_PAID, (id_,)).fetchone()
        snapshot = orjson.loads(text)
        charged = (truth.get("amount_total"), truth.get("currency"))
        if (snapshot["total_minor"], currency) != charged:
            self.cry("I2", f"the snapshot says {snapshot['total_minor']}, charged was {charged[0]}",
                     id_)  # fmt: skip
        if not self._all_sold([line["product_id"] for line in snapshot["lines"]]):
            self._stage.reach("C30")
        lines = self._stage.engine.state.rows["checkout"].get(session_id or "", {}).get("lines", ())
        frozen = [(line["unit_minor"], line["quantity"]) for line in snapshot["lines"]]
        if frozen != [(line["price"]["unit_amount"], line["quantity"]) for line in lines]:
            self.cry("I5", "the snapshot's lines are not those that were charged", id_)

    def _all_sold(self, products: list[str]) -> bool:
        sold = {id_ for (id_,) in self._driver.execute(_SOLD)}
        return sold.issuperset(products)

    def _check_tombstone(self, id_: str, function: str) -> None:
        for session_id in self.sessions.get(id_, ()):
            truth = self.truth(session_id)
            paid = truth["payment_status"] == "paid" or self.is_processing(truth)
            payable = truth["status"] == "open" and session_id in self.handed
            if paid or payable:
                what = "was paid" if paid else "can be paid"
                self.cry("I9", f"{function} buried a command while a session of it {what}", id_)

    def _deleted(self, id_: str, *_cells: Any) -> None:
        self.cry("I9", "a command was deleted", id_)

    def _payment(
        self, session: str, command: str, outcome: str, amount: str, _currency: str, function: str
    ) -> None:
        truth = self.truth(session)
        if session not in self.made:
            self.cry(
                "I7", f"{function} recorded the payment of a session that is not ours", command
            )
        elif self.made[session] != command:
            self.cry("I3", f"{function} gave a payment to another command", command)
        elif outcome == "applied" and int(amount) != truth["amount_total"]:
            self.cry("I2", "the payment's amount is not what Stripe charged", command)

    def _letter(self, _key: str, kind: str, command: str, *_rest: Any) -> None:
        if kind != "paid":
            return
        query = "SELECT count(*) FROM messages WHERE kind = 'paid' AND command_id = ?"
        if self._driver.execute(query, (command,)).fetchone()[0] > 1:
            self.cry("I6", "a second confirmation was queued", command)
        query = "SELECT paid_at, paid_session_id FROM commands WHERE id = ?"
        paid_at, session = self._driver.execute(query, (command,)).fetchone()
        if paid_at is None:
            self.cry("I6", "a confirmation was queued for a command that is not paid", command)
        intent = self.truth(session).get("payment_intent") or ""
        heard = self._given_back.get(intent, inf)
        if self._stage.scheduler.now - heard > _LONG and self._is_refunded(intent):
            self.cry("I6", "a payment was confirmed whose refund we had long heard of", command)

    def _event(
        self, id_: str, state: str, error: str | None, kind: str, session: str, _function: str
    ) -> None:
        if error is not None and error not in _EXPECTED:
            self.cry("I0", f"handling {kind} ended in a {error}")
        if state == "done" and session is not None:
            self._stage.points.event_done(id_, kind, session)

    def _fact(self, _command: str, kind: str, source: str, detail: str, *_rest: Any) -> None:
        if kind == "session_abandoned" and "too_old" in detail:
            self._stage.reach("C6")
        point = _FACTS.get(kind)
        if kind == "price_moved" and orjson.loads(detail)["current_minor"] is None:
            point = None  # not moved, but gone: see C30
        if point is not None:
            self._stage.reach(point)
        if kind == "paid":
            self._stage.points.paid(source)
