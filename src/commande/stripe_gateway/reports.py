"""Stripe's JSON objects in the shop's words. Pure; takes what a stand-in leaves out as absent.

https://docs.stripe.com/api/checkout/sessions/object and its neighbours.
"""

from datetime import UTC, datetime
from typing import Any, Final

from commande.core.payment import ChargeReport, PaymentReport, RefundReport, read_state

REFUND_KEY: Final = "commande_refund"
"""Metadata of a refund that we asked for: our own key."""


def report_session(raw: dict[str, Any]) -> PaymentReport:
    """A Checkout Session, its payment intent and charge expanded or not.

    Without an expanded intent a failed delayed payment reads as processing and refunds as none.
    Raises ValueError when it is no session.
    """
    intent = _object(raw.get("payment_intent"))
    charge = _object(intent.get("latest_charge"))
    payment_status = text(raw.get("payment_status")) or "unpaid"
    status = text(raw.get("status"))
    payer = _object(raw.get("customer_details"))
    return PaymentReport(
        session_id=_required_id(raw),
        state=read_state(status, payment_status, text(intent.get("status"))),
        amount_minor=_amount(raw.get("amount_total")),
        currency=text(raw.get("currency")),
        mode=text(raw.get("mode")) or "payment",
        livemode=raw.get("livemode") is True,
        no_payment_required=payment_status == "no_payment_required",
        url=text(raw.get("url")),
        expires_at=_moment(raw.get("expires_at")),
        created_at=_moment(raw.get("created")),
        payment_intent_id=_id(raw.get("payment_intent")),
        charge_id=_id(intent.get("latest_charge")),
        method=_method(_object(charge.get("payment_method_details"))),
        refunded_minor=_amount(charge.get("amount_refunded")) or 0,
        disputed=charge.get("disputed") is True,
        metadata=_metadata(raw.get("metadata")),
        customer_email=text(payer.get("email")) or text(raw.get("customer_email")),
        customer_name=text(payer.get("name")),
    )


def report_refund(raw: dict[str, Any]) -> RefundReport:
    """A refund. Raises ValueError when it is none."""
    amount = _amount(raw.get("amount"))
    if amount is None:
        raise ValueError("a refund without an amount")
    return RefundReport(
        refund_id=_required_id(raw),
        # A stand-in may leave it out; a card refund succeeds at once.
        state=text(raw.get("status")) or "succeeded",
        amount_minor=amount,
        currency=text(raw.get("currency")) or "",
        payment_intent_id=_id(raw.get("payment_intent")),
        charge_id=_id(raw.get("charge")),
        created_at=_moment(raw.get("created")) or datetime.fromtimestamp(0, UTC),
        key=_metadata(raw.get("metadata")).get(REFUND_KEY),
    )


def report_charge(raw: dict[str, Any]) -> ChargeReport:
    """A charge. Raises ValueError when it is none."""
    amount = _amount(raw.get("amount"))
    if amount is None:
        raise ValueError("a charge without an amount")
    return ChargeReport(
        charge_id=_required_id(raw),
        payment_intent_id=_id(raw.get("payment_intent")),
        amount_minor=amount,
        refunded_minor=_amount(raw.get("amount_refunded")) or 0,
        currency=text(raw.get("currency")) or "",
        paid=raw.get("paid") is True,
        disputed=raw.get("disputed") is True,
        metadata=_metadata(raw.get("metadata")),
        created_at=_moment(raw.get("created")) or datetime.fromtimestamp(0, UTC),
    )


def text(value: object) -> str | None:
    """A text that any database stores: without NUL and lone surrogates. Empty is none."""
    return storable(value) if isinstance(value, str) and value else None


def storable(value: str) -> str:
    """The text without what PostgreSQL and UTF-8 refuse: buyers type their own names."""
    if value.isascii():
        return value.replace("\0", "")
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str | None:
    """Of an object that may be expanded, an id, or absent."""
    return text(value.get("id") if isinstance(value, dict) else value)


def _required_id(raw: dict[str, Any]) -> str:
    found = _id(raw)
    if found is None:
        raise ValueError("an object without an id")
    return found


def _amount(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(value: object) -> datetime | None:
    seconds = _amount(value)
    # 2**37 seconds lie in the year 6325: beyond it is no time but a mistake.
    return datetime.fromtimestamp(seconds, UTC) if seconds and 0 < seconds < 2**37 else None


def _metadata(value: object) -> dict[str, str]:
    pairs = _object(value).items()
    return {storable(key): storable(word) for key, word in pairs if isinstance(word, str)}


def _method(details: dict[str, Any]) -> str | None:
    kind = text(details.get("type"))
    if kind is None:
        return None
    inner = _object(details.get(kind))
    name = text(inner.get("brand")) or kind
    digits = text(inner.get("last4"))
    return f"{name} •••• {digits}" if digits else name
