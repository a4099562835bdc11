"""A shop's database copied while it works, and put back later, as docs/operating.md says."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgres import Postgres


@dataclass(frozen=True)
class SqliteCopy:
    """By SQLite's own backup, page by page, with the log's last commits."""

    url: str
    path: Path

    def take(self) -> None:
        """Copy it while others write."""
        with (
            closing(sqlite3.connect(self._shop)) as shop,
            closing(sqlite3.connect(self.path)) as to,
        ):
            shop.backup(to)

    def put_back(self) -> None:
        """Replace what is there; nobody has it open."""
        for left in ("-wal", "-shm"):
            self._shop.with_name(self._shop.name + left).unlink(missing_ok=True)
        shutil.copy(self.path, self._shop)

    @property
    def _shop(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))


@dataclass(frozen=True)
class PostgresCopy:
    """By pg_dump, as of one moment."""

    url: str
    path: Path
    server: Postgres

    def take(self) -> None:
        """Copy it while others write."""
        self._run("pg_dump", "--file", str(self.path), self.url)

    def put_back(self) -> None:
        """A new database from the copy, under the old name."""
        name = self.url.rpartition("/")[2]
        self.server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.server.execute(f'CREATE DATABASE "{name}"')
        self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "--file", str(self.path), self.url)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self.server.binaries / program), *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")


def copy_of(url: str, folder: Path, server: Postgres | None) -> SqliteCopy | PostgresCopy:
    """The copy of a shop's database, not taken yet."""
    if server is None:
        return SqliteCopy(url, folder / "copy.sqlite")
    return PostgresCopy(url, folder / "copy.sql", server)
