"""One shop's life under kill -9, from an empty database to the comparison of its books."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from commande.db import open_database
from proof.books import audit, find_losses, read_acknowledged
from proof.crew import PATIENCE, Crew, Hand, until
from proof.crowd import KEY, Crowd
from proof.ledger import Ledger
from proof.premises import Premises

LATEST: Final = 0.15
"""A kill by the clock comes at most so many seconds after the last start."""
BUSINESS: Final = 2.0
"""How long the shop is given to come to the point where it shall die."""
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
        self._crew = Crew(self.place, self.folder, self.url, {"broken": self.plan.broken})
        shape = self._rng.choice(SHAPES)
        self._victims = [self._crew.hire(role, worker=worker) for role, worker in shape]
        self._upkeep = self._crew.hire("upkeep")
        self._ledger = Ledger(self.folder / "ledger")
        self._db = open_database(self.url)

    async def run(self) -> list[str]:
        """Live; everything that is wrong in the end."""
        try:
            return await self._live()
        finally:
            self._crew.dismiss()
            self._ledger.close()
            await self._db.close()

    async def _live(self) -> list[str]:
        self._shop_url = self._crew.open_door("shop")
        self._crew.open_stripe(self.plan.name, self._shop_url)
        for victim in self._victims:
            self._start(victim)
        await self._crew.all_ready(self._victims)
        # Of a world's kills so many are the upkeep's.
        last = max(1, self.plan.kills // 6)
        crowd = Crowd(self._shop_url, self._crew.stripe_url, self._ledger, self._rng)
        crowd.start(self.plan.customers)
        wrong: list[str] = []
        deaths = self.plan.kills - last
        try:
            for number in range(deaths):
                if number == deaths - 1:
                    await self._hear_a_yes()
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

    async def _hear_a_yes(self) -> None:
        """On a busy machine every death may come before the first yes: then nothing was tried."""
        if not await until(lambda: self._ledger.facts().count > 0, PATIENCE):
            raise RuntimeError("Nothing was ever acknowledged")

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
        await self._crew.all_ready(chosen)
        self.restarts.append(max(victim.board.ready_at for victim in chosen) - died_at)
        return await self._look_up()

    async def _wait_for_death(self, chosen: list[Hand]) -> None:
        """At a point that the first of them comes to, by the clock, or in the middle of business;
        then all of them."""
        first, aim, dice = chosen[0], self.plan.aim, self._rng.random()
        if aim is None and dice < 0.5:
            point = self._rng.choice(list(TARGETS))
            aim = point, TARGETS[point], self._rng.choice((0.0, self._rng.uniform(0, 0.003)))
        if aim is not None:
            point, most, delay = aim
            first.board.arm(point, self._rng.randint(1, most), delay)
            await until(first.is_dead, BUSINESS)
        elif dice < 0.75:
            await until(first.is_dead, self._rng.uniform(0, LATEST))
        else:
            enough = self._ledger.lines + self._rng.randint(1, 8)
            await until(lambda: self._ledger.lines >= enough, BUSINESS)
            await asyncio.sleep(self._rng.uniform(0, LATEST / 10))
        self.counts[f"phase: {first.board.last}"] += 1
        await self._crew.kill(chosen)

    async def _kill_upkeep(self) -> None:
        """The upkeep dies too; what it left half-done is done by the next."""
        upkeep = self._upkeep
        self._start(upkeep)
        await until(upkeep.is_dead, self._rng.uniform(0, 0.6))
        self.counts["kills"] += 1
        self.counts["killed: upkeep"] += 1
        self.counts[f"phase: {upkeep.board.last}"] += 1
        await self._crew.kill([upkeep])

    def _start(self, victim: Hand) -> None:
        # Each upkeep finds the leases of the one that died before it over.
        self._crew.start(victim, minutes=5 + 2 * self.counts["killed: upkeep"])

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
        if not await until(self._upkeep.is_dead, 3 * PATIENCE):
            return ["I12: the upkeep does not end"]
        self._upkeep.forget()
        self._ledger.hear(await read_acknowledged(self._crew.stripe_url, KEY))
        wrong = await audit(self._db, self._crew.stripe_url, self._ledger)
        wrong += self._crew.read_log()
        self.counts["acknowledged facts"] += self._ledger.facts().count
        self.counts["commands"] += len({o.command for o in self._ledger.opened.values()})
        self.counts["paid sessions"] += len(self._ledger.charged)
        return wrong
