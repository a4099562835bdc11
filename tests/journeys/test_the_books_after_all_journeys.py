"""After every journey that ran before: nothing was lost, charged twice or left half done."""

import time

from tests.support.premises import Premises
from tests.support.shopper import GOOD, PATIENCE, Shopper


def lasting_breaches(premises: Premises) -> list[str]:
    """A breach that stays is one; what a worker is just doing is not."""
    give_up = time.monotonic() + PATIENCE
    while (found := premises.breaches()) and time.monotonic() < give_up:
        time.sleep(0.1)
    return found


def test_no_invariant_is_broken(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")
    assert lasting_breaches(shopper.premises) == []


def test_control_a_paid_session_that_nobody_noted_is_found(shopper: Shopper) -> None:
    shopper.orders()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    assert any(shopper.session_id in breach for breach in shopper.premises.breaches())
    shopper.comes_back()
    shopper.sees_paid(by="browser")
    assert lasting_breaches(shopper.premises) == []
