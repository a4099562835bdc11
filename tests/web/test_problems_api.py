"""Every error has its answer, and each answer is a problem document."""

import asyncio
import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from commande import errors
from commande.errors import CommandeError
from commande.web import problems
from commande.web.bodies import read_body
from commande.web.problems import PROBLEMS, REFUSALS, document_of, kind_of
from tests.support.frontend import CONFIRM, CREATE, RETRY, WEBHOOK, FrontEnd, opened_to_the_public
from tests.support.stage import staged

JSON_PATHS = (CREATE, CONFIRM, RETRY)


def kinds(kind: type[CommandeError] = CommandeError) -> Iterator[type[CommandeError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith("commande."):
            yield from kinds(child)


def unanswered(table: dict[type[CommandeError], Any]) -> list[str]:
    """Errors that only the catch-all knows."""
    return [
        kind.__name__ for kind in kinds()
        if kind is not CommandeError
        and not any(each in table for each in kind.__mro__[: kind.__mro__.index(CommandeError)])
    ]  # fmt: skip


def test_every_error_has_an_answer() -> None:
    assert len(list(kinds())) > 25
    assert unanswered(PROBLEMS) == []


def test_an_error_without_an_answer_would_be_found() -> None:
    table = {kind: answer for kind, answer in PROBLEMS.items() if kind is not errors.AlreadyPaid}
    assert unanswered(table) == ["AlreadyPaid"]


def test_codes_are_unique_and_statuses_are_errors() -> None:
    codes = [kind.code for kind in kinds() if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert all(400 <= answer.status < 600 for answer in PROBLEMS.values())
    assert not {code for code, _, _ in REFUSALS.values()} & set(codes)


def test_every_code_that_a_field_or_http_can_have_is_documented() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    source = (root / "src" / "commande" / "web" / "fields.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'refuse\("(\w+)"', source)) | {code for code, _, _ in REFUSALS.values()}
    assert {"invalid_email", "body_too_large"} <= codes
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_what_is_for_the_operator_is_not_told_to_the_public() -> None:
    for kind in (errors.StripeRefused, errors.StripeObjectMissing, errors.MailUnavailable):
        error = kind("check the key sk_live_x in STRIPE_SECRET_KEY")
        assert "STRIPE_SECRET_KEY" not in repr(document_of(error))
    setting = errors.SettingInvalid("COMMANDE_DATABASE_URL", "wrong", "mend")
    assert "DATABASE" not in repr(document_of(setting))
    assert kind_of(setting).status == 500


async def test_unknown_addresses_and_methods(kiosk: FrontEnd) -> None:
    for path in ("/nowhere", "/api/checkout/nowhere", "/api/checkout/webhook/"):
        answer = await kiosk.get(path)
        assert (answer.status, answer.code) == (404, "not_found")
    for method, path in (("GET", CREATE), ("PUT", CONFIRM), ("DELETE", "/api/products")):
        answer = await kiosk.ask(method, path)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.headers["allow"] in ("POST", "GET")


async def test_only_json_is_taken(kiosk: FrontEnd) -> None:
    before = await kiosk.rows()
    for path in JSON_PATHS:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                     "application/jsonp", "text/json"):  # fmt: skip
            answer = await kiosk.post(path, kiosk.order(), Content_Type=kind)
            assert (answer.status, answer.code) == (415, "media_type_unsupported"), kind
    assert await kiosk.rows() == before
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/ld+json"):
        answer = await kiosk.post(CREATE, kiosk.order(), Content_Type=kind)
        assert answer.status == 200, kind
    bare = await raw_request(kiosk, CREATE, b"{}", "Content-Length: 2\r\n")
    assert b" 400 " in bare and b"invalid_input" in bare, "no type at all is taken for JSON"


async def test_s42_too_much_is_refused_before_it_is_read(kiosk: FrontEnd) -> None:
    before = await kiosk.rows()
    for path, largest in ((CREATE, 64), (CONFIRM, 64), (RETRY, 64), (WEBHOOK, 1024)):
        answer = await kiosk.post(path, b" " * (largest * 1024 + 1))
        assert (answer.status, answer.code) == (413, "body_too_large"), path
        answer = await kiosk.post(path, b" " * (largest * 1024))
        assert answer.status == 400, path
        announced = await raw_request(kiosk, path, b"", "Content-Length: 99999999999999\r\n")
        assert b" 413 " in announced or b" 400 " in announced
    assert await kiosk.rows() == before


async def test_s42_a_body_without_a_length_is_cut_off_at_the_limit(kiosk: FrontEnd) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 16 * 1024
            yield b" " * (16 * 1024)

    try:
        answer = await kiosk.ask(
            "POST", CREATE, data=endless(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status, answer.code) == (413, "body_too_large")
    except aiohttp.ClientError:
        pass  # the server hung up in the middle of our sending
    assert sent < 16 * 1024 * 1024, "it was not read to the end"
    assert (await kiosk.get("/healthz")).status == 200


async def test_s42_compressed_bodies_are_not_unpacked(kiosk: FrontEnd) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 64 * 1024
    for path in (*JSON_PATHS, WEBHOOK):
        for coding in ("gzip", "br", "deflate, gzip"):
            answer = await kiosk.post(path, bomb, Content_Encoding=coding)
            assert (answer.status, answer.code) == (415, "media_type_unsupported")
    assert (await kiosk.post(CREATE, kiosk.order(), Content_Encoding="identity")).status == 200


async def raw_request(front: FrontEnd, path: str, body: bytes, headers: str) -> bytes:
    """A request as bytes, for what no client would send."""
    host, port = front.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_s43_a_body_that_dawdles_is_not_waited_for() -> None:
    async def dawdle() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    request = Request({"type": "http", "headers": []}, dawdle)
    with pytest.raises(HTTPException) as refused:
        await read_body(request, patience=0.1)
    assert refused.value.status_code == 408 and 408 in REFUSALS


async def test_a_shop_without_its_module_says_so(kiosk: FrontEnd) -> None:
    await kiosk.stage.sql("DELETE FROM modules")
    answer = await kiosk.create()
    assert (answer.status, answer.code) == (503, "commands_module_missing")


async def test_what_stripe_refuses_is_a_502_and_names_no_key(kiosk: FrontEnd) -> None:
    class Refusing:
        async def create_session(self, *_given: Any) -> Any:
            raise errors.StripeRefused("check STRIPE_SECRET_KEY", stripe_code="api_key_expired")

        async def create_tax_rate(self, *_given: Any) -> str:
            return "txr_1"

    kiosk.app.state.shop = replace(kiosk.stage.shop, stripe=Refusing())
    answer = await kiosk.create()
    assert (answer.status, answer.code) == (502, "stripe_refused")
    assert "STRIPE_SECRET_KEY" not in answer.body.decode()


async def test_a_total_that_stripe_computes_otherwise_is_never_handed_out(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with (
        staged(sqlite_url, serve) as stage,
        opened_to_the_public(stage) as front,
    ):
        real = stage.shop.stripe

        class Greedy:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            async def create_session(self, parameters: Any, key: str) -> Any:
                report = await real.create_session(parameters, key)
                return replace(report, amount_minor=(report.amount_minor or 0) + 100)

        front.app.state.shop = replace(stage.shop, stripe=Greedy())
        answer = await front.create()
        assert (answer.status, answer.code) == (503, "quote_mismatch")
        assert answer.headers["retry-after"] == "60"
        assert [session["status"] for session in await stage.sessions()] == ["expired"]


async def test_security_headers_stand_on_every_answer(kiosk: FrontEnd) -> None:
    for answer in (
        await kiosk.get("/api/products"), await kiosk.get("/nowhere"),
        await kiosk.post(CREATE, b"{"), await kiosk.get("/healthz"), await kiosk.create(),
        await kiosk.post(CREATE, b"", Content_Encoding="gzip"),
    ):  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert len(answer.headers["x-request-id"]) == 17


async def test_front_ends_of_other_origins_may_call_the_api_alone(kiosk: FrontEnd) -> None:
    preflight = await kiosk.ask("OPTIONS", CREATE, headers={
        "Origin": "https://front.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key",
    })  # fmt: skip
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    for body in (kiosk.order(), {}):
        answer = await kiosk.post(CREATE, body, Origin="https://front.example")
        assert answer.headers["access-control-allow-origin"] == "*"
    page = await kiosk.get("/docs", headers={"Origin": "https://front.example"})
    assert "access-control-allow-origin" not in page.headers


async def test_origins_may_be_named(sqlite_url: str, serve: Callable[..., str]) -> None:
    async with (
        staged(sqlite_url, serve, cors_origins="https://front.example") as stage,
        opened_to_the_public(stage) as front,
    ):
        ours = await front.get("/api/products", headers={"Origin": "https://front.example"})
        assert ours.headers["access-control-allow-origin"] == "https://front.example"
        other = await front.get("/api/products", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_each_refusal_of_http_has_its_words() -> None:
    scope: dict[str, Any] = {}
    answer = problems.refusal(scope, 418)
    assert answer.status_code == 418 and scope["commande.problem"] == "i_m_a_teapot"
