"""The transaction behind the one door to paid: a report from Stripe meets a command."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, select, update

from commande.core.command import (
    Action,
    AttemptState,
    CommandFacts,
    Decision,
    Policy,
    Status,
    decide,
    status_after_refunds,
    take_snapshot,
)
from commande.core.document import Command
from commande.core.letter import Kind
from commande.core.payment import PaymentReport, PaymentState
from commande.db.attempts import Attempt, change_attempt, close_attempt
from commande.db.catalogue import find_products
from commande.db.commands import change_command, find_command
from commande.db.inbox import finish_event, wake_money_events
from commande.db.journal import has_fact, record
from commande.db.outbox import hold_message, post_message
from commande.db.pairs import Pair, lock_pair
from commande.db.refunds import queue_refund
from commande.db.sql import NothingChanged, change_one, insert_once
from commande.db.tables import attempts, payments

RESTORE: Final = "restore"
"""The source of what is settled after a backup was restored."""
# Built once: run with every payment, and building a statement costs more than running it.
_OTHERS: Final = update(attempts).where(
    attempts.c.command_id == bindparam("command"),
    attempts.c.id != bindparam("paid"),
    attempts.c.state.in_([AttemptState.CREATING, AttemptState.OPEN]),
)
_SAME_SESSION: Final = payments.c.stripe_session_id == bindparam("session")
_PAYMENT: Final = select(payments).where(_SAME_SESSION)
_CHANGE_PAYMENT: Final = update(payments).where(_SAME_SESSION)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a report made of its command."""

    action: Action
    command: Command


def apply_report(
    conn: Connection,
    report: PaymentReport,
    source: str,
    now: datetime,
    *,
    as_of: datetime,
    event_id: str | None = None,
    policy: Policy = Policy(),  # noqa: B008 – frozen
) -> Settled:
    """Judge one report and write everything it means, in one commit. Repeat-safe.

    ``event_id`` is marked handled in the same transaction. Raises SessionInvalid when the session
    is not in our attempts, NothingChanged when a row was not as read (the caller re-reads).
    """
    pair = lock_pair(conn, report.session_id)
    command, attempt = pair.command, pair.attempt
    decision = _judge(conn, pair, report, policy)
    case = _Case(command, attempt, report, decision, source, now, as_of, policy)
    _WRITERS[decision.action](conn, case)
    if event_id is not None:
        finish_event(conn, event_id, "done", now)
    after = find_command(conn, command.id)
    assert after is not None  # noqa: S101 – locked above
    return Settled(decision.action, after)


def _judge(conn: Connection, pair: Pair, report: PaymentReport, policy: Policy) -> Decision:
    """What the report means for the pair; a payment judged a mismatch once stays with a person."""
    command, attempt = pair.command, pair.attempt
    session = report.session_id
    asked = report.state is PaymentState.PROCESSING  # of interest then only
    failed = asked and has_fact(conn, command.id, "payment_failed", session)
    facts = CommandFacts(command.status, command.paid_session_id)
    decision = decide(facts, replace(attempt.facts(session), failed=failed), report, policy)
    settled_before = decision.action is Action.APPLY and attempt.state is AttemptState.COMPLETE
    if settled_before and conn.execute(_PAYMENT, {"session": session}).first():
        return Decision(Action.MISMATCH, attempt=attempt.state, attention="payment_mismatch")
    return decision


@dataclass(frozen=True, slots=True)
class _Case:
    """One report on the table, with the locked rows it is about."""

    command: Command
    attempt: Attempt
    report: PaymentReport
    decision: Decision
    source: str
    now: datetime
    as_of: datetime
    """When Stripe was asked, or the event was made."""
    policy: Policy

    @property
    def refunded_minor(self) -> int:
        """What was given back, never more than was frozen."""
        return min(self.report.refunded_minor, self.attempt.amount_minor)

    def note(self, conn: Connection, kind: str, **detail: Any) -> bool:
        """One history line per session and kind; whether it is new."""
        session = self.report.session_id
        return record(
            conn, self.command.id, self.now, kind, self.source,
            once=session, session=session, **detail,
        )  # fmt: skip


