"""A database comes to its tables by migrations, whatever it is and whatever it holds."""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from commande.db import open_database, tables
from commande.db.schema import VERSIONS, create_all, migrate, pending_migrations, read_chain
from tests.support.counter import NOW, every_kind_of_row
from tests.support.postgres import Postgres
from tests.support.schema import columns_of, content_of, schema_of

T = TypeVar("T")
HEAD = read_chain((VERSIONS,))[-1]


def run(url: str, work: Callable[[Connection], T], *, write: bool = True) -> T:
    """One function on a database that is opened for it alone."""

    async def once() -> T:
        db = open_database(url)
        try:
            return await (db.transaction if write else db.read)(work)
        finally:
            await db.close()

    return asyncio.run(once())


def say(url: str, *statements: str) -> None:
    def work(conn: Connection) -> None:
        for statement in statements:
            conn.execute(text(statement))

    run(url, work)


def test_an_empty_database_comes_to_the_newest_revision_once(database_url: str) -> None:
    told: list[str] = []
    chain = list(read_chain((VERSIONS,)))
    assert migrate(database_url, log=told.append) == chain
    assert [line.partition(":")[0] for line in told] == chain
    assert migrate(database_url, log=told.append) == []
    assert len(told) == len(chain)


def test_a_migration_may_stop_at_a_revision(database_url: str) -> None:
    assert migrate(database_url, to="0001") == ["0001"]
    assert migrate(database_url, to="0001") == []
    with pytest.raises(ValueError, match="no revision 9999"):
        migrate(database_url, to="9999")


def test_a_migration_runs_also_where_an_event_loop_runs(database_url: str) -> None:
    async def inside() -> list[str]:
        return migrate(database_url)

    assert asyncio.run(inside())[-1] == HEAD


def test_there_is_one_chain_of_revisions() -> None:
    assert len(read_chain((VERSIONS,))) == len(list(VERSIONS.glob("v*.py")))
    assert list(read_chain((VERSIONS,))) == sorted(read_chain((VERSIONS,)))


def test_what_is_pending_is_known_before_and_after(database_url: str) -> None:
    assert run(database_url, pending_migrations, write=False) == list(read_chain((VERSIONS,)))
    migrate(database_url)
    assert run(database_url, pending_migrations, write=False) == []


def test_a_newer_database_is_left_alone_and_used(database_url: str) -> None:
    migrate(database_url)
    say(database_url, "UPDATE alembic_version SET version_num = '9999'")
    told: list[str] = []
    assert run(database_url, pending_migrations, write=False) == []
    assert migrate(database_url, log=told.append) == []
    assert "newer than this program" in told[0]


# Tables, migrations and the quick way: three ways to the same schema.


def test_migrations_and_tables_say_the_same(database_url: str) -> None:
    migrate(database_url)
    assert run(database_url, differences) == []


def test_a_difference_between_migrations_and_tables_is_found(database_url: str) -> None:
    migrate(database_url)
    drop = "ALTER TABLE messages DROP COLUMN last_error"
    say(database_url, drop, "DROP INDEX ix_messages_pending")
    assert [difference[0] for difference in run(database_url, differences)] == [
        "add_column", "add_index",
    ]  # fmt: skip


def differences(conn: Connection) -> list[Any]:
    """What Alembic would still change (it misreads defaults: the next test compares them)."""
    context = MigrationContext.configure(conn, opts={"compare_type": True})
    return list(compare_metadata(context, tables.metadata))


