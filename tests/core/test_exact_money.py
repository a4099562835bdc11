"""Money: minor units inside, exact decimals at the edges."""

import json
from collections.abc import Callable
from decimal import Decimal

import orjson
import pytest
from hypothesis import strategies as st

from commande.core import money
from commande.core.money import is_currency, split, to_major, to_minor, to_number
from tests.support.carts import CURRENCIES
from tests.support.properties import catches, forall

AMOUNTS = st.integers(-999_999_999_999, 999_999_999_999)  # Stripe's twelve digits
Split = Callable[[int, list[int]], list[int]]


def test_minor_units_survive_the_way_to_decimals_and_back() -> None:
    @forall(AMOUNTS, CURRENCIES)
    def _(amount: int, currency: str) -> None:
        minor = amount * money.GRANULARITY.get(currency, 1)
        major = to_major(minor, currency)
        assert to_minor(major, currency) == minor
        assert to_minor(str(major), currency) == minor
        assert len(str(major).partition(".")[2]) == money.exponent(currency)


def number_prints_exactly(number: Callable[[int, str], float | int]) -> None:
    @forall(AMOUNTS, CURRENCIES, examples=500)
    def _(minor: int, currency: str) -> None:
        for text in (
            json.dumps(number(minor, currency)),
            orjson.dumps(number(minor, currency)).decode(),
        ):
            assert Decimal(text) == to_major(minor, currency)
            decimals = len(text.partition(".")[2])
            assert decimals <= max(1, money.exponent(currency)), text


def test_an_amount_prints_exactly_in_json() -> None:
    number_prints_exactly(to_number)


def test_control_a_product_of_floats_would_be_caught() -> None:
    catches(number_prints_exactly, lambda minor, currency: minor * 10 ** -money.exponent(currency))


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(5998, "eur", "59.98"), (10, "eur", "0.1"), (5998, "jpy", "5998"), (12340, "bhd", "12.34")],
)
def test_amounts_read_as_people_know_them(minor: int, currency: str, text: str) -> None:
    assert json.dumps(to_number(minor, currency)) == text


def test_an_amount_finer_than_the_currency_is_refused_not_rounded() -> None:
    @forall(AMOUNTS, CURRENCIES, st.integers(1, 9), st.integers(1, 40))
    def _(minor: int, currency: str, digit: int, deeper: int) -> None:
        places = money.exponent(currency)
        text = f"{to_major(minor, currency)}"
        dot = "" if places else "."
        with pytest.raises(ValueError, match="decimal"):
            to_minor(f"{text}{dot}{'0' * (deeper - 1)}{digit}", currency)


@pytest.mark.parametrize(
    "amount",
    ["NaN", "sNaN", "Infinity", "-Infinity", "1e400", "1e999999999", "1e-999999999", "", "12,50",
     "douze", "99999999999999999999999999999.01", "0.10000000000000000000000000000000000001",
     10**40],
)  # fmt: skip
def test_s12_what_is_no_finite_amount_is_refused(amount: str | int) -> None:
    with pytest.raises(ValueError, match="decimal"):
        to_minor(amount, "eur")


@pytest.mark.parametrize(
    ("amount", "currency"), [("12.50", "isk"), ("0.01", "ugx"), ("5.124", "kwd"), ("0.005", "bhd")]
)
def test_amounts_between_the_steps_of_a_currency_are_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match="in steps of"):
        to_minor(amount, currency)


def test_every_table_names_currencies_that_exist() -> None:
    named = {*money.ZERO_DECIMAL, *money.THREE_DECIMAL, *money.GRANULARITY, *money.MINIMUM}
    assert {code for code in named if not is_currency(code)} == set()
    assert not money.ZERO_DECIMAL & money.THREE_DECIMAL
    assert not any(money.MINIMUM[code] % money.GRANULARITY.get(code, 1) for code in money.MINIMUM)
    assert not is_currency("EUR")
    assert not is_currency("xyz")
    assert money.minimum("afn") == 1


def splits_exactly_and_fairly(divide: Split) -> None:
    weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)

    @forall(st.integers(0, 10**10), weights)
    def _(total: int, weights: list[int]) -> None:
        shares = divide(total, weights)
        assert sum(shares) == total
        assert len(shares) == len(weights)
        parts = weights if sum(weights) else [1] * len(weights)
        for share, part in zip(shares, parts, strict=True):
            exact = Decimal(total) * part / sum(parts)
            assert abs(share - exact) < 1
        assert shares == divide(total, weights)


def test_shares_add_up_and_none_is_a_cent_off() -> None:
    splits_exactly_and_fairly(split)


def test_control_rounded_shares_would_be_caught() -> None:
    def rounded(total: int, weights: list[int]) -> list[int]:
        return [round(total * weight / (sum(weights) or 1)) for weight in weights]

    catches(splits_exactly_and_fairly, rounded)


def test_a_share_of_nothing_is_nothing() -> None:
    @forall(st.integers(0, 10**8), st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def _(total: int, weights: list[int]) -> None:
        if any(weights):
            shares = split(total, weights)
            assert not any(s for s, w in zip(shares, weights, strict=True) if w == 0)


def test_the_larger_remainder_comes_first_and_then_the_earlier_place() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(10, [1, 2, 3]) == [2, 3, 5]
    assert split(5, [0, 0]) == [3, 2]
    with pytest.raises(ValueError, match="nothing to split"):
        split(5, [])
