"""One shop's life under kill -9, from an empty database to the comparison of its books."""

import asyncio
import os
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson

from commande.db import open_database
from proof.board import Board, new_board
from proof.books import audit, find_losses, read_acknowledged
from proof.crowd import KEY, Crowd
from proof.ledger import Ledger
from proof.premises import Premises

SECRET: Final = "whsec_of_the_proof"
SLOTS: Final = 8
LATEST: Final = 0.15
"""A kill by the clock comes at most so many seconds after the last start."""
BUSINESS: Final = 2.0
"""How long the shop is given to come to the point where it shall die."""
PATIENCE: Final = 60.0
# Which processes a shop consists of: (role, worker inside).
SHAPES: Final = (
    (("server", True),),
    (("server", False), ("worker", False)),
    (("server", False), ("server", False), ("worker", False)),
    (("server", True), ("server", True)),
)
# Points at which a process is told to die, and up to how many of them it may pass before.
TARGETS: Final = {
    "request": 10, "statement": 80, "commit": 15, "committed": 15, "asked": 5, "answered": 5,
    "answering": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What happens to one shop."""

    name: str
    kills: int
    customers: int = 12
    broken: str | None = None
    aim: tuple[str, int, float] | None = None
    """Point, most passes, seconds after it: where everybody dies; mixed when left out."""


@dataclass
class Victim:
    """One process."""

    role: str
    worker: bool
    board: Board
    slot: int
    pid: int = 0
    handle: int = -1
    """A pidfd: unlike the number it can never mean another process."""

    def is_dead(self) -> bool:
        """Whether it has ended."""
        return self.handle < 0 or bool(select.select([self.handle], [], [], 0)[0])

    def kill(self) -> None:
        """kill -9."""
        if not self.is_dead():
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def forget(self) -> None:
        """It is dead: let go of the handle."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@dataclass
class World:
    """A shop, its Stripe, its customers, and who dies when."""

    place: Premises
    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    restarts: list[float] = field(default_factory=list)
    """Seconds from a death to the moment when the process works again."""

    def __post_init__(self) -> None:
        self._rng = Random(self.plan.name)
        self.folder = self.place.folder / f"world-{self.plan.name}"
        self.folder.mkdir()
        self.url = self.place.furnish(self.plan.name, self.folder)
        boards = new_board(self.folder / "board", SLOTS)
        shape = self._rng.choice(SHAPES)
        self._victims = [
            Victim(role, worker, boards[slot], slot) for slot, (role, worker) in enumerate(shape)
        ]
        self._upkeep = Victim("upkeep", False, boards[SLOTS - 2], SLOTS - 2)
        self._stripe = Victim("stripe", False, boards[SLOTS - 1], SLOTS - 1)
        self._ledger = Ledger(self.folder / "ledger")
        self._db = open_database(self.url)

    async def run(self) -> list[str]:
        """Live; everything that is wrong in the end."""
        try:
            return await self._live()
        finally:
            for victim in (*self._victims, self._upkeep, self._stripe):
                victim.kill()
                victim.forget()
            self._ledger.close()
            await self._db.close()

    async def _live(self) -> list[str]:
        self._open_stripe()
        for victim in self._victims:
            self._start(victim)
        await self._all_ready(self._victims)
        # Of a world's kills so many are the upkeep's.
        last = max(1, self.plan.kills // 6)
        crowd = Crowd(self._shop_url, self._stripe_url, self._ledger, self._rng)
        crowd.start(self.plan.customers)
        wrong: list[str] = []
        try:
            for _ in range(self.plan.kills - last):
                wrong += await self._kill_some()
        finally:
            await crowd.stop()
        self.counts.update(crowd.counts)
        for victim in self._victims:
            victim.kill()
        for _ in range(last):
            await self._kill_upkeep()
        wrong += await self._compare_books()
        found = sorted(set(wrong))
        self.counts["lost"] = sum(finding.startswith("I11") for finding in found)
        self.counts["half-made"] = sum(finding.startswith("I12") for finding in found)
        return found

    # -- deaths --------------------------------------------------------------------------------

    async def _kill_some(self) -> list[str]:
        """One death of one process, or of all at the same time; and what was lost by it."""
        everybody = len(self._victims) == 1 or self._rng.random() < 0.4
        chosen = self._victims if everybody else [self._rng.choice(self._victims)]
        await self._wait_for_death(chosen)
        died_at = time.monotonic()
        self.counts["kills"] += 1
        who = "all at once" if len(chosen) > 1 else chosen[0].role
        self.counts[f"killed: {who}"] += 1
        for victim in chosen:
            self._start(victim)
        await self._all_ready(chosen)
        self.restarts.append(max(victim.board.ready_at for victim in chosen) - died_at)
        return await self._look_up()

    async def _wait_for_death(self, chosen: list[Victim]) -> None:
        """At a point that the first of them comes to, by the clock, or in the middle of business;
        then all of them."""
        first, aim, dice = chosen[0], self.plan.aim, self._rng.random()
        if aim is None and dice < 0.5:
            point = self._rng.choice(list(TARGETS))
            aim = point, TARGETS[point], self._rng.choice((0.0, self._rng.uniform(0, 0.003)))
        if aim is not None:
            point, most, delay = aim
            first.board.arm(point, self._rng.randint(1, most), delay)
            await _until(first.is_dead, BUSINESS)
        elif dice < 0.75:
            await _until(first.is_dead, self._rng.uniform(0, LATEST))
        else:
            enough = self._ledger.lines + self._rng.randint(1, 8)
            await _until(lambda: self._ledger.lines >= enough, BUSINESS)
            await asyncio.sleep(self._rng.uniform(0, LATEST / 10))
        self.counts[f"phase: {first.board.last}"] += 1
        for victim in chosen:
            victim.kill()
        await self._are_dead(chosen)

    async def _kill_upkeep(self) -> None:
        """The upkeep dies too; what it left half-done is done by the next."""
        upkeep = self._upkeep
        self._start(upkeep)
        await _until(upkeep.is_dead, self._rng.uniform(0, 0.6))
        self.counts["kills"] += 1
        self.counts["killed: upkeep"] += 1
        self.counts[f"phase: {upkeep.board.last}"] += 1
        upkeep.kill()
        await self._are_dead([upkeep])

    async def _are_dead(self, victims: list[Victim]) -> None:
        if not await _until(lambda: all(victim.is_dead() for victim in victims), PATIENCE):
            raise RuntimeError("It does not die")
        for victim in victims:
            victim.forget()

    # -- starts --------------------------------------------------------------------------------

    def _open_stripe(self) -> None:
        ask = self.place.cradle.ask
        stripe, shop = (
            ask(do="listen", name="stripe")["port"],
            ask(do="listen", name="shop")["port"],
        )
        self._stripe_url, self._shop_url = (f"http://127.0.0.1:{n}" for n in (stripe, shop))
        self._fork(self._stripe, url=self._stripe_url, seed=self.plan.name, secret=SECRET,
                   webhook=f"{self._shop_url}/api/checkout/webhook")  # fmt: skip

    def _start(self, victim: Victim) -> None:
        victim.board.clear()
        settings = {
            "stripe_secret_key": KEY,
            "stripe_webhook_secrets": SECRET,
            "stripe_api_base": self._stripe_url,
            "database_url": self.url,
            "site_url": "https://shop.example",
            "secret_key": "the secret of a proof, long enough",
        }
        # Each upkeep finds the leases of the one that died before it over.
        later = 5 + 2 * self.counts["killed: upkeep"]
        self._fork(victim, settings=settings, worker=victim.worker, broken=self.plan.broken,
                   minutes=later)  # fmt: skip

    def _fork(self, victim: Victim, **more: Any) -> None:
        log, board = str(self.folder / "log"), str(self.folder / "board")
        answer = self.place.cradle.ask(
            do="fork", role=victim.role, log=log, board=board, slot=victim.slot, **more
        )
        victim.pid = answer["pid"]
        victim.handle = os.pidfd_open(victim.pid)

    async def _all_ready(self, victims: list[Victim]) -> None:
        def settled() -> bool:
            ready = all(victim.board.ready_at for victim in victims)
            return ready or any(victim.is_dead() for victim in victims)

        await _until(settled, PATIENCE)
        if not all(victim.board.ready_at for victim in victims):
            raise RuntimeError(f"It did not come back: see {self.folder / 'log'}")

    # -- books ---------------------------------------------------------------------------------

    async def _look_up(self) -> list[str]:
        """Every fact acknowledged so far, in the database as it is after this death."""
        facts = self._ledger.facts()
        wrong = await find_losses(self._db, facts)
        await self._let_go()
        self.counts["facts looked up"] += facts.count
        return wrong

    async def _let_go(self) -> None:
        """Hold no connection: the next death shall find the database with none but the shop's."""
        await self._db.close()
        self._db = open_database(self.url)

    async def _compare_books(self) -> list[str]:
        """The upkeep once more, undisturbed; then everything must be accounted for."""
        self._start(self._upkeep)
        if not await _until(self._upkeep.is_dead, 3 * PATIENCE):
            return ["I12: the upkeep does not end"]
        self._upkeep.forget()
        self._ledger.hear(await read_acknowledged(self._stripe_url, KEY))
        wrong = await audit(self._db, self._stripe_url, self._ledger)
        wrong += self._read_log()
        self.counts["acknowledged facts"] += self._ledger.facts().count
        self.counts["commands"] += len({o.command for o in self._ledger.opened.values()})
        self.counts["paid sessions"] += len(self._ledger.charged)
        return wrong

    def _read_log(self) -> list[str]:
        """What the shop itself calls an error: dying is none, and coming back is none."""
        lines = (self.folder / "log").read_text().splitlines()
        told = [orjson.loads(line) if line.startswith("{") else {"event": line} for line in lines]
        return [
            f"log: {line['event']} {line.get('exception', '')[-300:]}"
            for line in told
            if line.get("level") not in ("warning", "info", "debug")
        ]


async def _until(happened: Callable[[], bool], seconds: float) -> bool:
    """Look every millisecond, at most so long; whether it happened."""
    give_up = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.001)
    return True
