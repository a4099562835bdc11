"""A machine that is gone without a word (C41). `scripts/proof failover` pulls the cable."""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop

from commande.db.postgres_address import DEAF_S, SILENCE_S, Hosts

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
