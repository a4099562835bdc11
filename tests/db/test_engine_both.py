"""What a transaction function may rely on, whichever database runs it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from structlog.testing import capture_logs

from commande.db import Database, open_database
from commande.errors import CommandeError, DatabaseBusy, DatabaseNotMigrated, SettingInvalid
from tests.support.gates import Gate, until

metadata = MetaData()
note = Table("note", metadata, Column("id", Integer, primary_key=True), Column("body", JSON))
PUT = insert(note)
COUNT = select(func.count()).select_from(note)


def put(connection: Connection, number: int, body: object = None) -> int:
    connection.execute(PUT, {"id": number, "body": body})
    return number


def count(connection: Connection) -> int:
    return connection.scalar(COUNT) or 0


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url)
    await db.transaction(metadata.create_all)
    yield db
    await db.close()


class Refused(CommandeError):
    """The shop's own refusal."""


async def test_a_transaction_answers_and_a_read_sees_it(db: Database) -> None:
    assert await db.transaction(put, 1, body={"name": "Noël", "lines": [1, 2.5, None]}) == 1
    assert await db.read(lambda c: c.execute(select(note)).all()) == [
        (1, {"name": "Noël", "lines": [1, 2.5, None]})
    ]


async def test_many_at_once_are_all_written(db: Database) -> None:
    assert sorted(await asyncio.gather(*(db.transaction(put, n) for n in range(200)))) == list(
        range(200)
    )
    assert await db.read(count) == 200


async def test_an_exception_undoes_its_own_function_only(db: Database) -> None:
    def refuse(connection: Connection, number: int) -> None:
        put(connection, number)
        raise Refused(f"number {number}")

    calls: list[Any] = [db.transaction(refuse if n % 3 else put, n) for n in range(30)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == [
        f"number {n}" if n % 3 else str(n) for n in range(30)
    ]
    assert await db.read(count) == 10


async def test_a_broken_constraint_reaches_its_caller_and_nobody_else(db: Database) -> None:
    outcomes = await asyncio.gather(
        *(db.transaction(put, n) for n in (1, 2, 1, 3)), return_exceptions=True
    )
    assert [type(o) for o in outcomes].count(IntegrityError) == 1
    assert await db.read(count) == 3


@pytest.mark.parametrize(
    "end",
    [
        Connection.commit.__name__,
        Connection.rollback.__name__,
        Connection.begin.__name__,
        Connection.begin_nested.__name__,
        Connection.begin_twophase.__name__,
        Connection.close.__name__,
        Connection.detach.__name__,
        Connection.execution_options.__name__,
    ],
)
async def test_a_function_may_not_end_its_transaction(db: Database, end: str) -> None:
    def meddle(connection: Connection) -> None:
        put(connection, 1)
        getattr(connection, end)()

    with pytest.raises(InvalidRequestError, match=rf"{end}\(\) inside a transaction function"):
        await db.transaction(meddle)
    assert await db.read(count) == 0
    await db.transaction(put, 2)
    assert await db.read(count) == 1


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "commit -- mine"])
async def test_a_function_that_ends_its_transaction_in_sql_is_never_acknowledged(
    db: Database, sql: str
) -> None:
    def meddle(connection: Connection) -> None:
        put(connection, 1)
        connection.execute(text(sql))

    with pytest.raises((DBAPIError, CommandeError)):
        await db.transaction(meddle)
    await db.transaction(put, 2)
    assert await db.read(lambda c: c.scalar(select(note.c.id).where(note.c.id == 2))) == 2


async def test_a_function_that_hides_a_database_error_is_refused(db: Database) -> None:
    await db.transaction(put, 1)

    def hide(connection: Connection) -> None:
        put(connection, 2)
        try:
            put(connection, 1)
        except IntegrityError:
            return

    with pytest.raises(InvalidRequestError, match="caught a database error"):
        await db.transaction(hide)
    assert await db.read(count) == 1


@pytest.mark.parametrize("lacking", ["SELECT * FROM modules", "SELECT title FROM note"])
async def test_a_missing_table_or_column_says_that_the_database_is_not_migrated(
    db: Database, lacking: str
) -> None:
    def look(connection: Connection) -> None:
        connection.execute(text(lacking))

    for run in (db.transaction, db.read):
        with pytest.raises(DatabaseNotMigrated, match="commande migrate"):
            await run(look)
    assert await db.transaction(put, 1) == 1


async def test_an_error_from_outside_sql_may_be_caught(db: Database) -> None:
    def parse(connection: Connection) -> int:
        try:
            return int("one")
        except ValueError:
            return put(connection, 1)

    assert await db.transaction(parse) == 1


async def test_an_async_function_is_refused(db: Database) -> None:
    async def wait(connection: Connection) -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match="plain function"):
        await db.transaction(wait)


async def test_a_live_result_is_refused(db: Database) -> None:
    for run in (db.transaction, db.read):
        with pytest.raises(TypeError, match="live result"):
            await run(lambda c: c.execute(select(note)))


async def test_a_function_that_raises_stop_iteration_does_not_hang_its_caller(
    db: Database,
) -> None:
    def exhaust(connection: Connection) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await asyncio.wait_for(db.transaction(exhaust), 60)


