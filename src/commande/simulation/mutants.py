"""Counting the worlds until each seeded bug is caught."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from commande.simulation.bench import Mutant
from commande.simulation.ground import Ground
from commande.simulation.mutations import MUTANTS
from commande.simulation.profile import draw_profile
from commande.simulation.run import run_world

BUDGET: Final = 200
"""Worlds after which a mutant counts as not caught."""
TRIALS: Final = 3
"""Independent searches, each from seeds of its own."""
_APART: Final = 100_000
"""Between the first seeds of two searches."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of one mutant."""

    mutant: Mutant
    worlds: tuple[int | None, ...]
    """Per search: worlds until it was caught; None: not within the budget."""
    violation: str
    """The first violation that gave it away."""
    seed: int | None
    """The first seed that caught it."""

    @property
    def caught(self) -> bool:
        """Whether every search found it."""
        return None not in self.worlds

    @property
    def median(self) -> float | None:
        """The median of the searches."""
        return median(n for n in self.worlds if n is not None) if self.caught else None


def hunt(
    mutant: Mutant, ground: Ground, first: int, budget: int = BUDGET
) -> tuple[int | None, str, int | None]:
    """Worlds until the mutant is caught, from that seed on; the violation, and the seed."""
    with mutant.at_work() as sql:
        for number in range(budget):
            seed = first + number
            outcome = run_world(mutant.profile(draw_profile(seed)), ground, sql=sql)
            if outcome.violations:
                return number + 1, str(outcome.violations[0]), seed
    return None, "", None


def catch(
    mutant: Mutant, ground: Ground, seed: int = 1, trials: int = TRIALS, budget: int = BUDGET
) -> Catch:
    """Hunt a mutant several times."""
    hunts = [hunt(mutant, ground, seed + trial * _APART, budget) for trial in range(trials)]
    found = next((one for one in hunts if one[0] is not None), (None, "", None))
    return Catch(mutant, tuple(one[0] for one in hunts), found[1], found[2])


def catch_all(
    ground: Ground,
    *,
    seed: int = 1,
    trials: int = TRIALS,
    budget: int = BUDGET,
    mutants: Sequence[Mutant] = tuple(MUTANTS),
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Catch]:
    """Hunt every mutant, in the order in which they are written down."""
    caught = []
    for done, mutant in enumerate(mutants):
        progress(done, len(mutants))
        caught.append(catch(mutant, ground, seed, trials, budget))
    return caught
