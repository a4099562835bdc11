"""The command: its statuses, how they move, and what a report from Stripe makes of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from commande.core.payment import PaymentReport, PaymentState
from commande.core.pricing import Quote


class Status(StrEnum):
    """Where a command stands. ``paid`` in the API is "was paid once" and survives refunds."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    EXPIRING = "expiring"
    """Clean-up's fence: no new attempt opens while its sessions are expired at Stripe."""
    EXPIRED = "expired"
    """A tombstone without personal data."""


class AttemptState(StrEnum):
    """One attempt is one Stripe session; ``creating`` and ``open`` are live."""

    CREATING = "creating"
    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"
    CLOSED = "closed"


SETTLED: Final = frozenset({Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED})
LIVE: Final = frozenset({AttemptState.CREATING, AttemptState.OPEN})

# Every move that exists. Nothing leads from settled back: paid is terminal but for refunds, and a
# refund that fails later gives the money back to the shop.
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.UNPAID: frozenset({Status.PROCESSING, Status.EXPIRING, *SETTLED}),
    Status.PROCESSING: frozenset({Status.UNPAID, *SETTLED}),
    Status.EXPIRING: frozenset({Status.UNPAID, Status.PROCESSING, Status.EXPIRED, *SETTLED}),
    # Late money: a session paid although we believed it dead. Kept, and shown to a person.
    Status.EXPIRED: frozenset({Status.PROCESSING, *SETTLED}),
    Status.PAID: frozenset({Status.PARTIALLY_REFUNDED, Status.REFUNDED}),
    Status.PARTIALLY_REFUNDED: frozenset({Status.PAID, Status.REFUNDED}),
    Status.REFUNDED: frozenset({Status.PAID, Status.PARTIALLY_REFUNDED}),
}


def may_move(old: Status, new: Status) -> bool:
    """Whether the transition table allows the move (standing still is no move)."""
    return new in TRANSITIONS[old]


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """What we hold of a command when a report about one of its sessions arrives."""

    status: Status
    paid_session_id: str | None
    """The session that paid it, if any."""


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What was frozen when the reported session was made."""

    session_id: str
    amount_minor: int
    currency: str
    livemode: bool
    state: AttemptState
    failed: bool = False
    """Whether Stripe has told us that its delayed payment failed."""


class Action(StrEnum):
    """What a report makes of a command."""

    APPLY = "apply"
    """Write snapshot, ``paid`` and one applied payment."""
    LATE = "late"
    """The command was closed, and the shop wants such money given back."""
    DUPLICATE = "duplicate"
    """Another session already paid this command: record the money, refund or show it."""
    MISMATCH = "mismatch"
    """Money or terms that are not what was frozen: record, never apply, show a person."""
    AGAIN = "again"
    """The session that paid it is reported again: only refunds may have moved."""
    PROCESSING = "processing"
    """A delayed payment is under way: wait, open nothing new."""
    FAILED = "failed"
    """The delayed payment failed: the customer may try again."""
    CLOSE = "close"
    """The session can no longer be paid."""
    NOTHING = "nothing"
    """Not paid yet, or an older reading of a session that has paid or failed since."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the shop wants done with money that it cannot simply apply."""

    refund_duplicates: bool = True
    """Give a second payment of a command back; else leave it for a person."""
    keep_late: bool = True
    """Apply a payment of a closed command, and show it; else give it back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and where command and attempt stand afterwards (``None`` = where they stood)."""

    action: Action
    status: Status | None = None
    attempt: AttemptState | None = None
    attention: str | None = None
    """Why a person must look, if one must: a stable word (see docs/cart-management.md)."""
    differences: tuple[str, ...] = ()


