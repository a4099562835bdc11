"""People who do everything in any order: the invariants hold after each step and at the end."""

from dataclasses import replace
from typing import Any

import pytest

from commande.core.payment import PaymentState
from commande.shop import Shop
from tests.support.fuzz.walk import walk
from tests.support.seams import around_stripe, misreading


def test_no_walk_breaks_an_invariant() -> None:
    steps, found = walk(2, 6)
    assert found == ""
    assert steps["orders"] >= 6


def buries_alive(shop: Shop) -> Shop:
    """Clean-up that believes a session expired which it never ended."""

    async def around(_real: Any, session_id: str) -> Any:
        report = await shop.stripe.read_session(session_id)
        return replace(report, state=PaymentState.EXPIRED)

    return around_stripe(shop, "expire_session", around)


def believes_the_browser(shop: Shop) -> Shop:
    """A shop that takes every session for paid."""
    return misreading(shop, state=PaymentState.PAID)


@pytest.mark.parametrize(
    ("bug", "broken"), [(buries_alive, ("I4", "I9")), (believes_the_browser, ("I2",))]
)
def test_a_seeded_bug_is_found(bug: Any, broken: tuple[str, ...]) -> None:
    _, found = walk(2, 40, bug)
    assert any(f"{invariant}: " in found for invariant in broken), found
