"""What the flows' tests share: a stage on both databases."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.support.stage import Stage, staged


@pytest_asyncio.fixture
async def stage(database_url: str, serve: Callable[..., str]) -> AsyncIterator[Stage]:
    """A whole shop; the test runs on SQLite and on PostgreSQL."""
    async with staged(database_url, serve, steady=True) as opened:
        yield opened
