"""The quote: the only place where totals are computed adds up to the cent."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest

from commande.core.command import take_snapshot
from commande.core.money import GRANULARITY, MAXIMUM, MINIMUM, minimum
from commande.core.pricing import PricedLine, Quote, quote
from commande.errors import TotalOutOfRange
from tests.support.carts import carts
from tests.support.properties import catches, forall

Cart = tuple[str, list[PricedLine]]
Pricing = Callable[[list[PricedLine], str], Quote]


def expected_tax(line: PricedLine) -> int:
    """Independent of the code: fractions, half up, line by line."""
    if line.rate is None:
        return 0
    amount, part = line.unit_minor * line.quantity, Fraction(str(line.rate.percentage)) / 100
    exact = amount * part / (1 + part) if line.rate.inclusive else amount * part
    return floor(exact + Fraction(1, 2))


def totals_add_up(price: Pricing) -> None:
    @forall(carts(), examples=400)
    def _(cart: Cart) -> None:
        currency, lines = cart
        result = price(lines, currency)
        assert [line.tax_minor for line in result.lines] == [expected_tax(line) for line in lines]
        catalogue = sum(line.unit_minor * line.quantity for line in lines)
        on_top = sum(expected_tax(x) for x in lines if x.rate and not x.rate.inclusive)
        assert result.total_minor == catalogue + on_top
        assert result.total_minor == sum(line.total_minor for line in result.lines)
        for line in result.lines:
            inclusive = line.rate is None or line.rate.inclusive
            assert line.total_minor == line.unit_minor * line.quantity + (
                0 if inclusive else line.tax_minor
            )


def test_totals_add_up_to_the_cent_for_every_cart_currency_and_rate() -> None:
    totals_add_up(quote)


def taxed(lines: list[PricedLine], tax: Callable[[PricedLine], int]) -> tuple[PricedLine, ...]:
    return tuple(replace(line, tax_minor=tax(line)) for line in lines)


def forgets_the_quantity(lines: list[PricedLine], currency: str) -> Quote:
    return Quote(currency, taxed(lines, lambda line: expected_tax(replace(line, quantity=1))))


def rounds_down(lines: list[PricedLine], currency: str) -> Quote:
    return Quote(currency, taxed(lines, lambda line: max(0, expected_tax(line) - 1)))


def adds_inclusive_tax(lines: list[PricedLine], currency: str) -> Quote:
    outside = [
        replace(line, rate=line.rate and replace(line.rate, inclusive=False)) for line in lines
    ]
    return quote(outside, currency)


def drops_the_last_line(lines: list[PricedLine], currency: str) -> Quote:
    whole = quote(lines, currency)
    return Quote(currency, whole.lines[:-1])


@pytest.mark.parametrize(
    "bug",
    [forgets_the_quantity, rounds_down, adds_inclusive_tax, drops_the_last_line],
    ids=lambda bug: bug.__name__,
)
def test_control_a_wrong_total_would_be_caught(bug: Pricing) -> None:
    catches(totals_add_up, bug)


def test_base_and_tax_are_the_total_rate_by_rate() -> None:
    @forall(carts())
    def _(cart: Cart) -> None:
        currency, lines = cart
        result = quote(lines, currency)
        taxes = result.taxes()
        assert list(taxes) == sorted({line.rate for line in lines if line.rate})
        for rate, (base, tax) in taxes.items():
            mine = [line for line in result.lines if line.rate == rate]
            assert base + tax == sum(line.total_minor for line in mine)
            assert tax == sum(line.tax_minor for line in mine)
            assert base >= 0
        untaxed = sum(line.total_minor for line in result.lines if line.rate is None)
        assert sum(base + tax for base, tax in taxes.values()) + untaxed == result.total_minor


def test_inclusive_tax_never_changes_the_total() -> None:
    @forall(carts())
    def _(cart: Cart) -> None:
        currency, lines = cart
        inclusive = [
            replace(line, rate=line.rate and replace(line.rate, inclusive=True)) for line in lines
        ]
        untaxed = [replace(line, rate=None) for line in lines]
        total = quote(inclusive, currency).total_minor
        assert total == quote(untaxed, currency).total_minor
        assert total % GRANULARITY.get(currency, 1) == 0


def test_the_order_of_lines_does_not_change_the_total() -> None:
    @forall(carts())
    def _(cart: Cart) -> None:
        currency, lines = cart
        there, back = quote(lines, currency), quote(lines[::-1], currency)
        assert (there.total_minor, there.taxes()) == (back.total_minor, back.taxes())


def test_a_quote_survives_being_stored() -> None:
    @forall(carts())
    def _(cart: Cart) -> None:
        currency, lines = cart
        result = quote(lines, currency)
        assert Quote.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_the_snapshot_is_the_quote_in_whole_numbers_and_texts() -> None:
    @forall(carts())
    def _(cart: Cart) -> None:
        currency, lines = cart
        result = quote(lines, currency)
        snapshot = take_snapshot(result)
        stored = result.to_dict()
        assert {key: snapshot[key] for key in stored} == stored
        assert Quote.from_dict(snapshot) == result
        assert snapshot["discounts"] == []
        assert "." not in json.dumps([x | {"title": "", "rate": ""} for x in snapshot["lines"]])
        listed = {(t["rate"], t["base_minor"], t["tax_minor"]) for t in snapshot["taxes"]}
        assert listed == {(rate.key, *sums) for rate, sums in result.taxes().items()}


@pytest.mark.parametrize("currency", ["eur", "jpy", "huf", "afn", "isk"])
def test_a_total_outside_what_stripe_charges_is_refused(currency: str) -> None:
    least = minimum(currency)
    for total in (0, least - 1, MAXIMUM + 1, 10**30):
        with pytest.raises(TotalOutOfRange) as refused:
            quote([PricedLine("0" * 24, "Brioche", "standard", 1, total)], currency)
        (error,) = refused.value.errors
        assert (error.field, error.code) == ("items", "total_out_of_range")
    for total in (least, MAXIMUM):
        line = PricedLine("0" * 24, "Brioche", "standard", 1, total)
        assert quote([line], currency).total_minor == total


def test_the_refusal_names_the_amounts_in_the_currency() -> None:
    with pytest.raises(TotalOutOfRange, match=r"0\.49 EUR; Stripe takes 0\.50 to 999999\.99 EUR"):
        quote([PricedLine("0" * 24, "Brioche", "standard", 7, 7)], "eur")
    with pytest.raises(TotalOutOfRange, match="49 JPY; Stripe takes 50 to 99999999 JPY"):
        quote([PricedLine("0" * 24, "Brioche", "standard", 7, 7)], "jpy")
    assert MINIMUM["eur"] == 50


def test_s12_the_dearest_cart_overflows_nothing() -> None:
    lines = [PricedLine(f"{i:024x}", "", "standard", 999, MAXIMUM) for i in range(100)]
    with pytest.raises(TotalOutOfRange):
        quote(lines, "eur")
