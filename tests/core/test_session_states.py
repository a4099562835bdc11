"""How Stripe's three statuses fold into one."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from commande.core.payment import PaymentReport, PaymentState, StripeEvent, read_state

STATUSES = ["open", "complete", "expired", None]
PAYMENT_STATUSES = ["paid", "unpaid", "no_payment_required"]
INTENTS = ["requires_payment_method", "requires_confirmation", "requires_action", "processing",
           "requires_capture", "succeeded", "canceled", None]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "payment", "intent"), list(product(STATUSES, PAYMENT_STATUSES, INTENTS))
)
def test_every_combination_has_one_meaning(
    status: str | None, payment: str, intent: str | None
) -> None:
    state = read_state(status, payment, intent)
    if payment == "paid":
        assert state is PaymentState.PAID  # Stripe's own word for money, whatever stands beside it
    elif status == "expired":
        assert state is PaymentState.EXPIRED
    elif status != "complete":
        assert state is PaymentState.OPEN
    elif payment == "no_payment_required":
        assert state is PaymentState.PAID  # and refused by decide, for we charge no empty carts
    elif intent in ("requires_payment_method", "canceled"):
        assert state is PaymentState.FAILED
    else:
        assert state is PaymentState.PROCESSING


def test_complete_alone_is_never_paid() -> None:
    states = {read_state("complete", "unpaid", intent) for intent in INTENTS}
    assert states == {PaymentState.PROCESSING, PaymentState.FAILED}


def test_a_report_is_paid_in_one_state_only() -> None:
    paid = [
        state
        for state in PaymentState
        if PaymentReport("cs_test_1", state, 5998, "eur", "payment", livemode=False).paid
    ]
    assert paid == [PaymentState.PAID]


def test_an_event_knows_its_object_by_a_text_only() -> None:
    def about(thing: dict[str, Any]) -> str | None:
        at = datetime(2026, 11, 23, tzinfo=UTC)
        return StripeEvent("evt_1", "charge.refunded", at, livemode=False, object=thing).object_id

    assert about({"id": "ch_1"}) == "ch_1"
    assert about({"id": 5}) is None
    assert about({}) is None
