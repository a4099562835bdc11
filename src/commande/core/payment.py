"""What Stripe says about one Checkout Session, in our words."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from commande.core.pricing import PricedLine

# An answer must leave within 12 s (contract), so a call to Stripe gives up a second earlier.
STRIPE_DEADLINE: Final = timedelta(seconds=11)


class PaymentState(StrEnum):
    """The five things a session can tell about its money."""

    OPEN = "open"
    """The customer may still pay."""
    PAID = "paid"
    """Stripe has the money (it may have been refunded since)."""
    PROCESSING = "processing"
    """A delayed method is under way: SEPA, transfers, vouchers."""
    FAILED = "failed"
    """A delayed method failed; this session can never be paid."""
    EXPIRED = "expired"
    """Nobody paid in time; this session can never be paid."""


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """One reading of a session. Amounts in minor units, times aware UTC.

    Source: https://docs.stripe.com/api/checkout/sessions/object. ``state`` folds Stripe's
    ``status``, ``payment_status`` and the payment intent's status; see ``read_state``.
    """

    session_id: str
    state: PaymentState
    amount_minor: int | None
    currency: str | None
    mode: str
    livemode: bool
    no_payment_required: bool = False
    url: str | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    payment_intent_id: str | None = None
    charge_id: str | None = None
    method: str | None = None
    """How it was paid, for people: ``visa •••• 4242``."""
    refunded_minor: int = 0
    disputed: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    customer_email: str | None = None
    customer_name: str | None = None

    @property
    def paid(self) -> bool:
        """Whether Stripe has the money of this session."""
        return self.state is PaymentState.PAID


def read_state(status: str | None, payment_status: str, intent_status: str | None) -> PaymentState:
    """Fold Stripe's three statuses into one.

    ``complete`` is not paid: delayed methods complete the session days before the money moves, and
    a session that is complete and unpaid has failed once its intent asks for another method.
    """
    if payment_status == "paid":
        return PaymentState.PAID  # whatever else it says: money that Stripe has is never overlooked
    if status == "expired":
        return PaymentState.EXPIRED
    if status == "complete":
        if payment_status == "no_payment_required":
            return PaymentState.PAID
        failed = intent_status in ("requires_payment_method", "canceled")
        return PaymentState.FAILED if failed else PaymentState.PROCESSING
    return PaymentState.OPEN


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """A verified or listed Stripe event: a hint that something happened to an object."""

    id: str
    type: str
    created_at: datetime
    livemode: bool
    object: dict[str, Any]
    """``data.object`` as Stripe sent it."""

    @property
    def object_id(self) -> str | None:
        """Id of the object that the event is about."""
        value = self.object.get("id")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class RefundReport:
    """One refund as Stripe tells it. Amount in minor units."""

    refund_id: str
    state: str
    """Stripe's word: pending, requires_action, succeeded, failed, canceled."""
    amount_minor: int
    currency: str
    payment_intent_id: str | None
    charge_id: str | None
    created_at: datetime
    key: str | None
    """Our own key from its metadata, when we asked for it."""


@dataclass(frozen=True, slots=True)
class PaidOrder:
    """All that Stripe still knows of an order whose row we lost."""

    report: PaymentReport
    lines: tuple[PricedLine, ...]
    customer: dict[str, str | None]
    """The payer as Stripe's page took them down, under our own names."""


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """One charge as Stripe tells it. Amounts in minor units."""

    charge_id: str
    payment_intent_id: str | None
    amount_minor: int
    refunded_minor: int
    currency: str
    paid: bool
    disputed: bool
    metadata: dict[str, str]
    """That of its payment intent, copied by Stripe."""
    created_at: datetime
