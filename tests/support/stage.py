"""A whole shop for a test: real database, real flows, the stand-in for Stripe over real HTTP.

Only clock and mail are doubled. ``Stage`` is the surroundings, its methods are what people do.
"""

import asyncio
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, text

from commande.core.cart import CartLine
from commande.core.customer import Customer
from commande.core.document import Command
from commande.core.letter import Letter
from commande.core.order import Order
from commande.core.product import Price, Product
from commande.db.catalogue import upsert_products
from commande.db.commands import find_command
from commande.db.journal import Fact, read_history
from commande.db.modules import COMMANDS, add_module
from commande.db.schema import migrate
from commande.errors import MailUnavailable
from commande.flows.checkout import Opened, open_checkout
from commande.flows.inbox import handle_events, receive_event
from commande.flows.notices import send_due
from commande.flows.settlement import confirm_payment
from commande.sandbox import create_sandbox
from commande.settings import Settings, load_settings
from commande.shop import Shop, close_shop, open_shop
from commande.stripe_gateway import Limits, open_gateway
from tests.support.clocks import Steady, StripeClock
from tests.support.invariants import find_breaches

SECRET = "whsec_stage"
BOUQUET = "507f1f77bcf86cd799439011"
BREAD = "507f1f77bcf86cd799439012"
SERVICE = "507f1f77bcf86cd799439013"
CATALOGUE = [
    Product(
        BOUQUET, "Bouquet de saison", tax_percentage=Decimal(10),
        prices=(Price("standard", 2999, "eur", is_default=True), Price("grand", 4490, "eur")),
    ),
    Product(BREAD, "Pain de campagne", tax_percentage=Decimal("5.5"),
            prices=(Price("entier", 680, "eur"),)),
    Product(SERVICE, "Livraison", tax_percentage=Decimal(20), tax_inclusive=False,
            prices=(Price("standard", 1033, "eur"),)),
]  # fmt: skip
# With the service on one bill: rounded per line and per rate, their tax differs by a cent.
WRAPPING = Product(
    "507f1f77bcf86cd799439099", "Emballage", tax_percentage=Decimal(20), tax_inclusive=False,
    prices=(Price("standard", 333, "eur"),),
)  # fmt: skip
JOHN = Customer(
    "John", "Doe", "john@example.com", "+33612345678", "123 Main St", "75001", "Paris", "FR"
)


# An answer that is slow because the machine is busy is no trouble of Stripe's.
PATIENT = Limits(deadline=100, connect=30, one_try=90)


class MovableClock:
    """Real time, or another, plus an offset that the test moves."""

    def __init__(self, moment: Callable[[], float] = time.time) -> None:
        self.offset = timedelta()
        self._moment = moment

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._moment(), UTC) + self.offset

    def stop(self) -> None:
        """From now on it only shows what it is set to."""
        stopped = self._moment()
        self._moment = lambda: stopped

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Letterbox:
    """Mail that arrives in a list, or not at all."""

    letters: list[Letter] = field(default_factory=list)
    enabled: bool = True
    broken: bool = False

    async def send(self, letter: Letter) -> None:
        if self.broken:
            raise MailUnavailable("the letterbox is broken")
        self.letters.append(letter)


