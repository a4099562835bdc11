"""After every journey that ran before: nothing was lost, charged twice or left half done."""

from tests.support.shopper import GOOD, Shopper
from tests.support.stand import eventually


def test_no_invariant_is_broken(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")
    premises = shopper.premises
    # A breach that stays is one; what a worker is just doing is not.
    assert eventually(lambda: not premises.breaches(), 20), premises.breaches()


def test_control_a_paid_session_that_nobody_noted_is_found(shopper: Shopper) -> None:
    shopper.orders()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    assert any(shopper.session_id in breach for breach in shopper.premises.breaches())
    shopper.comes_back()
    shopper.sees_paid(by="browser")
    assert not shopper.premises.breaches()
