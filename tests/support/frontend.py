"""The shop over real HTTP, and a front end that calls it as the reference's example does."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import uvicorn

from commande.web.app import create_app
from tests.support.schema import content_of
from tests.support.stage import BOUQUET, Stage, sign

CREATE = "/api/checkout/create-stripe-checkout-session"
CONFIRM = "/api/checkout/confirm-payment"
RETRY = "/api/checkout/retry-payment"
WEBHOOK = "/api/checkout/webhook"
# Beside the shop's own rows: its workers beat, and a webhook's repeats are counted.
RESTLESS = ("workers",)


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem document; checks that it is one."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        document = self.json
        assert document["status"] == self.status
        assert {"title", "status", "code", "detail"} <= document.keys()
        return str(document["code"])

    @property
    def wrong(self) -> dict[str, str]:
        """The wrong fields and their codes."""
        assert self.status == 400, (self.status, self.body)
        return {each["field"]: each["code"] for each in self.json["errors"]}


class FrontEnd:
    """Calls the API; knows no more than a browser."""

    def __init__(self, stage: Stage, app: Any, url: str, http: aiohttp.ClientSession) -> None:
        self.stage, self.app, self.url, self.http = stage, app, url, http
        self._began = stage.clock.now() - stage.clock.offset

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """One request as it is."""
        async with self.http.request(
            method, self.url + path, allow_redirects=False, **options
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """A JSON body, or raw bytes sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        # A stream, not bytes: aiohttp warns of large ones.
        return await self.ask("POST", path, data=io.BytesIO(raw), headers=given)

    def order(self, **changes: Any) -> dict[str, Any]:
        """The body of the reference's example; ``customer__email=…`` changes a part of it."""
        body: dict[str, Any] = {
            "items": [{"product_id": BOUQUET, "quantity": 2}],
            "customer": {
                "firstName": "John",
                "lastName": "Doe",
                "email": "john@example.com",
                "phone": "+33612345678",
                "address": "123 Main St",
                "postalCode": "75001",
                "city": "Paris",
            },
            "appointment": self.appointment(),
        }
        for path, value in changes.items():
            put(body, path, value)
        return body

    def appointment(self, **ahead: float) -> str:
        """As ``new Date(…).toISOString()`` writes it; the same all day, so that a repeat is one."""
        # By the clock as the test moved it: no hour ends between an order and its repeat.
        at = self._began + self.stage.clock.offset + timedelta(**ahead or {"days": 2})
        at = at.replace(minute=0, second=0, microsecond=0)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def create(self, _key: str | None = None, **changes: Any) -> Answer:
        headers = {} if _key is None else {"Idempotency_Key": _key}
        return await self.post(CREATE, self.order(**changes), **headers)

    async def open(self, **changes: Any) -> dict[str, Any]:
        """An order of its own; the answer of create."""
        changes.setdefault("customer__city", f"Paris {self.stage.shop.ids.ref()}")
        answer = await self.create(**changes)
        assert answer.status == 200, answer.body
        opened: dict[str, Any] = answer.json
        return opened

    async def pay(self, opened: dict[str, Any], method: str = "4242424242424242") -> None:
        body = {"session": session_of(opened), "payment_method": method}
        paid = await self.stage.control("pay", body)
        assert "error" not in paid, paid

    async def buy(self, **changes: Any) -> dict[str, Any]:
        """Ordered and paid; nobody came back."""
        opened = await self.open(**changes)
        await self.pay(opened)
        return opened

    async def confirm(self, opened: dict[str, Any], **changes: Any) -> Answer:
        pair = {"sessionId": session_of(opened), "commandId": opened["commandId"]}
        return await self.post(CONFIRM, pair | changes)

    async def retry(self, opened: dict[str, Any], **changes: Any) -> Answer:
        body = {"commandId": opened["commandId"], "token": opened["token"]}
        return await self.post(RETRY, body | changes)

    async def status(self, opened: dict[str, Any], token: str | None = None) -> Answer:
        token = opened["token"] if token is None else token
        path = f"/api/checkout/commands/{opened['commandId']}"
        return await self.get(path, params={"token": token})

    async def deliver(self, event: Any, signature: str | None = None) -> Answer:
        """One event by webhook, signed unless a signature is given."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        if signature is None:
            signature = sign(body, self.stage.clock.now())
        return await self.post(WEBHOOK, body, Stripe_Signature=signature)

    async def rows(self) -> dict[str, str]:
        """A count and a hash of every table: equal means that nothing was written."""
        content = await self.stage.shop.db.read(content_of)
        return {table: rows for table, rows in content.items() if table not in RESTLESS}


def put(body: Any, path: str, value: Any) -> None:
    """Set ``customer__email`` or ``items__0__quantity``; an Ellipsis removes it."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
    for part in parents:
        body = body[part]
    if value is ...:
        del body[last]
    else:
        body[last] = value


def session_of(opened: dict[str, Any]) -> str:
    """The session id in the payment address."""
    return str(opened["url"].rsplit("/", 1)[-1].partition("#")[0])


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The test run keeps its own."""


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serve an application in this very loop; its URL."""
    # The protocol by name: asyncio switches Nagle's algorithm off only for sockets that state it,
    # and with it every second answer would wait 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=5
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                assert not serving.done(), "the application ended before it had started"
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def opened_to_the_public(stage: Stage, **options: Any) -> AsyncIterator[FrontEnd]:
    """The stage's shop behind HTTP; without a worker, so that the test says when work is done."""
    app = create_app(shop=stage.shop, **{"worker": False} | options)
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        listening(app) as url,
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        yield FrontEnd(stage, app, url, http)
