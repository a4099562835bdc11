"""The order's fingerprint: the same order twice is a double click, anything else is another."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import strategies as st

from commande.core.cart import CartLine
from commande.core.customer import Customer
from commande.core.order import Order
from tests.support.properties import forall

JEANNE = Customer(
    "Jeanne", "Martin", "jeanne@example.com", "+33612345678", "1 rue X", "75001", "Paris", "FR"
)
ORDER = Order(
    (CartLine("a" * 24, 2, "standard"), CartLine("b" * 24, 1)),
    JEANNE,
    datetime(2026, 12, 15, 14, tzinfo=UTC),
    note="Sonner deux fois",
    locale="fr",
)
CHANGES: dict[str, dict[str, Any]] = {
    "quantity": {"cart": (CartLine("a" * 24, 3, "standard"), *ORDER.cart[1:])},
    "type": {"cart": (CartLine("a" * 24, 2, "large"), *ORDER.cart[1:])},
    "product": {"cart": (CartLine("c" * 24, 2, "standard"), *ORDER.cart[1:])},
    "one_line_less": {"cart": ORDER.cart[:1]},
    "appointment": {"appointment_at": ORDER.appointment_at + timedelta(minutes=1)},
    **{f"customer_{f.name}": {"customer": replace(JEANNE, **{f.name: "other"})}
       for f in fields(Customer)},
}  # fmt: skip


def test_the_same_order_has_the_same_fingerprint_wherever_its_clock_stands() -> None:
    tokyo = ORDER.appointment_at.astimezone(timezone(timedelta(hours=9)))
    again = replace(ORDER, customer=replace(JEANNE), appointment_at=tokyo)
    assert again.fingerprint() == ORDER.fingerprint()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_order_has_another_fingerprint(change: dict[str, Any]) -> None:
    assert replace(ORDER, **change).fingerprint() != ORDER.fingerprint()
    assert replace(ORDER, **change).digest() != ORDER.digest()


@pytest.mark.parametrize("change", [{"note": None}, {"locale": "en"}], ids=["note", "locale"])
def test_a_double_click_is_cart_customer_and_appointment_a_repeat_is_everything(
    change: dict[str, Any],
) -> None:
    other = replace(ORDER, **change)
    assert other.fingerprint() == ORDER.fingerprint()
    assert other.digest() != ORDER.digest()


def test_neighbouring_fields_do_not_run_together() -> None:
    @forall(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))
    def _(first: str, last: str, other_first: str, other_last: str) -> None:
        one = replace(ORDER, customer=replace(JEANNE, firstName=first, lastName=last))
        two = replace(ORDER, customer=replace(JEANNE, firstName=other_first, lastName=other_last))
        same = (first, last) == (other_first, other_last)
        assert (one.fingerprint() == two.fingerprint()) == same


def test_any_text_at_all_has_a_fingerprint() -> None:
    assert len(replace(ORDER, note="\ud800 \x00 é").digest()) == 64
