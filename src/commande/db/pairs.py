"""A session and its command: bound in our own tables before anything else is believed."""

from dataclasses import dataclass

from sqlalchemy import Connection

from commande.core.document import Command
from commande.db.attempts import Attempt, find_by_session
from commande.db.commands import find_command, lock_command
from commande.db.journal import has_fact
from commande.db.sql import NothingChanged
from commande.errors import CommandNotFound, SessionInvalid


@dataclass(frozen=True, slots=True)
class Pair:
    """A session of ours with its command."""

    command: Command
    attempt: Attempt


def find_pair(conn: Connection, session_id: str) -> Pair | None:
    """Our attempt behind a session, and its command; None when the session is not ours."""
    attempt = find_by_session(conn, session_id)
    if attempt is None:
        return None
    command = find_command(conn, attempt.command_id)
    return Pair(command, attempt) if command else None


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
    """The pair, locked in the house's order: command, then attempt.

    Raises SessionInvalid, CommandNotFound, and NothingChanged when it moved meanwhile.
    """
    found = find_by_session(conn, session_id)
    if found is None:
        raise SessionInvalid("This is no session of ours.")
    command = lock_command(conn, found.command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    attempt = find_by_session(conn, session_id)
    if attempt is None:
        raise NothingChanged("the attempt lost its session")
    return Pair(command, attempt)
