"""Tax of a session, rounded a line or a rate at a time."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commande.sandbox.tax import Rounding, tax_lines
from tests.support.stand import Stand, a_line


def a_rate(percentage: float, *, inclusive: bool, id_: str = "txr_1") -> dict[str, Any]:
    return {"id": id_, "percentage": percentage, "inclusive": inclusive}


rates = st.builds(
    a_rate,
    st.decimals(0, 100, places=4).map(float),
    inclusive=st.booleans(),
    id_=st.sampled_from(["txr_1", "txr_2"]),
)


@given(st.integers(0, 10**10), st.decimals(0, 100, places=4))
def test_inclusive_tax_is_what_is_left_when_the_net_is_taken_out(
    amount: int, percentage: Decimal
) -> None:
    [[tax]] = tax_lines([(amount, [a_rate(float(percentage), inclusive=True)])], "line")
    exact = Decimal(amount) * percentage / (100 + percentage)
    assert tax.amount == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert tax.taxable == amount - tax.amount


@given(st.integers(0, 10**10), st.decimals(0, 100, places=4))
def test_exclusive_tax_comes_on_top(amount: int, percentage: Decimal) -> None:
    [[tax]] = tax_lines([(amount, [a_rate(float(percentage), inclusive=False)])], "line")
    exact = Decimal(amount) * percentage / 100
    assert tax.amount == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert tax.taxable == amount


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=20),
    st.decimals(0, 100, places=4),
    st.booleans(),
)
def test_by_rate_the_sum_is_rounded_once(
    amounts: list[int], percentage: Decimal, inclusive: bool
) -> None:
    rate = a_rate(float(percentage), inclusive=inclusive)
    taxes = tax_lines([(amount, [rate]) for amount in amounts], "rate")
    exact = Decimal(sum(amounts)) * percentage / (100 + percentage * inclusive)
    total = sum(tax.amount for [tax] in taxes)
    assert total == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    for [tax], amount in zip(taxes, amounts, strict=True):
        share = Decimal(amount) * percentage / (100 + percentage * inclusive)
        assert abs(tax.amount - share) <= 1


def test_the_setting_decides_and_both_are_known(stand: Stand) -> None:
    rate = stand.v1.tax_rates.create({"display_name": "T", "percentage": 5, "inclusive": False})
    lines = [a_line(90, 1, tax_rates=[rate.id]) for _ in range(3)]
    totals: dict[Rounding, int | None] = {}
    for rounding in ("line", "rate"):
        stand.dashboard.set(tax_rounding=rounding)
        totals[rounding] = stand.order(line_items=lines).amount_total
    assert totals == {"line": 270 + 3 * 5, "rate": 270 + 14}


def test_a_session_tells_its_taxes_by_rate(stand: Stand) -> None:
    create = stand.v1.tax_rates.create
    low = create({"display_name": "TVA", "percentage": 5.5, "inclusive": True, "country": "fr"})
    high = create({"display_name": "TVA", "percentage": 20, "inclusive": True})
    assert low.country == "FR"
    session = stand.order(
        line_items=[
            a_line(1055, 1, tax_rates=[low.id]),
            a_line(1200, 2, tax_rates=[high.id]),
            a_line(100, 1),
        ]
    )
    assert session.amount_total == 1055 + 2400 + 100
    assert session.total_details is not None
    assert session.total_details.amount_tax == 55 + 400
    whole = stand.v1.checkout.sessions.retrieve(session.id, {"expand": ["total_details.breakdown"]})
    assert whole.total_details is not None
    assert whole.total_details.breakdown is not None
    by_rate = {tax.rate.id: tax.amount for tax in whole.total_details.breakdown.taxes}
    assert by_rate == {low.id: 55, high.id: 400}
