"""A small shop on each database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from commande.db import Database
from tests.support.counter import stocked


@pytest_asyncio.fixture
async def shop_db(database_url: str) -> AsyncIterator[Database]:
    """The test runs twice: on a stocked shop on SQLite and on one on PostgreSQL."""
    async with stocked(database_url) as db:
        yield db
