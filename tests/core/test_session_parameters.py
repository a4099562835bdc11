"""The frozen parameters of a Checkout Session."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from commande.core.pricing import PricedLine, Quote, quote
from commande.core.session import (
    SessionTerms,
    resolve_tax_rates,
    session_expiry,
    session_parameters,
    tax_rate_keys,
)
from commande.core.tax import TaxRate, tax_of
from tests.support.carts import carts
from tests.support.properties import forall

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TERMS = SessionTerms(
    command_id="507f1f77bcf86cd799439011",
    attempt_id="507f1f77bcf86cd799439012",
    ref="#ABC12345",
    token="t0k-en_",
    mark="f" * 64,
    email="jeanne@example.com",
    locale="fr",
    success_url="https://shop.example/commande/terminee",
    cancel_url="https://shop.example/commande/annulee",
    expires_at=NOON + timedelta(hours=23),
    appointment_at=NOON + timedelta(days=3),
)


def a_quote(title: str = "Brioche", kind: str = "standard") -> Quote:
    rate = TaxRate("FR", Decimal("5.5"), inclusive=True)
    return quote([PricedLine("a" * 24, title, kind, 2, 2999, rate)], "eur")


def test_stripe_is_told_exactly_what_was_quoted() -> None:
    @forall(carts())
    def _(cart: tuple[str, list[PricedLine]]) -> None:
        ours = quote(cart[1], cart[0])
        parameters = session_parameters(ours, TERMS)
        total = 0
        for item, line in zip(parameters["line_items"], ours.lines, strict=True):
            assert item["price_data"]["currency"] == ours.currency
            amount = item["price_data"]["unit_amount"] * item["quantity"]
            keys = item.get("tax_rates", [])
            assert keys == ([line.rate.key] if line.rate else [])
            rates = [TaxRate.from_key(key) for key in keys]
            total += amount + sum(tax_of(amount, rate) for rate in rates if not rate.inclusive)
        assert total == ours.total_minor
        assert parameters["metadata"]["total"] == str(ours.total_minor)
        assert json.loads(json.dumps(parameters)) == parameters  # stored and sent as it is


def test_nothing_of_the_account_may_change_total_or_currency() -> None:
    parameters = session_parameters(a_quote(), TERMS)
    assert parameters["mode"] == "payment"
    assert parameters["automatic_tax"] == {"enabled": False}
    assert parameters["adaptive_pricing"] == {"enabled": False}
    assert "payment_method_types" not in parameters


def test_our_ids_stand_in_session_and_intent_and_the_cart_in_neither() -> None:
    parameters = session_parameters(a_quote(), TERMS)
    metadata = parameters["metadata"]
    assert metadata == parameters["payment_intent_data"]["metadata"]
    assert parameters["client_reference_id"] == metadata["command_id"] == TERMS.command_id
    assert (metadata["attempt_id"], metadata["mac"]) == (TERMS.attempt_id, TERMS.mark)
    assert "Brioche" not in json.dumps(metadata)
    assert all(isinstance(value, str) and len(value) <= 500 for value in metadata.values())


def test_an_erased_address_is_not_sent() -> None:
    assert session_parameters(a_quote(), TERMS)["customer_email"] == "jeanne@example.com"
    assert "customer_email" not in session_parameters(a_quote(), replace(TERMS, email=None))


def test_the_addresses_name_the_command_and_leave_stripes_braces_alone() -> None:
    parameters = session_parameters(a_quote(), TERMS)
    query = "command_id=507f1f77bcf86cd799439011&token=t0k-en_"
    assert parameters["success_url"] == (
        f"https://shop.example/commande/terminee?session_id={{CHECKOUT_SESSION_ID}}&{query}"
    )
    assert parameters["cancel_url"] == f"https://shop.example/commande/annulee?{query}"


def test_a_line_is_named_by_product_and_type_within_stripes_length() -> None:
    def name(title: str, kind: str) -> str:
        item = session_parameters(a_quote(title, kind), TERMS)["line_items"][0]
        return str(item["price_data"]["product_data"]["name"])

    assert name("Brioche", "standard") == "Brioche"
    assert name("Brioche", "grande") == "Brioche, grande"
    assert len(name("B" * 400, "grande")) == 250


def test_tax_rates_are_resolved_once_and_the_frozen_parameters_stay() -> None:
    @forall(carts())
    def _(cart: tuple[str, list[PricedLine]]) -> None:
        frozen = session_parameters(quote(cart[1], cart[0]), TERMS)
        before = deepcopy(frozen)
        keys = tax_rate_keys(frozen)
        assert len(keys) == len(set(keys))
        assert set(keys) == {line.rate.key for line in cart[1] if line.rate}
        sent = resolve_tax_rates(frozen, {key: f"txr_{key}" for key in keys})
        assert frozen == before
        assert tax_rate_keys(sent) == [f"txr_{key}" for key in keys]
        assert {k: v for k, v in sent.items() if k != "line_items"} == {
            k: v for k, v in frozen.items() if k != "line_items"
        }


def test_a_session_expires_within_stripes_bounds_and_before_clean_up_if_it_can() -> None:
    @forall(st.timedeltas(timedelta(0), timedelta(days=40)))
    def _(age: timedelta) -> None:
        now = NOON + age
        expiry = session_expiry(NOON, now)
        assert timedelta(minutes=30) < expiry - now < timedelta(hours=24)
        assert expiry.microsecond == 0
        if age < timedelta(hours=22):
            assert expiry == NOON + timedelta(hours=23)
