"""What a person reads when a database cannot be migrated."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from commande.db import schema_sqlite
from commande.db.schema import VERSIONS, migrate, pending_migrations, read_chain
from commande.errors import DatabaseBusy, SettingInvalid
from tests.support.gates import until
from tests.support.postgres import Postgres

HEAD = read_chain((VERSIONS,))[-1]


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("sqlite:////nowhere/at/all/shop.sqlite", "the folder of the SQLite file does not exist"),
        ("sqlite://", "in memory"),
        ("mysql://root@localhost/shop", "no database that we know"),
        ("postgresql://postgres@127.0.0.1:1/shop", "the server cannot be reached"),
        ("postgresql://postgres@no-such-host.invalid/shop", "the server cannot be reached"),
        ("postgresql://postgres@127.0.0.1:x/shop", "a port is not a number"),
    ],
)
def test_a_wrong_address_is_told_with_its_mend(url: str, mend: str) -> None:
    with pytest.raises(SettingInvalid) as refusal:
        migrate(url)
    line = str(refusal.value)
    assert line.startswith("COMMANDE_DATABASE_URL: ")
    assert mend in line
    assert "\n" not in line


def test_a_folder_that_cannot_be_written_to_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with as_nobody(), pytest.raises(SettingInvalid, match="the folder cannot be written to"):
            migrate(f"sqlite:///{folder}/shop.sqlite")


def test_a_file_that_cannot_be_written_to_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        file = Path(folder, "shop.sqlite")
        with as_nobody():
            migrate(f"sqlite:///{file}", to="0001")
            file.chmod(0o444)
            assert migrate(f"sqlite:///{file}", to="0001") == []
            with pytest.raises(SettingInvalid, match="the file cannot be written to"):
                migrate(f"sqlite:///{file}")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's leave to write everywhere."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def test_a_database_that_another_program_locks_is_told(sqlite_url: str) -> None:
    migrate(sqlite_url)
    path = sqlite_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="locked by another program"):
        schema_sqlite.change_schema(path, pending_migrations, patience_ms=50)
    other.close()
    assert schema_sqlite.change_schema(path, pending_migrations) == []


async def test_a_migration_whose_server_goes_away_may_be_repeated(postgres_url: str) -> None:
    other = await asyncpg.connect(postgres_url)
    hold = int.from_bytes(b"commande")
    await other.execute("SELECT pg_advisory_lock($1)", hold)
    waiting = asyncio.create_task(asyncio.to_thread(migrate, postgres_url))
    name = "FROM pg_stat_activity WHERE application_name = 'commande migrate'"
    await until(
        lambda: other.fetchval(f"SELECT count(*) {name} AND wait_event = 'advisory'"),
        "the migration to wait for its turn",
    )
    await other.execute(f"SELECT pg_terminate_backend(pid) {name}")
    with pytest.raises(DatabaseBusy, match="run it again"):
        await waiting
    await other.close()
    assert (await asyncio.to_thread(migrate, postgres_url))[-1] == HEAD


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "shop.sqlite"
    file.write_text("Dear diary, " * 100)
    with pytest.raises(SettingInvalid, match="not a database"):
        migrate(f"sqlite:///{file}")
    assert file.read_text().startswith("Dear diary")


def test_a_server_without_the_database_is_told(postgres_url: str) -> None:
    with pytest.raises(SettingInvalid, match="no database of this name"):
        migrate(postgres_url + "_not")


def test_a_user_who_may_not_create_tables_is_told(
    postgres_url: str, postgres_server: Postgres
) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {database}_reader LOGIN", database)
    try:
        with pytest.raises(SettingInvalid, match=r"may not create tables.*GRANT CREATE"):
            migrate(postgres_url.replace("postgres@", f"{database}_reader@"))
    finally:
        postgres_server.execute(f"DROP ROLE {database}_reader", database)


def test_an_embedded_database_is_ready_for_crashes_from_its_first_byte(sqlite_url: str) -> None:
    migrate(sqlite_url)
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()
