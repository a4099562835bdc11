"""A tiny HTTP server that answers as Stripe on its worst days; told answer by answer."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from commande.settings import Settings
from commande.stripe_gateway import Limits, open_gateway
from commande.stripe_gateway.gateway import Gateway

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Quick to ask again, and patient with an answer: a busy machine is no trouble of Stripe's.
QUICK = Limits(deadline=120, connect=60, one_try=60, first_pause=0.01, longest_pause=0.04)


def session(session_id: str = "cs_test_1", **fields: Any) -> dict[str, Any]:
    """An open Checkout Session, with other fields as given."""
    return {
        "id": session_id, "object": "checkout.session", "status": "open",
        "payment_status": "unpaid", "amount_total": 5998, "currency": "eur", "mode": "payment",
        "livemode": False, "url": "https://stripe.example/pay", "created": 1_795_000_000,
        "expires_at": 1_795_080_000, "metadata": {"attempt_id": "a1"}, "payment_intent": None,
    } | fields  # fmt: skip


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    """Answers with this JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return answer


def fails(status: int, code: str | None = None, param: str | None = None, **headers: str) -> Answer:
    """Answers with an error as Stripe words it."""
    error = {"type": "invalid_request_error", "message": "No.", "code": code, "param": param}
    return says({"error": error}, status, **headers)


def writes(text: str, status: int = 200, content_type: str = "text/html") -> Answer:
    """Answers with this text."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type=content_type)

    return answer


async def hangs(_: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.sleep(60)
    return web.Response()


async def stalls(request: web.Request) -> web.StreamResponse:
    """Sends headers and half a body, then nothing."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "cs_')
    await asyncio.sleep(60)
    return response


async def cuts(request: web.Request) -> web.StreamResponse:
    """Sends half a body, then closes the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "cs_')
    assert request.transport is not None
    request.transport.close()
    return response


class OddStripe:
    """Gives the answers it was told, in order; then the last one again and again."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque([says(session())])
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []
        self.base = ""
        self.at_once = self.most_at_once = 0

    def will(self, *answers: Answer) -> None:
        """From now on."""
        self.answers = deque(answers)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.text())
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await answer(request)
        finally:
            self.at_once -= 1

    def keys(self) -> list[str | None]:
        """The idempotency keys that came, in order."""
        return [request.headers.get("Idempotency-Key") for request in self.requests]


@asynccontextmanager
async def opened_stripe() -> AsyncIterator[OddStripe]:
    """A Stripe that answers as it is told to."""
    stripe = OddStripe()
    await stripe.start()
    try:
        yield stripe
    finally:
        await stripe.stop()


@asynccontextmanager
async def opened_gateways() -> AsyncIterator[Callable[..., Gateway]]:
    """`open_one(base, limits, **settings)` is a gateway; all of them are closed in the end."""
    opened: list[Gateway] = []

    def open_one(base: str, limits: Limits = QUICK, **settings: str) -> Gateway:
        given = {"STRIPE_SECRET_KEY": "sk_test_canary", "STRIPE_API_BASE": base} | settings
        gateway = open_gateway(Settings(_env_file=None, **given), limits)
        assert isinstance(gateway, Gateway)
        opened.append(gateway)
        return gateway

    try:
        yield open_one
    finally:
        for gateway in opened:
            await gateway.close()
