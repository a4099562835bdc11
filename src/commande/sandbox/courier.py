"""Sends the webhooks that are due, and sleeps until the next one."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import aiohttp

from commande.sandbox.engine import Engine
from commande.sandbox.webhooks import Parcel

_PATIENCE = 20.0  # seconds for a receiver to answer
_AT_ONCE = 16
_LONGEST_NAP = 3600.0
_log = logging.getLogger(__name__)


def _tell_why_it_ended(rounds: "asyncio.Task[None]") -> None:
    if not rounds.cancelled() and rounds.exception() is not None:
        _log.error("webhooks are no longer delivered", exc_info=rounds.exception())


class Courier:
    """Carries parcels from the engine to their endpoints, several at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stir = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        self._room = asyncio.Semaphore(_AT_ONCE)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Deliver while the block runs; what is on file waits for the next start."""
        loop = asyncio.get_running_loop()

        # A test may move the clock from its own thread.
        def wake() -> None:
            loop.call_soon_threadsafe(self._stir.set)

        self._engine.world.wake = wake
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_PATIENCE), auto_decompress=False
        ) as http:
            rounds = asyncio.create_task(self._rounds(http))
            rounds.add_done_callback(_tell_why_it_ended)
            try:
                yield
            finally:
                self._engine.world.wake = lambda: None
                for task in (rounds, *self._under_way):
                    task.cancel()
                await asyncio.gather(rounds, *self._under_way, return_exceptions=True)

    async def _rounds(self, http: aiohttp.ClientSession) -> None:
        while True:
            self._stir.clear()
            while (parcel := self._engine.next_parcel()) is not None:
                await self._room.acquire()
                task = asyncio.create_task(self._carry(http, parcel))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            await self._tell()  # some may have been dropped unsent
            due = self._engine.next_due()
            # An hour at most: the machine may have slept meanwhile.
            wait = _LONGEST_NAP if due is None else due - self._engine.world.clock.now()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stir.wait(), min(max(wait, 0.001), _LONGEST_NAP))

    async def _carry(self, http: aiohttp.ClientSession, parcel: Parcel) -> None:
        status: int | None = None
        try:
            async with http.post(
                parcel.url, data=parcel.body, headers=parcel.headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            status = None  # nobody there, or not in time: tried again later
        finally:
            self._room.release()
        self._engine.report_parcel(parcel.delivery, status)
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def wait_for(self, event: str, seconds: float) -> None:
        """Wait until every delivery of an event had a first answer, or so many seconds."""

        def answered() -> bool:
            with self._engine.lock:
                return not any(
                    row["event"] == event and row["attempt"] == 0
                    for row in self._engine.state.rows["delivery"].values()
                )

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(answered)

    async def deliver_now(self) -> int:
        """Send everything that waits, at once, and wait for the answers; how many were sent."""
        count = self._engine.dashboard.bring_forward()
        async with asyncio.timeout(_PATIENCE + 5), self._news:
            await self._news.wait_for(self._all_done)
        return count

    def _all_done(self) -> bool:
        with self._engine.lock:
            now = self._engine.world.clock.now()
            rows = self._engine.state.rows["delivery"].values()
            return not self._engine.world.flying and not any(row["due"] <= now for row in rows)
