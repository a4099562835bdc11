"""The systems that bench/orders.py compares: each a server and a stand-in for Stripe of its own."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.floor import KEY, PRODUCTS
from bench.measure import Started, Tree
from tests.support.ports import free_port
from tests.support.postgres import running_postgres
from tests.support.serving import running

ROOT = Path(__file__).parent.parent
HOOK = "/api/checkout/webhook"
PATIENCE = 120.0
# The tests switch these off; a benchmark that did not wait for the disk would measure nothing.
DURABLE = {"fsync": "on", "full_page_writes": "on"}
# As README.md tells a shop to register its endpoint.
EVENTS = (
    "checkout.session.completed", "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed", "checkout.session.expired", "charge.refunded",
    "refund.created", "refund.updated", "refund.failed", "charge.dispute.created",
    "charge.dispute.updated", "charge.dispute.closed",
)  # fmt: skip


@dataclass(frozen=True)
class System:
    """A running checkout with its own Stripe."""

    name: str
    url: str | None
    """None: the customers speak to Stripe themselves."""
    stripe: str
    trees: dict[str, Tree]
    """`server`, `database` and `stripe`, as far as they are processes of its own."""


@contextmanager
def started_systems(databases: list[str]) -> Iterator[list[System]]:
    """Everything that is compared, started; Stripe alone comes first."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="commande-bench-")))
        systems = [stack.enter_context(_stripe_alone())]
        if "sqlite" in databases:
            url = f"sqlite:///{folder / 'shop.sqlite'}"
            systems.append(stack.enter_context(_commande("commande, SQLite", url, folder / "a")))
        if "postgresql" in databases:
            with Started() as started:
                postgres = stack.enter_context(running_postgres(**DURABLE))
            url = stack.enter_context(postgres.new_database())
            name, tree = "commande, PostgreSQL", started.trees[0]
            systems.append(stack.enter_context(_commande(name, url, folder / "b", tree)))
        for kind, webhook in (("floor", True), ("naive", False)):
            systems.append(stack.enter_context(_yardstick(kind, folder, webhook=webhook)))
        yield systems


@contextmanager
def _stand_in(hook: str | None) -> Iterator[tuple[str, str, Tree]]:
    """The stand-in's address, the secret of the endpoint registered there, its process."""
    with ExitStack() as stack:
        with Started() as started:
            command = [sys.executable, "-m", "commande", "sandbox", "--port", "{port}"]
            ready = "/sandbox-control/faults"
            url = stack.enter_context(
                running(command, ready=ready, patience=PATIENCE, cwd=ROOT, environment=_quiet())
            )
        secret = "whsec_unused"
        if hook is not None:
            secret = _register(url, hook)
        yield url, secret, started.trees[0]


def _register(stripe: str, hook: str) -> str:
    fields = [("url", hook), *(("enabled_events[]", kind) for kind in EVENTS)]
    request = urllib.request.Request(
        f"{stripe}/v1/webhook_endpoints",
        data=urllib.parse.urlencode(fields).encode(),
        headers={"Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.loads(answer.read())["secret"])


@contextmanager
def _stripe_alone() -> Iterator[System]:
    with _stand_in(None) as (stripe, _, tree):
        yield System("stand-in alone", None, stripe, {"stripe": tree})


@contextmanager
def _commande(
    name: str, database_url: str, folder: Path, database: Tree | None = None
) -> Iterator[System]:
    """The product as it is shipped: `commande serve` with its worker inside, one process."""
    folder.mkdir()
    port = free_port()
    with ExitStack() as stack:
        hook = f"http://127.0.0.1:{port}{HOOK}"
        stripe, secret, tree = stack.enter_context(_stand_in(hook))
        environment = _quiet() | {
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": secret,
            "STRIPE_API_BASE": stripe,
            "COMMANDE_DATABASE_URL": database_url,
            "COMMANDE_SECRET_KEY": "the secret of a benchmark, long enough",
            "COMMANDE_LOG_FORMAT": "json",
        }
        catalogue = folder / "catalogue.json"
        catalogue.write_text(json.dumps(_catalogue()), encoding="utf-8")
        commande = [sys.executable, "-m", "commande"]
        for verb in (["init"], ["products", "import", str(catalogue)]):
            subprocess.run(
                [*commande, *verb], cwd=folder, env=environment, check=True, timeout=PATIENCE,
                capture_output=True,
            )  # fmt: skip
        with Started() as started:
            serve = [*commande, "serve", "--port", "{port}"]
            url = stack.enter_context(
                running(serve, ready="/readyz", port=port, patience=PATIENCE, cwd=folder,
                        environment=environment)
            )  # fmt: skip
        trees = {"server": started.trees[0], "stripe": tree}
        yield System(name, url, stripe, trees | ({"database": database} if database else {}))


@contextmanager
def _yardstick(kind: str, folder: Path, *, webhook: bool) -> Iterator[System]:
    port = free_port()
    with ExitStack() as stack:
        hook = f"http://127.0.0.1:{port}{HOOK}" if webhook else None
        stripe, secret, tree = stack.enter_context(_stand_in(hook))
        command = [
            sys.executable, "-m", "bench.floor", kind, "--port", "{port}", "--stripe", stripe,
            "--secret", secret, "--database", str(folder / f"{kind}.sqlite"),
        ]  # fmt: skip
        with Started() as started:
            url = stack.enter_context(running(command, port=port, patience=PATIENCE, cwd=ROOT))
        yield System(f"{kind}, SQLite", url, stripe, {"server": started.trees[0], "stripe": tree})


def _catalogue() -> list[dict[str, Any]]:
    return [
        {
            "_id": id_,
            "title": title,
            "taxRate": int(tax),
            "taxInclusive": True,
            "prices": [{"type": "standard", "price": cents / 100, "default": True}],
        }
        for id_, (title, cents, tax) in PRODUCTS.items()
    ]


def _quiet() -> dict[str, str]:
    """This environment without the settings of a shop that happens to live in it."""
    ours = ("COMMANDE_", "STRIPE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
