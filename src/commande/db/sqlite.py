"""SQLite: one writer thread with group commit, a few reader threads, nothing else."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import Any, cast

import structlog

from commande.db.connection import P, R, TransactionFunction
from commande.db.group import Call, GroupRunner
from commande.db.sqlite_file import (
    SnapshotReader,
    open_reader,
    open_turn,
    open_writer,
    read_in_memory,
    sqlite_engine,
)
from commande.db.sqlite_lock import WriteTurn
from commande.errors import DatabaseBusy

# A COMMIT costs one fsync (0.1-5 ms): more than 64 to share it gain little, and 5 ms bound what
# the first of them waits for the others.
GROUP_SIZE = 64
GROUP_S = 0.005
# About a second of work for the writer; whoever comes later is better told to come again.
QUEUE_LIMIT = 2048
READERS = 3

log = structlog.get_logger(__name__)


class SQLiteDatabase:
    """A SQLite file, or a private one in memory when ``path`` is None.

    Threads and connections begin with the first use in a process; after a fork the child makes
    its own.
    """

    dialect = "sqlite"

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else os.path.abspath(path)  # noqa: PTH100 - no I/O
        self._threads: _Threads | None = None
        self._pid = 0
        self._inherited: list[_Threads] = []
        self._closed = False

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``. A caller cancelled before the function starts: it is skipped."""
        call = _Waiting(fn, args, kwargs)
        self._here().write(call)
        return cast("R", await call.future)

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Database``."""
        call = _Waiting(fn, args, kwargs)
        self._here().read(call)
        return cast("R", await call.future)

    async def close(self) -> None:
        """Finish what waits, then close; afterwards every call raises ``DatabaseBusy``."""
        self._closed = True
        if self._threads is not None and self._pid == os.getpid():
            threads, self._threads = self._threads, None
            await asyncio.to_thread(threads.stop)

    def _here(self) -> "_Threads":
        if self._closed:
            raise DatabaseBusy("The database is closed.")
        if self._threads is None or self._pid != os.getpid():
            if self._threads is not None:
                # SQLite forbids to use, or even to close, a connection across a fork: keep it.
                self._threads.disown()
                self._inherited.append(self._threads)
            self._threads, self._pid = _Threads(self._path), os.getpid()
        return self._threads


class _Waiting(Call):
    """A call whose caller awaits it on some event loop."""

    __slots__ = ("future", "loop")

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(fn, args, kwargs)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def wanted(self) -> bool:
        """Return False once the caller was cancelled."""
        return not self.future.done()


class _Threads:
    """The threads of one process on one database, and the queues that feed them."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._engine = sqlite_engine(path)
        self._writes: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._reads: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._turn: WriteTurn | None = None if path is None else open_turn(path)
        self._runner: GroupRunner | None = None
        self._running: list[threading.Thread] = []
        self._start(self._serve_writes)
        for _ in range(READERS if path else 0):
            self._start(self._serve_reads)

    def write(self, call: _Waiting) -> None:
        """Queue a transaction. Raises ``DatabaseBusy`` when too many wait."""
        if self._writes.qsize() >= QUEUE_LIMIT:
            raise DatabaseBusy("Too many transactions wait.")
        self._writes.put(call)

    def read(self, call: _Waiting) -> None:
        """Queue a read; in memory there is only the writer's connection to read from."""
        if self._path is None:
            call.args, call.fn = (call.fn, *call.args), read_in_memory
            return self.write(call)
        if self._reads.qsize() >= QUEUE_LIMIT:
            raise DatabaseBusy("Too many reads wait.")
        self._reads.put(call)
        return None

    def stop(self) -> None:
        """Let the threads finish what waits, and wait for their end."""
        self._writes.put(None)
        for _ in self._running[1:]:
            self._reads.put(None)
        for thread in self._running:
            thread.join()
        if self._turn is not None:
            self._turn.close()

    def disown(self) -> None:
        """In a forked child: the threads stayed behind, only the lock files came along."""
        if self._turn is not None:
            self._turn.close()

    def _start(self, work: Callable[[], None]) -> None:
        # A daemon: an exit without close() may not hang, and what was not committed was not
        # acknowledged either.
        thread = threading.Thread(target=work, name=f"commande{work.__name__}", daemon=True)
        self._running.append(thread)
        thread.start()

    def _serve_writes(self) -> None:
        while (first := self._writes.get()) is not None:
            drawn = [first]
            turn: AbstractContextManager[None] = self._turn or nullcontext()
            try:
                with turn:
                    self._opened_runner().run(self._draw(drawn))
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                self._fail(drawn, error)
            _hand_back(drawn)
        if self._runner is not None:
            self._runner.close()

    def _draw(self, drawn: list[_Waiting]) -> Iterator[_Waiting]:
        """Yield what waits, while the group has room and time."""
        deadline = time.perf_counter() + GROUP_S
        yield drawn[0]
        while len(drawn) < GROUP_SIZE and time.perf_counter() < deadline:
            try:
                call = self._writes.get_nowait()
            except Empty:
                return
            if call is None:
                self._writes.put(None)
                return
            drawn.append(call)
            yield call

    def _fail(self, drawn: list[_Waiting], error: BaseException) -> None:
        """Tell everybody who waits now, not one after the other, each after a time-out."""
        while len(drawn) < QUEUE_LIMIT and not self._writes.empty():
            call = self._writes.get_nowait()
            if call is None:
                self._writes.put(None)
                break
            drawn.append(call)
        for call in drawn:
            if not call.settled:
                call.error = error
        cause = error.__cause__ or error
        reason = getattr(cause, "sqlite_errorname", type(cause).__name__)
        log.error("database_failed", reason=reason, waiting=len(drawn))
        if self._runner is not None and self._path is not None:
            # A fresh connection: whatever was wrong with this one ends with it, and may not
            # end this thread.
            broken, self._runner = self._runner, None
            with suppress(Exception):
                broken.close()

    def _opened_runner(self) -> GroupRunner:
        if self._runner is None:
            self._runner = GroupRunner(open_writer(self._engine, self._path))
        return self._runner

    def _serve_reads(self) -> None:
        reader: SnapshotReader | None = None
        while (call := self._reads.get()) is not None:
            if not call.wanted():
                continue
            try:
                if reader is None:
                    reader = SnapshotReader(open_reader(self._engine))
                reader.run(call)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                call.error = error
            _hand_back([call])
        if reader is not None:
            reader.close()


def _hand_back(calls: list[_Waiting]) -> None:
    """Wake each event loop once, however many of its calls are settled."""
    loops = {call.loop for call in calls}
    for loop in loops:
        mine = calls if len(loops) == 1 else [call for call in calls if call.loop is loop]
        # A loop that is closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(calls: list[_Waiting]) -> None:
    for call in calls:
        if call.future.done():
            continue
        if call.error is None:
            call.future.set_result(call.value)
        else:
            call.future.set_exception(call.error)
            call.error = None  # it refers to its frame, and the frame to the call