def _apply(conn: Connection, case: _Case) -> None:
    """Paid: snapshot, payment, mail and history in one commit."""
    command, attempt, decision = case.command, case.attempt, case.decision
    status = decision.status or Status.PAID
    change_command(
        conn, command, case.now,
        status=status,
        snapshot=take_snapshot(attempt.quote),
        paid_at=case.now,
        paid_session_id=case.report.session_id,
        refunded_minor=case.refunded_minor,
        attention=decision.attention or command.attention,
    )  # fmt: skip
    if not _add_payment(conn, case, "applied"):
        raise NothingChanged("the payment stands already, but the command was not paid")
    _finish_attempt(conn, case)
    _recheck_others(conn, case)
    case.note(conn, "paid", total_minor=attempt.amount_minor, method=case.report.method)
    if decision.attention:
        case.note(conn, decision.attention)
    if case.refunded_minor:
        _note_refund(conn, case)
    if case.report.disputed:
        _note_dispute(conn, case)
    if status is not Status.REFUNDED and command.customer is not None:
        # A payment that was given back before we heard of it is no order to confirm.
        _post(conn, case, f"paid:{command.id}", "paid")
    _note_moved_prices(conn, case)


def _post(conn: Connection, case: _Case, key: str, kind: Kind) -> None:
    """Queue a letter; after a restore it may have been sent by the time that was lost."""
    post = hold_message if case.source == RESTORE else post_message
    post(conn, key, kind, case.command.id, case.now)


def _again(conn: Connection, case: _Case) -> None:
    """The session that paid is reported again: refunds and disputes may have moved."""
    if not _update_payment(conn, case):
        return
    refunded = case.refunded_minor
    if refunded != case.command.refunded_minor:
        status = status_after_refunds(case.attempt.amount_minor, refunded)
        change_command(conn, case.command, case.now, status=status, refunded_minor=refunded)
        _note_refund(conn, case)


def _duplicate(conn: Connection, case: _Case) -> None:
    """A second paid session: the money is recorded, and given back or shown."""
    _keep_apart(conn, case, "duplicate", give_back=case.policy.refund_duplicates)


def _late(conn: Connection, case: _Case) -> None:
    """Money for a closed command that the shop does not want to keep."""
    _keep_apart(conn, case, "late", give_back=True)


def _keep_apart(
    conn: Connection, case: _Case, outcome: Literal["duplicate", "late"], *, give_back: bool
) -> None:
    """Record money that is not applied; the command stays as it is."""
    report = case.report
    _finish_attempt(conn, case)
    if not _add_payment(conn, case, outcome):
        _update_payment(conn, case)
        return
    left = case.attempt.amount_minor - case.refunded_minor
    if not (give_back and report.payment_intent_id):
        _flag(conn, case, amount_minor=report.amount_minor)
        return
    case.note(conn, case.decision.attention or outcome, amount_minor=report.amount_minor)
    if left > 0:
        queue_refund(
            conn, report.session_id, case.command.id, left, case.now,
            key=f"{outcome}:{report.session_id}", origin=outcome,
        )  # fmt: skip


def _mismatch(conn: Connection, case: _Case) -> None:
    """Never applied: recorded, and shown to a person."""
    differences = list(case.decision.differences)
    if case.report.paid:
        _finish_attempt(conn, case)
        if not _add_payment(conn, case, "mismatch", differences=differences):
            _update_payment(conn, case)
            return
    _flag(conn, case, differences=differences)


def _processing(conn: Connection, case: _Case) -> None:
    """A delayed payment is under way."""
    _finish_attempt(conn, case)
    if case.decision.status is not None:
        change_command(conn, case.command, case.now, status=case.decision.status)
        case.note(conn, "payment_processing")
    if case.decision.attention:
        _flag(conn, case)


def _failed(conn: Connection, case: _Case) -> None:
    """The delayed payment failed: the customer may try again, and is told."""
    command, session = case.command, case.report.session_id
    _finish_attempt(conn, case)
    if case.decision.status is not None:
        change_command(conn, command, case.now, status=case.decision.status)
        _post(conn, case, f"payment_failed:{session}", "payment_failed")
    if case.decision.attempt is not None:
        case.note(conn, "payment_failed")


def _close(conn: Connection, case: _Case) -> None:
    """The session expired unpaid."""
    if case.attempt.live:
        close_attempt(conn, case.attempt, AttemptState.EXPIRED, case.now, check_at=None)
        case.note(conn, "session_expired")


def _nothing(_conn: Connection, _case: _Case) -> None:
    """The customer has not paid yet."""


_WRITERS = {
    Action.APPLY: _apply,
    Action.AGAIN: _again,
    Action.LATE: _late,
    Action.DUPLICATE: _duplicate,
    Action.MISMATCH: _mismatch,
    Action.PROCESSING: _processing,
    Action.FAILED: _failed,
    Action.CLOSE: _close,
    Action.NOTHING: _nothing,
}


