"""The figures that a release must reach, and how each of them is reached."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from commande.simulation.mutations import MUTANTS


@dataclass(frozen=True)
class Figure:
    """One figure: which proof, how much of it, and where its state tells how far it is."""

    name: str
    goal: int
    unit: str
    """The name of the counter that must reach the goal."""
    words: tuple[str, ...]
    """The proof and its options; ``{n}`` is how many in all, ``{more}`` how many are missing."""
    broken: tuple[str, ...] = ("findings",)
    """The counters that must stay 0."""
    batch: int = 0
    """At most so many in one run; 0: all."""

    def scaled(self, share: float) -> int:
        """That part of the goal, at least one."""
        return max(1, math.ceil(self.goal * share))

    def command(self, goal: int, reached: int, state: Path) -> list[str]:
        """The words that bring it from what is reached to the goal, or a batch nearer."""
        more = min(goal - reached, self.batch or goal)
        filled = [word.format(n=goal, more=more) for word in self.words]
        return [*filled, "--state", str(state)]


def _both(name: str, goal: int, unit: str, *words: str) -> list[Figure]:
    """The same on each database."""
    goals = {"sqlite": goal, "postgresql": 2_000 if name == "kill" else goal}
    return [
        Figure(f"{name} {database}", goals[database], unit, (*words, "--database", database))
        for database in goals
    ]


FIGURES: Final = (
    Figure("simulate", 1_000_000, "checkouts", ("simulate", "--checkouts", "{n}")),
    Figure("mutants", len(MUTANTS), "caught", ("simulate", "--mutants", "--bugs", "{n}")),
    *_both("kill", 10_000, "kills", "kill", "--rounds", "{n}"),
    Figure("power", 100_000, "cuts", ("power", "--cuts", "{n}"),
           ("losing images", "corrupt images", "half-made images")),
    # Some at a time: what is compared at the end of a run counts when the run comes to its end.
    Figure("failover", 50, "rounds", ("failover", "--rounds", "{more}"), batch=6),
    *_both("hammer", 10_000, "hammered", "hammer", "--commands", "{n}"),
    *_both("restore", 20, "rounds", "restore", "--rounds", "{n}"),
    Figure("fuzz http", 100_000, "cases", ("fuzz", "http", "--cases", "{n}")),
    Figure("fuzz webhooks", 200_000, "cases", ("fuzz", "webhooks", "--cases", "{n}")),
)  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """How far a figure is."""

    count: int = 0
    failures: int = 0


def read_state(figure: Figure, state: Path) -> Reached:
    """What the proof's own file says; nothing when it has not run."""
    if not state.exists():
        return Reached()
    kept: dict[str, Any] = orjson.loads(state.read_bytes())
    failures = sum(kept["counts"].get(name, 0) for name in figure.broken)
    return Reached(kept["counts"].get(figure.unit, 0), max(failures, len(kept["findings"])))
