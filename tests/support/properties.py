"""Properties that take the function under test, so that a seeded bug can stand in for it."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

F = TypeVar("F", bound=Callable[..., object])

# A counterexample to a seeded bug need not be small: shrinking it is where the time would go.
_SEEDED: ContextVar[bool] = ContextVar("seeded", default=False)


def forall(
    *strategies: SearchStrategy[Any], examples: int = 200
) -> Callable[[Callable[..., None]], None]:
    """Run the decorated check at once, on many drawn examples. Leaves no files behind."""

    def run(check: Callable[..., None]) -> None:
        phases = [Phase.generate] if _SEEDED.get() else [Phase.generate, Phase.shrink]
        chosen = settings(
            max_examples=examples,
            deadline=None,  # a busy machine is no bug
            database=None,
            report_multiple_bugs=False,
            phases=phases,
            suppress_health_check=[HealthCheck.too_slow],
        )
        chosen(given(*strategies)(check))()

    return run


def catches(check: Callable[[F], None], bug: F) -> None:
    """Negative control: the check must fail when the seeded bug stands in for the real thing."""
    token = _SEEDED.set(True)
    try:
        with pytest.raises(AssertionError):
            check(bug)
    finally:
        _SEEDED.reset(token)
