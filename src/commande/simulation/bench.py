"""The bench on which a mutant is made: real functions swapped for wrong ones, and swapped back.

This is the only place that reaches into other modules, and only while a mutant runs.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from commande.simulation.profile import Profile
from commande.worker import Duty

Make = Callable[[Any], Any]
"""From the real function to the wrong one."""


class Bench:
    """What was swapped, to be put back; and what the world is told besides."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self.sql: list[str] = []
        """Run on every world's database: a layer of ours that the database backs up."""

    def function(self, module: str, name: str, make: Make) -> None:
        """Swap a function wherever it was imported, and in the timetable."""
        real = getattr(sys.modules[module], name)
        wrong = make(real)
        wrong.__name__ = getattr(real, "__name__", name)
        for path, holder in list(sys.modules.items()):
            if path.startswith("commande.") and holder is not None:
                for key, value in list(vars(holder).items()):
                    if value is real:
                        self._set(holder, key, wrong)
                    elif isinstance(value, tuple) and value and isinstance(value[0], Duty):
                        duties = tuple(
                            replace(duty, run=wrong) if duty.run is real else duty for duty in value
                        )
                        self._set(holder, key, duties)

    def constant(self, module: str, name: str, value: object) -> None:
        """Swap a constant of one module."""
        self._set(sys.modules[module], name, value)

    def method(self, owner: type, name: str, make: Make) -> None:
        """Swap a method of a class."""
        self._set(owner, name, make(getattr(owner, name)))

    def entry(self, table: dict[Any, Any], key: object, make: Make) -> None:
        """Swap an entry of a table."""
        real = table[key]
        table[key] = make(real)
        self._undo.append(lambda: table.__setitem__(key, real))

    def drop(self, kind: str, name: str) -> None:
        """Take a trigger or an index away."""
        self.sql.append(f"DROP {kind} {name}")

    def put_back(self) -> None:
        """Everything is real again."""
        while self._undo:
            self._undo.pop()()

    def _set(self, holder: Any, key: str, value: object) -> None:
        real = getattr(holder, key)
        setattr(holder, key, value)
        self._undo.append(lambda: setattr(holder, key, real))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded bug: what it breaks, and the weather in which it shows."""

    name: str
    breaks: str
    make: Callable[[Bench], None]
    faults: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long the faults of that weather last."""
    layers: int = 1
    """How many layers are off: more than one where one covers for the other."""
    without: tuple[Callable[[Bench], None], ...] = ()
    """Those of them that are taken away whole; alone, they let nothing be seen in that weather."""
    tolerates: frozenset[str] = frozenset()
    """Invariants that the outer layers keep, where the bug is to be seen by another's breaking."""

    @contextmanager
    def at_work(self) -> Iterator[list[str]]:
        """The bug is in; gives the SQL that every world needs besides."""
        bench = Bench()
        try:
            for take_away in self.without:
                take_away(bench)
            self.make(bench)
            yield bench.sql
        finally:
            bench.put_back()

    def profile(self, drawn: Profile) -> Profile:
        """The seed's world with the mutant's weather added."""
        drawn.faults |= self.faults
        drawn.seconds |= self.seconds
        drawn.tolerates = self.tolerates
        return drawn
