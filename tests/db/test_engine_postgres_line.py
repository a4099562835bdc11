"""A machine that is gone without a word (C41), a standby that never confirms (C44).

`scripts/proof failover` pulls the cable.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
import uvloop

from commande.db.postgres import PostgresDatabase
from commande.db.postgres_address import DEAF_S, SILENCE_S, Hosts
from tests.db.engine_postgres import ONE_WAITS, count, prepare, put, without_a_standby
from tests.support.gates import until
from tests.support.postgres import Postgres

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="Linux names these options"),
]


async def kernel_patience(connect: Callable[[], Any]) -> tuple[int, int, int]:
    """Whether the kernel asks an idle peer, after how many seconds; how many ms it retries."""
    session = await connect()
    try:
        line = session._transport.get_extra_info("socket")
        return (
            line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        )
    finally:
        await session.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_c41_a_session_with_a_machine_that_is_gone_ends_within_seconds(
    postgres_url: str, run: Callable[[Any], tuple[int, int, int]]
) -> None:
    watched = run(kernel_patience(Hosts(postgres_url, application="tests").connect))
    assert watched == (1, DEAF_S, DEAF_S * 1000)
    assert DEAF_S < SILENCE_S, "the kernel speaks before our own patience ends"


def test_control_c41_the_driver_alone_would_wait_for_minutes(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)

    async def bare() -> Any:
        return await asyncpg.connect(parts.geturl())

    asks, _, retries_ms = asyncio.run(kernel_patience(bare))
    assert (asks, retries_ms) == (0, 0), "the system's defaults: never, and about 15 minutes"


@pytest_asyncio.fixture
async def alone(postgres_server: Postgres, postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A server that waits at each COMMIT for a standby that is not there."""
    db = PostgresDatabase(postgres_url, application="tests")
    await db.transaction(prepare)
    await db.close()
    async with without_a_standby(postgres_server, postgres_url) as bare:
        yield bare


NOTES = "SELECT count(*) FROM note"


async def test_c44_a_cancelled_caller_shows_nobody_what_no_standby_has(
    alone: asyncpg.Connection, postgres_url: str
) -> None:
    db = PostgresDatabase(postgres_url, application="tests")
    task = asyncio.ensure_future(db.transaction(put, 1))
    await until(lambda: alone.fetchval(ONE_WAITS), "a COMMIT that waits")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)
    assert await alone.fetchval(ONE_WAITS), "the server waits on"
    assert await db.read(count) == 0
    await db.close()


async def give_up_on(postgres_url: str, *, committing: bool) -> None:
    """COMMIT, for three seconds; ``Session`` is what the engine uses, and what it tells it."""
    session = await Hosts(postgres_url, application="tests").connect()
    await session.execute("BEGIN; INSERT INTO note VALUES (1)")
    session.committing = committing
    with pytest.raises(TimeoutError):
        await session.execute("COMMIT", timeout=3)
    await asyncio.sleep(0.5)  # in which a cancellation would come through
    await session.close()


async def test_c44_an_answer_that_never_comes_shows_nobody_what_no_standby_has(
    alone: asyncpg.Connection, postgres_url: str
) -> None:
    await give_up_on(postgres_url, committing=True)
    await until(lambda: alone.fetchval(ONE_WAITS), "the server to wait on")
    assert await alone.fetchval(NOTES) == 0


async def test_control_c44_the_driver_cancels_and_everybody_sees_it(
    alone: asyncpg.Connection, postgres_url: str
) -> None:
    await give_up_on(postgres_url, committing=False)
    await until(lambda: alone.fetchval(f"{NOTES} HAVING count(*) = 1"), "everybody to see it")
    assert not await alone.fetchval(ONE_WAITS)
