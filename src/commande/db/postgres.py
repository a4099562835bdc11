"""PostgreSQL: one transaction a function, repeated when the database says that it may be."""

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from typing import Any, cast

import asyncpg  # type: ignore[import-untyped]
import orjson
import structlog
from sqlalchemy import AsyncAdaptedQueuePool, Connection, Engine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from commande.db.connection import (
    SLOW_MS,
    P,
    R,
    TransactionConnection,
    TransactionFunction,
    name_of,
    run_plainly,
    to_json,
    watch_errors,
)
from commande.db.postgres_address import Hosts, Session
from commande.db.postgres_errors import Verdict, driver_error, judge, refused
from commande.errors import DatabaseBusy, DatabaseNotMigrated, OutcomeUnknown

# Enough to keep a few cores busy; more would mostly wait for each other's locks.
SESSIONS = 15
PLACE_WAIT_S = 3.0
CACHED_STATEMENTS = 300
PAUSE_S = 0.01
REPEATS = {Verdict.CONFLICT: 8, Verdict.LOST: 3, Verdict.STALE: 1}

Work = Callable[[Engine, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]

log = structlog.get_logger(__name__)


class PostgresDatabase:
    """A PostgreSQL database behind a small pool, opened in the loop that first uses it."""

    dialect = "postgresql"

    def __init__(self, address: str, *, application: str) -> None:
        self._hosts = Hosts(address, application=application)
        self._engine: AsyncEngine | None = None
        self._places = asyncio.Semaphore(SESSIONS)
        self._pid = 0
        self._closed = False

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``. READ COMMITTED; a caller cancelled before COMMIT undoes it."""
        return cast("R", await self._repeat(_write, fn, args, kwargs))

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Database``. One snapshot for all its statements, as on SQLite."""
        return cast("R", await self._repeat(_read, fn, args, kwargs))

    async def close(self) -> None:
        """Close the pool; afterwards every call raises ``DatabaseBusy``."""
        self._closed = True
        if self._engine is not None and self._pid == os.getpid():
            engine, self._engine = self._engine, None
            await engine.dispose()

    def _here(self) -> Engine:
        if self._closed:
            raise DatabaseBusy("The database is closed.")
        if self._engine is None or self._pid != os.getpid():
            if self._engine is not None:
                # The sockets belong to the parent: to close them would end its sessions.
                self._engine.sync_engine.dispose(close=False)
            self._engine, self._pid = self._open(), os.getpid()
            self._places = asyncio.Semaphore(SESSIONS)
        return self._engine.sync_engine

    def _open(self) -> AsyncEngine:
        def connect() -> Any:
            return engine.dialect.loaded_dbapi.connect(
                async_creator_fn=self._hosts.connect,
                prepared_statement_cache_size=CACHED_STATEMENTS,
            )

        engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=connect,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=SESSIONS,
            max_overflow=0,
            json_serializer=to_json,
            json_deserializer=orjson.loads,
            hide_parameters=True,
        )
        watch_errors(engine.sync_engine)
        return engine

    async def _repeat(
        self,
        work: Work,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Try until it succeeds or may not be repeated; ``judge`` tells which is which."""
        tries: dict[Verdict, int] = {}
        while True:
            try:
                return await self._in_turn(work, fn, args, kwargs)
            except Exception as error:
                verdict = judge(error)
                if verdict is Verdict.OWN:
                    raise
                if verdict is Verdict.BEHIND:
                    raise DatabaseNotMigrated from error
                tries[verdict] = tried = tries.get(verdict, 0) + 1
                log.info("transaction_interrupted", function=name_of(fn), reason=verdict.name)
                if tried > REPEATS.get(verdict, 0):
                    raise DatabaseBusy("The database cannot take the work now.") from error
            await asyncio.sleep(random.uniform(0, PAUSE_S * 2**tried))  # noqa: S311 - a pause

    async def _in_turn(
        self,
        work: Work,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Wait for a place, then work: the pool's own waiting lets newcomers step in front."""
        engine, places = self._here(), self._places
        if places.locked():
            async with asyncio.timeout(PLACE_WAIT_S):
                await places.acquire()
        else:
            await places.acquire()
        try:
            return await greenlet_spawn(work, engine, fn, args, kwargs)
        finally:
            places.release()


def _write(
    engine: Engine, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    connection = TransactionConnection(engine)
    try:
        began = asyncio.get_running_loop().time()
        Connection.begin(connection)
        value = run_plainly(fn, connection, *args, **kwargs)
        _commit(connection, fn)
        elapsed = (asyncio.get_running_loop().time() - began) * 1000
        if elapsed > SLOW_MS:
            log.warning("transaction_slow", function=name_of(fn), milliseconds=round(elapsed))
    except BaseException as error:
        _abandon(connection, error)
        raise
    Connection.close(connection)
    return value


def _read(
    engine: Engine, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    connection = TransactionConnection(engine)
    try:
        Connection.execution_options(
            connection, isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        Connection.begin(connection)
        value = run_plainly(fn, connection, *args, **kwargs)
    except BaseException as error:
        if isinstance(driver_error(error), asyncpg.ReadOnlySQLTransactionError):
            Connection.close(connection)
            raise InvalidRequestError(f"{name_of(fn)} writes inside a read.") from error
        _abandon(connection, error)
        raise
    Connection.close(connection)
    return value


def _commit(connection: TransactionConnection, fn: Callable[..., Any]) -> None:
    """Commit. Raises ``OutcomeUnknown`` unless the server said that it did, or did not."""
    # In a failed transaction COMMIT rolls back, and does not call that an error.
    connection.refuse_hidden_error(name_of(fn))
    session = _session(connection)
    session.doubt, session.committing = False, True
    try:
        Connection.commit(connection)
    except Exception as error:
        if refused(error):
            session.committing = False
            raise
        raise OutcomeUnknown("The server did not answer COMMIT.") from error
    session.committing = False
    if session.doubt:
        # A standby did not confirm in time: committed here, and gone if this server is lost
        # now. Or the function ended the transaction with SQL of its own.
        raise OutcomeUnknown("The server warned during COMMIT.")


def _abandon(connection: TransactionConnection, error: BaseException) -> None:
    """Give the connection back to the pool, or throw it away when the session is gone."""
    if not connection.invalidated:
        session = _session(connection)
        lost = judge(error) is Verdict.LOST or isinstance(error, OutcomeUnknown)
        # Still committing: the caller was cancelled meanwhile.
        if lost or session.committing or session.is_closed():
            connection.invalidate(error)
    Connection.close(connection)


def _session(connection: TransactionConnection) -> Session:
    return cast("Session", connection.connection.driver_connection)
