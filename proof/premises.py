"""Where the shops of a proof are set up: a warmed parent, a folder, a database ready to sell."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from commande.core.product import Price, Product
from commande.db import open_database
from commande.db.catalogue import upsert_products
from commande.db.modules import COMMANDS, add_module
from commande.db.schema import migrate
from commande.ids import Ids
from commande.shop import RealClock
from proof.crowd import BOUQUET, BREAD
from tests.support.postgres import Postgres, running_postgres

ROOT: Final = Path(__file__).parent.parent
CATALOGUE: Final = [
    Product(BOUQUET, "Bouquet de saison", tax_percentage=Decimal(10),
            prices=(Price("standard", 2999, "eur"),)),
    Product(BREAD, "Pain de campagne", tax_percentage=Decimal("5.5"),
            prices=(Price("entier", 680, "eur"),)),
]  # fmt: skip


class Cradle:
    """The warmed parent, spoken to from here."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proof.cradle"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={name: value for name, value in os.environ.items()
                 if not name.startswith(("COMMANDE_", "STRIPE_"))},
        )  # fmt: skip
        self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Do this; what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order).decode() + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the cradle is gone")
        answer: dict[str, Any] = orjson.loads(line)
        return answer


@dataclass
class Premises:
    """Where shops are set up: a cradle, a folder, and a database that is ready to sell."""

    cradle: Cradle
    folder: Path
    template: str
    server: Postgres | None = None

    @classmethod
    def on_sqlite(cls, cradle: Cradle, folder: Path) -> "Premises":
        """Each shop gets a copy of one file."""
        url = f"sqlite:///{folder / 'template.sqlite'}"
        _furnish(url)
        return cls(cradle, folder, url)

    @classmethod
    def on_postgres(cls, cradle: Cradle, folder: Path, server: Postgres, url: str) -> "Premises":
        """Each shop gets a copy of one database."""
        _furnish(url)
        return cls(cradle, folder, url, server)

    def furnish(self, name: str, folder: Path) -> str:
        """A database for one shop."""
        if self.server is None:
            shutil.copy(self.template.removeprefix("sqlite:///"), folder / "shop.sqlite")
            return f"sqlite:///{folder / 'shop.sqlite'}"
        database = f"proof_{name}".replace("-", "_")
        template = self.template.rpartition("/")[2]
        self.server.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.server.url(database)

    def keep(self, url: str, folder: Path, proof: str) -> Path:
        """Save a shop in which something was found, with its rows; where."""
        kept = Path(tempfile.mkdtemp(prefix=f"commande-{proof}-found-"))
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        if self.server is not None:
            dump = [str(self.server.binaries / "pg_dump"), "-f", str(kept / "shop.sql"), url]
            subprocess.run(dump, check=False, timeout=60)
        return kept

    def clear(self, url: str, folder: Path) -> None:
        """The shop is no more."""
        if self.server is not None:
            self.server.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')
        shutil.rmtree(folder)


@contextmanager
def opened_premises(database: str) -> Iterator[Premises]:
    """A folder that goes away, a warmed parent, and a server where the database needs one."""
    with tempfile.TemporaryDirectory(prefix="commande-proof-") as name, Cradle() as cradle:
        folder = Path(name)
        if database == "sqlite":
            yield Premises.on_sqlite(cradle, folder)
            return
        # Only processes die here, never the machine; the page cache survives, and fsync may rest.
        with running_postgres() as server, server.new_database() as url:
            yield Premises.on_postgres(cradle, folder, server, url)


def _furnish(url: str) -> None:
    migrate(url)

    async def fill() -> None:
        db, now = open_database(url), RealClock().now()
        await db.transaction(add_module, Ids().object_id(now), COMMANDS, now)
        await db.transaction(upsert_products, CATALOGUE, now)
        await db.close()

    asyncio.run(fill())
