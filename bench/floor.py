"""Two yardsticks for bench/orders.py, on the same server, client library and disk as the product.

`floor`: the least that a correct checkout can do: a bare ASGI application; an order is one row
written durably before and one after its single call to Stripe, and one when the signed webhook
says that it is paid. No input checks, no retries, no history, no second instance.

`naive`: the reference read literally: a tax rate for each item, then the session; on return the
session is read and the order marked paid. No webhook, no idempotency.
"""

import argparse
import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import orjson
import uvicorn

PRODUCTS: Final = {
    "507f1f77bcf86cd799439011": ("Bouquet de saison", 2999, "10"),
    "507f1f77bcf86cd799439012": ("Vase en grès", 1850, "20"),
}
KEY: Final = "sk_test_benchmark"
HEADERS: Final = {
    "Authorization": f"Bearer {KEY}",
    "Content-Type": "application/x-www-form-urlencoded",
}
SESSIONS: Final = "/v1/checkout/sessions"
IDLE_S: Final = 2.0
"""How long a client keeps an idle connection: less than any server here, which may close it in the
moment in which it is used again."""
EXPANDED: Final = "?expand[]=payment_intent.latest_charge"

Answer = tuple[int, dict[str, Any]]


def session_form(order: str, items: Sequence[tuple[str, int, int, str]]) -> str:
    """The form of a session as the product sends it, for (title, cents, quantity, tax rate id)."""
    fields = {
        "mode": "payment",
        "success_url": f"https://shop.example/done?session_id={{CHECKOUT_SESSION_ID}}&id={order}",
        "cancel_url": f"https://shop.example/cancelled?id={order}",
        "client_reference_id": order,
        "customer_email": "john@example.com",
        "expires_at": str(int(time.time()) + 23 * 3600),
        "locale": "fr",
        "metadata[order]": order,
        "payment_intent_data[metadata][order]": order,
        "automatic_tax[enabled]": "false",
        "adaptive_pricing[enabled]": "false",
    }
    for number, (title, cents, quantity, rate) in enumerate(items):
        line = f"line_items[{number}]"
        fields[f"{line}[quantity]"] = str(quantity)
        fields[f"{line}[price_data][currency]"] = "eur"
        fields[f"{line}[price_data][unit_amount]"] = str(cents)
        fields[f"{line}[price_data][product_data][name]"] = title
        fields[f"{line}[tax_rates][0]"] = rate
    return urlencode(fields)


def rate_form(percentage: str) -> str:
    """The form of a tax rate."""
    return urlencode({"display_name": "TVA", "percentage": percentage, "inclusive": "true"})


