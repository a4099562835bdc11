"""Customers who order, pay, come back or do not, and ask again when nobody answers."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import aiohttp
import orjson

from proof.ledger import Ledger, Opening, Paid

BOUQUET: Final = "507f1f77bcf86cd799439011"
BREAD: Final = "507f1f77bcf86cd799439012"
KEY: Final = "sk_test_proof"
_CARD: Final = "payment_method=pm_card_visa"
_PAUSE: Final = 0.01
_PATIENCE: Final = 6.0
# What the shop may answer while it is being killed: ask again.
_AGAIN: Final = frozenset({500, 502, 503, 504})


class GivenUp(Exception):
    """The customer closes the tab."""


class Crowd:
    """So many customers at a time, each beginning anew when done, until told to stop."""

    means: tuple[str, ...] = (_CARD,)
    """What they pay with, each as likely."""

    def __init__(self, shop: str, stripe: str, ledger: Ledger, rng: Random) -> None:
        self._shop, self._stripe, self._ledger, self._rng = shop, stripe, ledger, rng
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.counts: Counter[str] = Counter()

    def start(self, customers: int) -> None:
        """Open the doors."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        self._http = aiohttp.ClientSession(timeout=timeout)
        self._tasks = [asyncio.create_task(self._come_again()) for _ in range(customers)]

    async def stop(self, patience: float = 2.0) -> None:
        """Let nobody in any more; who is inside after so many seconds is sent away."""
        self._stopping.set()
        _, late = await asyncio.wait(self._tasks, timeout=patience)
        for task in late:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    async def _come_again(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._journey()
                self.counts["journeys"] += 1
            except GivenUp:
                self.counts["given up"] += 1

    async def _journey(self) -> None:
        """Order; mostly pay; mostly come back; sometimes do each of it twice."""
        key, body = self._rng.randbytes(12).hex(), an_order(self._rng)
        opening = await self._open(key, body)
        if self._rng.random() < 0.2:
            await self._open(key, body)
        if self._rng.random() < 0.12:
            return
        minor = await self._pay(opening)
        if minor is None or self._rng.random() < 0.25:
            return
        for _ in range(self._rng.choice((1, 1, 1, 2))):
            await self._confirm(opening, minor)

    async def _open(self, key: str, body: bytes) -> Opening:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        url = f"{self._shop}/api/checkout/create-stripe-checkout-session"
        status, answer = await self._ask(url, body, headers)
        if status != 200:
            self._ledger.refuse(f"an order was refused: {status} {answer.get('code')}")
            raise GivenUp
        session = answer["url"].rsplit("/", 1)[-1].partition("#")[0]
        opening = Opening(answer["commandId"], session, answer["ref"], answer["token"])
        self._ledger.open(key, opening)
        return opening

    async def _pay(self, opening: Opening) -> int | None:
        """Pay on Stripe's page; what it took."""
        url = f"{self._stripe}/v1/payment_pages/{opening.session}/confirm"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        means = self._rng.choice(self.means) if len(self.means) > 1 else self.means[0]
        try:
            async with self._http.post(url, data=means, headers=headers) as answered:
                answer = orjson.loads(await answered.read())
        except (aiohttp.ClientError, TimeoutError):
            return None  # paid or not: Stripe's own list will tell
        if answered.status != 200 or answer["payment_status"] != "paid":
            return None
        self._ledger.charge(opening.session, answer["amount_total"])
        return int(answer["amount_total"])

    async def _confirm(self, opening: Opening, minor: int) -> None:
        url = f"{self._shop}/api/checkout/confirm-payment"
        body = orjson.dumps({"sessionId": opening.session, "commandId": opening.command})
        status, answer = await self._ask(url, body, {"Content-Type": "application/json"})
        if status != 200 or not answer["command"]["paid"]:
            self._ledger.refuse(
                f"{opening.command} is charged, and confirm says {status} {answer.get('code')}"
            )
            return
        total = answer["command"]["cartSnapshot"]["totalPriceMinor"]
        if total != minor:
            self._ledger.refuse(f"{opening.command}: another total than charged")
        self._ledger.pay(opening.command, Paid(opening.session, total, answer["command"]["paidAt"]))

    async def _ask(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Ask until somebody answers; a connection that breaks says nothing about what was done."""
        while not self._stopping.is_set():
            try:
                async with self._http.post(url, data=body, headers=headers) as answered:
                    content = await answered.read()
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                self.counts["connections broken"] += 1
            else:
                if answered.status not in _AGAIN:
                    return answered.status, orjson.loads(content)
                self.counts[f"answered {answered.status}"] += 1
            await asyncio.sleep(self._rng.uniform(0, _PAUSE))
        raise GivenUp


def an_order(rng: Random) -> bytes:
    """One to three lines for a customer who never ordered before."""
    customer = {
        "firstName": "Jeanne", "lastName": "Martin", "phone": "+33612345678",
        "email": f"{rng.randbytes(6).hex()}@example.com",
        "address": "1 rue Haute", "postalCode": "75001", "city": "Paris",
    }  # fmt: skip
    items = [{"product_id": BOUQUET, "quantity": rng.randint(1, 3)}]
    if rng.random() < 0.5:
        items.append({"product_id": BREAD, "quantity": rng.randint(1, 5)})
    appointment = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    return orjson.dumps({"items": items, "customer": customer, "appointment": appointment})