class Stage:
    """One shop, its Stripe, and what people do with them."""

    limits = Limits()

    def __init__(self, shop: Shop, stripe_url: str, clock: MovableClock, mail: Letterbox) -> None:
        self.shop, self.stripe_url, self.clock, self.mail = shop, stripe_url, clock, mail
        self.others: list[Shop] = []
        self._began = clock.now() - clock.offset

    def another_process(self) -> Shop:
        """A second process of the same shop: connections, ids and gateway of its own."""
        settings = self.shop.settings
        stripe = open_gateway(settings, self.limits)
        other = replace(open_shop(settings), stripe=stripe, clock=self.clock, mail=self.mail)
        self.others.append(other)
        return other

    async def close(self) -> None:
        for shop in (*self.others, self.shop):
            await close_shop(shop)

    # what customers do

    def order(
        self, *lines: tuple[str, int] | tuple[str, int, str], customer: Customer = JOHN
    ) -> Order:
        """An order for the day after tomorrow; two bouquets when nothing is said."""
        # By the clock as the test moved it: said twice, it is the same order.
        return an_order(self._began + self.clock.offset, *lines, customer=customer)

    async def open(self, *lines: Any, key: str | None = None) -> Opened:
        """A customer orders, each time anew."""
        customer = replace(JOHN, city=f"Paris {self.shop.ids.ref()}")
        return await open_checkout(self.shop, self.order(*lines, customer=customer), key)

    async def pay(self, opened: Opened, method: str = "4242424242424242", **more: Any) -> Any:
        """The customer pays on Stripe's page; nobody comes back yet."""
        body = {"session": session_of(opened), "payment_method": method} | more
        return await self.control("pay", body)

    async def come_back(self, opened: Opened) -> Command:
        """The return page calls confirm."""
        command, _ = await confirm_payment(self.shop, session_of(opened), opened.command_id)
        return command

    async def buy(self, *lines: Any) -> Opened:
        """Order and pay; nothing has been heard of it."""
        opened = await self.open(*lines)
        await self.pay(opened)
        return opened

    # what Stripe does

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The stand-in's control API; a dict when it answers, an error's body when it refuses."""
        return await asyncio.to_thread(self._request, f"/sandbox-control/{path}", body)

    async def stripe_get(self, path: str) -> Any:
        return await asyncio.to_thread(self._request, path, None)

    def _request(self, path: str, body: dict[str, Any] | None, method: str | None = None) -> Any:
        return ask_stand_in(self.stripe_url, path, body, method)

    async def fail(self, kind: str, **how: Any) -> None:
        """Order trouble from the stand-in."""
        answer = await self.control("faults", {"kind": kind} | how)
        assert "error" not in answer, answer

    async def recover(self) -> None:
        """All trouble is over."""
        await asyncio.to_thread(self._request, "/sandbox-control/faults", None, "DELETE")

    async def refund(self, opened: Opened, amount: int | None = None) -> Any:
        """Somebody refunds in Stripe's dashboard; all of it when no amount is said."""
        body = {"payment_intent": (await self.session(opened))["payment_intent"]}
        refunded = await self.control("refunds", body | ({"amount": amount} if amount else {}))
        assert "error" not in refunded, refunded
        return refunded

    async def calls(self, operation: str = "") -> int:
        """How many requests the stand-in got since the last ``forget_calls``."""
        listed = await self.control("requests")
        return sum(1 for r in listed["requests"] if operation in f"{r['method']} {r['path']}")

    async def forget_calls(self) -> None:
        await asyncio.to_thread(self._request, "/sandbox-control/requests", None, "DELETE")

    async def sessions(self) -> list[Any]:
        listed: list[Any] = (await self.stripe_get("/v1/checkout/sessions?limit=100"))["data"]
        return listed

    async def session(self, opened: Opened) -> Any:
        return await self.stripe_get(f"/v1/checkout/sessions/{session_of(opened)}")

    async def pass_time(self, **delta: float) -> None:
        """Time passes for the shop and for Stripe."""
        step = timedelta(**delta)
        self.clock.offset += step
        await self.control("clock", {"advance": step.total_seconds()})

    async def events(self, kind: str = "") -> list[Any]:
        """What Stripe has to tell, oldest first."""
        listed = await self.stripe_get("/v1/events?limit=100")
        return [event for event in reversed(listed["data"]) if event["type"].startswith(kind)]

    async def hear(self, kind: str = "", shop: Shop | None = None) -> int:
        """The webhook brings every event of that kind; how many were new."""
        return sum([await self.deliver(event, shop) for event in await self.events(kind)])

    async def deliver(self, event: Any, shop: Shop | None = None) -> bool:
        """One event through the shop's real verification into its inbox."""
        shop = shop or self.shop
        body = json.dumps(event).encode()
        now = self.clock.now()
        verified = shop.stripe.read_event(body, sign(body, now), now)
        return await receive_event(shop, verified)

    async def work(self, shop: Shop | None = None) -> None:
        """The worker does what is due now."""
        while await handle_events(shop or self.shop):
            pass
        await send_due(shop or self.shop)

    # what one sees

    async def command(self, opened: Opened) -> Command:
        found = await self.shop.db.read(find_command, opened.command_id)
        assert found is not None
        return found

    async def history(self, opened: Opened) -> list[Fact]:
        return await self.shop.db.read(read_history, opened.command_id)

    async def kinds(self, opened: Opened) -> list[str]:
        return [fact.kind for fact in await self.history(opened)]

    async def rows(self, table: Table) -> list[Any]:
        """Every row of a table."""
        return await self.shop.db.read(_rows, table)

    async def breaches(self, *only: str) -> list[str]:
        """The invariants that do not hold; all but the named ones are left out."""
        wanted = frozenset(only) or None
        return await find_breaches(self.shop.db, self.stripe_url, only=wanted)

    async def sql(self, statement: str, **values: Any) -> None:
        """Spoil something on purpose."""
        await self.shop.db.transaction(_execute, statement, values)


