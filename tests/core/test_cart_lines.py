"""The cart: how much fits in, and which lines are one."""

from collections import Counter

import pytest
from hypothesis import strategies as st

from commande.core.cart import MAX_LINES, MAX_QUANTITY, CartLine, check_cart, merge_lines
from commande.errors import InputInvalid
from tests.support.properties import forall

BREAD = "507f1f77bcf86cd799439011"
LINES = st.lists(
    st.builds(
        CartLine,
        st.sampled_from(["a" * 24, "b" * 24, "c" * 24]),
        st.integers(1, 120),
        st.sampled_from([None, "standard", "large"]),
    ),
    max_size=12,
)


def refusals(lines: list[CartLine]) -> list[tuple[str, str]]:
    with pytest.raises(InputInvalid) as refused:
        check_cart(lines)
    return [(error.field, error.code) for error in refused.value.errors]


@pytest.mark.parametrize("quantity", [1, 2, 999])
def test_quantities_from_one_to_three_digits_are_taken(quantity: int) -> None:
    check_cart([CartLine(BREAD, quantity)])


@pytest.mark.parametrize(
    "quantity",
    [0, -1, -999, 1000, 2**31, 2**53, 2**63, 2**65, 10**5000, float("nan"), float("inf"), 1e400],
    ids=lambda quantity: (
        f"{type(quantity).__name__}_{quantity:.0e}"
        if isinstance(quantity, float) or quantity < 10**300
        else "10^5000"
    ),
)
def test_s12_a_quantity_out_of_range_is_refused_with_its_path(quantity: int) -> None:
    lines = [CartLine(BREAD, 1), CartLine(BREAD, quantity)]
    assert refusals(lines) == [("items.1.quantity", "out_of_range")]


def test_s12_every_wrong_line_is_named_at_once() -> None:
    lines = [CartLine(BREAD, quantity) for quantity in (0, 5, 1000)]
    assert [field for field, _ in refusals(lines)] == ["items.0.quantity", "items.2.quantity"]


def test_a_cart_holds_one_to_a_hundred_lines() -> None:
    line = CartLine(BREAD, 1)
    assert refusals([]) == [("items", "too_short")]
    check_cart([line] * MAX_LINES)
    assert refusals([line] * (MAX_LINES + 1)) == [("items", "too_long")]


def test_merging_keeps_every_piece_and_the_first_place() -> None:
    @forall(LINES)
    def _(lines: list[CartLine]) -> None:
        wanted: Counter[tuple[str, str | None]] = Counter()
        first: dict[tuple[str, str | None], int] = {}
        for index, line in enumerate(lines):
            wanted[line.product_id, line.type] += line.quantity
            first.setdefault((line.product_id, line.type), index)
        if max(wanted.values(), default=0) > MAX_QUANTITY:
            with pytest.raises(InputInvalid, match=r"items\.\d+\.quantity"):
                merge_lines(list(enumerate(lines)))
            return
        merged = merge_lines(list(enumerate(lines)))
        assert {(line.product_id, line.type): line.quantity for _, line in merged} == wanted
        assert {(line.product_id, line.type): index for index, line in merged} == first
        assert [index for index, _ in merged] == sorted(first.values())
        assert merge_lines(merged) == merged


def test_s12_lines_that_overflow_together_are_refused_at_the_one_too_many() -> None:
    lines = list(enumerate([CartLine(BREAD, 500), CartLine("b" * 24, 999), CartLine(BREAD, 500)]))
    with pytest.raises(InputInvalid) as refused:
        merge_lines(lines)
    assert refused.value.errors[0].field == "items.2.quantity"
