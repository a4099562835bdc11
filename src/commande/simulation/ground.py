"""What every world begins with: an empty shop with a small catalogue, made once and copied."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import SecretStr

from commande.core.product import Price, Product
from commande.db.catalogue import upsert_products
from commande.db.inline import InlineDatabase
from commande.db.modules import COMMANDS, add_module
from commande.db.schema import create_all
from commande.settings import Settings
from commande.simulation.triggers import TRIGGERS

START: Final = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC: every world begins then."""
KEY: Final = "sk_test_simulation"
SECRETS: Final = ("whsec_simulation_old", "whsec_simulation_new")


def _product(
    number: int, title: str, percentage: str | None, *amounts: int, inclusive: bool = True
) -> Product:
    types = ("standard", "grand")
    prices = tuple(
        Price(kind, amount, "eur", is_default=kind == "standard")
        for kind, amount in zip(types, amounts, strict=False)
    )
    rate = None if percentage is None else Decimal(percentage)
    return Product(f"{number:024x}", title, tax_percentage=rate, tax_inclusive=inclusive,
                   prices=prices)  # fmt: skip


CATALOGUE: Final = (
    _product(1, "Bouquet de saison", "20", 2999, 4999),
    _product(2, "Pain de campagne", "5.5", 420),
    # One rate for several: there the account's rounding makes a difference.
    _product(3, "Monture en acétate", "5.5", 14937, inclusive=False),
    _product(4, "Atelier du samedi", "5.5", 4533, 8011, inclusive=False),
    _product(5, "Carte cadeau", None, 2500, 5000),
    _product(6, "Rose unique", "5.5", 333, inclusive=False),
)


class Ground:
    """The database and the settings that worlds of one process take turns on."""

    def __init__(self, *, short: bool = True) -> None:
        self.rows = InlineDatabase(short=short)
        self.driver = self.rows.driver
        self._make()
        self.image = self.rows.image()
        self.settings = {
            (foreign, late): settings(foreign_events=foreign, late_payments=late)
            for foreign in ("reject", "ignore")
            for late in ("keep", "refund")
        }

    def _make(self) -> None:
        now = datetime.fromtimestamp(START, UTC)

        def make(conn: Any) -> None:
            create_all(conn)
            add_module(conn, f"{99:024x}", COMMANDS, now)
            upsert_products(conn, list(CATALOGUE), now)
            for trigger in TRIGGERS:
                conn.exec_driver_sql(trigger)

        coroutine = self.rows.transaction(make)
        try:
            coroutine.send(None)
        except StopIteration:
            return

    def rows_of_all(self) -> Iterator[bytes]:
        """Every row there is, for the fingerprint; pages of a file may differ with equal rows."""
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        for (table,) in self.driver.execute(query).fetchall():
            rows = self.driver.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 – ours
            yield "\n".join(sorted(map(repr, rows))).encode()

    def begin(self, sql: Iterable[str] = ()) -> None:
        """A new world: nothing of the last one is left. ``sql`` takes layers away for a mutant."""
        self.rows.load(self.image)
        self.driver.execute("PRAGMA ignore_check_constraints = OFF")
        for statement in sql:
            self.driver.execute(statement)


def settings(**overrides: Any) -> Settings:
    """The settings of every process: never those of the machine that simulates."""
    given: dict[str, Any] = {
        "stripe_secret_key": SecretStr(KEY),
        "stripe_webhook_secrets": tuple(SecretStr(secret) for secret in SECRETS),
        "secret_key": SecretStr("the secret of a simulated shop"),
        "site_url": "https://shop.example",
        "mail_url": None,
    }
    return Settings.model_construct(**given | overrides)
