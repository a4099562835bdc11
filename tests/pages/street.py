"""A shop on a street of its own: the real application and the stand-in, on one address.

The visitor is a browser without JavaScript: cookies, forms as they stand in the page, redirects.
"""

import asyncio
import contextlib
import http.client
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from commande.core.document import Command
from commande.core.product import Price, Product
from commande.db import open_database
from commande.db.catalogue import upsert_products
from commande.db.commands import list_commands
from commande.db.modules import COMMANDS, add_module, set_module
from commande.db.schema import migrate
from commande.sandbox.app import create_sandbox
from commande.sandbox.engine import Engine
from commande.settings import Settings
from commande.shop import RealClock, Shop, close_shop, open_shop
from commande.web.app import create_app
from tests.support.serving import PATIENCE, wait_until

T = TypeVar("T")
KEY, SECRET = "sk_test_street00000000000000", "whsec_street"
BOUQUET = Product(
    "507f1f77bcf86cd799439011", "Bouquet de saison", "Lié à la main.", "bouquet.svg",
    tax_percentage=None, prices=(Price("standard", 2999, "eur", is_default=True),
                                 Price("grand", 4490, "eur")),
)  # fmt: skip
BRIOCHE = Product(
    "507f1f77bcf86cd799439015", "Brioche", stock=0, prices=(Price("standard", 950, "eur"),)
)
HOURS = {"times": ["09:00", "14:00"], "days": 7}


