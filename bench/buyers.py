"""The load: customers who order two items, pay at Stripe and come back; one process, asyncio."""

import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson

from bench.floor import EXPANDED, HEADERS, IDLE_S, PRODUCTS, SESSIONS, rate_form, session_form
from bench.measure import Reading, Tree, quantile
from bench.systems import System

JSON = {"Content-Type": "application/json"}
# How often a customer's page asks again while the payment is not yet known.
AGAIN_S = 0.002
MOST_S = 60.0
# The webhook of the last order and what the worker makes of it belong to the bill.
AFTERMATH_S = 0.7
OPENING = frozenset({"POST /v1/checkout/sessions", "POST /v1/tax_rates"})
SETTLING = frozenset({"GET /v1/checkout/sessions/*"})


@dataclass
class Load:
    """What one run of so many orders measured; times in seconds."""

    create: list[float] = field(default_factory=list)
    confirm: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class Buyers:
    """Customers of one system, `waiting` of them at a time."""

    def __init__(self, system: System, http: aiohttp.ClientSession, progress: Callable[[], None]):
        self._system, self._http, self._progress = system, http, progress
        self._rates: dict[str, str] = {}

    async def prepare(self, waiting: int) -> None:
        """Open the connections and know the tax rates, so that no order pays for either."""

        async def call(url: str) -> None:
            async with self._http.get(url) as answer:
                await answer.read()

        urls = [f"{self._system.stripe}/sandbox-control/faults"]
        urls += [f"{self._system.url}/healthz"] if self._system.url else []
        await asyncio.gather(*(call(url) for url in urls for _ in range(waiting)))
        if self._system.url is None:
            for _, _, tax in PRODUCTS.values():
                made = await self._stripe("POST", "/v1/tax_rates", rate_form(tax))
                self._rates[tax] = made["id"]

    async def buy(self, orders: int, waiting: int) -> Load:
        """So many orders, each customer beginning the next when the last one is done."""
        load, numbers = Load(), iter(range(orders))
        journey = self._through_the_shop if self._system.url else self._past_the_shop

        async def customer() -> None:
            for _ in numbers:
                try:
                    async with asyncio.timeout(MOST_S):
                        await journey(load)
                except (aiohttp.ClientError, TimeoutError, RuntimeError) as error:
                    load.failures[f"{type(error).__name__}: {error}"[:200]] += 1
                self._progress()

        await asyncio.gather(*(customer() for _ in range(waiting)))
        return load

    async def _through_the_shop(self, load: Load) -> None:
        """Order, pay, come back at once, and look until the shop says paid."""
        api = f"{self._system.url}/api/checkout"
        began = time.perf_counter()
        order = await self._post(f"{api}/create-stripe-checkout-session", _cart())
        opened = time.perf_counter()
        session = order["url"].rsplit("/", 1)[-1].partition("#")[0]
        await self._pay(session)
        ids = orjson.dumps({"sessionId": session, "commandId": order["commandId"]})
        returned = time.perf_counter()
        while True:
            answer = await self._post(f"{api}/confirm-payment", ids)
            if answer["command"]["paid"]:
                break
            await asyncio.sleep(AGAIN_S)
        load.confirm.append(time.perf_counter() - returned)
        load.create.append(opened - began)

    async def _past_the_shop(self, load: Load) -> None:
        """The same two questions put to Stripe directly: what no shop can be faster than."""
        items = [(title, cents, 1, self._rates[tax]) for title, cents, tax in PRODUCTS.values()]
        began = time.perf_counter()
        form = session_form(f"{began:.9f}", items)
        session = (await self._stripe("POST", SESSIONS, form))["id"]
        opened = time.perf_counter()
        await self._pay(session)
        returned = time.perf_counter()
        found = await self._stripe("GET", f"{SESSIONS}/{session}{EXPANDED}")
        if found["payment_status"] != "paid":
            raise RuntimeError("not paid")
        load.confirm.append(time.perf_counter() - returned)
        load.create.append(opened - began)

    async def _pay(self, session: str) -> None:
        await self._stripe("POST", f"/v1/payment_pages/{session}/confirm", "")

    async def _post(self, url: str, body: bytes) -> Any:
        async with self._http.post(url, data=body, headers=JSON) as answer:
            return await _document(answer)

    async def _stripe(self, method: str, path: str, form: str | None = None) -> Any:
        url = self._system.stripe + path
        async with self._http.request(method, url, data=form, headers=HEADERS) as answer:
            return await _document(answer)


async def _document(answer: aiohttp.ClientResponse) -> Any:
    body = await answer.read()
    if answer.status not in (200, 202):
        raise RuntimeError(f"{answer.status} {body.decode(errors='replace')}")
    return orjson.loads(body)


def _cart() -> bytes:
    """Two items for a customer who never ordered before."""
    customer = {
        "firstName": "John", "lastName": "Doe", "email": f"{secrets.token_hex(6)}@example.com",
        "phone": "+33612345678", "address": "123 Main St", "postalCode": "75001", "city": "Paris",
    }  # fmt: skip
    items = [{"product_id": id_, "quantity": 1} for id_ in PRODUCTS]
    appointment = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    return orjson.dumps({"items": items, "customer": customer, "appointment": appointment})


async def count_calls(system: System, http: aiohttp.ClientSession) -> Counter[str]:
    """What the stand-in was asked so far, by method and route."""
    async with http.get(f"{system.stripe}/sandbox-control/requests?path=/none") as answer:
        return Counter(orjson.loads(await answer.read())["calls"])


async def measure(
    system: System, orders: int, waiting: int, client: Tree, progress: Callable[[], None]
) -> dict[str, float]:
    """One run on one system: the row of figures (milliseconds, CPU-seconds per 1,000 orders)."""
    trees = system.trees | {"client": client}
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S)
    async with aiohttp.ClientSession(connector=connector) as http:
        buyers = Buyers(system, http, progress)
        await buyers.prepare(waiting)
        called = await count_calls(system, http)
        before = Reading.of(trees.values())
        load = await buyers.buy(orders, waiting)
        wall = time.perf_counter() - before.at
        await asyncio.sleep(AFTERMATH_S)
        cpu = Reading.of(trees.values()).since(before)
        calls = await count_calls(system, http) - called
    done = len(load.create)
    for reason, count in load.failures.items():
        print(f"{system.name}: {count} failed: {reason}", file=sys.stderr)
    figures = {
        "orders_per_s": done / wall,
        "calls_to_open": _sum(calls, OPENING) / max(done, 1),
        "calls_to_settle": _sum(calls, SETTLING) / max(done, 1),
        "failed": float(load.failures.total()),
        "rss_mb": system.trees["server"].rss_mb() if system.url else 0.0,
    }
    for name, times in (("create", load.create), ("confirm", load.confirm)):
        for percent in (50, 95):
            figures[f"{name}_p{percent}_ms"] = quantile(times, percent) * 1000
    for name, seconds in zip(trees, cpu, strict=True):
        figures[f"{name}_cpu_s"] = seconds / max(done, 1) * 1000
    return figures


def _sum(calls: Counter[str], kinds: frozenset[str]) -> int:
    return sum(count for kind, count in calls.items() if kind in kinds)