def test_migrations_and_the_quick_way_make_the_same_schema(
    database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    migrate(database_url)
    migrated = run(database_url, schema_of)
    with another_database(database_url, request, tmp_path) as other_url:
        run(other_url, create_all)
        assert run(other_url, schema_of) == migrated
        assert run(other_url, pending_migrations, write=False) == []
        # Negative control: each thing that Alembic does not compare is compared here.
        for change in WEAKENED[database_url.partition(":")[0]]:
            say(other_url, change)
            weaker = run(other_url, schema_of)
            assert weaker != migrated
            migrated = weaker


REFUSE_NOTHING = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RETURN NEW; END $$
"""
WEAKENED = {
    "postgresql": (
        "ALTER TABLE attempts DROP CONSTRAINT ck_attempts_amount",
        "DROP TRIGGER history_stays ON history",
        "DROP INDEX one_live_attempt",
        "CREATE INDEX one_live_attempt ON attempts (command_id) WHERE state = 'open'",
        REFUSE_NOTHING,
    ),
    "sqlite": (
        "DROP TRIGGER history_stays",
        "DROP INDEX one_live_attempt",
        "CREATE INDEX one_live_attempt ON attempts (command_id) WHERE state = 'open'",
    ),
}


def another_database(url: str, request: pytest.FixtureRequest, folder: Path) -> Any:
    if url.startswith("sqlite"):
        return nullcontext(f"sqlite:///{folder / 'other.sqlite'}")
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new_database()


# Upgrades of a database that holds something.


Rows = dict[str, list[dict[str, Any]]]


def every_row(folder: Path) -> Rows:
    """Every kind of row, as this program writes them."""
    rows: Rows = {}

    def read(conn: Connection) -> None:
        create_all(conn)
        every_kind_of_row(conn)
        for table in tables.metadata.sorted_tables:
            rows[table.name] = [dict(row._mapping) for row in conn.execute(select(table))]

    run(f"sqlite:///{folder / 'rows.sqlite'}", read)
    return rows


def fill(conn: Connection, rows: Rows) -> None:
    """Write those rows as far as an older schema knows them."""
    known = columns_of(conn)
    for table in tables.metadata.sorted_tables:
        for row in rows[table.name] if table.name in known else ():
            values = {name: value for name, value in row.items() if name in known[table.name]}
            conn.execute(table.insert().values(values))


NEXT = '''"""The next revision."""

import sqlalchemy as sa
from alembic import op

from commande.db.migrations.alteration import alter_table

revision = "9998"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("commands", sa.Column("channel", sa.String(20), server_default="web"))
    for table in {tables}:
        with alter_table(table, recreate={recreate}) as batch:
            batch.add_column(sa.Column("extra", sa.Integer(), nullable=True))
    with alter_table("commands") as batch:
        batch.alter_column("locale", existing_type=sa.String(2), type_=sa.String(5))
    op.execute("UPDATE products SET description = 'frais'")
    if {broken}:
        raise ValueError("broken")
'''


def next_revision(folder: Path, *, rebuilt: bool, broken: bool = False) -> tuple[Path, Path]:
    names = [name for name in tables.metadata.tables if name != "commands"]
    recreate = '"always"' if rebuilt else '"auto"'
    source = NEXT.format(head=HEAD, tables=names, recreate=recreate, broken=broken)
    folder.mkdir()
    (folder / "v9998_next.py").write_text(source)
    return VERSIONS, folder


def test_c50_an_upgrade_from_the_first_revision_keeps_every_row(
    database_url: str, tmp_path: Path
) -> None:
    migrate(database_url, to="0001")
    rows = every_row(tmp_path)
    run(database_url, lambda conn: fill(conn, rows))
    before, known = run(database_url, content_of), run(database_url, columns_of)
    assert {table for table, content in before.items() if content.startswith("0 ")} == set()
    migrate(database_url)
    after = run(database_url, lambda conn: content_of(conn, known))
    assert {table for table in before if before[table] != after[table]} <= {"alembic_version"}


def test_what_was_given_up_has_a_further_try_after_the_upgrade(database_url: str) -> None:
    migrate(database_url, to="0002")
    event = {
        "stripe_event_id": "evt_1", "type": "charge.refunded", "payload": {}, "state": "dead",
        "source": "webhook", "tries": 14, "occurred_at": NOW, "received_at": NOW,
    }  # fmt: skip
    run(database_url, lambda conn: conn.execute(tables.events.insert(), event).rowcount)
    migrate(database_url)
    assert (
        run(database_url, lambda conn: conn.execute(select(tables.events.c.next_at)).scalar())
        == NOW
    )


def test_c50_rebuilding_every_table_keeps_every_row_trigger_index_and_check(
    database_url: str, tmp_path: Path
) -> None:
    migrate(database_url)
    run(database_url, every_kind_of_row)
    before, kept = run(database_url, content_of), run(database_url, schema_of)
    assert {table for table, content in before.items() if content.startswith("0 ")} == set()
    rebuilt = database_url.startswith("sqlite")
    versions = next_revision(tmp_path / "next", rebuilt=rebuilt)
    assert migrate(database_url, versions=versions) == ["9998"]
    run(database_url, undo_the_additions)
    after, schema = run(database_url, content_of), run(database_url, schema_of)
    assert {t for t in before if before[t] != after[t]} == {"alembic_version", "products"}
    assert schema["triggers"] == kept["triggers"]
    # Only this column was meant to change.
    assert schema["tables"]["commands"].pop("columns") != kept["tables"]["commands"].pop("columns")
    assert schema["tables"] == kept["tables"]
    with pytest.raises(IntegrityError):
        say(database_url, "DELETE FROM payments")


def undo_the_additions(conn: Connection) -> None:
    conn.execute(text("ALTER TABLE commands DROP COLUMN channel"))
    for name in tables.metadata.tables:
        if name != "commands":
            conn.execute(text(f"ALTER TABLE {name} DROP COLUMN extra"))


def test_an_upgrade_that_fails_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    migrate(database_url)
    run(database_url, every_kind_of_row)
    before, schema = run(database_url, content_of), run(database_url, schema_of)
    rebuilt = database_url.startswith("sqlite")
    versions = next_revision(tmp_path / "next", rebuilt=rebuilt, broken=True)
    with pytest.raises(ValueError, match="broken"):
        migrate(database_url, versions=versions)
    assert run(database_url, content_of) == before
    assert run(database_url, schema_of) == schema


def test_a_rebuild_by_alembic_alone_would_lose_triggers(sqlite_url: str, tmp_path: Path) -> None:
    migrate(sqlite_url)
    versions = next_revision(tmp_path / "next", rebuilt=True)
    file = tmp_path / "next" / "v9998_next.py"
    file.write_text(file.read_text().replace("alter_table(", "op.batch_alter_table("))
    # A trigger of another table names the one that is being rebuilt.
    with pytest.raises(OperationalError, match="no such table: main"):
        migrate(sqlite_url, versions=versions)


def test_a_revision_that_orphans_rows_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    migrate(sqlite_url)
    run(sqlite_url, every_kind_of_row)
    folder = tmp_path / "next"
    folder.mkdir()
    source = f'revision = "9998"\ndown_revision = "{HEAD}"\n'
    source += "from alembic import op\n"
    source += 'def upgrade():\n    op.execute("DELETE FROM modules")\n'
    (folder / "v9998_next.py").write_text(source)
    with pytest.raises(RuntimeError, match="commands"):
        migrate(sqlite_url, versions=(VERSIONS, folder))
    assert run(sqlite_url, lambda c: c.scalar(text("SELECT count(*) FROM modules"))) == 1


# Several at once.


def migrate_aside(url: str, start: Any, answers: Any) -> None:
    start.wait()
    answers.put(migrate(url))


def test_c50_of_several_processes_at_once_one_migrates_and_the_others_wait(
    database_url: str,
) -> None:
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=migrate_aside, args=(database_url, start, answers)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    applied = sorted(answers.get(timeout=240) for _ in processes)
    for process in processes:
        process.join(120)
    assert applied == [[], [], list(read_chain((VERSIONS,)))]
    assert run(database_url, differences) == []


def test_threads_of_one_process_take_turns_too(database_url: str) -> None:
    applied: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: applied.append(migrate(database_url))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], [], [], list(read_chain((VERSIONS,)))]
