"""C14, C36: everybody settles at once. The full figures come from `scripts/proof hammer`.

The plan of a failure is repeated by its seed, its timing is not: `scripts/proof hammer --seed N`.
"""

import asyncio
import secrets
from collections.abc import Callable

import pytest

from proof.anvil import AT_THE_MOMENT, CONFIRMERS, WAVE, WEBHOOKS, Anvil
from proof.hammer import BROKEN
from proof.premises import Premises
from proof.volley import Line, get, post
from tests.support.gates import until

WAVES = 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_c14_c36_confirmers_webhooks_tabs_and_clean_up_at_once_have_one_effect(
    premises: Callable[[str], Premises], database: str
) -> None:
    place = premises(database)
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    anvil = Anvil(place, f"{seed}-0", WAVES)
    assert asyncio.run(anvil.run()) == []
    counts = anvil.counts
    assert counts["hammered"] == WAVES * WAVE
    assert counts["confirm: 200"] == WAVES * WAVE * CONFIRMERS
    assert counts["webhook: 200"] >= WAVES * WAVE * WEBHOOKS
    late = counts["paid in the same moment"] + counts["closed before it was paid"]
    assert late == WAVES * AT_THE_MOMENT
    assert counts["letters sent"] == counts["paid commands"] >= WAVES * WAVE


@pytest.mark.slow
def test_c14_control_looking_in_one_transaction_and_writing_in_another_is_caught(
    premises: Callable[[str], Premises],
) -> None:
    place = premises("sqlite")
    for number in range(20):  # two must meet between the one's look and the other's commit
        anvil = Anvil(place, f"control-{number}", 1, BROKEN)
        found = asyncio.run(anvil.run())
        caught = any("confirmations" in finding for finding in found)
        caught = caught and any("lines that say paid" in finding for finding in found)
        if caught and anvil.counts["letters sent"] > WAVE + AT_THE_MOMENT:
            return
        place.clear(anvil.url, anvil.folder)
    pytest.fail("in twenty waves nobody had a second effect")


async def test_a_line_gives_answers_in_the_order_of_the_questions_and_opens_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):  # then it hangs up
            head = await reader.readuntil(b"\r\n\r\n")
            body = head.split(b" ", 2)[1]
            # In pieces, as a network may bring them.
            for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: %d\r\n\r\n" % len(body), body):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        line = Line(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for pair in (("/a", "/bc"), ("/def", "/g")):
            heard = await line.ask([get(path) for path in pair])
            assert [(each.status, each.body.decode()) for each in heard] == [
                (200, path) for path in pair
            ]
            await until(lambda: not line.is_open, "the server to hang up")
        with pytest.raises(ConnectionError):
            await line.ask([get("/1"), get("/2"), get("/3")])
        line.hang_up()


def test_a_request_says_how_long_it_is() -> None:
    sent = post("/x", b"{}", Stripe_Signature="t=1")
    assert sent.endswith(b"Content-Length: 2\r\nStripe-Signature: t=1\r\n\r\n{}")