class OwnClock(RealClock):
    """The machine's clock, set forward at will."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.05))


@dataclass
class Street:
    """What a test holds: the address, the stand-in's engine, the clock and the database."""

    url: str
    engine: Engine
    clock: OwnClock
    shop: Shop
    database_url: str

    def read(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a plain function on the shop's database, through a connection of the test's own."""

        async def run() -> T:
            db = open_database(self.database_url)
            try:
                return await db.transaction(fn, *args, **kwargs)
            finally:
                await db.close()

        return asyncio.run(run())

    def pay(self, page: "Page", means: str = "pm_card_visa") -> str:
        """Pay the session that the page leads to; the address to which Stripe sends back."""
        session_id = re.search(r"cs_test_\w+", page.headers["location"])
        assert session_id is not None
        session = self.engine.dashboard.pay(session_id[0], means)
        back: str = session["success_url"]
        return back.replace("{CHECKOUT_SESSION_ID}", session_id[0])

    def commands(self) -> list[Command]:
        """All commands, newest first."""
        return [listed.command for listed in self.read(list_commands)]

    def visitor(self, **headers: str) -> "Visitor":
        """Somebody who comes for the first time."""
        return Visitor(self.url, {"Accept-Language": "fr", **headers})


def stock(conn: Any, products: list[Product], settings: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    add_module(conn, "a" * 24, COMMANDS, now)
    set_module(conn, COMMANDS, settings, now)
    upsert_products(conn, products, now)


@contextlib.contextmanager
def open_street(
    folder: Path,
    *,
    extra: Callable[[Shop], list[Any]] = lambda _shop: [],
    module: dict[str, Any] | None = None,
    mount: str = "",
    heard: bool = False,
    **given: Any,
) -> Iterator[Street]:
    """Open the shop, serve it from a thread, and close everything afterwards.

    No worker runs and, unless ``heard``, no webhook is sent: what a page shows, a page did.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        values: dict[str, Any] = {
            "stripe_secret_key": KEY,
            "stripe_webhook_secrets": SECRET,
            "stripe_api_base": f"{url}/sandbox",
            "database_url": f"sqlite:///{folder / 'shop.sqlite'}",
            "site_url": f"{url}{mount}",
            "storefront": True,
            "admin_password": "ouvre-toi",
            "shop_name": "Le Petit Passage",
            "log_level": "error",
        }
        settings = Settings(_env_file=None, **values | given)  # type: ignore[call-arg]
        migrate(settings.database_url)
        clock = OwnClock()
        shop = replace(open_shop(settings), clock=clock)
        sandbox = create_sandbox(
            f"{url}/sandbox", api_key=KEY,
            endpoints=[(f"{url}{mount}/api/checkout/webhook", SECRET)] if heard else [],
        )  # fmt: skip
        engine: Engine = sandbox.state.engine
        street = Street(url + mount, engine, clock, shop, settings.database_url)
        street.read(stock, [BOUQUET, BRIOCHE], {"appointments": HOURS} | (module or {}))
        app = create_app(settings, shop=shop, worker=heard, extra_routers=extra(shop))
        with _served(_together(sandbox, app, shop, mount), listener):
            yield street


def _together(sandbox: Starlette, app: Any, shop: Shop, mount: str) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with (
            sandbox.router.lifespan_context(sandbox),
            app.router.lifespan_context(app),
        ):
            yield
        await close_shop(shop)

    return Starlette(
        routes=[Mount("/sandbox", sandbox), Mount(mount or "/", app)], lifespan=lifespan
    )


@contextlib.contextmanager
def _served(app: Starlette, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(app, lifespan="on", log_level="error", timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the street to open")
        assert server.started, "the street did not open: see its log"
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@dataclass
class Page:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str
    url: str

    @property
    def title(self) -> str:
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.body, re.DOTALL)
        return unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""

    @property
    def text(self) -> str:
        """What a reader sees, blanks folded."""
        plain = unescape(
            re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", self.body, flags=re.DOTALL)
        )
        return re.sub(r"[ \t\r\n]+", " ", plain)

    def form(self, action: str) -> dict[str, str]:
        """The fields of the first form that is sent to this path, as a browser would send them."""
        forms = FormReader()
        forms.feed(self.body)
        return dict(next(fields for path, fields in forms.found if path.endswith(action)))


class FormReader(HTMLParser):
    """Collects forms with their fields; buttons are left to the test."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", []))
        elif tag == "input" and self.found and given.get("name"):
            off = given.get("type") in ("radio", "checkbox") and "checked" not in given
            if not off and "disabled" not in given:
                self.found[-1][1].append((given["name"] or "", given.get("value") or ""))


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.site, self.headers = url, headers
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    def get(self, path: str, *, follow: bool = True, method: str = "GET", **headers: str) -> Page:
        return self._ask(method, path, None, follow, headers)

    def post(self, path: str, fields: Any, *, follow: bool = True, **headers: str) -> Page:
        return self._ask("POST", path, urlencode(fields, doseq=True), follow, headers)

    def _ask(
        self, method: str, path: str, body: str | None, follow: bool, extra: dict[str, str]
    ) -> Page:
        url = path if path.startswith("http") else self.site + path
        parts = urlsplit(url)
        headers = self.headers | {name.replace("_", "-"): v for name, v in extra.items()}
        if body is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            raw = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("set-cookie") or []:
            self._keep(line)
        given = {name.lower(): value for name, value in answer.getheaders()}
        if follow and answer.status == 303:
            return self._ask("GET", urljoin(url, given["location"]), None, True, extra)
        return Page(answer.status, given, raw, url)

    def _keep(self, line: str) -> None:
        self.set_cookies.append(line)
        name, _, value = line.partition(";")[0].partition("=")
        value = value.strip('"')
        if value and "Max-Age=0" not in line:
            self.cookies[name] = value
        else:
            self.cookies.pop(name, None)

    def buy(self, kind: str = "standard") -> Page:
        """Put a bouquet into the basket."""
        fields = {"product_id": BOUQUET.id, "type": kind, "action": "add"}
        return self.post("/panier", fields)

    def fill(self, **changes: str) -> dict[str, str]:
        """The checkout's form, filled in as Camille would, for the last hour on offer.

        Not for one of the first day: it might strike before the form is sent.
        """
        page = self.get("/commande")
        days = re.findall(r'name="jour" value="([\d-]+)"', page.body)
        page = self.post("/commande", page.form("/commande") | {"jour": days[-1]})
        slot = re.findall(r'name="appointment" value="([^"]+)"(?! disabled)', page.body)[-1]
        return page.form("/commande") | CAMILLE | {"appointment": unescape(slot)} | changes

    def order(self, **changes: str) -> Page:
        """Buy a bouquet and order it; the answer that leads to Stripe."""
        self.buy()
        return self.post("/commande", self.fill(**changes), follow=False)


CAMILLE = {
    "firstName": "Camille", "lastName": "Roussel", "email": "camille@example.com",
    "phone": "06 12 34 56 78", "address": "12, rue des Tilleuls", "postalCode": "75011",
    "city": "Paris", "fax": "",
}  # fmt: skip
