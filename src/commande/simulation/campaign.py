"""Many worlds: as many as it takes for so many checkouts, in one process or several."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from multiprocessing import get_context
from typing import Final

from commande.simulation.ground import Ground
from commande.simulation.profile import draw_profile
from commande.simulation.run import Outcome, run_world, silence

Progress = Callable[[int, int], None]
"""Told after each world: checkouts done, and how many there will be."""
_TOGETHER: Final = 4
"""Worlds that a process of a campaign takes at once, when there are enough for all."""


@dataclass(slots=True)
class Totals:
    """What a campaign came to."""

    first_seed: int
    jobs: int = 1
    worlds: int = 0
    checkouts: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Wall clock."""
    struck: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Checkouts per second of wall clock."""
        return self.checkouts / self.seconds if self.seconds else 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one world."""
        self.worlds += 1
        self.checkouts += outcome.checkouts
        self.steps += outcome.steps
        self.struck += outcome.struck
        self.outcomes += outcome.outcomes
        self.reached += outcome.reached
        if outcome.violations:
            self.failures.append(outcome)


def choose_seeds(checkouts: int, first: int) -> tuple[list[int], int]:
    """The seeds whose worlds together have so many checkouts, and how many they really have."""
    seeds: list[int] = []
    total = 0
    for seed in count(first):
        if total >= checkouts:
            return seeds, total
        seeds.append(seed)
        total += draw_profile(seed).checkouts
    raise AssertionError("count() ends never")


def run_campaign(
    checkouts: int, seed: int = 1, jobs: int = 1, progress: Progress = lambda _done, _total: None
) -> Totals:
    """Run worlds from that seed on. The same arguments give the same worlds, however many jobs."""
    seeds, total = choose_seeds(checkouts, seed)
    totals = Totals(seed, jobs)
    began = time.monotonic()
    for outcome in _outcomes(seeds, jobs):
        totals.add(outcome)
        totals.seconds = time.monotonic() - began
        progress(totals.checkouts, total)
    totals.failures.sort(key=lambda failure: failure.seed)
    return totals


def _outcomes(seeds: list[int], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from (_run(seed) for seed in seeds)
        return
    size = max(1, min(_TOGETHER, len(seeds) // jobs))
    shares = [seeds[at : at + size] for at in range(0, len(seeds), size)]
    # Spawned, not forked: SQLite connections must not cross a fork.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for outcomes in pool.map(_run_some, shares):
            yield from outcomes


@cache
def _ground() -> Ground:
    """One for each process of a campaign."""
    silence()
    ground = Ground()
    # Worlds leave little behind in cycles: what is loaded by now need not be looked at again, and
    # the rest less often (a sixth faster).
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return ground


def _run(seed: int) -> Outcome:
    return run_world(draw_profile(seed), _ground())


def _run_some(seeds: list[int]) -> list[Outcome]:
    return [_run(seed) for seed in seeds]
