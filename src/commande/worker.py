"""The worker: claims due work, runs it, finishes or retries it, by a timetable.

Any number of workers may run, in the server's process or in their own; the rows are the queue.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from commande.db import upkeep as rows
from commande.db.schema import pending_migrations
from commande.errors import DatabaseBusy, OutcomeUnknown
from commande.flows import upkeep
from commande.flows.inbox import handle_events
from commande.flows.notices import send_due
from commande.flows.reconcile import ReconcileReport, check_due, read_charges, read_events
from commande.flows.refunds import finish_refunds
from commande.shop import Shop

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Duty:
    """One recurring piece of work and how many seconds lie between two turns."""

    name: str
    every: float
    run: Callable[[Shop], Awaitable[object]]


async def _expire_overdue(shop: Shop) -> object:
    return await upkeep.expire_overdue(shop, shop.settings.cleanup_after)


async def _read_events(shop: Shop) -> object:
    report = ReconcileReport()
    await read_events(shop, report)
    return report


async def _read_charges(shop: Shop) -> object:
    report = ReconcileReport()
    await read_charges(shop, report)
    return report


async def _is_migrated(shop: Shop) -> object:
    return not await shop.db.read(pending_migrations)


# An event's first try comes within a second (contract); the rest may take its time. Half a second
# of polling costs an idle worker two reads of an empty partial index.
DUTIES: Final = (
    Duty("inbox", 0.5, handle_events),
    Duty("outbox", 0.5, send_due),
    Duty("refunds", 5, finish_refunds),
    Duty("openings", 5, upkeep.finish_openings),
    Duty("checks", 20, check_due),
    Duty("clean-up", 60, _expire_overdue),
    Duty("events", 120, _read_events),
    Duty("charges", 3600, _read_charges),
    Duty("prune", 3600, upkeep.prune),
)
# Ahead of all others: they have nothing to stand on before.
_TABLES: Final = Duty("tables", 1, _is_migrated)
BEAT: Final = 5.0


class Worker:
    """Runs every duty until it is stopped; a poke makes the inbox and outbox run at once."""

    def __init__(self, shop: Shop, duties: tuple[Duty, ...] = DUTIES) -> None:
        self._shop = shop
        self._duties = duties
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._pokes = [asyncio.Event() for _ in duties]
        self._tables = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running event loop."""
        log.info("worker_started", name=self._name)
        self._tasks = [
            asyncio.create_task(self._repeat(duty, poke), name=f"worker:{duty.name}")
            for duty, poke in zip(self._duties, self._pokes, strict=True)
        ]
        self._tasks.append(asyncio.create_task(self._beat(), name="worker:beat"))
        self._tasks.append(asyncio.create_task(self._await_tables(), name="worker:tables"))

    def poke(self) -> None:
        """Something is due now: an event was stored."""
        for poke in self._pokes[:2]:
            poke.set()

    async def stop(self) -> None:
        """Stop between two pieces of work, or within one: what was cut is taken up again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._tables.is_set():
            with suppress(DatabaseBusy, OutcomeUnknown):
                await self._shop.db.transaction(rows.leave, self._name)
        log.info("worker_stopped", name=self._name)

    async def run(self) -> None:
        """Work until cancelled."""
        self.start()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self.stop()

    async def _await_tables(self) -> None:
        """A server may be started before its migration: say so once, and wait."""
        told = False
        while (migrated := await self._turn(_TABLES)) is not True:
            if migrated is False and not told:
                log.warning("worker_waits", reason="migrations", mend="commande migrate")
                told = True
            await asyncio.sleep(_TABLES.every)
        self._tables.set()

    async def _repeat(self, duty: Duty, poke: asyncio.Event) -> None:
        await self._tables.wait()
        while True:
            more = await self._turn(duty)
            if more and duty.every < 1:
                continue  # a full hand was taken: there may be more
            with suppress(TimeoutError):
                await asyncio.wait_for(poke.wait(), duty.every)
            poke.clear()

    async def _turn(self, duty: Duty) -> object:
        """One turn; a failure is logged and waits for the next, so that no duty ends the worker."""
        try:
            return await duty.run(self._shop)
        except (DatabaseBusy, OutcomeUnknown) as error:
            log.warning("duty_delayed", duty=duty.name, reason=error.code)
        except Exception:
            log.exception("duty_failed", duty=duty.name)
        return None

    async def _beat(self) -> None:
        await self._tables.wait()
        while True:
            with suppress(DatabaseBusy, OutcomeUnknown):
                await self._shop.db.transaction(rows.beat, self._name, self._shop.clock.now())
            await asyncio.sleep(BEAT)
