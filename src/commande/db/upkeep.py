"""Transactions of the upkeep: what is overdue, what must be asked about, what may be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from commande.core.command import LIVE, SETTLED, AttemptState, Status
from commande.db.attempts import (
    COLUMNS,
    Attempt,
    close_attempt,
    list_attempts,
    lock_attempt,
    read_attempt,
)
from commande.db.commands import change_command, erase_command, lock_command
from commande.db.journal import record
from commande.db.sql import constant, insert_once
from commande.db.tables import attempts, commands, cursors, events, idempotency_keys, workers
from commande.errors import AlreadyPaid, CommandNotFound, PaymentProcessing

# When Stripe is asked about an attempt that nobody reported, counted from its making: lost webhooks
# show within minutes, a paid session by its end, a late one within Stripe's three days of retries.
CHECKS: Final = tuple(timedelta(minutes=m) for m in (5, 60, 23 * 60 + 10, 25 * 60, 72 * 60))
# Delayed methods may take two weeks; a question a day is enough after the schedule.
DAILY: Final = timedelta(days=1)
# Stripe keeps idempotency keys for at least a day; we promise two.
KEYS_KEPT: Final = timedelta(hours=48)
# Events can be listed at Stripe for 30 days; what is done needs no longer memory than that.
EVENTS_KEPT: Final = timedelta(days=31)

# Built once, with bound parameters: building one costs several times as much as running it.
_IS_OVERDUE: Final = and_(
    commands.c.status == Status.UNPAID, commands.c.created_at <= bindparam("cutoff")
)
_ALL_OVERDUE: Final = (
    select(commands.c.id)
    .where(or_(_IS_OVERDUE, commands.c.status == Status.EXPIRING))
    .order_by(commands.c.created_at)
)
_OVERDUE: Final = _ALL_OVERDUE.limit(bindparam("most"))
# A delayed payment keeps its check; a second one also when the first has settled the command.
_IN_DOUBT: Final = or_(
    attempts.c.state.in_([constant(state) for state in sorted(LIVE)]),
    and_(
        attempts.c.state == constant(AttemptState.COMPLETE),
        or_(commands.c.status == Status.PROCESSING, attempts.c.check_at.is_not(None)),
    ),
)
_UNSETTLED: Final = (
    select(*COLUMNS, commands.c.status)
    .join_from(attempts, commands, commands.c.id == attempts.c.command_id)
    .where(_IN_DOUBT)
    .order_by(attempts.c.created_at)
)
_CHECK_DUE: Final = _UNSETTLED.where(attempts.c.check_at <= bindparam("due")).limit(
    bindparam("most")
)
_CHECKED: Final = (
    update(attempts)
    .where(attempts.c.id == bindparam("attempt"), attempts.c.check_at.is_not(None))
    .values(checks=attempts.c.checks + 1)
)
_STUCK: Final = (
    select(attempts.c.command_id)
    .join_from(attempts, commands, commands.c.id == attempts.c.command_id)
    .where(
        attempts.c.state == constant(AttemptState.CREATING),
        attempts.c.opening_until <= bindparam("now"),
        commands.c.status == Status.UNPAID,
    )
    .order_by(attempts.c.created_at)
    .limit(100)
)
_CURSOR: Final = select(cursors.c.at).where(cursors.c.name == bindparam("cursor"))
_MOVE: Final = update(cursors).where(
    cursors.c.name == bindparam("cursor"), cursors.c.at < bindparam("until")
)
# How long each is kept, and what is forgotten then.
_OLD: Final = (
    (KEYS_KEPT, delete(idempotency_keys).where(idempotency_keys.c.created_at < bindparam("until"))),
    (
        EVENTS_KEPT,
        delete(events).where(
            events.c.state.in_(["done", "ignored", "foreign"]),
            events.c.received_at < bindparam("until"),
        ),
    ),
    (DAILY, delete(workers).where(workers.c.beat_at < bindparam("until"))),
)


def fence_overdue(conn: Connection, cutoff: datetime, now: datetime, limit: int) -> list[str]:
    """Put up clean-up's fence before unpaid commands made at or before the cutoff.

    Gives those commands and the ones that an earlier clean-up left behind its fence. Repeat-safe.
    """
    ids = list(conn.execute(_OVERDUE, {"cutoff": cutoff, "most": limit}).scalars())
    for command_id in sorted(ids):
        _fence(conn, command_id, now)
    return ids


def list_overdue(conn: Connection, cutoff: datetime) -> list[str]:
    """The ids that a clean-up with this cutoff would deal with, oldest first."""
    return list(conn.execute(_ALL_OVERDUE, {"cutoff": cutoff}).scalars())


def _fence(conn: Connection, command_id: str, now: datetime) -> None:
    command = lock_command(conn, command_id)
    if command is not None and command.status is Status.UNPAID:
        change_command(conn, command, now, status=Status.EXPIRING)


def fence_command(conn: Connection, command_id: str, now: datetime) -> None:
    """Put up the fence before one command that a person cancels.

    Raises CommandNotFound, AlreadyPaid, PaymentProcessing.
    """
    command = lock_command(conn, command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    if command.status in SETTLED:
        raise AlreadyPaid("This command is paid; refund it instead.")
    if command.status is Status.PROCESSING:
        raise PaymentProcessing("A payment of this command is under way; it cannot be cancelled.")
    _fence(conn, command_id, now)


def live_attempts(conn: Connection, command_id: str) -> list[Attempt]:
    """The command's attempts that can still become payable or be paid."""
    return [attempt for attempt in list_attempts(conn, command_id) if attempt.live]


