"""Nobody learns what is not theirs: not from answers, headers, timing, logs or metrics."""

import asyncio
import io
import math
import os
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest_asyncio
import structlog

from commande.errors import DatabaseBusy
from commande.ids import REF_ALPHABET, Ids
from commande.logs import configure_logs
from tests.support.frontend import (
    CONFIRM,
    CREATE,
    FrontEnd,
    opened_to_the_public,
    session_of,
)
from tests.support.stage import SECRET, sign, staged

CANARIES = {
    "customer__firstName": "Canarina", "customer__lastName": "Wellensittich",
    "customer__email": "canary.mail@birds.example", "customer__phone": "+33698765432",
    "customer__address": "77 allée des Canaris", "customer__postalCode": "KANARI 20977",
    "customer__city": "Kanarienstadt", "customer__fax": "0198765433",
    "note": "Canary note: sing at noon",
}  # fmt: skip
PAN = "4000056655665556"
# Two samples of the same thing differ by more, in units of their spread, once in 10⁸ times.
CHANCE = 6.0


async def test_s20_one_needs_the_token_and_nothing_tells_why_not(shop: FrontEnd) -> None:
    mine, other = await shop.open(**CANARIES), await shop.open()
    path = "/api/checkout/commands/{}"
    near = f"{int(mine['commandId'], 16) + 1:024x}"
    attempts = [
        (mine["commandId"], ""), (mine["commandId"], "x"), (mine["commandId"], other["token"]),
        (mine["commandId"], mine["token"][:-1]), (mine["commandId"], mine["token"] + "A"),
        (mine["commandId"], mine["token"].swapcase()), (near, mine["token"]),
        ("0" * 24, "x"), ("1", "x"), (mine["ref"], mine["token"]), ("é", "é"),
        (mine["commandId"].upper(), mine["token"]), (mine["commandId"], "é\0"),
    ]  # fmt: skip
    answers = [
        await shop.get(path.format(quote(command_id)), params={"token": token})
        for command_id, token in attempts
    ]
    answers += [await shop.get(path.format(mine["commandId"]))]
    for answer in answers:
        assert (answer.status, answer.code) == (404, "command_not_found")
    bodies = {answer.body for answer in answers}
    assert len(bodies) == 1, "one answer for all of them"
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    for answer in answers:
        assert not leaks(answer.body.decode() + repr(answer.headers), CANARIES.values())
    numbers = await asyncio.gather(*(shop.get(path.format(n), params={"token": "x"})
                                     for n in range(1, 60)))  # fmt: skip
    assert {answer.body for answer in numbers} == bodies
    assert (await shop.status(mine)).json["command"]["customer"]["firstName"] == "Canarina"


async def test_s20_retry_and_confirm_open_nothing_by_the_id_alone(shop: FrontEnd) -> None:
    mine, other = await shop.buy(**CANARIES), await shop.buy()
    before = await shop.rows()
    bodies = set()
    for token in ("", "x", None, other["token"]):
        answer = await shop.retry(mine, token=token)
        assert (answer.status, answer.code) == (404, "command_not_found")
        bodies.add(answer.body)
    assert (await shop.retry(mine | {"commandId": "0" * 24})).body in bodies
    assert len(bodies) == 1
    for session, code in (
        ("cs_test_unknown", "session_invalid"), (session_of(other), "session_mismatch"),
        (mine["ref"], "session_invalid"), (mine["token"], "session_invalid"),
    ):  # fmt: skip
        answer = await shop.confirm(mine, sessionId=session)
        assert (answer.status, answer.code) == (400, code)
        assert not leaks(answer.body.decode(), CANARIES.values())
    assert await shop.rows() == before


async def test_s23_a_wrong_token_takes_as_long_whether_or_not_the_command_exists(
    kiosk: FrontEnd,
) -> None:
    mine = await kiosk.open()
    path = "/api/checkout/commands/{}"
    rounds = int(os.environ.get("COMMANDE_TEST_TIMING", "400"))
    known, unknown = [], []
    looks = [(mine["commandId"], known), ("1" + "0" * 23, unknown)]
    dice = random.Random(23)
    for _ in range(rounds):
        for command_id, times in dice.sample(looks, 2):
            # Of this process, in which the shop is too: others on the machine do not count.
            began = time.process_time()
            await kiosk.get(path.format(command_id), params={"token": "x" * 32})
            times.append(time.process_time() - began)
    assert abs(welch(known, unknown)) < CHANCE


