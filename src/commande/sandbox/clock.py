"""The stand-in's own clock: everything that happens later (expiry, SEPA, retries) asks it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since 1970, and a way to move them."""

    def now(self) -> float: ...

    def advance(self, seconds: float) -> None: ...


class RunningClock:
    """Real time plus an offset that a test or the demo may move."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Jump forward (or back, with a negative number) by so many seconds."""
        self.offset += seconds


class StandingClock:
    """Time that moves only when told to: for simulations that must replay to the letter."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds
