"""The PostgreSQL engine when sessions, answers and hosts are lost (C41 to C44)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from commande.db.postgres import SESSIONS, PostgresDatabase
from commande.db.postgres_address import CONNECT_S
from commande.errors import DatabaseBusy, OutcomeUnknown, SettingInvalid
from tests.db.engine_postgres import (
    Tally,
    count,
    prepare,
    proxied,
    put,
    silent_host,
    without_a_standby,
)
from tests.support.gates import Gate, until
from tests.support.ports import free_port
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def db(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(postgres_url, application="tests")
    await db.transaction(prepare)
    yield db
    await db.close()


def terminate(connection: Connection) -> None:
    """Ends every other session of this database, as an administrator or a failover does."""
    connection.execute(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


async def test_c41_a_session_lost_before_commit_is_repeated(
    db: PostgresDatabase, postgres_url: str
) -> None:
    all_wrote = Gate(opens_at=5)

    def put_and_sleep(connection: Connection, number: int) -> None:
        put(connection, number)
        first = all_wrote.came < 5
        all_wrote.stop(connection)
        if first:
            connection.execute(text("SELECT pg_sleep(9)"))

    counted = Tally(put_and_sleep)
    tasks = [asyncio.ensure_future(db.transaction(counted, n)) for n in range(5)]
    other = PostgresDatabase(postgres_url, application="killer")
    asleep = text("SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    await until(lambda: other.read(lambda c: c.scalar(asleep)), "five sessions to sleep")
    await other.transaction(terminate)
    await asyncio.gather(*tasks)
    assert await other.read(count) == 5
    assert counted.runs == 10
    await other.close()


async def test_c41_sessions_that_died_while_idle_cost_nobody_an_error(
    db: PostgresDatabase, postgres_url: str
) -> None:
    await asyncio.gather(*(db.transaction(put, n) for n in range(SESSIONS)))
    other = PostgresDatabase(postgres_url, application="killer")
    await other.transaction(terminate)
    await asyncio.gather(*(db.transaction(put, n) for n in range(50)))
    assert await db.read(count) == SESSIONS + 50
    await other.close()


@pytest.mark.parametrize(("cut", "written"), [("before", 0), ("after", 1)])
async def test_c42_a_connection_lost_in_commit_is_unknown_and_never_repeated(
    db: PostgresDatabase, postgres_url: str, cut: str, written: int
) -> None:
    counted = Tally(put)
    async with proxied(postgres_url) as (proxy, through):
        await through.read(count)
        proxy.cut = cut
        with pytest.raises(OutcomeUnknown):
            await through.transaction(counted, 1)
        assert counted.runs == 1
        assert await db.read(count) == written, "only reading again tells"
        assert await through.transaction(put, 2) == 2


async def test_control_c42_the_same_cut_before_commit_is_repeated_and_written_once(
    db: PostgresDatabase, postgres_url: str
) -> None:
    counted = Tally(put)
    async with proxied(postgres_url) as (proxy, through):
        await through.read(count)
        proxy.cut, proxy.on = "after", b"INSERT"
        assert await through.transaction(counted, 1) == 1
        assert counted.runs == 2
        assert await db.read(count) == 1


async def test_c44_a_standby_that_does_not_confirm_makes_the_outcome_unknown(
    postgres_server: Postgres, postgres_url: str, db: PostgresDatabase
) -> None:
    """Committed here and perhaps nowhere else: the server warns, and says COMMIT all the same."""
    waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    await db.transaction(put, 1)
    async with without_a_standby(postgres_server, postgres_url) as bare:
        task = asyncio.ensure_future(db.transaction(put, 2))
        cancel = f"SELECT count(pg_cancel_backend(pid)) {waits}"
        await until(lambda: bare.fetchval(cancel), "a COMMIT that waits")
        with pytest.raises(OutcomeUnknown, match="warned"):
            await task
    assert await db.read(count) == 2


async def test_closing_does_not_wait_for_a_server_that_fell_silent(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, through):
        await asyncio.gather(*(through.read(lambda c: c.scalar(text("SELECT 1"))) for _ in "123"))
        proxy.silent = True
        async with asyncio.timeout(30):  # the driver's own patience is a minute a session
            await through.close()


async def test_a_warning_ahead_of_commit_is_no_doubt(db: PostgresDatabase) -> None:
    def warn(connection: Connection) -> int:
        connection.execute(text("DO $$ BEGIN RAISE WARNING 'bonjour'; END $$"))
        return put(connection, 1)

    assert await db.transaction(warn) == 1


async def test_a_database_that_is_down_is_busy_soon() -> None:
    db = PostgresDatabase(f"postgresql://postgres@127.0.0.1:{free_port()}/shop", application="t")
    async with asyncio.timeout(30):  # the driver alone would go on for a minute
        for run in (db.transaction, db.read):
            with pytest.raises(DatabaseBusy):
                await run(count)
    await db.close()


async def test_a_host_that_is_silent_is_busy_within_five_seconds() -> None:
    async with silent_host() as silent:
        url = f"postgresql://postgres@127.0.0.1:{silent.port}/shop"
        db = PostgresDatabase(url, application="t")
        with pytest.raises(DatabaseBusy):
            await db.transaction(count)
        assert len(silent.asked) == 1
        assert CONNECT_S < 5, "what it was given, and it was asked once"
        await db.close()


async def test_c41_a_dead_first_host_leaves_time_for_the_second(
    db: PostgresDatabase, postgres_url: str
) -> None:
    """Control: the driver's own way, one time limit for all hosts, never comes to the second."""
    real = urlsplit(postgres_url)
    async with silent_host() as silent:
        hosts = f"127.0.0.1:{silent.port},127.0.0.1:{free_port()},127.0.0.1:{real.port}"
        url = f"postgresql://postgres@{hosts}{real.path}?target_session_attrs=read-write"
        both = PostgresDatabase(url, application="tests")
        assert await both.transaction(put, 1) == 1
        assert len(silent.asked) == 1
        await asyncio.gather(*(both.transaction(put, n) for n in range(5)))
        assert len(silent.asked) == 1, "the host that answered is asked first from now on"
        await both.close()
        with pytest.raises(TimeoutError):
            await asyncpg.connect(url, timeout=2)
    assert await db.read(count) == 6


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url + "_nowhere", "no database of this name"),
        (lambda url: url + "?no_such_setting=1", "parameter"),
        (lambda url: url + "?target_session_attrs=whatever", "parameter"),
        (lambda url: url.replace("postgres@", "stranger@"), "user or its password"),
    ],
)
async def test_an_address_that_the_server_refuses_is_a_wrong_setting(
    postgres_url: str, change: Callable[[str], str], told: str
) -> None:
    db = PostgresDatabase(change(postgres_url), application="tests")
    with pytest.raises(SettingInvalid, match=told) as refusal:
        await db.read(count)
    assert "127.0.0.1" not in str(refusal.value)
    await db.close()
