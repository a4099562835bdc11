"""Time that a busy machine does not move."""

import time
from collections.abc import Callable

from commande.sandbox.clock import RunningClock


class Steady:
    """The moment at which it was made, in seconds since 1970; a little later with each look.

    Else a slow machine lets a lease run out, or a debit succeed, between two lines of a test.
    """

    def __init__(self, tick: float = 0.0) -> None:
        self._at, self._tick = time.time(), tick

    def __call__(self) -> float:
        self._at += self._tick
        return self._at


class StripeClock(RunningClock):
    """The stand-in's clock on such a time; whoever asks for it moves it."""

    def __init__(self, moment: Callable[[], float]) -> None:
        super().__init__()
        self._moment = moment

    def now(self) -> float:
        """See ``Clock``."""
        return self._moment() + self.offset
