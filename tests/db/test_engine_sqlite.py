"""The SQLite engine with its threads: what is acknowledged is on the disk, whatever happens."""

import asyncio
import fcntl
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from commande.db.group import driver_of
from commande.db.sqlite import GROUP_SIZE, QUEUE_LIMIT, SQLiteDatabase
from commande.db.sqlite_lock import PATIENCE_S, WriteTurn
from commande.errors import DatabaseBusy, SettingInvalid
from tests.db import engine_processes
from tests.db.engine_processes import prepare, put
from tests.support.gates import Gate, until


@pytest_asyncio.fixture
async def db(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    db = SQLiteDatabase(str(tmp_path / "shop.db"))
    await db.transaction(prepare)
    yield db
    await db.close()


@asynccontextmanager
async def held(db: SQLiteDatabase) -> AsyncIterator[Gate]:
    """Keep the writer busy until the gate opens, so that others queue up behind."""
    gate = Gate()
    task = asyncio.ensure_future(db.transaction(gate.stop))
    await until(lambda: gate.came, "the writer to stop")
    try:
        yield gate
    finally:
        gate.open()
        await task


def notes(path: Path) -> set[int]:
    """What another program finds in the file."""
    with sqlite3.connect(path) as other:
        found = {number for (number,) in other.execute("SELECT id FROM note")}
    other.close()
    return found


def other_process(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, engine_processes.__file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def test_all_that_wait_share_one_commit(db: SQLiteDatabase) -> None:
    said: list[str] = []
    await db.transaction(lambda c: driver_of(c).set_trace_callback(said.append))

    async def commits_of(numbers: range) -> int:
        async with held(db) as gate:
            waiting = [asyncio.ensure_future(db.transaction(put, n)) for n in numbers]
            await asyncio.sleep(0)
            said.clear()
            gate.open()
            await asyncio.gather(*waiting)
        return sum(line.startswith("COMMIT") for line in said)

    # A group takes in who comes within 5 ms, and a busy machine may need longer for 64.
    for attempt in range(200):
        first = attempt * GROUP_SIZE
        if await commits_of(range(first, first + GROUP_SIZE)) <= 4:
            return
    pytest.fail("64 that waited never shared a commit: one for who held it, one for all")


async def test_an_answer_comes_after_the_commit(db: SQLiteDatabase, tmp_path: Path) -> None:
    """Control: from inside the function, another connection does not see the row yet."""
    path = tmp_path / "shop.db"

    def put_and_look(connection: Connection, number: int) -> bool:
        put(connection, number)
        return number in notes(path)

    async def one(number: int) -> tuple[bool, bool]:
        seen_inside = await db.transaction(put_and_look, number)
        return seen_inside, number in notes(path)

    assert await asyncio.gather(*(one(n) for n in range(50))) == [(False, True)] * 50


async def test_a_cancelled_caller_is_skipped_before_its_function_starts(
    db: SQLiteDatabase, tmp_path: Path
) -> None:
    async with held(db) as gate:
        tasks = [asyncio.ensure_future(db.transaction(put, n)) for n in range(10)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        gate.open()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [1, 3, 5, 7, 9]
    assert notes(tmp_path / "shop.db") == {1, 3, 5, 7, 9}


async def test_a_full_queue_is_busy_at_once_and_loses_nobody(
    db: SQLiteDatabase, tmp_path: Path
) -> None:
    async with held(db) as gate:
        tasks = [asyncio.ensure_future(db.transaction(put, n)) for n in range(QUEUE_LIMIT + 5)]
        await until(lambda: any(task.done() for task in tasks), "a refusal")
        refused = [task for task in tasks if task.done()]
        assert len(refused) == 5
        assert all(isinstance(task.exception(), DatabaseBusy) for task in refused)
        gate.open()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(notes(tmp_path / "shop.db")) == QUEUE_LIMIT


async def test_close_lets_finish_what_waits(db: SQLiteDatabase, tmp_path: Path) -> None:
    tasks = [asyncio.ensure_future(db.transaction(put, n)) for n in range(300)]
    await asyncio.sleep(0)
    await db.close()
    assert await asyncio.gather(*tasks) == list(range(300))
    assert len(notes(tmp_path / "shop.db")) == 300


async def test_a_loop_that_ended_hangs_nobody_else(db: SQLiteDatabase, tmp_path: Path) -> None:
    async def leave_early() -> None:
        asyncio.ensure_future(db.transaction(put, 1)).cancel()
        asyncio.get_running_loop().create_task(db.transaction(put, 2))
        await asyncio.sleep(0)

    await asyncio.to_thread(asyncio.run, leave_early())
    assert await db.transaction(put, 3) == 3
    assert 3 in notes(tmp_path / "shop.db")


async def test_c46_the_log_is_synced_with_every_commit(tmp_path: Path) -> None:
    process = other_process("pragmas", f"sqlite:///{tmp_path / 'shop.db'}")
    said, _ = await asyncio.to_thread(process.communicate, timeout=180)
    assert said.decode().split() == ["wal", "2", "1", "2000"]
    control = sqlite3.connect(tmp_path / "control.db")
    control.execute("PRAGMA synchronous = OFF")
    assert control.execute("PRAGMA synchronous").fetchone() == (0,)
    control.close()


def lost_after_a_kill(path: Path, *options: str) -> set[int]:
    """Kill -9 a process that writes, and answer what it told of and the file does not hold."""
    asyncio.run(prepared(path))
    process = other_process("write", f"sqlite:///{path}", *options)
    assert process.stdout is not None
    told: set[int] = set()
    while len(told) <= 20 or engine_processes.STOPS not in told:
        told.add(int(process.stdout.readline()))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=180)
    return (told | {int(line) for line in rest.split()}) - notes(path)


async def prepared(path: Path) -> None:
    db = SQLiteDatabase(str(path))
    await db.transaction(prepare)
    await db.close()


def test_i11_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for attempt in range(5):
        assert lost_after_a_kill(tmp_path / f"{attempt}.db", "careful") == set()


def test_control_a_writer_that_tells_before_the_commit_is_caught(tmp_path: Path) -> None:
    assert engine_processes.STOPS in lost_after_a_kill(tmp_path / "shop.db", "careless")


async def counted(path: Path, *options: str) -> int:
    """Let three processes count up to 200 each, in the same file."""
    await prepared(path)
    processes = [other_process("count_up", f"sqlite:///{path}", "200", *options) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"all are there\n")
        process.stdin.flush()
    for process in processes:
        _, complaint = await asyncio.to_thread(process.communicate, timeout=180)
        assert process.returncode == 0, complaint.decode()
    db = SQLiteDatabase(str(path))
    total: int = await db.read(lambda c: c.scalar(text("SELECT n FROM counter")))
    await db.close()
    return total


async def test_three_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    assert await counted(tmp_path / "shop.db", "careful") == 600


async def test_control_reading_and_writing_in_two_transactions_loses(tmp_path: Path) -> None:
    for attempt in range(20):  # they must meet between one's reading and its writing
        if await counted(tmp_path / f"{attempt}.db", "careless") < 600:
            return
    pytest.fail("nothing was lost in twenty rounds")


def overlaps(turns: list[WriteTurn] | None) -> int:
    """Let four threads take turns; count how often one finds another in its turn.

    Whoever waited longer than anybody need is let in by design: that round counts nothing.
    """
    inside, met, barrier = [0], [0], threading.Barrier(4)
    patient = [True]

    def take_turns(number: int) -> None:
        barrier.wait()
        for _ in range(20):
            came = time.monotonic()
            with turns[number] if turns else threading.Lock():
                patient[0] = patient[0] and time.monotonic() - came < PATIENCE_S
                inside[0] += 1
                met[0] += inside[0] > 1
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=take_turns, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return met[0] if patient[0] else overlaps(turns)


def test_writers_take_turns(tmp_path: Path) -> None:
    turns = [WriteTurn(str(tmp_path / "shop.db")) for _ in range(4)]
    assert overlaps(turns) == 0
    for turn in turns:
        turn.close()


def test_control_without_the_file_lock_writers_meet() -> None:
    assert any(overlaps(None) for _ in range(100))


async def test_a_process_stopped_in_its_turn_makes_the_others_busy_not_hang(
    db: SQLiteDatabase, tmp_path: Path
) -> None:
    path = str(tmp_path / "shop.db")
    turn = WriteTurn(path)
    other = sqlite3.connect(path, isolation_level=None)
    with turn:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(60):  # all at once, not each after a time-out of its own
            outcomes = await asyncio.gather(
                *(db.transaction(put, n) for n in range(100)), return_exceptions=True
            )
        assert await db.read(lambda c: c.scalar(text("SELECT count(*) FROM note"))) == 0
        other.execute("ROLLBACK")
    assert all(isinstance(outcome, DatabaseBusy) for outcome in outcomes)
    assert await db.transaction(put, 1) == 1
    other.close()
    turn.close()


def test_a_fork_gives_the_child_connections_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    asyncio.run(prepared(path))
    process = other_process("fork", f"sqlite:///{path}")
    said, complaint = process.communicate(timeout=180)
    assert said.split() == [b"0"], complaint.decode()
    assert notes(path) == {0, 999} | set(range(100, 300))


async def test_an_abandoned_process_leaves_no_lock(db: SQLiteDatabase, tmp_path: Path) -> None:
    process = other_process("write", f"sqlite:///{tmp_path / 'shop.db'}", "careful")
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.kill()
    process.communicate()
    with (tmp_path / "shop.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    assert await db.transaction(put, -1) == -1


async def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_text("Bonjour, ceci n'est pas une base de données." * 100)
    db = SQLiteDatabase(str(path))
    with pytest.raises(SettingInvalid, match="SQLite cannot use the file"):
        await db.transaction(put, 1)
    await db.close()


async def test_a_writer_that_broke_is_replaced(db: SQLiteDatabase) -> None:
    """A connection closed under the engine, as the worst an error can leave behind."""
    with pytest.raises(Exception):  # noqa: B017 - which error it is matters to nobody
        await db.transaction(lambda c: driver_of(c).close())
    assert await db.transaction(put, 1) == 1


async def test_reads_go_on_while_a_write_is_under_way(db: SQLiteDatabase) -> None:
    async with held(db), asyncio.timeout(30):  # else they would wait for the writer, and it stops
        for _ in range(20):
            await db.read(lambda c: c.scalar(text("SELECT count(*) FROM note")))


def test_the_writer_is_private_to_whoever_owns_the_file(tmp_path: Path) -> None:
    asyncio.run(prepared(tmp_path / "shop.db"))
    assert (tmp_path / "shop.db.lock").stat().st_mode & 0o777 == 0o600
