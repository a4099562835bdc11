"""The server under test, as a front end sees it."""

import http.client
import itertools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

CHECKOUT: Final = "/api/checkout"
EMAIL: Final = "verify@example.com"
PATIENCE: Final = 30.0
# Stripe takes no less than .50 of most currencies; dearer ones would look like real orders.
_LEAST_MINOR: Final = 50
_SESSION: Final = re.compile(r"cs_(?:test|live)_\w+", re.ASCII)


class Unreachable(Exception):
    """The server cannot be asked; says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The document, or an empty one."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def command(self) -> dict[str, Any]:
        """The command in it, or an empty one."""
        found = self.json.get("command") if isinstance(self.json, dict) else None
        return found if isinstance(found, dict) else {}


def ask(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    patience: float = PATIENCE,
) -> Reply:
    """One request, no redirect followed. Raises Unreachable."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=patience)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    began = time.monotonic()
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        given = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, given, answer.read(), time.monotonic() - began)
    except (OSError, http.client.HTTPException) as error:
        where = f"{parts.scheme}://{parts.netloc}"
        raise Unreachable(f"{where} does not answer: {error or type(error).__name__}") from None
    finally:
        connection.close()


@dataclass(slots=True)
class Order:
    """A command that was opened here."""

    command_id: str
    ref: str
    token: str
    url: str

    @property
    def session(self) -> str:
        """Stripe's session id, as it stands in the payment address; empty when there is none."""
        found = _SESSION.search(self.url)
        return found[0] if found else ""


@dataclass
class Shop:
    """Calls the API, and remembers every command that it opened."""

    url: str
    token: str | None = None
    """Sent as a bearer token, where a proxy asks for one."""
    appointment: str | None = None
    orders: list[Order] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _product: dict[str, Any] | None = None

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"User-Agent": "commande-verify"}
        if raw is not None:
            given["Content-Type"] = "application/json"
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(method, self.url + path, raw, given)

    def products(self) -> list[dict[str, Any]]:
        """The public catalogue. Raises Unreachable when it is none."""
        reply = self.ask("GET", "/api/products")
        found = reply.json.get("products") if isinstance(reply.json, dict) else None
        if reply.status != 200 or not isinstance(found, list):
            raise Unreachable(f"{self.url}/api/products answers {reply.status} and no catalogue")
        return found

    def product(self) -> dict[str, Any]:
        """The cheapest that can be paid: its id, type and price in minor units."""
        if self._product is None:
            offers = [
                {"id": product["_id"], "type": price["type"], "minor": price["priceMinor"],
                 "inclusive": product.get("taxInclusive", True) or product["taxRate"] is None}
                for product in self.products()
                for price in product["prices"]
                if price["priceMinor"] >= _LEAST_MINOR
            ]  # fmt: skip
            if not offers:
                raise Unreachable(f"{self.url} has nothing on sale that Stripe would charge")
            self._product = min(offers, key=lambda offer: (not offer["inclusive"], offer["minor"]))
        return self._product

    def body(self, **wishes: object) -> dict[str, Any]:
        """A good order, unlike any before; ``wishes`` are put over it."""
        product = self.product()
        at = datetime.now(UTC) + timedelta(days=3)
        return {
            "items": [{"product_id": product["id"], "quantity": 2, "type": product["type"]}],
            "customer": {
                "firstName": "Verify", "lastName": "Check", "email": EMAIL,
                "phone": "+33612345678", "address": f"{next(self._numbers)} rue de la Preuve",
                "postalCode": "75001", "city": "Paris",
            },
            "appointment": self.appointment or at.strftime("%Y-%m-%dT14:00:00+00:00"),
            "note": "commande verify: a test order, nothing to prepare",
        } | wishes  # fmt: skip

    def create(self, body: dict[str, Any], key: str | None = None) -> Reply:
        """Order; what was opened is remembered."""
        headers = {} if key is None else {"Idempotency_Key": key}
        reply = self.ask("POST", f"{CHECKOUT}/create-stripe-checkout-session", body, **headers)
        self._remember(reply)
        return reply

    def order(self, **wishes: object) -> Order:
        """A new command. Raises Unreachable when the server does not take a good order."""
        reply = self.create(self.body(**wishes))
        if reply.status != 200:
            raise Unreachable(f"a good order was answered {reply.status}: {reply.body[:300]!r}")
        return self.order_in(reply)

    def order_in(self, reply: Reply) -> Order:
        """The order that an answer of create or retry tells of."""
        opened = reply.json
        texts = [str(opened.get(name, "")) for name in ("commandId", "ref", "token", "url")]
        return Order(*texts)

    def _remember(self, reply: Reply) -> None:
        told = reply.json
        if isinstance(told, dict) and told.get("commandId") and told.get("token"):
            self.orders.append(self.order_in(reply))

    def confirm(self, order: Order, session: str | None = None) -> Reply:
        """The customer came back."""
        pair = {"sessionId": order.session if session is None else session}
        pair["commandId"] = order.command_id
        return self.ask("POST", f"{CHECKOUT}/confirm-payment", pair)

    def retry(self, order: Order) -> Reply:
        """The customer wants to pay after all."""
        body = {"commandId": order.command_id, "token": order.token}
        reply = self.ask("POST", f"{CHECKOUT}/retry-payment", body)
        self._remember(reply)
        return reply

    def look(self, order: Order, token: str | None = None) -> Reply:
        """The command, by its token."""
        given = quote(order.token if token is None else token, safe="")
        return self.ask("GET", f"{CHECKOUT}/commands/{order.command_id}?token={given}")


def at_once(do: Any, things: list[Any]) -> list[Any]:
    """Do it to all of them at the same moment."""
    with ThreadPoolExecutor(max_workers=len(things)) as threads:
        return list(threads.map(do, things))
