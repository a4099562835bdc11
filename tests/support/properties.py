"""Properties that take the function under test, so that a seeded bug can stand in for it."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

F = TypeVar("F", bound=Callable[..., object])


def forall(
    *strategies: SearchStrategy[Any], examples: int = 200
) -> Callable[[Callable[..., None]], None]:
    """Run the decorated check at once, on many drawn examples. Leaves no files behind."""

    def run(check: Callable[..., None]) -> None:
        chosen = settings(
            max_examples=examples,
            deadline=None,  # a busy machine is no bug
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],
        )
        chosen(given(*strategies)(check))()

    return run


def catches(check: Callable[[F], None], bug: F) -> None:
    """Negative control: the check must fail when the seeded bug stands in for the real thing."""
    with pytest.raises(AssertionError):
        check(bug)
