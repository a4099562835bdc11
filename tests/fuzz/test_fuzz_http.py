"""Hostile requests over real HTTP: never a 5xx, never another shape than the description's."""

import asyncio
import json
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from commande.web.app import create_app
from proof import fuzz as proof_fuzz
from proof.tally import Tally
from tests.support.frontend import listening
from tests.support.fuzz.api import Fuzz
from tests.support.fuzz.requests import RAW_VALUES
from tests.support.fuzz.wire import Sent, Wire
from tests.support.premises import SECRET, opened_premises
from tests.support.stage import staged
from tests.support.stand import eventually

CREATE = "/api/checkout/create-stripe-checkout-session"


def test_s12_s42_whatever_comes_is_answered_as_described(tmp_path: Path, sqlite_url: str) -> None:
    # Without a worker nobody writes while the forgers do, and every table can be compared.
    with opened_premises(tmp_path / "shop", sqlite_url, no_worker=True) as shop:
        fuzz = Fuzz(shop.urls[0], SECRET)
        fuzz.honest(11, 5)
        fuzz.hostile(11, 40)
        fuzz.described(11, 15)
        fuzz.linked(11, 3)
        eventually(shop.all_delivered)
        before = shop.content()
        fuzz.forged(11, 150)
        assert shop.content() == before, "a forged webhook wrote something"
        for value in RAW_VALUES:
            good = json.dumps(fuzz.documents[0]).replace('"quantity": 2', '"quantity": ' + value)
            fuzz.ask(Sent("POST", CREATE, good.encode("utf-8", "surrogatepass")))
        assert fuzz.found == []
        assert fuzz.judge.statuses[200] > 20, "nothing ever went well: the fuzz is blind"
        assert {400, 404, 415} <= fuzz.judge.statuses.keys()
        assert fuzz.wire.ask(Sent("GET", "/readyz")).status == 200
        fuzz.close()


class Spoiled:
    """The application with one bug in front of it."""

    def __init__(self, app: Any, bug: str) -> None:
        self.app, self.bug = app, bug

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began: list[Any] = []

        async def spoil(message: Any) -> None:
            if message["type"] == "http.response.start":
                began.append(message)
                return
            start = began.pop() if began else None
            if start is not None:
                body = self.spoiled(scope, start, message.get("body", b""))
                length = (b"content-length", str(len(body)).encode())
                kept = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                await send({**start, "headers": [*kept, length]})
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, spoil)

    def spoiled(self, scope: Any, start: Any, body: bytes) -> bytes:
        status, path = start["status"], scope["path"]
        if self.bug == "a crash" and b"invalid_" in body:
            start["status"] = 500
        elif self.bug == "refusals as text" and status == 415:
            start["headers"] = [(b"content-type", b"text/plain")]
        elif self.bug == "a code of its own" and status == 404:
            return body.replace(b"_found", b"_there")
        elif self.bug == "a field too many" and path == CREATE and status == 200:
            return body.replace(b"{", b'{"secret":1,', 1)
        elif self.bug == "believes forgeries" and path.endswith("/webhook") and status == 400:
            start["status"] = 200
            start["headers"] = [(b"content-type", b"application/json")]
            return b'{"received":true}'
        elif self.bug == "no request id":
            start["headers"] = [pair for pair in start["headers"] if pair[0] != b"x-request-id"]
        return body


BUGS: list[tuple[str, Callable[[Fuzz], None]]] = [
    ("a crash", lambda fuzz: fuzz.hostile(3, 40)),
    ("refusals as text", lambda fuzz: fuzz.hostile(3, 40)),
    ("a code of its own", lambda fuzz: fuzz.hostile(3, 40)),
    ("no request id", lambda fuzz: fuzz.hostile(3, 5)),
    ("a field too many", lambda fuzz: fuzz.linked(3, 8)),
    ("a field too many", lambda fuzz: fuzz.honest(3, 1)),
    ("a crash", lambda fuzz: fuzz.described(3, 60)),
    ("believes forgeries", lambda fuzz: fuzz.forged(3, 20)),
]


@pytest.mark.parametrize(("bug", "kind"), BUGS)
async def test_a_seeded_bug_is_found(
    bug: str, kind: Callable[[Fuzz], None], sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with staged(sqlite_url, serve, log_level="error") as stage:
        app = create_app(shop=stage.shop, worker=False)
        async with listening(Spoiled(app, bug)) as url:
            fuzz = await asyncio.to_thread(Fuzz, url, "whsec_stage")
            await asyncio.to_thread(kind, fuzz)
            fuzz.close()
    assert fuzz.found != []


def test_a_connection_that_breaks_off_is_a_finding(serve: Callable[..., str]) -> None:
    async def crashing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"content-length", b"9")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"half"})

    wire = Wire(serve_lifeless(crashing, serve))
    with pytest.raises((OSError, HTTPException)):
        wire.ask(Sent("GET", "/"))


def serve_lifeless(app: Any, serve: Callable[..., str]) -> str:
    """Serve a bare ASGI function that has no lifespan."""

    async def alive(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            word = (await receive())["type"]
            await send({"type": f"{word}.complete"})
            if word.endswith("shutdown"):
                return

    return serve(alive)


def test_the_proof_adds_up_in_its_file(tmp_path: Path) -> None:
    about = {"proof": "fuzz webhooks"}
    for cases in (300, 700):
        tally = Tally(tmp_path / "fuzz.json", about)
        proof_fuzz.fuzz_webhooks(tally, cases, 5, lambda done, total: None)
        assert tally.findings == []
    kept = Tally(tmp_path / "fuzz.json", about)
    assert (kept.counts["cases"], kept.counts["rounds"]) == (700, 2)
