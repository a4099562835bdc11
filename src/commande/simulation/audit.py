"""The audit: once the faults have stopped and time has passed, everything must be accounted for."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from commande.stripe_gateway.reports import REFUND_KEY

if TYPE_CHECKING:
    from commande.simulation.world import World

_PAYMENTS: Final = "SELECT stripe_session_id, command_id, outcome FROM payments"
_COMMANDS: Final = (
    "SELECT id, status, paid_session_id, refunded_minor, attention, customer IS NULL FROM commands"
)
_ATTEMPTS: Final = "SELECT id, command_id, state, stripe_session_id FROM attempts"
_MONEY: Final = ("paid", "partially_refunded", "refunded")


class Audit:
    """Compares the shop's books with Stripe's, line by line."""

    def __init__(self, world: "World") -> None:
        self.world, self.watch = world, world.watch
        read = world.driver.execute
        self.payments = {s: (c, o) for s, c, o in read(_PAYMENTS)}
        self.commands = {row[0]: row[1:] for row in read(_COMMANDS)}
        self.attempts = read(_ATTEMPTS).fetchall()

    def run(self) -> None:
        """Check everything; violations go to the watch."""
        self._money()
        self._books()
        self._refunds()
        self._rest()
        self._letters()

    def _money(self) -> None:
        """I1, I3, I7: every paid session of ours is in the books once, and no other."""
        paid: Counter[str] = Counter()
        for session, command in self.watch.made.items():
            truth = self.watch.truth(session)
            if truth["payment_status"] != "paid":
                if session in self.payments:
                    self.watch.cry("I2", "a payment stands for a session that is unpaid", command)
                continue
            paid[command] += 1
            held = self.commands.get(command)
            if held is None:
                self.watch.cry("I1", "a paid session's command is gone", command)
            elif session not in self.payments:
                self.watch.cry("I1", f"a paid session was lost: its command is {held[0]}", command)
            elif self.payments[session][1] == "applied" and held[1] != session:
                self.watch.cry("I3", "the applied payment is not the one that paid", command)
            elif self.payments[session][1] != "applied" and held[3] is None:
                self.watch.cry("I1", "money that nobody is shown", command)
        for command, times in paid.items():
            if times > 1:
                self.watch.cry("I4", f"a customer was charged {times} times", command)

    def _books(self) -> None:
        """I2, I3, I8: what the shop believes is what Stripe says."""
        applied = Counter(c for c, outcome in self.payments.values() if outcome == "applied")
        for command, times in applied.items():
            if times > 1:
                self.watch.cry("I3", f"{times} applied payments of one command", command)
        for command, (status, session, refunded, _attention, _erased) in self.commands.items():
            if status not in _MONEY:
                continue
            self.world.outcomes[f"= {status}"] += 1
            truth = self.watch.truth(session)
            if truth.get("payment_status") != "paid":
                self.watch.cry("I2", "a command is paid and its session is not", command)
                continue
            intent = self.world.engine.state.rows["payment_intent"][truth["payment_intent"]]
            charge = self.world.engine.state.rows["charge"][intent["latest_charge"]]
            if refunded != charge["amount_refunded"]:
                self.watch.cry("I8", f"refunded is {refunded} here and "
                               f"{charge['amount_refunded']} at Stripe", command)  # fmt: skip
            expected = _status(charge)
            if status != expected:
                self.watch.cry("I8", f"the status is {status}, should be {expected}", command)

    def _refunds(self) -> None:
        """I8: each refund of ours was made once, and all together never exceed the payment."""
        given: Counter[str] = Counter()
        keys: Counter[str] = Counter()
        for refund in self.world.engine.state.rows["refund"].values():
            if refund["status"] not in ("failed", "canceled"):
                given[refund["charge"]] += refund["amount"]
            if REFUND_KEY in refund["metadata"]:
                keys[refund["metadata"][REFUND_KEY]] += 1
        for charge, amount in given.items():
            if amount > self.world.engine.state.rows["charge"][charge]["amount"]:
                self.watch.cry("I8", "more was given back than was paid")
        for times in keys.values():
            if times > 1:
                self.watch.cry("I8", f"one refund was given {times} times")
        query = "SELECT key, state FROM refunds WHERE state = 'creating'"
        for key, state in self.world.driver.execute(query):
            self.watch.cry("I12", f"the refund {key} stayed {state}")

    def _rest(self) -> None:
        """I12: nothing is left half done."""
        for command, (status, *_rest) in self.commands.items():
            if status in _MONEY:
                continue
            self.world.outcomes[f"= {status}"] += 1
            processing = any(
                self.watch.is_processing(self.watch.truth(session))
                for session in self.watch.sessions.get(command, ())
            )
            if status == "expiring" or status == "unpaid":
                self.watch.cry("I12", f"a command stayed {status}", command)
            elif status == "processing" and not processing:
                self.watch.cry("I12", "a command waits for money that is not on its way", command)
        for _, command, state, session in self.attempts:
            if state in ("creating", "open"):
                at_stripe = self.watch.truth(session).get("status", "unknown")
                self.watch.cry("I12", f"an attempt stayed {state}; at Stripe it is {at_stripe}",
                               command)  # fmt: skip
        waiting = "SELECT count(*), min(last_error) FROM {} WHERE next_at IS NOT NULL"
        for table in ("events", "messages"):
            count, error = self.world.driver.execute(waiting.format(table)).fetchone()
            if count:
                self.watch.cry("I12", f"{count} {table} stayed waiting ({error})")
        dead = "SELECT type, last_error FROM events WHERE state = 'dead'"
        for kind, error in self.world.driver.execute(dead):
            self.world.outcomes[f"dead: {kind} ({error})"] += 1

    def _letters(self) -> None:
        """I6: one confirmation for whoever paid, none for anybody else."""
        rows = self.world.driver.execute(
            "SELECT command_id, count(*) FROM messages WHERE kind = 'paid' GROUP BY command_id"
        )
        queued = dict(rows.fetchall())
        for command, (status, _session, _refunded, _attention, erased) in self.commands.items():
            wanted = int(status in _MONEY)
            found = queued.get(command, 0)
            if found != wanted and not (wanted and found == 0 and (erased or status == "refunded")):
                self.watch.cry("I6", f"{found} confirmations of a command that is {status}",
                               command)  # fmt: skip
        ids = Counter(_command_of(message) for message in self.watch.letters)
        for command, times in ids.items():
            if command and times > 1:
                self.watch.cry("I6", f"{times} different confirmations were sent", command)


def _status(charge: dict[str, Any]) -> str:
    if charge["amount_refunded"] == 0:
        return "paid"
    return "refunded" if charge["refunded"] else "partially_refunded"


def _command_of(message_id: str) -> str:
    kind, _, rest = message_id.partition(".")
    return rest.partition("@")[0].removeprefix("paid.")[:24] if kind == "paid" else ""
