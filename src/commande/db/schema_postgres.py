"""Changing the schema of a PostgreSQL database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]
import orjson
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from commande.db.connection import TransactionFunction, to_json
from commande.db.postgres_address import LOCK_MS, Hosts, Session
from commande.db.postgres_errors import Verdict, driver_error, judge
from commande.errors import DatabaseBusy, SettingInvalid

R = TypeVar("R")

# One lock of the database, by a name that no other program takes.
_LOCK: Final = int.from_bytes(b"commande")


def change_schema(address: str, change: TransactionFunction[[], R]) -> R:
    """Run the change alone and in one transaction. Raises ``SettingInvalid``, ``DatabaseBusy``."""

    def run() -> R:
        return asyncio.run(_change(address, change))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    # This thread has a loop of its own already.
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(run).result()


async def _change(address: str, change: TransactionFunction[[], R]) -> R:
    session = await _connect(address)

    async def connected() -> Session:
        return session

    def connect() -> Any:
        return engine.dialect.loaded_dbapi.connect(async_creator_fn=connected)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        creator=connect,
        poolclass=NullPool,
        json_serializer=to_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_locked(change))
    except DBAPIError as error:
        raise _failure(error) from error
    finally:
        await session.close(timeout=5)


def _locked(change: TransactionFunction[[], R]) -> Callable[[Connection], R]:
    def work(conn: Connection) -> R:
        # Whoever migrates already is waited for, however long; a table in use is not, since
        # behind a waiting ALTER TABLE every shop process would wait too.
        conn.execute(text("SET LOCAL lock_timeout = 0"))
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_MS}"))
        return change(conn)

    return work


async def _connect(address: str) -> Session:
    try:
        return await Hosts(address, application="commande migrate", patient=True).connect()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SettingInvalid(
            "COMMANDE_DATABASE_URL",
            f"the server cannot be reached ({type(error).__name__}).",
            "Start it, or correct host and port.",
        ) from error


def _failure(error: DBAPIError) -> Exception:
    if isinstance(driver_error(error), asyncpg.InsufficientPrivilegeError):
        return SettingInvalid(
            "COMMANDE_DATABASE_URL",
            "the user may not create tables there.",
            "GRANT CREATE ON SCHEMA public to it, or name another user.",
        )
    if judge(error) is not Verdict.OWN:
        return DatabaseBusy("The migration was interrupted; run it again.")
    return error
