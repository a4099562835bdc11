"""The stand-in over HTTP: an ASGI application that runs alone or mounted under a prefix."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from commande.sandbox.call import GATEWAY_TIMEOUT, Answer
from commande.sandbox.clock import Clock
from commande.sandbox.control import control_routes
from commande.sandbox.courier import Courier
from commande.sandbox.engine import Engine
from commande.sandbox.errors import Refusal
from commande.sandbox.page import page_routes
from commande.sandbox.parameters import parse_form
from commande.sandbox.store import Row
from commande.sandbox.tax import Rounding

_LARGEST_BODY = 1024 * 1024
_HERE = Path(__file__).parent


def create_sandbox(
    base_url: str = "http://127.0.0.1:4242/sandbox",
    *,
    api_key: str | None = None,
    endpoints: list[tuple[str, str]] | None = None,
    state: Path | None = None,
    seed: int | str | None = None,
    clock: Clock | None = None,
    tax_rounding: Rounding = "line",
    shop_name: str = "Le Petit Passage",
    locale: str = "fr",
) -> Starlette:
    """A stand-in for Stripe as an ASGI application.

    `base_url` is its public address, mount prefix included. `endpoints` are (address, secret) of
    webhooks. `state` names a file that keeps everything over restarts; None keeps it in memory.
    The host must enter the lifespan (`app.router.lifespan_context(app)`): it sends the webhooks.
    The engine is at `app.state.engine`. Raises ValueError for a live key, and for a file that it
    cannot use.
    """
    engine = Engine(
        url=base_url, api_key=api_key, endpoints=endpoints, state=state, seed=seed, clock=clock,
        tax_rounding=tax_rounding, shop_name=shop_name,
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.courier = Courier(engine)
        async with app.state.courier.working():
            yield

    app = Starlette(
        routes=[
            Route("/v1/{rest:path}", _V1(engine)),
            *control_routes(engine),
            *page_routes(engine, locale),
            Mount("/assets", StaticFiles(directory=_HERE / "static")),
        ],
        lifespan=lifespan,
    )
    app.state.engine = engine
    return app


class _V1:
    """The API: reads the request, lets the engine answer, plays the faults of the wire."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = "/v1/" + request.path_params["rest"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = self._engine.begin(request.method, path, await _params(request), headers)
        try:
            if call.latency:
                await asyncio.sleep(call.latency)
            if call.hang_before:
                await _hang(receive, call.hang_before)
                answer = GATEWAY_TIMEOUT
            else:
                answer = call.run()
        finally:
            call.give_up()  # nothing, once it has run
        if answer.hang:
            await _hang(receive, answer.hang)
            answer = GATEWAY_TIMEOUT
        await _send(answer, scope, receive, send)


async def _hang(receive: Receive, seconds: float) -> None:
    """Say nothing for so long, or until nobody listens any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    if not answer.cut:
        response = Response(answer.body, answer.status, answer.headers)
        await response(scope, receive, send)
        return
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    await send({
        "type": "http.response.start",
        "status": answer.status,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    })  # fmt: skip
    half = answer.body[: len(answer.body) // 2]
    # The server breaks the connection off (and says so in its log): the body is never completed.
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _params(request: Request) -> Row | Refusal:
    try:
        if request.method in {"GET", "DELETE"}:
            return parse_form(request.url.query)
        raw = bytearray()
        async for part in request.stream():
            raw += part
            if len(raw) > _LARGEST_BODY:
                return Refusal("Request body too large.", status=413)
        return parse_form(bytes(raw))
    except Refusal as refusal:
        return refusal
    except (UnicodeDecodeError, ClientDisconnect):
        return Refusal("Invalid request: the body is no form in UTF-8.")
