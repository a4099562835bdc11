"""The PostgreSQL engine among deadlocks, lost connections, migrations and dead hosts."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from commande.db.postgres import SESSIONS, PostgresDatabase
from commande.errors import DatabaseBusy, OutcomeUnknown, SettingInvalid
from tests.support.ports import free_port
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def db(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(postgres_url, application="tests")
    await db.transaction(prepare)
    yield db
    await db.close()


def prepare(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE note (id INTEGER)"))
    connection.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER)"))
    connection.execute(text("INSERT INTO counter VALUES (1, 0), (2, 0)"))


def put(connection: Connection, number: int) -> int:
    connection.execute(text("INSERT INTO note VALUES (:id)"), {"id": number})
    return number


def count(connection: Connection) -> int:
    return connection.scalar(text("SELECT count(*) FROM note")) or 0


def total(connection: Connection) -> int:
    return connection.scalar(text("SELECT sum(n) FROM counter")) or 0


class Tally:
    """A function that counts how often it ran: the very effect that the shop's never have."""

    def __init__(self, fn: Callable[..., object]) -> None:
        self.fn, self.runs = fn, 0

    def __call__(self, connection: Connection, *args: object) -> object:
        self.runs += 1
        return self.fn(connection, *args)


def increase_both(connection: Connection, first: int, then: int) -> None:
    """Locks two rows, slowly and in the order asked: two orders at once must deadlock."""
    for row in (first, then):
        connection.execute(text("UPDATE counter SET n = n + 1 WHERE id = :id"), {"id": row})
        connection.execute(text("SELECT pg_sleep(0.1)"))


async def test_a_deadlock_is_repeated_until_both_are_done(db: PostgresDatabase) -> None:
    increase = Tally(increase_both)
    await asyncio.gather(db.transaction(increase, 1, 2), db.transaction(increase, 2, 1))
    assert await db.read(total) == 4
    assert increase.runs >= 3


async def test_control_the_bare_driver_gives_the_deadlock_to_one_of_them(
    db: PostgresDatabase, postgres_url: str
) -> None:
    async def increase(first: int, then: int) -> None:
        bare = await asyncpg.connect(postgres_url)
        try:
            async with bare.transaction():
                for row in (first, then):
                    await bare.execute("UPDATE counter SET n = n + 1 WHERE id = $1", row)
                    await asyncio.sleep(0.1)
        finally:
            await bare.close()

    outcomes = await asyncio.gather(increase(1, 2), increase(2, 1), return_exceptions=True)
    assert [type(o) for o in outcomes if o] == [asyncpg.DeadlockDetectedError]


