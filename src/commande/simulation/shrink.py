"""Shrinking: the smallest world of a failing seed in which the same invariant still breaks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from commande.simulation.ground import Ground
from commande.simulation.profile import draw_profile
from commande.simulation.run import Outcome, run_world

MOST_RUNS: Final = 120


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left: replay it with the seed and what was taken away."""

    seed: int
    without: frozenset[str]
    outcome: Outcome
    runs: int

    @property
    def command(self) -> str:
        """How to see it again."""
        taken = f" --without {','.join(sorted(self.without))}" if self.without else ""
        return f"commande simulate --world {self.seed}{taken}"


class _Search:
    def __init__(
        self, seed: int, ground: Ground, sql: Iterable[str], weather: Mapping[str, float]
    ) -> None:
        self.seed, self.ground, self.sql, self.weather = seed, ground, tuple(sql), weather
        self.runs = 0
        self.best = self.run(frozenset())
        self.invariants = {violation.invariant for violation in self.best.violations}
        self.without: frozenset[str] = frozenset()

    def run(self, without: frozenset[str]) -> Outcome:
        """The world without those."""
        self.runs += 1
        profile = draw_profile(self.seed, without=without)
        profile.faults |= {k: v for k, v in self.weather.items() if k not in without}
        return run_world(profile, self.ground, timeline=True, sql=self.sql)

    def drop(self, names: list[str]) -> None:
        """Take away what is not needed: halves first, then each alone."""
        if not names or self.runs >= MOST_RUNS:
            return
        without = self.without | set(names)
        outcome = self.run(without)
        if self.invariants & {violation.invariant for violation in outcome.violations}:
            self.without, self.best = without, outcome
        elif len(names) > 1:
            half = len(names) // 2
            self.drop(names[:half])
            self.drop(names[half:])


def shrink(
    seed: int,
    ground: Ground,
    *,
    sql: Iterable[str] = (),
    weather: Mapping[str, float] | None = None,
) -> Shrunk | None:
    """The smallest failing world of a seed; None when it does not fail."""
    search = _Search(seed, ground, sql, weather or {})
    if not search.invariants:
        return None
    profile = draw_profile(seed)
    search.drop([f"customer-{number}" for number in range(profile.checkouts)])
    search.drop(sorted(profile.faults | dict(weather or {})))
    search.drop(["keeper", "stranger"])
    return Shrunk(seed, search.without, search.best, search.runs)
