"""Counting the worlds until each seeded bug is caught."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Final

from commande.simulation.bench import Mutant
from commande.simulation.ground import Ground
from commande.simulation.mutations import MUTANTS
from commande.simulation.profile import draw_profile
from commande.simulation.run import run_world

BUDGET: Final = 60
"""Worlds after which a search has failed."""
TRIALS: Final = 3
"""Independent searches, each from seeds of its own."""
_APART: Final = 100_000
"""Between the first seeds of two searches."""

Progress = Callable[[int, int], None]
"""Told after each search: searches done, and how many there will be."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """One search, from one seed on."""

    caught: bool
    worlds: int
    """That were run, the one that caught it included."""
    checkouts: int
    """In those worlds."""
    violation: str = ""
    """What gave it away."""
    seed: int | None = None
    """The world that caught it."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of one mutant."""

    mutant: Mutant
    hunts: tuple[Hunt, ...]

    @property
    def found(self) -> int:
        """How many searches found it."""
        return sum(hunt.caught for hunt in self.hunts)

    @property
    def caught(self) -> bool:
        """Whether every search found it."""
        return self.found == len(self.hunts)

    @property
    def violation(self) -> str:
        """What gave it away first."""
        return next((hunt.violation for hunt in self.hunts if hunt.caught), "")

    @property
    def seed(self) -> int | None:
        """The world that did."""
        return next((hunt.seed for hunt in self.hunts if hunt.caught), None)

    @property
    def median(self) -> float | None:
        """Of the searches, in worlds; None when one of them failed."""
        return median(hunt.worlds for hunt in self.hunts) if self.caught else None

    @property
    def median_checkouts(self) -> float | None:
        """The same in checkouts."""
        return median(hunt.checkouts for hunt in self.hunts) if self.caught else None


def hunt(mutant: Mutant, ground: Ground, first: int, budget: int = BUDGET) -> Hunt:
    """Run worlds from that seed on until an invariant gives the mutant away.

    A world in which wrong code only fell over does not count: that the deed is seen is the point.
    """
    checkouts = 0
    with mutant.at_work() as sql:
        for number in range(budget):
            seed = first + number
            outcome = run_world(mutant.profile(draw_profile(seed)), ground, sql=sql)
            checkouts += outcome.checkouts
            seen = next((one for one in outcome.violations if not one.is_crash), None)
            if seen is not None:
                return Hunt(True, number + 1, checkouts, str(seen), seed)
    return Hunt(False, budget, checkouts)


def catch(
    mutant: Mutant,
    ground: Ground,
    seed: int = 1,
    trials: int = TRIALS,
    budget: int = BUDGET,
    searched: Callable[[], None] = lambda: None,
) -> Catch:
    """Hunt a mutant several times; ``searched`` is told after each."""
    hunts = []
    for trial in range(trials):
        hunts.append(hunt(mutant, ground, seed + trial * _APART, budget))
        searched()
    return Catch(mutant, tuple(hunts))


def catch_all(
    ground: Ground,
    *,
    seed: int = 1,
    trials: int = TRIALS,
    budget: int = BUDGET,
    mutants: Sequence[Mutant] = tuple(MUTANTS),
    progress: Progress = lambda _done, _total: None,
) -> list[Catch]:
    """Hunt every mutant, in the order in which they are written down."""
    turns, total = count(1), len(mutants) * trials
    progress(0, total)
    return [
        catch(mutant, ground, seed, trials, budget, lambda: progress(next(turns), total))
        for mutant in mutants
    ]
