"""The shop on the cluster: its servers, Stripe's stand-in, its customers and what they heard."""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson
from sqlalchemy import Connection, select

from commande.core.product import Price, Product
from commande.db import open_database
from commande.db.catalogue import upsert_products
from commande.db.modules import COMMANDS, add_module
from commande.db.tables import commands, payments
from commande.ids import Ids
from commande.shop import RealClock
from proof.crowd import BOUQUET, BREAD, KEY, Crowd
from proof.ledger import Ledger, Opening
from tests.support.invariants import is_paid, list_sessions
from tests.support.serving import running

STRIPE_PORT: Final = 4242
SHOP_PORTS: Final = (8001, 8002)
STRIPE_URL: Final = f"http://127.0.0.1:{STRIPE_PORT}"
SECRET: Final = "whsec_of_the_proof"
COMMANDE: Final = [sys.executable, "-P", "-m", "commande"]
PAUSE: Final = 1.0
"""Between two orders of a customer, at most: a shop, not a benchmark."""
CATALOGUE: Final = [
    Product(BOUQUET, "Bouquet de saison", tax_percentage=Decimal(10),
            prices=(Price("standard", 2999, "eur"),)),
    Product(BREAD, "Pain de campagne", tax_percentage=Decimal("5.5"),
            prices=(Price("entier", 680, "eur"),)),
]  # fmt: skip


@dataclass
class TimedLedger(Ledger):
    """A ledger that also knows when each order was answered for the first time."""

    moments: list[float] = field(default_factory=list)

    def open(self, key: str, opening: Opening) -> None:
        """See ``Ledger``."""
        if key not in self.opened:
            self.moments.append(time.monotonic())
        super().open(key, opening)

    def gap(self, since: float, until: float) -> float:
        """The longest time without a new order's answer, in seconds."""
        heard = [at for at in self.moments if since - 5 <= at <= until]
        pairs = itertools.pairwise(heard)
        return max((later - earlier for earlier, later in pairs if later > since), default=0.0)


class Customers(Crowd):
    """A crowd that takes its time."""

    async def _journey(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, PAUSE))
        await super()._journey()


class Shop:
    """Two servers, each with a worker, and what one asks of them from the command line."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.url, self._folder = database_url, folder
        self._environment = {
            "COMMANDE_DATABASE_URL": database_url,
            "COMMANDE_SECRET_KEY": "the secret of a proof, long enough",
            "COMMANDE_SITE_URL": "https://shop.example",
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": STRIPE_URL,
            "COMMANDE_LOG_LEVEL": "warning",
        }

    async def furnish(self) -> None:
        """Tables, module and catalogue."""
        await asyncio.to_thread(self.run, "migrate")
        db, now = open_database(self.url), RealClock().now()
        await db.transaction(add_module, Ids().object_id(now), COMMANDS, now)
        await db.transaction(upsert_products, CATALOGUE, now)
        await db.close()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Stripe's stand-in and both servers; the last one hears the webhooks."""
        hook = f"http://127.0.0.1:{SHOP_PORTS[-1]}/api/checkout/webhook"
        sandbox = [*COMMANDE, "sandbox", "--port", "{port}", "--webhook", hook, "--secret", SECRET]
        with ExitStack() as doors:
            doors.enter_context(running(sandbox, port=STRIPE_PORT, ready="/sandbox-control/status"))
            for port in SHOP_PORTS:
                serve = [*COMMANDE, "serve", "--port", "{port}"]
                server = running(serve, port=port, environment=self._environment, cwd=self._folder,
                                 grace=30)  # fmt: skip
                doors.enter_context(server)
            yield

    def crowds(self, customers: int, ledger: Ledger, seed: str) -> list[tuple[Customers, int]]:
        """The customers of each server."""
        half = [customers - customers // 2, customers // 2]
        return [
            (Customers(f"http://127.0.0.1:{port}", STRIPE_URL, ledger, Random(f"{seed}-{port}")), n)
            for port, n in zip(SHOP_PORTS, half, strict=True)
            if n
        ]

    def run(self, *verb: str) -> tuple[int, Any]:
        """One verb of the command line; its exit code, and its answer when that is JSON."""
        done = subprocess.run(
            [*COMMANDE, *verb], env=os.environ | self._environment, cwd=self._folder,
            capture_output=True, check=False, timeout=600,
        )  # fmt: skip
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{verb}: {done.stderr.decode()}")
        return done.returncode, orjson.loads(done.stdout) if "--json" in verb else None


def unaccounted(conn: Connection, paid: dict[str, int]) -> list[str]:
    """Of the sessions that Stripe was paid for: those that are not one paid command each."""
    query = select(payments.c.stripe_session_id, payments.c.amount_minor, commands.c.snapshot).join(
        commands, commands.c.paid_session_id == payments.c.stripe_session_id
    )
    booked = {
        row.stripe_session_id: (row.amount_minor, row.snapshot["total_minor"])
        for row in conn.execute(query.where(payments.c.outcome == "applied"))
    }
    return [
        f"{session} is charged {minor}, the books say {booked.get(session)}"
        for session, minor in paid.items()
        if booked.get(session) != (minor, minor)
    ]


def paid_at_stripe() -> dict[str, int]:
    """Minor units by session, as Stripe's stand-in has them."""
    return {s["id"]: s["amount_total"] for s in list_sessions(STRIPE_URL) if is_paid(s)}
