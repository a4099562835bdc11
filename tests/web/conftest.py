"""What the API's tests share: a stage that is open to the public."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.support.frontend import FrontEnd, opened_to_the_public
from tests.support.stage import staged


@pytest_asyncio.fixture
async def shop(database_url: str, serve: Callable[..., str]) -> AsyncIterator[FrontEnd]:
    """A shop over HTTP; the test runs on SQLite and on PostgreSQL."""
    async with staged(database_url, serve) as stage, opened_to_the_public(stage) as front:
        yield front


@pytest_asyncio.fixture
async def kiosk(sqlite_url: str, serve: Callable[..., str]) -> AsyncIterator[FrontEnd]:
    """The same on SQLite alone, for what no database decides."""
    async with staged(sqlite_url, serve) as stage, opened_to_the_public(stage) as front:
        yield front
