"""A small shop on each database."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from commande.db import Database, open_database
from commande.db.schema import migrate
from commande.db.tables import metadata
from tests.support.counter import stock, stocked
from tests.support.postgres import Postgres


@pytest_asyncio.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def shop_db(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """The test runs twice: on a stocked shop on SQLite and on one on PostgreSQL.

    The latter is one database for the whole run, emptied for each test: a new one takes a second.
    Whoever changes its schema asks for ``own_shop_db``.
    """
    if request.param == "sqlite":
        async with stocked(request.getfixturevalue("sqlite_url")) as db:
            yield db
        return
    db = open_database(request.getfixturevalue("used_postgres_url"))
    await db.transaction(empty)
    await db.transaction(stock)
    yield db
    await db.close()


@pytest_asyncio.fixture
async def own_shop_db(database_url: str) -> AsyncIterator[Database]:
    """As ``shop_db``, for a test that changes the schema."""
    async with stocked(database_url) as db:
        yield db


@pytest.fixture(scope="session")
def used_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a database with all tables, and whatever the last test left in them."""

    with postgres_server.new_database() as url:
        migrate(url)
        yield url


def empty(conn: Connection) -> None:
    """Empty every table, although the triggers forbid it."""
    conn.execute(text("SET LOCAL session_replication_role = replica"))
    tables = ", ".join(metadata.tables)
    conn.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