async def test_s23_a_wrong_token_is_refused_before_anything_is_looked_up(kiosk: FrontEnd) -> None:
    mine = await kiosk.open()
    asked: list[str] = []

    class Watched:
        async def read(self, fn: Any, *_given: Any) -> Any:
            asked.append(fn.__name__)
            raise DatabaseBusy("gone")

    kiosk.app.state.shop = replace(kiosk.stage.shop, db=Watched())
    for command_id in (mine["commandId"], "1" + "0" * 23):
        answer = await kiosk.status(mine | {"commandId": command_id}, "x" * 32)
        assert (answer.status, answer.code) == (404, "command_not_found")
    assert asked == []
    assert (await kiosk.status(mine)).code == "database_busy"
    assert len(asked) == 1


def test_s23_the_statistic_would_see_a_difference() -> None:
    assert abs(welch([1.0, 1.1, 0.9] * 50, [1.2, 1.3, 1.1] * 50)) > CHANCE


def welch(first: list[float], second: list[float]) -> float:
    """Student's t for unequal variances, without the slowest tenth: the machine is shared."""
    kept = [sorted(times)[: max(2, len(times) * 9 // 10)] for times in (first, second)]
    spread = sum(statistics.variance(times) / len(times) for times in kept)
    return (statistics.mean(kept[0]) - statistics.mean(kept[1])) / math.sqrt(spread or 1e-30)


async def test_s22_ids_and_refs_cannot_be_guessed(kiosk: FrontEnd) -> None:
    opened = [await kiosk.open() for _ in range(5)]
    assert len({each["commandId"][8:] for each in opened}) == 5
    ids, now = Ids(), kiosk.stage.clock.now()
    count = int(os.environ.get("COMMANDE_TEST_IDS", "20000"))
    tails = [ids.object_id(now)[8:] for _ in range(count)]
    assert len(set(tails)) == count and len(tails[0]) == 16, "64 random bits"
    assert uniform(Counter("".join(tails)), 16)
    refs = [ids.ref()[1:] for _ in range(count)]
    assert uniform(Counter("".join(refs)), len(REF_ALPHABET))


def test_s22_a_lopsided_alphabet_would_be_seen() -> None:
    lopsided = Counter("".join(REF_ALPHABET[n % 36] for n in range(256)) * 1000)
    assert not uniform(lopsided, 36)


def uniform(counts: Counter[str], kinds: int) -> bool:
    """χ² below what chance exceeds once in a thousand million times (Wilson and Hilferty)."""
    total = sum(counts.values())
    expected = total / kinds
    chi = sum((counts[key] - expected) ** 2 / expected for key in counts)
    freedom = kinds - 1
    spread = 2 / (9 * freedom)
    return len(counts) == kinds and chi < freedom * (1 - spread + 6 * math.sqrt(spread)) ** 3


def leaks(text: str, canaries: Any) -> list[str]:
    """Which of them stand in the text, spelled as they are or as digits alone."""
    digits = re.sub(r"\D", "", text)
    found = [canary for canary in canaries if canary and canary in text]
    return found + [c for c in canaries if c and c.isdigit() and len(c) > 9 and c in digits]


@contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level."""
    import logging

    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    configure_logs("json", "debug", stream=stream)
    try:
        yield stream
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()


@pytest_asyncio.fixture
async def watched(
    database_url: str, serve: Callable[..., str]
) -> AsyncIterator[tuple[FrontEnd, io.StringIO]]:
    """A shop whose log is read; its keys are canaries too."""
    with captured_logs() as stream:
        async with (
            staged(database_url, serve, stripe_secret_key="sk_test_stage") as stage,
            opened_to_the_public(stage, worker=True) as front,
        ):
            yield front, stream


class Broken:
    """A database driver whose errors quote the row, as drivers do."""

    dialect = "sqlite"

    def __init__(self, db: Any) -> None:
        self._db = db

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._db.read(fn, *args, **kwargs)

    async def transaction(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if fn.__name__ == "open_command":
            raise ValueError(f"cannot store {args[0]!r}")
        return await self._db.transaction(fn, *args, **kwargs)

    async def close(self) -> None: ...


async def live_through_everything(front: FrontEnd) -> list[Any]:
    """Orders, payments, failures and attacks with canaries in every field; the opened commands."""
    opened = await front.buy(**CANARIES)
    for path, value in CANARIES.items():
        await front.create(**CANARIES | {path: f"{value}\0"})
        await front.create(**CANARIES | {path: PAN})
        await front.create(**CANARIES | {path: [value]})
        await front.create(**CANARIES | {"items__0__quantity": 0})
    await front.post(CREATE, b'{"customer": {"firstName": "Canarina", broken')
    await front.deliver((await front.stage.events("checkout.session.completed"))[-1])
    await front.confirm(opened)
    await front.status(opened)
    await front.status(opened, token="wrong-" + opened["token"])
    await front.post(CONFIRM, {"sessionId": session_of(opened), "commandId": "Canarina"})
    await front.get("/nowhere/" + opened["token"] + "?email=canary.mail@birds.example")
    event = front.order(**CANARIES)
    await front.deliver(event, sign(b"Canarina", front.stage.clock.now()))
    await front.stage.fail("500_before", count=30, path="/v1/checkout/sessions")
    delayed = await front.create(**CANARIES | {"customer__city": "Kanarienstadt 2"})
    assert delayed.code == "stripe_unavailable"
    shop = front.app.state.shop
    front.app.state.shop = replace(shop, db=Broken(shop.db))
    crashed = await front.create(**CANARIES | {"customer__city": "Kanarienstadt 3"})
    assert (crashed.status, crashed.code) == (500, "internal_error")
    assert not leaks(crashed.body.decode(), CANARIES.values())
    front.app.state.shop = shop
    return [opened, delayed.json]


async def test_s24_no_secret_and_no_person_in_logs_tracebacks_and_metrics(
    watched: tuple[FrontEnd, io.StringIO],
) -> None:
    front, stream = watched
    opened = await live_through_everything(front)
    metrics = (await front.get("/metrics")).body.decode()
    secrets = [SECRET, "sk_test_stage", PAN, "a secret of the stage that is long enough"]
    for each in opened:
        secrets += [each["token"]]
        secrets += [session_of(each)] if "url" in each else []
    log = stream.getvalue()
    assert log.count("\n") > 50, "much was logged"
    assert '"request_crashed"' in log and "open_checkout" in log, "the crash is told, with frames"
    canaries = [*CANARIES.values(), *secrets]
    assert leaks(log, canaries) == []
    assert leaks(metrics, canaries) == []
    assert "Canarina" not in metrics and opened[0]["commandId"] not in metrics


async def test_s24_a_log_that_tells_everything_would_be_caught() -> None:
    assert leaks("… Canarina …", CANARIES.values()) == ["Canarina"]
    assert leaks("fax 01 98 76 54 33", CANARIES.values()) == ["0198765433"]


async def test_s28_no_host_builds_an_address(shop: FrontEnd) -> None:
    for headers in (
        {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example;proto=http"}, {"X-Forwarded-Proto": "ftp"},
        {"X-Forwarded-Prefix": "/evil"}, {"Host": "shop.example@evil.example"},
    ):  # fmt: skip
        body = shop.order(customer__city=f"Paris {len(str(headers))}")
        answer = await shop.post(CREATE, body, **{k.replace("-", "_"): v
                                                  for k, v in headers.items()})  # fmt: skip
        assert answer.status == 200
    for session in await shop.stage.sessions():
        assert session["success_url"].startswith("https://shop.example/commande/terminee?")
        assert session["cancel_url"].startswith("https://shop.example/commande/annulee?")
    slash = await shop.get("/api/products/", headers={"Host": "evil.example"})
    assert slash.status == 404 and "location" not in slash.headers


async def test_s28_foreign_hosts_are_refused_where_ours_are_named(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with (
        staged(sqlite_url, serve, allowed_hosts="shop.example, *.birds.example") as stage,
        opened_to_the_public(stage) as front,
    ):
        for host, status in (
            ("shop.example", 200), ("SHOP.example:8000", 200), ("a.birds.example", 200),
            ("evil.example", 400), ("birds.example", 400), ("shop.example.evil.example", 400),
            ("evilbirds.example", 400), ("[::1]:80", 400), ("shop.example@evil.example", 400),
        ):  # fmt: skip
            answer = await front.get("/healthz", headers={"Host": host})
            assert answer.status == status, host
        assert answer.code == "bad_request"


async def test_s17_reading_changes_nothing(shop: FrontEnd) -> None:
    opened = await shop.open()
    before = await shop.rows()
    for path in (
        "/api/products", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json",
        f"/api/checkout/commands/{opened['commandId']}?token={opened['token']}",
    ):  # fmt: skip
        for method in ("GET", "HEAD", "OPTIONS"):
            await shop.ask(method, path)
    for path in ("retry-payment", "confirm-payment", "webhook", "create-stripe-checkout-session"):
        answer = await shop.get(f"/api/checkout/{path}", params={"commandId": opened["commandId"]})
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
    assert await shop.rows() == before
    assert [session["status"] for session in await shop.stage.sessions()] == ["open"]
