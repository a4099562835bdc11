"""A session and its command: bound in our own tables before anything else is believed."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select

from commande.core.document import Command
from commande.db import attempts as attempt_rows
from commande.db import commands as command_rows
from commande.db.attempts import Attempt, read_attempt
from commande.db.commands import find_command, read_command
from commande.db.journal import has_fact
from commande.db.sql import locks_rows
from commande.db.tables import attempts, commands
from commande.errors import SessionInvalid

# Built once, with bound parameters: building one costs several times as much as running it.
_OURS: Final = attempts.c.stripe_session_id == bindparam("session")
_KNOWN: Final = select(attempts.c.id).where(_OURS)
_PAIR: Final = (
    select(*command_rows.COLUMNS, *attempt_rows.COLUMNS)
    .join_from(attempts, commands, commands.c.id == attempts.c.command_id)
    .where(_OURS)
)
_LOCK: Final = attempt_rows.LOCK_COMMAND.where(_OURS)
_SPLIT: Final = len(command_rows.COLUMNS)


@dataclass(frozen=True, slots=True)
class Pair:
    """A session of ours with its command."""

    command: Command
    attempt: Attempt


def knows_session(conn: Connection, session_id: str) -> bool:
    """Whether an attempt of ours made this session."""
    return conn.execute(_KNOWN, {"session": session_id}).first() is not None


def find_pair(conn: Connection, session_id: str) -> Pair | None:
    """Our attempt behind a session, and its command; None when the session is not ours."""
    row = conn.execute(_PAIR, {"session": session_id}).first()
    if row is None:
        return None
    return Pair(read_command(row[:_SPLIT]), read_attempt(row[_SPLIT:]))


@dataclass(frozen=True, slots=True)
class Return:
    """What we hold of a (session, command) pair that a customer comes back with."""

    command: Command | None
    pair: Pair | None
    noted: bool
    """Whether the history already says that the customer came back after the payment."""


def read_return(conn: Connection, session_id: str, command_id: str) -> Return:
    """Both ids looked up independently: binding them is the caller's duty."""
    pair = find_pair(conn, session_id)
    if pair is not None and pair.command.id == command_id:
        command: Command | None = pair.command
    else:
        command = find_command(conn, command_id)
    # Settled by the return itself counts as noted: the line "paid" says it.
    noted = has_fact(conn, command_id, "confirmed", session_id)
    return Return(command, pair, noted)


def lock_pair(conn: Connection, session_id: str) -> Pair:
    """The pair, its command locked until the transaction ends; read once nobody else holds it.

    Raises SessionInvalid.
    """
    if locks_rows(conn):
        conn.execute(_LOCK, {"session": session_id})
    pair = find_pair(conn, session_id)
    if pair is None:
        raise SessionInvalid("This is no session of ours.")
    return pair