def _finish_attempt(conn: Connection, case: _Case) -> None:
    """Move the attempt where the decision says; a settled one is never asked about again."""
    attempt, state = case.attempt, case.decision.attempt
    check_at = None
    if case.decision.action is Action.PROCESSING:
        # An attempt believed dead was asked about no more; its money is on the way after all.
        check_at = attempt.check_at or case.now
    if state is not None and state is not attempt.state:
        close_attempt(conn, attempt, state, case.now, check_at=check_at)
    elif attempt.check_at != check_at:
        change_attempt(conn, attempt, check_at=check_at)


def _recheck_others(conn: Connection, case: _Case) -> None:
    """Any other live attempt must die at Stripe at once: nobody pays twice (see upkeep)."""
    paid = {"command": case.command.id, "paid": case.attempt.id}
    conn.execute(_OTHERS, paid | {"check_at": case.now})


def _add_payment(conn: Connection, case: _Case, outcome: str, **detail: Any) -> bool:
    """One row per paid session; False when it stands already."""
    report, attempt = case.report, case.attempt
    amount = attempt.amount_minor if report.amount_minor is None else report.amount_minor
    values = {
        "stripe_session_id": report.session_id,
        "stripe_payment_intent_id": report.payment_intent_id,
        "stripe_charge_id": report.charge_id,
        "command_id": case.command.id,
        "attempt_id": attempt.id,
        "amount_minor": amount,
        "currency": (report.currency or attempt.currency)[:3],
        "method": report.method,
        "outcome": outcome,
        "detail": detail,
        "refunded_minor": min(report.refunded_minor, amount),
        "disputed": report.disputed,
        "as_of": case.as_of,
        "created_at": case.now,
    }
    if not insert_once(conn, payments, values):
        return False
    wake_money_events(conn, report.payment_intent_id, case.now)
    return True


def _update_payment(conn: Connection, case: _Case) -> bool:
    """Complete the payment's row with what an earlier report could not know.

    False when the row holds a later reading than this one.
    """
    report = case.report
    row = conn.execute(_PAYMENT, {"session": report.session_id}).one()
    # A row read "later than now" was read by a process whose clock was ahead: it must not outrank
    # every honest reading until its hour comes.
    if case.as_of < row.as_of <= case.now:
        return False
    known = {
        "stripe_payment_intent_id": report.payment_intent_id or row.stripe_payment_intent_id,
        "stripe_charge_id": report.charge_id or row.stripe_charge_id,
        "method": report.method or row.method,
        "refunded_minor": min(report.refunded_minor, row.amount_minor),
        "disputed": row.disputed or report.disputed,
    }
    changed = {key: value for key, value in known.items() if getattr(row, key) != value}
    if changed:
        values = changed | {"as_of": case.as_of}
        change_one(conn, _CHANGE_PAYMENT, values | {"session": report.session_id})
    if report.disputed:
        _note_dispute(conn, case)
    return True


def _flag(conn: Connection, case: _Case, **detail: Any) -> None:
    """Show the command to a person, with the reason in its history."""
    reason = case.decision.attention
    assert reason is not None  # noqa: S101 – decide gives one with each such action
    if case.note(conn, reason, **detail):
        # Once per fact: what a person has cleared does not come back with the next delivery.
        change_command(conn, _reread(conn, case), case.now, attention=reason)


def _note_dispute(conn: Connection, case: _Case) -> None:
    if case.note(conn, "disputed"):
        change_command(conn, _reread(conn, case), case.now, attention="disputed")


def _reread(conn: Connection, case: _Case) -> Command:
    """The locked command as this transaction has changed it."""
    command = find_command(conn, case.command.id)
    assert command is not None  # noqa: S101 – locked by this transaction
    return command


def _note_refund(conn: Connection, case: _Case) -> None:
    refunded, total = case.refunded_minor, case.attempt.amount_minor
    record(
        conn, case.command.id, case.now, "refunded", case.source,
        # The same sum may be reached twice: by a refund, and again when a later one fails.
        once=f"{refunded}:{case.as_of.isoformat()}", refunded_minor=refunded, total_minor=total,
    )  # fmt: skip


def _note_moved_prices(conn: Connection, case: _Case) -> None:
    """Say in the history which catalogue prices are no longer those that were charged."""
    lines = case.attempt.quote.lines
    known = find_products(conn, (line.product_id for line in lines))
    for line in lines:
        product = known.get(line.product_id)
        price = product.price_of(line.type) if product else None
        current = price.amount_minor if price else None
        if current != line.unit_minor:
            record(
                conn, case.command.id, case.now, "price_moved", "catalogue",
                once=f"{line.product_id}:{line.type}", title=line.title, type=line.type,
                charged_minor=line.unit_minor, current_minor=current,
            )  # fmt: skip
