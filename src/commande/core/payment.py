"""What Stripe says about one Checkout Session, in our words."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