async def test_a_serialization_failure_is_repeated(db: PostgresDatabase) -> None:
    def increase(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        seen = connection.scalar(text("SELECT n FROM counter WHERE id = 1")) or 0
        connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": seen + 1})

    counted = Tally(increase)
    await asyncio.gather(*(db.transaction(counted) for _ in range(5)))
    assert await db.read(total) == 5
    assert counted.runs > 5


async def test_control_read_committed_loses_updates_of_what_was_not_locked(
    db: PostgresDatabase,
) -> None:
    def increase(connection: Connection, lock: str) -> None:
        seen = connection.scalar(text(f"SELECT n FROM counter WHERE id = 1 {lock}")) or 0
        connection.execute(text("SELECT pg_sleep(0.02)"))
        connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": seen + 1})

    await asyncio.gather(*(db.transaction(increase, "FOR UPDATE") for _ in range(5)))
    assert await db.read(total) == 5
    await asyncio.gather(*(db.transaction(increase, "") for _ in range(5)))
    assert await db.read(total) < 10


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
    def put_slowly(connection: Connection, number: int) -> None:
        put(connection, number)
        connection.execute(text("SELECT pg_sleep(0.3)"))

    counted = Tally(put_slowly)
    tasks = [asyncio.ensure_future(db.transaction(counted, n)) for n in range(5)]
    await asyncio.sleep(0.15)
    other = PostgresDatabase(postgres_url, application="killer")
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


class Proxy:
    """Stands between the shop and PostgreSQL, and cuts at COMMIT, before or after it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.cut: str | None = None
        self.on = b"COMMIT;"  # and not READ COMMITTED
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        done = asyncio.Event()
        state = {"mute": False}
        try:
            back = asyncio.ensure_future(self.answer(up_reader, writer, state, done))
            while data := await reader.read(65536):
                if self.silent:
                    continue
                if self.cut and self.on in data:
                    cut, self.cut = self.cut, None
                    if cut == "before":
                        break
                    state["mute"] = True
                    up_writer.write(data)
                    await done.wait()
                    break
                up_writer.write(data)
            back.cancel()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        state: dict[str, bool],
        done: asyncio.Event,
    ) -> None:
        while data := await reader.read(65536):
            if state["mute"]:
                done.set()
                return
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, PostgresDatabase]]:
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    db = PostgresDatabase(
        f"postgresql://postgres@127.0.0.1:{port}{parts.path}", application="tests"
    )
    try:
        yield proxy, db
    finally:
        await db.close()
        server.close()
        await asyncio.sleep(0.05)


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
    postgres_server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    bare = await asyncpg.connect(postgres_url)
    try:
        await bare.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.3)
        task = asyncio.ensure_future(db.transaction(put, 2))
        cancel = f"SELECT count(pg_cancel_backend(pid)) {waits}"
        while not await bare.fetchval(cancel):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.02)
        with pytest.raises(OutcomeUnknown, match="warned"):
            await task
    finally:
        postgres_server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await bare.execute("SELECT pg_reload_conf()")
        await bare.close()
    assert await db.read(count) == 2


async def test_closing_does_not_wait_for_a_server_that_fell_silent(postgres_url: str) -> None:
    async with proxied(postgres_url) as (proxy, through):
        await asyncio.gather(*(through.read(lambda c: c.scalar(text("SELECT 1"))) for _ in "123"))
        proxy.silent = True
        began = time.monotonic()
        await through.close()
        assert time.monotonic() - began < 5


async def test_a_warning_ahead_of_commit_is_no_doubt(db: PostgresDatabase) -> None:
    def warn(connection: Connection) -> int:
        connection.execute(text("DO $$ BEGIN RAISE WARNING 'bonjour'; END $$"))
        return put(connection, 1)

    assert await db.transaction(warn) == 1


async def test_c50_a_migration_under_a_prepared_statement_costs_one_repeat(
    db: PostgresDatabase, postgres_url: str
) -> None:
    everything = Tally(lambda c: [tuple(row) for row in c.execute(text("SELECT * FROM note"))])
    await db.transaction(put, 1)
    assert await db.transaction(everything) == [(1,)]
    bare = await asyncpg.connect(postgres_url)
    await bare.execute("ALTER TABLE note ADD COLUMN size INTEGER DEFAULT 7")
    await bare.close()
    everything.runs = 0
    with capture_logs() as logs:
        assert await db.transaction(everything) == [(1, 7)]
    assert everything.runs == 2
    assert [line["reason"] for line in logs] == ["STALE"]


async def test_a_pool_that_is_used_up_is_busy(db: PostgresDatabase) -> None:
    sleepers = [
        asyncio.ensure_future(db.read(lambda c: c.scalar(text("SELECT pg_sleep(4)"))))
        for _ in range(SESSIONS)
    ]
    await asyncio.sleep(0.5)
    with pytest.raises(DatabaseBusy):
        await db.transaction(put, 1)
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    assert await db.transaction(put, 2) == 2


async def test_nobody_is_overtaken_for_long(db: PostgresDatabase) -> None:
    """Control, measured: SQLAlchemy's pool alone let some wait for as long as others came."""
    longest = [0.0]

    async def client(end: float) -> None:
        while (began := time.monotonic()) < end:
            await db.transaction(put, 1)
            longest[0] = max(longest[0], time.monotonic() - began)

    await client(0)
    await asyncio.gather(*(client(time.monotonic() + 1.5) for _ in range(4 * SESSIONS)))
    assert longest[0] < 1


async def test_a_lock_that_somebody_keeps_is_busy(db: PostgresDatabase, postgres_url: str) -> None:
    def impatient(connection: Connection) -> None:
        connection.execute(text("SET LOCAL lock_timeout = 100"))
        connection.execute(text("UPDATE counter SET n = 9"))

    bare = await asyncpg.connect(postgres_url)
    async with bare.transaction():
        await bare.execute("UPDATE counter SET n = 1")
        with pytest.raises(DatabaseBusy):
            await db.transaction(impatient)
    await bare.close()
    await db.transaction(impatient)


async def test_the_sessions_have_limits_and_a_name(db: PostgresDatabase) -> None:
    def ask(connection: Connection) -> list[str]:
        names = (
            "application_name",
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "transaction_isolation",
            "transaction_read_only",
        )
        return [str(connection.scalar(text(f"SHOW {name}"))) for name in names]

    limits = ["tests", "10s", "8s", "15s"]
    assert await db.transaction(ask) == [*limits, "read committed", "off"]
    assert await db.read(ask) == [*limits, "repeatable read", "on"]
    assert await db.transaction(ask) == [*limits, "read committed", "off"]


async def test_a_database_that_is_down_is_busy_soon() -> None:
    db = PostgresDatabase(f"postgresql://postgres@127.0.0.1:{free_port()}/shop", application="t")
    began = time.monotonic()
    for run in (db.transaction, db.read):
        with pytest.raises(DatabaseBusy):
            await run(count)
    assert time.monotonic() - began < 5
    await db.close()


@asynccontextmanager
async def silent_host() -> AsyncIterator[int]:
    """A host that takes connections and never says a word."""

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
    server.close()


async def test_a_host_that_is_silent_is_busy_within_five_seconds() -> None:
    async with silent_host() as port:
        db = PostgresDatabase(f"postgresql://postgres@127.0.0.1:{port}/shop", application="t")
        began = time.monotonic()
        with pytest.raises(DatabaseBusy):
            await db.transaction(count)
        assert time.monotonic() - began < 5
        await db.close()


async def test_c41_a_dead_first_host_leaves_time_for_the_second(
    db: PostgresDatabase, postgres_url: str
) -> None:
    """Control: the driver's own way, one time limit for all hosts, never comes to the second."""
    real = urlsplit(postgres_url)
    async with silent_host() as silent:
        hosts = f"127.0.0.1:{silent},127.0.0.1:{free_port()},127.0.0.1:{real.port}"
        url = f"postgresql://postgres@{hosts}{real.path}?target_session_attrs=read-write"
        both = PostgresDatabase(url, application="tests")
        began = time.monotonic()
        assert await both.transaction(put, 1) == 1
        assert time.monotonic() - began < 5
        began = time.monotonic()
        await asyncio.gather(*(both.transaction(put, n) for n in range(5)))
        assert time.monotonic() - began < 1, "the host that answered is asked first from now on"
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


async def test_a_cancelled_caller_leaves_the_pool_whole(db: PostgresDatabase) -> None:
    def sleep(connection: Connection) -> None:
        put(connection, 1)
        connection.execute(text("SELECT pg_sleep(5)"))

    for _ in range(SESSIONS + 5):
        task = asyncio.ensure_future(db.transaction(sleep))
        await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert await db.transaction(put, 2) == 2
    assert await db.read(count) == 1


async def test_a_fork_leaves_the_parents_sessions_alone(
    db: PostgresDatabase, postgres_url: str
) -> None:
    async def in_the_child() -> None:
        await asyncio.gather(*(db.transaction(put, n) for n in range(10)))
        await db.close()

    await db.transaction(put, 100)
    assert await asyncio.to_thread(in_a_fork, in_the_child) == 0
    assert await db.transaction(put, 101) == 101
    assert await db.read(count) == 12


def in_a_fork(work: Callable[[], Awaitable[None]]) -> int:
    """Run it in a child process and answer the exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            asyncio.run(work())  # type: ignore[arg-type]
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
