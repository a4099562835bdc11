"""What an error of PostgreSQL means for the transaction that met it."""

from enum import Enum, auto

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError


class Verdict(Enum):
    """What may be done after an error that came before COMMIT."""

    CONFLICT = auto()
    """Another transaction was in the way: repeat soon."""
    LOST = auto()
    """The session is gone, or no longer with the server that writes: repeat on another."""
    STALE = auto()
    """A migration changed what a prepared statement returns: repeat once."""
    BUSY = auto()
    """The server took nothing and a repeat now would only add to its load."""
    BEHIND = auto()
    """Tables or columns are missing that this program reads."""
    OWN = auto()
    """The function's own error."""


_MEANING: tuple[tuple[tuple[type[BaseException], ...], Verdict], ...] = (
    ((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError), Verdict.BEHIND),
    ((asyncpg.SerializationError, asyncpg.DeadlockDetectedError), Verdict.CONFLICT),
    ((asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError), Verdict.STALE),
    (
        (
            asyncpg.PostgresConnectionError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            asyncpg.CannotConnectNowError,
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.ReadOnlySQLTransactionError,
            asyncpg.TargetServerAttributeNotMatched,
            ConnectionError,
        ),
        Verdict.LOST,
    ),
    (
        (
            asyncpg.InsufficientResourcesError,
            asyncpg.LockNotAvailableError,
            asyncpg.QueryCanceledError,
            TimeoutError,
            OSError,
        ),
        Verdict.BUSY,
    ),
)


def judge(error: BaseException) -> Verdict:
    """Tell what to do about an error that came before COMMIT."""
    met = driver_error(error)
    for kinds, verdict in _MEANING:
        if isinstance(met, kinds):
            return verdict
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Verdict.LOST
    return Verdict.OWN


def refused(error: BaseException) -> bool:
    """Whether the server itself said that it did not commit, in a session that went on."""
    met = driver_error(error)
    return isinstance(met, asyncpg.PostgresError) and judge(met) is not Verdict.LOST


def driver_error(error: BaseException) -> BaseException:
    """Unwrap the driver's own error from SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        # Not ``driver_exception``: SQLAlchemy 2.1.9 forgets it for a stale statement.
        return error.orig.__cause__ or error.orig
    return error
