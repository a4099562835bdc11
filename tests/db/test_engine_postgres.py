"""The PostgreSQL engine among deadlocks, migrations, limits and forks."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from commande.db.postgres import SESSIONS, PostgresDatabase
from commande.errors import DatabaseBusy
from tests.db.engine_postgres import Tally, count, prepare, put, total
from tests.support.gates import Gate, until

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def db(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(postgres_url, application="tests")
    await db.transaction(prepare)
    yield db
    await db.close()


async def test_a_deadlock_is_repeated_until_both_are_done(db: PostgresDatabase) -> None:
    each_has_one = Gate(opens_at=2)

    def increase_both(connection: Connection, first: int, then: int) -> None:
        """Locks two rows in the order asked: two orders at once must deadlock."""
        for row in (first, then):
            connection.execute(text("UPDATE counter SET n = n + 1 WHERE id = :id"), {"id": row})
            each_has_one.stop(connection)

    increase = Tally(increase_both)
    await asyncio.gather(db.transaction(increase, 1, 2), db.transaction(increase, 2, 1))
    assert await db.read(total) == 4
    assert increase.runs >= 3


async def test_control_the_bare_driver_gives_the_deadlock_to_one_of_them(
    db: PostgresDatabase, postgres_url: str
) -> None:
    each_has_one = asyncio.Barrier(2)

    async def increase(first: int, then: int) -> None:
        bare = await asyncpg.connect(postgres_url)
        try:
            async with bare.transaction():
                await bare.execute("UPDATE counter SET n = n + 1 WHERE id = $1", first)
                await each_has_one.wait()
                await bare.execute("UPDATE counter SET n = n + 1 WHERE id = $1", then)
        finally:
            await bare.close()

    outcomes = await asyncio.gather(increase(1, 2), increase(2, 1), return_exceptions=True)
    assert [type(o) for o in outcomes if o] == [asyncpg.DeadlockDetectedError]


async def test_a_serialization_failure_is_repeated(db: PostgresDatabase) -> None:
    all_have_seen = Gate(opens_at=5)

    def increase(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        seen = connection.scalar(text("SELECT n FROM counter WHERE id = 1")) or 0
        all_have_seen.stop(connection)
        connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": seen + 1})

    counted = Tally(increase)
    await asyncio.gather(*(db.transaction(counted) for _ in range(5)))
    assert await db.read(total) == 5
    assert counted.runs > 5


async def test_control_read_committed_loses_updates_of_what_was_not_locked(
    db: PostgresDatabase,
) -> None:
    all_have_seen = Gate(opens_at=5)

    def increase(connection: Connection, lock: str) -> None:
        seen = connection.scalar(text(f"SELECT n FROM counter WHERE id = 1 {lock}")) or 0
        if not lock:
            all_have_seen.stop(connection)
        connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": seen + 1})

    await asyncio.gather(*(db.transaction(increase, "FOR UPDATE") for _ in range(5)))
    assert await db.read(total) == 5
    await asyncio.gather(*(db.transaction(increase, "") for _ in range(5)))
    assert await db.read(total) < 10


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
    gate = Gate()
    sleepers = [asyncio.ensure_future(db.read(gate.stop)) for _ in range(SESSIONS)]
    await until(lambda: gate.came == SESSIONS, "every session to be used")
    with pytest.raises(DatabaseBusy):
        await db.transaction(put, 1)
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    assert await db.transaction(put, 2) == 2


async def test_nobody_is_overtaken_for_long(db: PostgresDatabase) -> None:
    """Control, measured: SQLAlchemy's pool alone let some wait for as long as others came."""
    clients, rounds = 3 * SESSIONS, 12
    begun, overtaken = [0], [0]

    def take_a_turn(connection: Connection, came_after: int) -> None:
        begun[0] += 1
        overtaken[0] = max(overtaken[0], begun[0] - came_after)
        put(connection, 1)

    async def client() -> None:
        for _ in range(rounds):
            with suppress(DatabaseBusy):  # it waited for three seconds: the machine stands still
                await db.transaction(take_a_turn, begun[0])

    gate = Gate(opens_at=SESSIONS)
    await asyncio.gather(*(db.read(gate.stop) for _ in range(SESSIONS)))  # every session is open
    await asyncio.gather(*(client() for _ in range(clients)))
    # In a fair line all the others come once before oneself; there were twelve turns each.
    assert begun[0] > clients
    assert overtaken[0] < 4 * clients


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