async def test_writing_inside_a_read_is_refused(db: Database) -> None:
    with pytest.raises(InvalidRequestError, match="writes inside a read"):
        await db.read(put, 1)
    assert await db.read(count) == 0
    assert await db.transaction(put, 1) == 1


async def test_a_read_sees_one_snapshot(db: Database) -> None:
    """Control: two reads, with the same write between them, differ."""
    gate = Gate()

    def twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        gate.stop(connection)
        return before, count(connection)

    reading = asyncio.create_task(db.read(twice))
    await until(lambda: gate.came, "the first look")
    await db.transaction(put, 1)
    gate.open()
    assert await reading == (0, 0)
    assert await db.read(count) == 1


async def test_a_caller_cancelled_while_its_function_runs_leaves_nothing_half(
    db: Database,
) -> None:
    def two(connection: Connection) -> None:
        put(connection, 1)
        gate.stop(connection)
        put(connection, 2)

    gate = Gate()
    task = asyncio.create_task(db.transaction(two))
    await until(lambda: gate.came, "the first write")
    task.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    await db.transaction(put, 3)
    assert await db.read(count) in (1, 3)


async def test_a_slow_function_is_logged_by_its_name_and_nothing_else(db: Database) -> None:
    def dawdle(connection: Connection, customer: str) -> None:
        if db.dialect == "sqlite":
            threading.Event().wait(0.12)
        else:
            connection.execute(text("SELECT pg_sleep(0.12)"))

    began = time.monotonic()
    with capture_logs() as logs:
        await db.transaction(dawdle, "Marie Dupont")
    took = (time.monotonic() - began) * 1000
    slow = [line for line in logs if line["event"] == "transaction_slow"]
    assert len(slow) == 1
    assert slow[0]["function"].endswith("dawdle")
    assert 110 < slow[0]["milliseconds"] <= took + 1
    assert "Dupont" not in str(logs)


async def test_after_close_every_call_is_told_to_come_again(db: Database) -> None:
    await db.transaction(put, 1)
    last = asyncio.gather(*(db.transaction(put, n) for n in range(2, 20)))
    await asyncio.sleep(0)
    await last
    await db.close()
    await db.close()
    for run in (db.transaction, db.read):
        with pytest.raises(DatabaseBusy):
            await run(count)


async def test_counting_in_parallel_loses_nothing(db: Database) -> None:
    """Control: reading first and writing in a second transaction does lose."""
    counter = Table("counter", MetaData(), Column("n", Integer))

    def start(connection: Connection) -> None:
        counter.create(connection, checkfirst=True)
        connection.execute(counter.delete())
        connection.execute(insert(counter), {"n": 0})

    def increase(connection: Connection) -> None:
        connection.execute(update(counter).values(n=counter.c.n + 1))

    def look(connection: Connection) -> int:
        return connection.scalar(select(counter.c.n)) or 0

    async def increase_carelessly() -> None:
        seen = await db.read(look)
        await db.transaction(lambda c: c.execute(update(counter).values(n=seen + 1)).rowcount)

    await db.transaction(start)
    await asyncio.gather(*(db.transaction(increase) for _ in range(100)))
    assert await db.read(look) == 100
    await db.transaction(start)
    await asyncio.gather(*(increase_carelessly() for _ in range(100)))
    assert await db.read(look) < 100


async def test_a_database_in_memory_is_private_and_its_reads_cannot_write() -> None:
    one, other = open_database("sqlite://"), open_database("sqlite:///:memory:")
    await one.transaction(metadata.create_all)
    await other.transaction(metadata.create_all)
    await one.transaction(put, 1)
    assert (await one.read(count), await other.read(count)) == (1, 0)
    with pytest.raises(InvalidRequestError, match="writes inside a read"):
        await one.read(put, 2)
    assert await one.transaction(put, 2) == 2
    await one.close()
    await other.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.db",
        "mysql://shop@host/shop",
        "sqlite:/shop.db",
        "sqlite://host/shop.db",
        "sqlite:////srv/shop.db?mode=ro",
        "postgresql://host:port/shop",
        "postgresql://one:5432,two:70000/shop",
    ],
)
def test_a_wrong_address_is_refused_at_once_and_never_repeated(url: str) -> None:
    with pytest.raises(SettingInvalid) as refusal:
        open_database(url)
    assert refusal.value.variable == "COMMANDE_DATABASE_URL"
    assert "shop" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/nobody/shop.db",
        "postgres://shop:secret@host/shop",
        "postgresql://shop@[::1]:5432,two:5433/shop?target_session_attrs=read-write",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql+asyncpg://host/shop",
    ],
)
def test_a_right_address_opens_nothing_yet(url: str) -> None:
    open_database(url)


async def test_a_folder_that_does_not_exist_is_a_wrong_setting() -> None:
    db = open_database("sqlite:////nowhere/at/all/shop.db")
    for run in (db.transaction, db.read):
        with pytest.raises(SettingInvalid, match=r"folder|open"):
            await run(count)
    await db.close()
