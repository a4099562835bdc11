"""Refunds as rows: written with their key before Stripe is asked, completed by what it says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from commande.core.payment import RefundReport
from commande.core.refund import GIVEN_BACK, STATES, Origin
from commande.db.commands import change_command, find_command, lock_command
from commande.db.inbox import wake_money_events
from commande.db.journal import record
from commande.db.sql import constant, insert_once
from commande.db.tables import payments, refunds
from commande.errors import CommandNotFound, RefundRefused

# Longer than a call to Stripe may take: a caller that died gives its refund to the worker.
LEASE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund. Amount in minor units."""

    key: str
    stripe_refund_id: str | None
    stripe_session_id: str
    payment_intent_id: str | None
    command_id: str
    amount_minor: int
    state: str
    origin: str
    reason: str | None
    tries: int
    last_error: str | None
    created_at: datetime


_COLUMNS: Final = (
    refunds.c.key,
    refunds.c.stripe_refund_id,
    refunds.c.stripe_session_id,
    payments.c.stripe_payment_intent_id,
    refunds.c.command_id,
    refunds.c.amount_minor,
    refunds.c.state,
    refunds.c.origin,
    refunds.c.reason,
    refunds.c.tries,
    refunds.c.last_error,
    refunds.c.created_at,
)
_JOINED: Final = refunds.join(payments, payments.c.stripe_session_id == refunds.c.stripe_session_id)
# Built once: asked every few seconds, and building one costs more than running it.
_DUE: Final = (refunds.c.state == constant("creating")) & (refunds.c.next_at <= bindparam("now"))
_IS_DUE: Final = select(refunds.c.key).where(_DUE).limit(1)
_DUE_FIRST: Final = (
    select(refunds.c.key)
    .where(_DUE)
    .order_by(refunds.c.next_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_OF_PAYMENT: Final = refunds.c.stripe_session_id == bindparam("session")
_PROMISED: Final = select(func.coalesce(func.sum(refunds.c.amount_minor), 0)).where(
    _OF_PAYMENT, refunds.c.state.in_(sorted(GIVEN_BACK))
)
_PAID_BY: Final = select(payments.c.command_id, payments.c.amount_minor).where(
    payments.c.stripe_session_id == bindparam("session")
)
_BY_ID: Final = select(refunds).where(refunds.c.stripe_refund_id == bindparam("refund"))
_OWN: Final = select(refunds).where(refunds.c.key == bindparam("own"), _OF_PAYMENT)


def _refund(row: Any) -> Refund:
    return Refund(*row)


def list_refunds(conn: Connection, command_id: str) -> list[Refund]:
    """The command's refunds, oldest first."""
    query = select(*_COLUMNS).select_from(_JOINED).where(refunds.c.command_id == command_id)
    return [_refund(row) for row in conn.execute(query.order_by(refunds.c.created_at))]


def begin_refund(
    conn: Connection,
    command_id: str,
    amount_minor: int | None,
    reason: str | None,
    now: datetime,
    key: str | None = None,
) -> Refund:
    """Promise money back (all that is left, without an amount) before Stripe is asked.

    Repeat-safe with a key. Raises CommandNotFound, and RefundRefused when nothing or too little is
    left; concurrent refunds wait for each other at the command's lock.
    """
    command = lock_command(conn, command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    known = None if key is None else _find(conn, key)
    if known is not None:
        return known
    match = (payments.c.command_id == command_id) & (payments.c.outcome == "applied")
    payment = conn.execute(select(payments).where(match)).first()
    if payment is None:
        raise RefundRefused("This command was not paid.")
    left = payment.amount_minor - _promised(conn, payment.stripe_session_id)
    amount = left if amount_minor is None else amount_minor
    if not 0 < amount <= left:
        raise RefundRefused(f"{left} minor units are left to refund, not {amount}.")
    count = len(list_refunds(conn, command_id)) + 1
    key = key or f"refund:{payment.stripe_session_id}:{count}"
    queue_refund(
        conn, payment.stripe_session_id, command_id, amount, now,
        key=key, origin="shop", reason=reason, hold=True,
    )  # fmt: skip
    made = _find(conn, key)
    assert made is not None  # noqa: S101 – just written
    return made


def queue_refund(
    conn: Connection,
    session_id: str,
    command_id: str,
    amount_minor: int,
    now: datetime,
    *,
    key: str,
    origin: Origin,
    reason: str | None = None,
    hold: bool = False,
) -> bool:
    """Write a refund for the worker to ask for; ``hold``: the caller asks at once itself.

    The key makes it one. The database refuses more than was paid.
    """
    row = {
        "key": key,
        "stripe_session_id": session_id,
        "command_id": command_id,
        "amount_minor": amount_minor,
        "state": "creating",
        "origin": origin,
        "reason": reason,
        "tries": 0,
        "next_at": now + LEASE if hold else now,
        "created_at": now,
        "updated_at": now,
    }
    queued = insert_once(conn, refunds, row)
    if queued:
        record(
            conn, command_id, now, "refund_requested", "person" if origin == "shop" else "shop",
            once=key, amount_minor=amount_minor, reason=reason, origin=origin,
        )  # fmt: skip
    return queued


def claim_refunds(conn: Connection, now: datetime, limit: int = 20) -> list[Refund]:
    """Take refunds that Stripe was not asked for yet, or did not answer; for half a minute."""
    keys = list(conn.execute(_DUE_FIRST, {"now": now, "most": limit}).scalars())
    if not keys:
        return []
    match = refunds.c.key.in_(keys)
    values = {"next_at": now + LEASE, "tries": refunds.c.tries + 1}
    conn.execute(update(refunds).where(match).values(values))
    return [
        _refund(row) for row in conn.execute(select(*_COLUMNS).select_from(_JOINED).where(match))
    ]


def refunds_due(conn: Connection, now: datetime) -> bool:
    """Whether a refund is due: a read, so that an idle worker writes nothing."""
    return conn.execute(_IS_DUE, {"now": now}).first() is not None


def delay_refund(conn: Connection, refund: Refund, error: str, now: datetime) -> None:
    """Stripe did not answer: ask again later, with the same key, for as long as it takes."""
    pause = min(timedelta(seconds=10) * 2 ** min(refund.tries, 10), LONGEST_PAUSE)
    match = (refunds.c.key == refund.key) & (refunds.c.state == "creating")
    values = {"next_at": now + pause, "last_error": error[:200], "updated_at": now}
    conn.execute(update(refunds).where(match).values(values))


def refuse_refund(conn: Connection, refund: Refund, error: str, now: datetime) -> None:
    """Stripe refused for good: nothing was given back, and a person must know.

    Mostly because somebody gave it back in the dashboard; that refund now fits into the payment.
    """
    match = (refunds.c.key == refund.key) & (refunds.c.state == "creating")
    values = {"state": "failed", "next_at": None, "last_error": error[:200], "updated_at": now}
    if conn.execute(update(refunds).where(match).values(values)).rowcount:
        _flag_failure(conn, refund.command_id, refund.key, refund.amount_minor, now)
        wake_money_events(conn, refund.payment_intent_id, now)


def write_refunds(
    conn: Connection, session_id: str, reports: list[RefundReport], source: str, now: datetime
) -> None:
    """Bring our rows of a payment to what Stripe lists, also refunds made in its dashboard.

    Repeat-safe. First those that free money, so that the sum never passes the payment on the way.
    """
    payment = conn.execute(_PAID_BY, {"session": session_id}).first()
    if payment is None:
        return
    lock_command(conn, payment.command_id)
    for report in sorted(reports, key=lambda r: STATES.get(r.state, r.state) in GIVEN_BACK):
        _write_refund(conn, session_id, payment.command_id, report, source, now)


def _write_refund(
    conn: Connection,
    session_id: str,
    command_id: str,
    report: RefundReport,
    source: str,
    now: datetime,
) -> None:
    state = STATES.get(report.state, "pending")
    known = conn.execute(_BY_ID, {"refund": report.refund_id}).first()
    if known is None and report.key is not None:
        known = conn.execute(_OWN, {"own": report.key, "session": session_id}).first()
    values: dict[str, Any] = {
        "stripe_refund_id": report.refund_id,
        "state": state,
        "next_at": None,
        "updated_at": now,
    }
    if known is None:
        if state in GIVEN_BACK and report.amount_minor > _left(conn, session_id):
            # A promise of ours that Stripe has not heard yet fills the payment. Stripe will refuse
            # it, and then this one fits: the event that brought it waits.
            raise RefundRefused("A refund of ours is under way; Stripe's own waits for it.")
        row = values | {
            "key": f"stripe:{report.refund_id}",
            "stripe_session_id": session_id,
            "command_id": command_id,
            "amount_minor": report.amount_minor,
            "origin": "stripe",
            "tries": 0,
            "created_at": report.created_at,
        }
        insert_once(conn, refunds, row)
    elif (known.state, known.stripe_refund_id) != (state, report.refund_id):
        conn.execute(update(refunds).where(refunds.c.key == known.key).values(values))
    else:
        return
    record(
        conn, command_id, now, f"refund_{state}", source,
        once=report.refund_id, amount_minor=report.amount_minor, refund=report.refund_id,
    )  # fmt: skip
    if state in ("failed", "canceled") and known is not None:
        _flag_failure(conn, command_id, report.refund_id, report.amount_minor, now)


def _flag_failure(
    conn: Connection, command_id: str, once: str, amount_minor: int, now: datetime
) -> None:
    command = find_command(conn, command_id)
    new = record(conn, command_id, now, "refund_not_given", "stripe", once=once,
                 amount_minor=amount_minor)  # fmt: skip
    if command is not None and new:
        change_command(conn, command, now, attention="refund_failed")


def _find(conn: Connection, key: str) -> Refund | None:
    query = select(*_COLUMNS).select_from(_JOINED).where(refunds.c.key == key)
    row = conn.execute(query).first()
    return _refund(row) if row else None


def _promised(conn: Connection, session_id: str) -> int:
    return int(conn.execute(_PROMISED, {"session": session_id}).scalar_one())


def _left(conn: Connection, session_id: str) -> int:
    """What of a payment is not promised yet."""
    paid: int = conn.execute(_PAID_BY, {"session": session_id}).one().amount_minor
    return paid - _promised(conn, session_id)
