"""The inbox: events stored once, acknowledged, then handled. The row is the queue."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, or_, select, update

from commande.db.journal import record
from commande.db.sql import constant, insert_once, locks_rows
from commande.db.tables import attempts, commands, events, payments

# 2 s, 4, 8 … about four hours in all; then the event is dead: shown as needing a person. It still
# has a try an hour while Stripe would list it: the outage may end, or an update mend the defect.
MAX_TRIES: Final = 14
LONGEST_WAIT: Final = timedelta(hours=1)
# Stripe lists events for 30 days.
HORIZON: Final = timedelta(days=30)
LEASE: Final = timedelta(seconds=60)
# A hand small enough to be handled within the lease, even when Stripe is asked each time.
CLAIMED: Final = 50


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of the inbox."""

    id: str
    type: str
    object_id: str | None
    session_id: str | None
    payment_intent_id: str | None
    command_id: str | None
    payload: dict[str, Any]
    source: str
    tries: int
    occurred_at: datetime
    dead: bool = False
    """Whether it is shown as needing a person already."""


_COLUMNS: Final = (
    events.c.stripe_event_id,
    events.c.type,
    events.c.object_id,
    events.c.stripe_session_id,
    events.c.stripe_payment_intent_id,
    events.c.command_id,
    events.c.payload,
    events.c.source,
    events.c.tries,
    events.c.occurred_at,
    events.c.state == constant("dead"),
)

_MONEY_BACK: Final = or_(
    events.c.type.like(constant("charge.refund%")),
    events.c.type.like(constant("refund.%")),
    events.c.type.like(constant("charge.dispute.%")),
)