def decide(
    command: CommandFacts,
    attempt: AttemptFacts,
    report: PaymentReport,
    policy: Policy = Policy(),
) -> Decision:
    """Judge one report about one of the command's own sessions. Answers every pair.

    Pure and repeatable: the same report twice gives APPLY then AGAIN, in any order with others.
    """
    differences = compare(attempt, report)
    if report.paid:
        return _decide_paid(command, attempt, report, differences, policy)
    if differences:
        # No money moved, but this is not the session that we made: touch nothing.
        return Decision(Action.MISMATCH, attention="session_mismatch", differences=differences)
    if report.state is PaymentState.OPEN or command.paid_session_id == report.session_id:
        return Decision(Action.NOTHING)
    if report.state is PaymentState.PROCESSING:
        # What failed is under way no more: a slow answer of an earlier moment brings nothing new.
        return Decision(Action.NOTHING) if attempt.failed else _decide_processing(command)
    if report.state is PaymentState.FAILED:
        # Only the attempt that is under way frees the command: an old failure, told again, must
        # not, or a third session could be opened while the second one's money is on its way.
        waited = command.status is Status.PROCESSING and attempt.state is AttemptState.COMPLETE
        return Decision(Action.FAILED, Status.UNPAID if waited else None, AttemptState.CLOSED)
    return Decision(Action.CLOSE, attempt=AttemptState.EXPIRED)


def _decide_paid(
    command: CommandFacts,
    attempt: AttemptFacts,
    report: PaymentReport,
    differences: tuple[str, ...],
    policy: Policy,
) -> Decision:
    if command.paid_session_id == report.session_id:
        return Decision(Action.AGAIN, _refunded(attempt.amount_minor, report.refunded_minor))
    complete = AttemptState.COMPLETE
    if differences:
        return Decision(Action.MISMATCH, None, complete, "payment_mismatch", differences)
    if command.paid_session_id is not None:
        return Decision(Action.DUPLICATE, None, complete, "paid_twice")
    late = command.status is Status.EXPIRED
    if late and not policy.keep_late:
        return Decision(Action.LATE, None, complete, "paid_after_expiry")
    status = _refunded(attempt.amount_minor, report.refunded_minor)
    return Decision(Action.APPLY, status, complete, "paid_after_expiry" if late else None)


def _decide_processing(command: CommandFacts) -> Decision:
    complete = AttemptState.COMPLETE
    if command.status in SETTLED:
        # A second payment is on its way to a settled command; if it arrives it is a duplicate.
        return Decision(Action.PROCESSING, None, complete, "second_payment_processing")
    late = "processing_after_expiry" if command.status is Status.EXPIRED else None
    return Decision(Action.PROCESSING, Status.PROCESSING, complete, late)


def _refunded(amount_minor: int, refunded_minor: int) -> Status:
    if refunded_minor <= 0:
        return Status.PAID
    return Status.REFUNDED if refunded_minor >= amount_minor else Status.PARTIALLY_REFUNDED


def status_after_refunds(amount_minor: int, refunded_minor: int) -> Status:
    """Where a paid command stands once so much of it was refunded (minor units)."""
    return _refunded(amount_minor, refunded_minor)


def compare(attempt: AttemptFacts, report: PaymentReport) -> tuple[str, ...]:
    """Which frozen terms the report does not keep, by name; empty when it is our session."""
    checks = {
        "session": report.session_id == attempt.session_id,
        "amount": report.amount_minor == attempt.amount_minor,
        "currency": report.currency == attempt.currency,
        "mode": report.mode == "payment",
        "livemode": report.livemode is attempt.livemode,
        "payment_required": not report.no_payment_required,
    }
    return tuple(name for name, kept in checks.items() if not kept)


def take_snapshot(quote: Quote) -> dict[str, Any]:
    """The immutable record of what was charged: minor units and texts only.

    Made from the frozen quote, never from the catalogue, so that it equals the charge to the cent
    even when a product was renamed, repriced or deleted meanwhile.
    """
    taxes = [
        {"rate": rate.key, "base_minor": base, "tax_minor": tax}
        for rate, (base, tax) in quote.taxes().items()
    ]
    return quote.to_dict() | {"taxes": taxes, "discounts": []}