class Floor:
    """The least: one call, three durable writes, a signature checked."""

    def __init__(self, database: str, stripe: str, secret: str) -> None:
        self._stripe, self._secret = stripe, secret.encode()
        self._db = sqlite3.connect(database, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE products (id TEXT PRIMARY KEY, title TEXT, cents INT, tax TEXT);"
            "CREATE TABLE orders (id TEXT PRIMARY KEY, body TEXT, session TEXT, paid INT);"
        )
        rows = [(id_, *product) for id_, product in PRODUCTS.items()]
        self._db.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", rows)
        self._rates: dict[str, str] = {}
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI, as little of it as will do."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        work = self._routes().get(scope["path"])
        status, document = await work(scope, body) if work else (200, {})
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(document)})

    async def _live(self, receive: Any, send: Any) -> None:
        async with aiohttp.ClientSession(
            headers=HEADERS, connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=IDLE_S)
        ) as self._http:
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    def _routes(self) -> dict[str, Callable[[Any, bytes], Awaitable[Answer]]]:
        return {
            "/api/checkout/create-stripe-checkout-session": self.create,
            "/api/checkout/confirm-payment": self.confirm,
            "/api/checkout/webhook": self.hear,
        }

    async def ask(self, method: str, path: str, form: str | None = None) -> Any:
        """One call to Stripe; its JSON."""
        assert self._http is not None
        url = self._stripe + path
        async with self._http.request(method, url, data=form) as answer:
            document = orjson.loads(await answer.read())
            if answer.status != 200:
                raise RuntimeError(document)
            return document

    async def create(self, _scope: Any, body: bytes) -> Answer:
        """Two durable rows around one call."""
        items = orjson.loads(body)["items"]
        order = secrets.token_hex(12)
        self._db.execute("INSERT INTO orders VALUES (?, ?, NULL, 0)", (order, body.decode()))
        lines = []
        for title, cents, tax, quantity in self.price(items):
            lines.append((title, cents, quantity, await self.rate(tax)))
        session = await self.ask("POST", SESSIONS, session_form(order, lines))
        self._db.execute("UPDATE orders SET session=? WHERE id=?", (session["id"], order))
        return 200, {"url": session["url"], "commandId": order}

    def price(self, items: list[Any]) -> list[tuple[str, int, str, int]]:
        """Title, cents, tax and quantity of each item; one query each."""
        find = "SELECT title, cents, tax FROM products WHERE id=?"
        return [
            (*self._db.execute(find, (item["product_id"],)).fetchone(), item["quantity"])
            for item in items
        ]

    async def rate(self, tax: str) -> str:
        """Stripe's id of a tax rate, made once."""
        if tax not in self._rates:
            made = await self.ask("POST", "/v1/tax_rates", rate_form(tax))
            self._rates[tax] = made["id"]
        return self._rates[tax]

    async def confirm(self, _scope: Any, body: bytes) -> Answer:
        """What is known: paid once the webhook came."""
        order = orjson.loads(body)["commandId"]
        (paid,) = self._db.execute("SELECT paid FROM orders WHERE id=?", (order,)).fetchone()
        return (200 if paid else 202), {"command": {"_id": order, "paid": bool(paid)}}

    async def hear(self, scope: Any, body: bytes) -> Answer:
        """A signed event: one durable write."""
        header = dict(scope["headers"])[b"stripe-signature"].decode()
        parts = dict(part.split("=", 1) for part in header.split(","))
        signed = f"{parts['t']}.".encode() + body
        expected = hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, parts["v1"]):
            return 400, {}
        event = orjson.loads(body)
        if event["type"] == "checkout.session.completed":
            session = event["data"]["object"]
            self._db.execute("UPDATE orders SET paid=1 WHERE session=?", (session["id"],))
        return 200, {}


class Naive(Floor):
    """The reference's steps, one after the other."""

    async def create(self, _scope: Any, body: bytes) -> Answer:
        """A row, a tax rate for each item, the session."""
        items = orjson.loads(body)["items"]
        order = secrets.token_hex(12)
        self._db.execute("INSERT INTO orders VALUES (?, ?, NULL, 0)", (order, body.decode()))
        lines = []
        for title, cents, tax, quantity in self.price(items):
            made = await self.ask("POST", "/v1/tax_rates", rate_form(tax))
            lines.append((title, cents, quantity, made["id"]))
        session = await self.ask("POST", SESSIONS, session_form(order, lines))
        return 200, {"url": session["url"], "commandId": order}

    async def confirm(self, _scope: Any, body: bytes) -> Answer:
        """Read the session; paid is paid, whoever's session it is."""
        asked = orjson.loads(body)
        session = await self.ask("GET", f"{SESSIONS}/{asked['sessionId']}{EXPANDED}")
        if session["payment_status"] != "paid":
            return 400, {}
        order = asked["commandId"]
        find = "SELECT body FROM orders WHERE id=?"
        items = orjson.loads(self._db.execute(find, (order,)).fetchone()[0])["items"]
        snapshot = orjson.dumps(self.price(items)).decode()
        self._db.execute("UPDATE orders SET paid=1, body=? WHERE id=?", (snapshot, order))
        return 200, {"command": {"_id": order, "paid": True}}


def main() -> None:
    """Serve one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("floor", "naive"))
    for name in ("--database", "--stripe", "--secret"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    make = Floor if given.kind == "floor" else Naive
    app = make(given.database, given.stripe, given.secret)
    uvicorn.run(
        app, port=given.port, loop="uvloop", http="httptools", access_log=False,
        log_level="warning", server_header=False, timeout_keep_alive=30,
    )  # fmt: skip


if __name__ == "__main__":
    main()