def _rows(conn: Connection, table: Table) -> list[Any]:
    return list(conn.execute(table.select()))


def _execute(conn: Connection, statement: str, values: dict[str, Any]) -> None:
    conn.execute(text(statement), values)


def an_order(
    now: datetime, *lines: tuple[str, int] | tuple[str, int, str], customer: Customer = JOHN
) -> Order:
    """An order for the day after tomorrow; two bouquets when nothing is said."""
    cart = tuple(CartLine(*line) for line in lines or ((BOUQUET, 2),))
    appointment = (now + timedelta(days=2)).replace(microsecond=0)
    return Order(cart, customer, appointment, None, "fr")


def session_of(opened: Opened) -> str:
    """The session that pays a command."""
    return session_in(opened.url)


def session_in(url: str) -> str:
    """The session id in a payment address."""
    return url.rsplit("/", 1)[-1].partition("#")[0].partition("?")[0]


def ask_stand_in(
    stripe_url: str, path: str, body: dict[str, Any] | None = None, method: str | None = None
) -> Any:
    """One request to the stand-in: its answer, or its error's body when it refuses."""
    request = urllib.request.Request(
        stripe_url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer sk_test_stage"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def sign(body: bytes, at: datetime, secret: str = SECRET) -> str:
    """Stripe's signature header, computed independently of the SDK."""
    stamp = int(at.timestamp())
    signature = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return f"t={stamp},v1={signature.hex()}"


def stage_settings(database_url: str, stripe_url: str, **more: Any) -> Settings:
    """What every process of a stage is told."""
    given = {
        "stripe_secret_key": "sk_test_stage",
        "stripe_webhook_secrets": SECRET,
        "stripe_api_base": stripe_url,
        "database_url": database_url,
        "site_url": "https://shop.example",
        "secret_key": "a secret of the stage that is long enough",
        "_env_file": None,
    }
    return load_settings(**given | more)


@asynccontextmanager
async def staged(
    database_url: str, serve: Callable[..., str], *, steady: bool = False, **settings: Any
) -> AsyncIterator[Stage]:
    """A stage on that database, migrated and with a small catalogue.

    On a ``steady`` one, time passes for the shop and for Stripe when the test says so, and an
    answer of Stripe's is waited for however busy the machine is.
    """
    moment = Steady(tick=0.0001) if steady else time.time
    limits = PATIENT if steady else Limits()
    # The address is only printed into session urls; the server picks its own port.
    stripe = create_sandbox("http://stripe.test", seed=7, clock=StripeClock(moment))
    stripe_url = serve(stripe)
    loaded = stage_settings(database_url, stripe_url, **settings)
    await asyncio.to_thread(migrate, loaded.database_url)
    clock, mail = MovableClock(moment), Letterbox()
    gateway = open_gateway(loaded, limits)
    shop = replace(open_shop(loaded), stripe=gateway, clock=clock, mail=mail)
    now = clock.now()
    await shop.db.transaction(add_module, shop.ids.object_id(now), COMMANDS, now)
    await shop.db.transaction(upsert_products, CATALOGUE, now)
    stage = Stage(shop, stripe_url, clock, mail)
    stage.limits = limits
    try:
        yield stage
    finally:
        await stage.close()
