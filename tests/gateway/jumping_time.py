"""Time that passes only while nobody has anything to do: a limit is as long as it says, however
busy the machine is, and to wait for it costs nothing."""

import asyncio
import inspect
import selectors
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from tests.gateway.odd_stripe import opened_gateways, opened_stripe

# Real seconds in which bytes under way between two ends of this process must arrive, before time
# jumps: they arrive at once unless the machine stands still. A short jump can harm nothing.
_FAR, _LONG, _SHORT = 0.1, 0.3, 0.0005


class _Selector(selectors.DefaultSelector):
    """Where the loop waits: for bytes in earnest, for a moment by declaring that it has come."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(_LONG if timeout > _FAR else _SHORT)
        if not events:
            self.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on that time, for a client and its server in one thread."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since it was made."""
        return self._jumping.now


def in_jumping_time(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test of ``odd_stripe`` and ``open_to``, and of its parameters, on such a loop."""

    signature = inspect.signature(test)

    async def live(**given: Any) -> None:
        async with opened_stripe() as odd_stripe, opened_gateways() as open_to:
            ours = {"odd_stripe": odd_stripe, "open_to": open_to}
            given |= {name: value for name, value in ours.items() if name in signature.parameters}
            await test(**given)

    @wraps(test)
    def run(**given: Any) -> None:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(live(**given))

    own = [p for name, p in signature.parameters.items() if name not in ("odd_stripe", "open_to")]
    run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    del run.__wrapped__  # type: ignore[attr-defined]
    return run