def bury_command(conn: Connection, command_id: str, source: str, now: datetime) -> Status:
    """Make a tombstone of a fenced command that nothing can pay any more; its status afterwards.

    Leaves it where it is while an attempt is live, or when it was settled meanwhile.
    """
    command = lock_command(conn, command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    if command.status is not Status.EXPIRING or live_attempts(conn, command_id):
        return command.status
    erase_command(conn, command, now)
    record(conn, command_id, now, "expired", source)
    return Status.EXPIRED


def flag_command(
    conn: Connection, command_id: str, reason: str, source: str, now: datetime
) -> None:
    """Show a command to a person. Repeat-safe."""
    command = lock_command(conn, command_id)
    if command is not None and record(conn, command_id, now, reason, source):
        change_command(conn, command, now, attention=reason)


def clear_attention(conn: Connection, command_id: str, now: datetime) -> bool:
    """A person has looked: the command leaves the worklist; False when it was not on it."""
    command = lock_command(conn, command_id)
    if command is None or command.attention is None:
        return False
    record(conn, command_id, now, "attention_cleared", "person", once=now.isoformat(),
           reason=command.attention)  # fmt: skip
    change_command(conn, command, now, attention=None)
    return True


def give_up_session(conn: Connection, attempt_id: str, now: datetime) -> None:
    """Close an attempt whose session Stripe no longer knows and whose time is over."""
    attempt = lock_attempt(conn, attempt_id)
    if attempt is not None and attempt.live:
        close_attempt(conn, attempt, AttemptState.EXPIRED, now, check_at=None)
        record(conn, attempt.command_id, now, "session_forgotten", "stripe", once=attempt_id)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An attempt whose money is not yet known for certain."""

    attempt: Attempt
    status: Status
    """Of its command."""


def list_unsettled(conn: Connection) -> list[Unsettled]:
    """Attempts that could have been paid, oldest first."""
    return [_unsettled(row) for row in conn.execute(_UNSETTLED)]


def list_due_checks(conn: Connection, now: datetime, limit: int) -> list[Unsettled]:
    """Attempts that could have been paid and whose check has come, oldest first."""
    return [_unsettled(row) for row in conn.execute(_CHECK_DUE, {"due": now, "most": limit})]


def _unsettled(row: Sequence[Any]) -> Unsettled:
    *attempt, status = row
    return Unsettled(read_attempt(attempt), Status(status))


def schedule_check(conn: Connection, attempt: Attempt, now: datetime) -> None:
    """Set when Stripe is asked about this attempt next, if ever again."""
    later = [attempt.created_at + after for after in CHECKS if attempt.created_at + after > now]
    still_open = attempt.expires_at + DAILY > now or attempt.state is AttemptState.COMPLETE
    check_at = later[0] if later else (now + DAILY if still_open else None)
    conn.execute(_CHECKED, {"attempt": attempt.id, "check_at": check_at})


def list_stuck_openings(conn: Connection, now: datetime) -> list[str]:
    """Commands whose attempt is being created by nobody: the opener died or gave up."""
    return list(conn.execute(_STUCK, {"now": now}).scalars())


def oldest_attempt_at(conn: Connection) -> datetime | None:
    """When the first attempt was made."""
    oldest: datetime | None = conn.execute(select(func.min(attempts.c.created_at))).scalar()
    return oldest


def read_cursor(conn: Connection, name: str) -> datetime | None:
    """How far a recurring job has come."""
    return conn.execute(_CURSOR, {"cursor": name}).scalar_one_or_none()


def move_cursor(conn: Connection, name: str, at: datetime) -> None:
    """Note how far a recurring job has come; never backwards."""
    if not insert_once(conn, cursors, {"name": name, "at": at, "detail": {}}):
        conn.execute(_MOVE, {"cursor": name, "until": at, "at": at})


def prune(conn: Connection, now: datetime) -> int:
    """Forget old idempotency keys, handled events and dead workers; how many rows went."""
    return sum(conn.execute(forget, {"until": now - age}).rowcount for age, forget in _OLD)


def beat(conn: Connection, name: str, now: datetime) -> None:
    """A worker says that it is alive."""
    if not insert_once(conn, workers, {"name": name, "started_at": now, "beat_at": now}):
        conn.execute(update(workers).where(workers.c.name == name).values(beat_at=now))


def leave(conn: Connection, name: str) -> None:
    """A worker says that it stops."""
    conn.execute(delete(workers).where(workers.c.name == name))


def last_beat_at(conn: Connection) -> datetime | None:
    """When any worker was last alive."""
    newest: datetime | None = conn.execute(select(func.max(workers.c.beat_at))).scalar()
    return newest
