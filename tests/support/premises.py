"""A shop in real processes: servers, perhaps a worker of its own, and the stand-in for Stripe."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from commande.db import Database, open_database
from commande.db.catalogue import upsert_products
from commande.db.journal import Fact, read_history
from commande.db.modules import COMMANDS, add_module
from commande.db.schema import migrate
from commande.ids import Ids
from commande.sandbox import Engine, create_sandbox
from tests.support.invariants import find_breaches
from tests.support.ports import free_port
from tests.support.schema import content_of
from tests.support.serving import PATIENCE, end, running, serving
from tests.support.stage import CATALOGUE

T = TypeVar("T")
COMMANDE = [sys.executable, "-m", "commande"]
KEY, SECRET = "sk_test_stage", "whsec_premises"
# Workers beat by themselves: they are no writing of anybody's.
RESTLESS = ("workers",)


@dataclass
class Premises:
    """What a test holds: the doors, the stand-in's engine, the database and the letters."""

    urls: list[str]
    stripe_url: str
    stripe: Engine
    folder: Path
    environment: dict[str, str]
    listed_late: bool = False
    """Stripe lists no event until the next day: a worker's reading every two minutes, whenever it
    comes, gets ahead of no webhook."""
    _doors: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._doors = itertools.cycle(self.urls)
        self.recover()

    @property
    def database_url(self) -> str:
        return self.environment["COMMANDE_DATABASE_URL"]

    def next_door(self) -> str:
        """The servers' addresses in turn: no two requests in a row meet the same process."""
        return next(self._doors)

    # trouble

    def silence(self) -> None:
        """Stripe's next session event is neither delivered nor, for a day, listed."""
        self.stripe.fail("lost", type="checkout.session.*")
        self.stripe.fail("late_listing", type="checkout.session.*", seconds=86_400)

    def recover(self) -> None:
        """All trouble is over."""
        self.stripe.world.faults.remove()
        if self.listed_late:
            self.stripe.fail("late_listing", seconds=86_400, count=None)

    def pass_time_at_stripe(self, seconds: float) -> None:
        self.stripe.dashboard.advance(seconds)
        self.stripe.world.wake()

    # the merchant

    def run(self, *verb: str, status: int = 0) -> str:
        """One verb of the command line, as a process of its own; what it prints."""
        done = subprocess.run(
            [*COMMANDE, *verb],
            env=os.environ | self.environment,
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == status, (verb, done.returncode, done.stdout, done.stderr)
        return done.stdout

    # what one sees

    def read(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a plain function on the shop's database, through a connection of the test's own."""

        return on_database(self.database_url, lambda db: db.read(fn, *args))

    def history(self, command_id: str) -> list[Fact]:
        return self.read(read_history, command_id)

    def content(self, *without: str) -> dict[str, str]:
        """A count and a hash of every table: equal means that nothing was written."""
        content = self.read(content_of)
        return {k: rows for k, rows in content.items() if k not in (*RESTLESS, *without)}

    def all_delivered(self) -> bool:
        """Whether no webhook of Stripe's is on its way."""
        with self.stripe.lock:
            return not self.stripe.state.rows["delivery"]

    def breaches(self) -> list[str]:
        """The invariants that do not hold; all of them are asked."""
        return on_database(self.database_url, lambda db: find_breaches(db, self.stripe_url))

    def letters_about(self, ref: str) -> list[EmailMessage]:
        return letters_about(self.folder / "mails", ref)


def letters_about(folder: Path, ref: str) -> list[EmailMessage]:
    """The letters of a mail folder whose subject names this command."""
    letters = [
        message_from_bytes(path.read_bytes(), policy=default) for path in folder.glob("*.eml")
    ]
    return [letter for letter in letters if ref in letter["Subject"]]


@contextmanager
def opened_premises(
    folder: Path,
    database_url: str,
    *,
    servers: int = 1,
    worker_apart: bool = False,
    no_worker: bool = False,
    listed_late: bool = False,
    site_url: str | None = None,
    **settings: str,
) -> Iterator[Premises]:
    """Open the shop on an empty database; the last server hears the webhooks.

    `worker_apart` runs `commande worker` beside servers that have none; with `no_worker` nobody
    writes but whoever asks. With `listed_late` the post alone brings Stripe's events. Without
    `site_url` the shop's own storefront, on its first server, is the site. Everything is ended
    afterwards.
    """
    ports = [free_port() for _ in range(servers)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    (folder / "mails").mkdir(parents=True)
    with ExitStack() as open_:
        hook = f"{urls[-1]}/api/checkout/webhook"
        sandbox = create_sandbox(endpoints=[(hook, SECRET)])
        stripe_url = open_.enter_context(serving(sandbox))
        sandbox.state.engine.world.url = stripe_url
        environment = {
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": stripe_url,
            "COMMANDE_DATABASE_URL": database_url,
            "COMMANDE_SITE_URL": site_url or urls[0],
            "COMMANDE_SECRET_KEY": "a secret of the premises that is long enough",
            "COMMANDE_STOREFRONT": "1",
            "COMMANDE_SHOP_NAME": "Le Petit Passage",
            "COMMANDE_MAIL_URL": f"file://{folder / 'mails'}",
            "COMMANDE_LOG_LEVEL": "warning",
        } | settings
        engine = sandbox.state.engine
        premises = Premises(urls, stripe_url, engine, folder, environment, listed_late)
        prepare(database_url)
        for port in ports:
            serve = [*COMMANDE, "serve", "--port", str(port)]
            serve += ["--no-worker"] if worker_apart or no_worker else []
            open_.enter_context(
                running(serve, ready="/readyz", port=port, environment=environment, cwd=folder)
            )
        if worker_apart:
            open_.enter_context(working(folder, environment))
        yield premises


@contextmanager
def working(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """`commande worker` until the block ends."""
    process = subprocess.Popen(
        [*COMMANDE, "worker"],
        env=os.environ | environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        end(process, grace=30)


def prepare(database_url: str) -> None:
    """Tables, the module that sells, and the stage's small catalogue."""

    migrate(database_url)
    on_database(database_url, lambda db: db.transaction(_fill))


def on_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do it in a thread of its own, because an asynchronous test has a loop in this one."""

    async def do() -> T:
        db = open_database(url)
        try:
            return await work(db)
        finally:
            await db.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, do()).result()


def _fill(conn: Connection) -> None:
    now = datetime.now(UTC)
    add_module(conn, Ids().object_id(now), COMMANDS, now)
    upsert_products(conn, CATALOGUE, now)
