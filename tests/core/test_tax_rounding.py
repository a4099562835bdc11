"""Tax: half up, by whole numbers, the same as fractions say."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import strategies as st

from commande.core.tax import TaxRate, canonical, tax_of
from tests.support.carts import PERCENTAGES, RATES
from tests.support.properties import catches, forall

AMOUNTS = st.one_of(st.integers(0, 2_000), st.integers(0, 10**13))
Tax = Callable[[int, TaxRate], int]


def exact_tax(amount: int, rate: TaxRate) -> Fraction:
    """The tax by Stripe's own formula, unrounded."""
    part = Fraction(str(rate.percentage)) / 100
    return amount - amount / (1 + part) if rate.inclusive else amount * part


@st.composite
def taxable(draw: st.DrawFn) -> tuple[int, TaxRate]:
    """An amount and a rate, often such that the tax is exactly a half: there roundings part."""
    rate = draw(RATES)
    doubled = exact_tax(1, rate) * 2
    return draw(AMOUNTS | st.integers(1, 999).map(lambda n: n * doubled.denominator)), rate


def tax_is_half_up(tax: Tax) -> None:
    @forall(taxable(), examples=800)
    def _(case: tuple[int, TaxRate]) -> None:
        amount, rate = case
        assert tax(amount, rate) == floor(exact_tax(amount, rate) + Fraction(1, 2))


def test_tax_is_what_fractions_say_rounded_half_up() -> None:
    tax_is_half_up(tax_of)


def rounding_down(amount: int, rate: TaxRate) -> int:
    return floor(exact_tax(amount, rate))


def rounding_half_to_even(amount: int, rate: TaxRate) -> int:
    return round(exact_tax(amount, rate))


def in_floats(amount: int, rate: TaxRate) -> int:
    part = float(rate.percentage) / 100
    return int((amount - amount / (1 + part) if rate.inclusive else amount * part) + 0.5)


def four_decimals_cut_to_two(amount: int, rate: TaxRate) -> int:
    cut = rate.percentage.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return tax_of(amount, TaxRate(rate.country, cut, rate.inclusive))


def always_on_top(amount: int, rate: TaxRate) -> int:
    return tax_of(amount, TaxRate(rate.country, rate.percentage, inclusive=False))


@pytest.mark.parametrize(
    "bug",
    [rounding_down, rounding_half_to_even, in_floats, four_decimals_cut_to_two, always_on_top],
    ids=lambda bug: bug.__name__,
)
def test_control_another_rounding_would_be_caught(bug: Tax) -> None:
    catches(tax_is_half_up, bug)


@pytest.mark.parametrize(
    ("amount", "percentage", "inclusive", "tax"),
    [(5998, "20", True, 1000), (1000, "5.5", False, 55), (50, "1", False, 1), (49, "1", False, 0),
     (1000, "2.1", True, 21), (0, "20", False, 0), (100, "100", True, 50), (100, "100", False, 100),
     (3, "100", True, 2)],
)  # fmt: skip
def test_known_taxes(amount: int, percentage: str, inclusive: bool, tax: int) -> None:
    assert tax_of(amount, TaxRate("FR", Decimal(percentage), inclusive)) == tax


def test_a_rate_is_one_however_it_is_spelled() -> None:
    spellings = ["20", "20.0", "20.0000", "2E+1", "020"]
    assert TaxRate("FR", Decimal("-0"), inclusive=True).key == "FR:0:incl"
    rates = {TaxRate("FR", Decimal(text), inclusive=True) for text in spellings}
    assert {rate.key for rate in rates} == {"FR:20:incl"}
    assert len(rates) == 1


def test_a_key_spells_its_rate_and_no_other() -> None:
    @forall(RATES, RATES)
    def _(rate: TaxRate, other: TaxRate) -> None:
        assert TaxRate.from_key(rate.key) == rate
        assert (rate.key == other.key) == (rate == other)


def test_the_shortest_spelling_is_plain() -> None:
    @forall(PERCENTAGES)
    def _(percentage: Decimal) -> None:
        text = canonical(percentage)
        assert Decimal(text) == percentage
        assert "E" not in text
        assert not (text.endswith("0") and "." in text)


@pytest.mark.parametrize(
    "percentage",
    [
        "-0.0001",
        "100.0001",
        "5.55555",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e-999999999",
        "1e999999999",
        "5.50000000000000000000000000000000000001",
    ],
)
def test_a_percentage_that_stripe_does_not_know_is_refused(percentage: str) -> None:
    with pytest.raises(ValueError, match="0–100 %"):
        TaxRate("FR", Decimal(percentage), inclusive=True)
