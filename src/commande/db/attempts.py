"""Attempts: one row per Stripe session, frozen before Stripe is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from commande.core.command import LIVE, AttemptFacts, AttemptState
from commande.core.pricing import Quote
from commande.db.sql import change_one, locks_rows
from commande.db.tables import attempts, commands


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to be paid. Times aware UTC, amounts in minor units."""

    id: str
    command_id: str
    number: int
    state: AttemptState
    idempotency_key: str
    parameters: dict[str, Any]
    quote: Quote
    amount_minor: int
    currency: str
    livemode: bool
    stripe_session_id: str | None
    url: str | None
    expires_at: datetime
    opening_until: datetime | None
    tries: int
    last_error: str | None
    check_at: datetime | None
    checks: int
    created_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None

    @property
    def live(self) -> bool:
        """Whether it can still become payable or be paid."""
        return self.state in LIVE

    def facts(self, session_id: str) -> AttemptFacts:
        """What ``decide`` compares a report with."""
        return AttemptFacts(session_id, self.amount_minor, self.currency, self.livemode, self.state)


_NAMES: Final = tuple(field.name for field in fields(Attempt))
COLUMNS: Final = tuple(attempts.c[name] for name in _NAMES)
"""What ``read_attempt`` reads, in its order."""
_STATE, _QUOTE = _NAMES.index("state"), _NAMES.index("quote")
# Built once, with bound parameters: building one costs several times as much as running it.
_ALL: Final = select(*COLUMNS)
_BY_ID: Final = _ALL.where(attempts.c.id == bindparam("attempt"))
LOCK_COMMAND: Final = (
    select(commands.c.id)
    .join_from(attempts, commands, commands.c.id == attempts.c.command_id)
    .with_for_update(of=commands)
)
"""Locks the command of an attempt: say of which."""
_LOCK: Final = LOCK_COMMAND.where(attempts.c.id == bindparam("attempt"))
_NEWEST_FIRST: Final = _ALL.where(attempts.c.command_id == bindparam("command")).order_by(
    attempts.c.number.desc()
)
_INSERT: Final = attempts.insert()
_CHANGE: Final = update(attempts).where(
    attempts.c.id == bindparam("attempt"), attempts.c.state == bindparam("was")
)


def read_attempt(row: Sequence[Any]) -> Attempt:
    """A row that holds ``COLUMNS`` as an Attempt."""
    values = list(row)
    values[_STATE] = AttemptState(values[_STATE])
    values[_QUOTE] = Quote.from_dict(values[_QUOTE])
    return Attempt(*values)


def insert_attempt(conn: Connection, attempt: Attempt) -> None:
    """Store a new attempt; the database refuses a second live one of the same command."""
    values = {name: getattr(attempt, name) for name in _NAMES}
    conn.execute(_INSERT, values | {"quote": attempt.quote.to_dict()})


def find_attempt(conn: Connection, attempt_id: str) -> Attempt | None:
    """The attempt with that id."""
    row = conn.execute(_BY_ID, {"attempt": attempt_id}).first()
    return read_attempt(row) if row else None


def lock_attempt(conn: Connection, attempt_id: str) -> Attempt | None:
    """The attempt, read once its command is locked: always the command first."""
    if locks_rows(conn):
        conn.execute(_LOCK, {"attempt": attempt_id})
    return find_attempt(conn, attempt_id)


def list_attempts(conn: Connection, command_id: str) -> list[Attempt]:
    """The command's attempts, newest first."""
    return [read_attempt(row) for row in conn.execute(_NEWEST_FIRST, {"command": command_id})]


def change_attempt(conn: Connection, attempt: Attempt, **values: Any) -> None:
    """Write values to an attempt that still is in the state it was read in.

    Raises NothingChanged when another transaction moved it.
    """
    change_one(conn, _CHANGE, {"attempt": attempt.id, "was": attempt.state, **values})


def close_attempt(
    conn: Connection, attempt: Attempt, state: AttemptState, now: datetime, **values: Any
) -> None:
    """End an attempt: nobody can pay it any more. A dead session's address is forgotten."""
    ended: dict[str, Any] = {"state": state, "closed_at": now, "opening_until": None}
    if state is not AttemptState.COMPLETE:
        ended["url"] = None
    change_attempt(conn, attempt, **ended | values)