# Built once, with bound parameters: building one costs several times as much as running it.
_WAITING: Final = events.c.next_at.is_not(None)
_DUE: Final = events.c.next_at <= bindparam("now")
_IS_DUE: Final = select(events.c.stripe_event_id).where(_DUE).limit(1)
_COUNT_WAITING: Final = select(func.count()).where(_WAITING)
_OLDEST_FIRST: Final = (
    select(*_COLUMNS)
    .where(_WAITING)
    .order_by(events.c.next_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_DUE_FIRST: Final = _OLDEST_FIRST.where(_DUE)
_TAKE: Final = (
    update(events)
    .where(events.c.stripe_event_id == bindparam("taken"))
    .values(tries=events.c.tries + 1)
)
_CHANGE: Final = update(events).where(events.c.stripe_event_id == bindparam("event"), _WAITING)
_GIVEN_BACK: Final = (
    select(events.c.stripe_event_id)
    .where(events.c.stripe_payment_intent_id == bindparam("intent"), _MONEY_BACK)
    .limit(1)
)
_REPEATED: Final = (
    update(events)
    .where(events.c.stripe_event_id == bindparam("event"))
    .values(deliveries=events.c.deliveries + 1)
)
_COMMAND: Final = select(commands.c.id).where(commands.c.id == bindparam("command"))
_LOCK: Final = (
    select(events.c.state).where(events.c.stripe_event_id == bindparam("event")).with_for_update()
)
_SESSION_OF: Final = select(payments.c.stripe_session_id).where(
    payments.c.stripe_payment_intent_id == bindparam("intent")
)
_KNOWN: Final = select(events.c.stripe_event_id).where(
    events.c.stripe_event_id.in_(bindparam("wanted", expanding=True))
)
_WAKE: Final = (
    update(events)
    .where(
        events.c.stripe_payment_intent_id == bindparam("intent"),
        _MONEY_BACK,
        events.c.state.in_([constant("ignored"), constant("pending"), constant("dead")]),
    )
    .values(tries=0)
)


def store_event(conn: Connection, event: StoredEvent, state: str, now: datetime) -> bool:
    """Keep an event; False when it is known (then only its deliveries are counted)."""
    row = {
        "stripe_event_id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "stripe_session_id": event.session_id,
        "stripe_payment_intent_id": event.payment_intent_id,
        "command_id": event.command_id,
        "payload": event.payload,
        "state": state,
        "source": event.source,
        "tries": 0,
        "deliveries": 1,
        "next_at": now if state == "pending" else None,
        "occurred_at": event.occurred_at,
        "received_at": now,
    }
    if insert_once(conn, events, row):
        return True
    if event.source == "webhook":
        # The line first: it waits for a command that is being settled, and who settles it wants
        # the event's row next.
        if event.command_id is not None and _exists(conn, event.command_id):
            record(conn, event.command_id, now, "event_repeated", "webhook", once=event.id,
                   type=event.type)  # fmt: skip
        conn.execute(_REPEATED, {"event": event.id})
    return False


def _exists(conn: Connection, command_id: str) -> bool:
    return conn.execute(_COMMAND, {"command": command_id}).first() is not None


def events_due(conn: Connection, now: datetime) -> bool:
    """Whether an event is due: a read, so that an idle worker writes nothing."""
    return conn.execute(_IS_DUE, {"now": now}).first() is not None


def _event(row: Any) -> StoredEvent:
    return StoredEvent(*row)


def claim_events(
    conn: Connection, now: datetime, limit: int = CLAIMED, *, all_waiting: bool = False
) -> list[StoredEvent]:
    """Take due events for a minute, oldest first; two workers never hold the same one.

    ``all_waiting`` takes what is not due or is held too: handling twice changes nothing.
    """
    query = _OLDEST_FIRST if all_waiting else _DUE_FIRST
    bound = {"most": limit} if all_waiting else {"most": limit, "now": now}
    claimed = [_event(row) for row in conn.execute(query, bound)]
    if claimed:
        conn.execute(_TAKE, [{"taken": event.id, "next_at": now + LEASE} for event in claimed])
    return claimed


def finish_event(conn: Connection, event_id: str, state: str, now: datetime) -> None:
    """Mark an event done or ignored, in the transaction of its effect. Repeat-safe."""
    values = {"state": state, "next_at": None, "handled_at": now, "last_error": None}
    conn.execute(_CHANGE, values | {"event": event_id})


def delay_event(conn: Connection, event: StoredEvent, error: str, now: datetime) -> bool:
    """Try again later; from the last try on the event is dead, shown, and True is returned.

    A dead one is tried again too, until Stripe lists it no more. An event that another worker
    handled meanwhile stays handled.
    """
    tries = event.tries + 1
    dead = tries >= MAX_TRIES
    wait = LONGEST_WAIT if dead else min(timedelta(seconds=2**tries), LONGEST_WAIT)
    hopeless = dead and now - event.occurred_at >= HORIZON
    values = {
        "state": "dead" if dead else "pending",
        "next_at": None if hopeless else now + wait,
        "last_error": error[:200],
    }
    if conn.execute(_CHANGE, values | {"event": event.id}).rowcount == 0:
        return False
    if dead and not event.dead and event.command_id and _exists(conn, event.command_id):
        change = update(commands).where(commands.c.id == event.command_id)
        conn.execute(change.values(attention="event_failed", updated_at=now))
        record(conn, event.command_id, now, "event_failed", "worker", once=event.id,
               type=event.type)  # fmt: skip
    return dead


def has_refund_or_dispute(conn: Connection, payment_intent_id: str | None) -> bool:
    """Whether the inbox holds a refund or dispute of that intent: then its session is re-read."""
    if payment_intent_id is None:
        return False
    return conn.execute(_GIVEN_BACK, {"intent": payment_intent_id}).first() is not None


def ignore_unless_ours(
    conn: Connection, event_id: str, payment_intent_id: str | None, now: datetime
) -> str | None:
    """Put a refund or dispute aside when its intent paid no session of ours; else that session.

    The event's row is locked before the payments are read, so that a payment being written in this
    moment either is seen here or finds the event put aside and wakes it.
    """
    if locks_rows(conn):
        conn.execute(_LOCK, {"event": event_id})
    session_id = session_of_intent(conn, payment_intent_id) if payment_intent_id else None
    if session_id is None:
        finish_event(conn, event_id, "ignored", now)
    return session_id


def wake_money_events(conn: Connection, payment_intent_id: str | None, now: datetime) -> None:
    """Have refunds and disputes handled that came too early: before their payment was written, or
    while a promise of ours filled it.
    """
    if payment_intent_id is not None:
        values = {"intent": payment_intent_id, "state": "pending", "next_at": now}
        conn.execute(_WAKE, values)


def session_of_intent(conn: Connection, payment_intent_id: str) -> str | None:
    """The session of ours that this payment intent paid."""
    return conn.execute(_SESSION_OF, {"intent": payment_intent_id}).scalar_one_or_none()


def known_sessions(conn: Connection, session_ids: list[str]) -> set[str]:
    """Which of these sessions our attempts made."""
    match = attempts.c.stripe_session_id.in_(session_ids)
    return set(conn.execute(select(attempts.c.stripe_session_id).where(match)).scalars())


def known_events(conn: Connection, event_ids: list[str]) -> set[str]:
    """Which of these events the inbox holds already."""
    return set(conn.execute(_KNOWN, {"wanted": event_ids}).scalars())


def count_events(conn: Connection) -> dict[str, int]:
    """How many events there are in each state."""
    query = select(events.c.state, func.count()).group_by(events.c.state)
    return dict(conn.execute(query).all())


def count_waiting(conn: Connection) -> int:
    """How many events still have a try to come."""
    return int(conn.execute(_COUNT_WAITING).scalar_one())


def last_webhook_at(conn: Connection) -> datetime | None:
    """When the newest event came by webhook."""
    query = select(func.max(events.c.received_at)).where(events.c.source == "webhook")
    newest: datetime | None = conn.execute(query).scalar()
    return newest
