"""Stripe's total is adopted where only the rounding of tax on top can explain the difference."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from commande.core.pricing import PricedLine, Quote, adopt_total, quote
from commande.core.tax import TaxRate
from tests.support.carts import carts
from tests.support.properties import catches, forall

Adoption = Callable[[Quote, int], Quote | None]


def explicable(ours: Quote, difference: int) -> bool:
    """One minor unit for each rate on top, from either way of rounding; no tax cannot have less."""
    per_line, once = {}, {}
    for rate, (_, tax) in ours.taxes().items():
        if not rate.inclusive and rate.percentage:
            amount = sum(line.amount_minor for line in ours.lines if line.rate == rate)
            per_line[rate], once[rate] = tax, half_up(Fraction(amount) * rate_of(rate))
    shift = sum(once.values()) - sum(per_line.values())
    return _within(per_line, difference) or _within(once, difference - shift)


def _within(taxes: dict[TaxRate, int], difference: int) -> bool:
    return abs(difference) <= len([tax for tax in taxes.values() if tax > 0 or difference > 0])


def rate_of(rate: TaxRate) -> Fraction:
    return Fraction(rate.percentage) / 100


def half_up(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


def adopts_what_rounding_explains(adopt: Adoption) -> None:
    @forall(carts(), st.integers(-6, 6), examples=600)
    def _(cart: tuple[str, list[PricedLine]], difference: int) -> None:
        ours = quote(cart[1], cart[0])
        theirs = ours.total_minor + difference
        adopted = adopt(ours, theirs)
        assert (adopted is not None) == explicable(ours, difference)
        if adopted is None:
            return
        assert adopted.total_minor == theirs
        assert adopted.currency == ours.currency
        for line, before in zip(adopted.lines, ours.lines, strict=True):
            assert replace(line, tax_minor=before.tax_minor) == before
            # Sharing out one rounding moves a line by less than one unit, the nudge by another.
            assert abs(line.tax_minor - before.tax_minor) <= 2
            assert line.tax_minor >= 0
            if line.rate is None or line.rate.inclusive or not line.rate.percentage:
                assert line == before


def test_every_difference_of_rounding_is_adopted_exactly_and_nothing_else() -> None:
    adopts_what_rounding_explains(adopt_total)


def believes_anything(ours: Quote, theirs: int) -> Quote | None:
    first, *rest = ours.lines
    moved = first.tax_minor + theirs - ours.total_minor
    return Quote(ours.currency, (replace(first, tax_minor=moved), *rest))


def keeps_its_own_total(ours: Quote, theirs: int) -> Quote | None:
    return ours if explicable(ours, theirs - ours.total_minor) else None


def rounds_rates_without_tax_too(ours: Quote, theirs: int) -> Quote | None:
    on_top = {line.rate for line in ours.lines if line.rate and not line.rate.inclusive}
    within = abs(theirs - ours.total_minor) <= len(on_top)
    return (adopt_total(ours, theirs) or ours) if within else None


def believes_inclusive_rates(ours: Quote, theirs: int) -> Quote | None:
    rates = {line.rate for line in ours.lines if line.rate}
    return adopt_total(ours, theirs) or (ours if theirs == ours.total_minor + len(rates) else None)


@pytest.mark.parametrize(
    "bug",
    [
        believes_anything,
        keeps_its_own_total,
        rounds_rates_without_tax_too,
        believes_inclusive_rates,
    ],
    ids=lambda bug: bug.__name__,
)
def test_control_a_wrong_adoption_would_be_caught(bug: Adoption) -> None:
    catches(adopts_what_rounding_explains, bug)


def a_quote(*lines: tuple[int, str, bool]) -> Quote:
    priced = [
        PricedLine(f"{i:024x}", "", "standard", 1, unit, TaxRate("FR", Decimal(rate), inclusive))
        for i, (unit, rate, inclusive) in enumerate(lines)
    ]
    return quote(priced, "eur")


def test_an_inclusive_total_leaves_nothing_to_adopt() -> None:
    ours = a_quote((5998, "20", True), (999, "5.5", True))
    assert adopt_total(ours, 6997) is ours
    assert adopt_total(ours, 6998) is None
    assert adopt_total(ours, 6996) is None


def test_a_rate_of_zero_neither_takes_a_cent_nor_hinders_another() -> None:
    ours = a_quote((1000, "0", False), (1010, "5.5", False))  # 55.55 of tax, rounded up to 56
    adopted = adopt_total(ours, ours.total_minor - 1)
    assert adopted is not None
    assert [line.tax_minor for line in adopted.lines] == [0, 55]
    assert adopt_total(a_quote((1000, "0", False)), 1001) is None


def test_the_difference_lands_on_the_line_with_the_most_tax() -> None:
    ours = a_quote((105, "10", False), (1005, "10", False), (205, "10", False))
    adopted = adopt_total(ours, ours.total_minor - 1)
    assert adopted is not None
    assert [line.tax_minor for line in adopted.lines] == [11, 100, 21]


def test_a_long_cart_that_stripe_rounds_once_is_believed() -> None:
    ours = a_quote(*[(102, "5.5", False)] * 40)  # 5.61 of tax each, rounded up to 6 by line
    once = 40 * 102 + 224  # 224.4 of tax in all
    adopted = adopt_total(ours, once)
    assert adopted is not None
    assert adopted.total_minor == once
    assert adopt_total(ours, once - 2) is None
    assert adopt_total(ours, once + 3) is None
