"""Group commit on SQLite: many functions, one transaction, one COMMIT.

Knows no thread and no event loop, so that the simulation can drive it inline.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from commande.db.connection import SLOW_MS, TransactionConnection, name_of, run_plainly
from commande.errors import DatabaseBusy, DatabaseNotMigrated, OutcomeUnknown

# Each carries a mark, so that no function's own text finds it in the statement cache, where
# it would pass by the authorizer.
BEGIN = "BEGIN IMMEDIATE -- group"
SAVEPOINT = "SAVEPOINT one -- group"
RELEASE = "RELEASE one -- group"
ROLLBACK_ONE = "ROLLBACK TO one -- group"
COMMIT = "COMMIT -- group"
ROLLBACK = "ROLLBACK -- group"

_OURS = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_BUSY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
    }
)

# SQLite has no code for it.
_LACKING = ("no such table: ", "no such column: ")

log = structlog.get_logger(__name__)


class Call:
    """One function that waits for its transaction, and afterwards what became of it."""

    __slots__ = ("args", "error", "fn", "kwargs", "settled", "value")

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs
        self.value: Any = None
        self.error: BaseException | None = None
        self.settled = False
        """True once ``value`` is durable or ``error`` says why nothing was written."""

    def wanted(self) -> bool:
        """Whether somebody still waits for it; asked once, before it starts."""
        return True


class GroupRunner:
    """Runs calls on one SQLite connection, all of a group in one transaction.

    The connection is in the driver's autocommit; BEGIN, SAVEPOINT and COMMIT are written here
    and refused to everybody else.
    """

    def __init__(self, connection: TransactionConnection) -> None:
        self._connection = connection
        # SQLAlchemy's own idea of the transaction stays begun for good: it never speaks to the
        # driver about it, and in_transaction() is true for whoever asks (Alembic does).
        Connection.begin(connection)
        self._raw = driver_of(connection)
        self._cursor = self._raw.cursor()
        self._speaking = False
        self._raw.set_authorizer(self._authorize)

    def run(self, calls: Iterable[Call]) -> None:
        """Run the calls in order in one transaction and settle each.

        ``calls`` is drawn from while the transaction is open, so it may still grow. An
        exception in one undoes that one only. If the whole transaction ended (RAISE(ROLLBACK),
        disk full, COMMIT refused), nothing of the group was written and each is run again
        alone. Raises ``DatabaseBusy`` when the transaction could not begin: nothing ran then.
        """
        started: list[Call] = []
        rest = iter(calls)
        self._begin()
        try:
            for call in rest:
                if call.wanted():
                    started.append(call)
                    self._run_one(call)
            self._say(COMMIT)
        except _TransactionEnded:
            self._undo(started, None)
        except sqlite3.Error as error:
            self._undo(started, _commit_failed(error))
        except BaseException:
            self._roll_back()
            raise
        else:
            _settle(started)
            return
        _settle(started)
        self.run(rest)

    def close(self) -> None:
        """Close the connection; what is not committed is gone."""
        with suppress(sqlite3.Error):  # it may be broken
            self._raw.set_authorizer(None)
        Connection.close(self._connection)

    def _run_one(self, call: Call) -> None:
        began = time.perf_counter()
        self._say(SAVEPOINT)
        self._connection.hidden_error = False
        try:
            call.value = run_plainly(call.fn, self._connection, *call.args, **call.kwargs)
            self._connection.refuse_hidden_error(name_of(call.fn))
        except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
            call.error = for_the_caller(error)
            if self._raw.in_transaction:
                self._say(ROLLBACK_ONE)
        if not self._raw.in_transaction:
            raise _TransactionEnded
        self._say(RELEASE)
        elapsed = (time.perf_counter() - began) * 1000
        if elapsed > SLOW_MS:
            log.warning("transaction_slow", function=name_of(call.fn), milliseconds=round(elapsed))

    def _undo(self, started: list[Call], error: BaseException | None) -> None:
        """Nothing of the group was written: one alone keeps its error, many are run again."""
        self._roll_back()
        if len(started) == 1:
            call = started[0]
            call.value = None
            call.error = (
                error
                or call.error
                or InvalidRequestError(
                    f"{name_of(call.fn)} hid an error that had ended the transaction."
                )
            )
            return
        for call in started:
            call.value = call.error = None
            try:
                self.run([call])
            except DatabaseBusy as busy:
                call.error = busy

    def _roll_back(self) -> None:
        if self._raw.in_transaction:
            self._say(ROLLBACK)

    def _begin(self) -> None:
        try:
            self._say(BEGIN)
        except sqlite3.Error as error:
            raise DatabaseBusy("The database cannot be written to now.") from error

    def _say(self, sql: str) -> None:
        self._speaking = True
        try:
            self._cursor.execute(sql)
        finally:
            self._speaking = False

    def _authorize(self, action: int, *_details: object) -> int:
        if action in _OURS and not self._speaking:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class _TransactionEnded(Exception):
    """An error inside a function ended the transaction of the whole group."""


def _settle(calls: Iterable[Call]) -> None:
    for call in calls:
        call.settled = True


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Answer the driver's connection, for what has to pass by SQLAlchemy."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def for_the_caller(error: BaseException) -> BaseException:
    """Answer what its caller shall see: ``DatabaseBusy`` where the database took nothing."""
    if isinstance(error, DBAPIError) and primary_code(error.orig) in _BUSY:
        busy: BaseException = DatabaseBusy("The database cannot be written to now.")
    elif isinstance(error, DBAPIError) and str(error.orig).startswith(_LACKING):
        busy = DatabaseNotMigrated()
    elif isinstance(error, StopIteration):
        # A future refuses StopIteration, and its caller would wait for ever.
        busy = RuntimeError("A transaction function raised StopIteration.")
    else:
        return error
    busy.__cause__ = error
    return busy


def _commit_failed(error: sqlite3.Error) -> BaseException:
    code = primary_code(error)
    if code == sqlite3.SQLITE_IOERR:
        # The commit frame may lie in the log without having been synced.
        failure: BaseException = OutcomeUnknown("The disk failed during COMMIT.")
        failure.__cause__ = error
        return failure
    wrapped = DBAPIError.instance(COMMIT, None, error, sqlite3.Error)
    wrapped.__cause__ = error
    return for_the_caller(wrapped)


def primary_code(error: BaseException | None) -> int:
    """SQLite's primary result code (the low byte of the extended one); 0 if it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
