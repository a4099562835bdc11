"""The parameters of a Checkout Session: built once, frozen with the attempt, sent as they are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from commande.core.pricing import PricedLine, Quote

# Stripe takes 30 minutes to 24 hours; the minute is for the way there and skewed clocks.
SHORTEST: Final = timedelta(minutes=31)
LONGEST: Final = timedelta(hours=24) - timedelta(minutes=1)
# An hour before the default clean-up age of 24 h, so that clean-up finds sessions already expired.
LIFETIME: Final = timedelta(hours=23)
# A session is handed out again only while the customer has time to pay.
ENOUGH: Final = timedelta(minutes=30)
# https://docs.stripe.com/api/checkout/sessions/create: a product's name on the page.
_NAME_LENGTH: Final = 250


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a session is about besides its quote."""

    command_id: str
    attempt_id: str
    ref: str
    token: str
    mark: str
    """Our HMAC over command, attempt, total and currency."""
    email: str | None
    locale: str
    success_url: str
    cancel_url: str
    expires_at: datetime
    appointment_at: datetime


def session_expiry(command_created_at: datetime, now: datetime) -> datetime:
    """23 h after the command was made, but never less than Stripe's least nor more than its most.

    Whole seconds, as Stripe counts.
    """
    wanted = max(command_created_at + LIFETIME, now + SHORTEST)
    return min(wanted, now + LONGEST).replace(microsecond=0)


def session_parameters(quote: Quote, terms: SessionTerms) -> dict[str, Any]:
    """The frozen parameters. Tax rates stand by our key and are resolved when sent.

    Account defaults would change total and currency silently, so automatic tax and adaptive
    pricing are always switched off; our ids go into session and payment intent, the cart never.
    """
    metadata = {
        "app": "commande",
        "command_id": terms.command_id,
        "attempt_id": terms.attempt_id,
        "ref": terms.ref,
        # Not for Stripe: a lost row is rebuilt from this and the session's line items.
        "appointment": terms.appointment_at.astimezone(UTC).isoformat(timespec="seconds"),
        "total": str(quote.total_minor),
        "currency": quote.currency,
        "mac": terms.mark,
    }
    query = urlencode({"command_id": terms.command_id, "token": terms.token})
    parameters: dict[str, Any] = {
        "mode": "payment",
        "line_items": [_line_item(line, quote.currency) for line in quote.lines],
        # Stripe replaces the braces, so they must not be percent-encoded.
        "success_url": f"{terms.success_url}?session_id={{CHECKOUT_SESSION_ID}}&{query}",
        "cancel_url": f"{terms.cancel_url}?{query}",
        "client_reference_id": terms.command_id,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
        "locale": terms.locale,
        "expires_at": int(terms.expires_at.timestamp()),
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
    }
    if terms.email:
        parameters["customer_email"] = terms.email
    return parameters


def _line_item(line: PricedLine, currency: str) -> dict[str, Any]:
    name = line.title if line.type == "standard" else f"{line.title}, {line.type}"
    item: dict[str, Any] = {
        "quantity": line.quantity,
        "price_data": {
            "currency": currency,
            "unit_amount": line.unit_minor,
            "product_data": {
                "name": name[:_NAME_LENGTH],
                "metadata": {"product_id": line.product_id, "type": line.type},
            },
        },
    }
    if line.rate is not None:
        item["tax_rates"] = [line.rate.key]
    return item


def tax_rate_keys(parameters: dict[str, Any]) -> list[str]:
    """The tax rates that frozen parameters name, each once, in order."""
    keys = (key for item in parameters["line_items"] for key in item.get("tax_rates", ()))
    return list(dict.fromkeys(keys))


def resolve_tax_rates(parameters: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """The parameters as sent: our tax rate keys replaced by Stripe's ids."""
    items = [
        item | {"tax_rates": [known[key] for key in item["tax_rates"]]}
        if "tax_rates" in item
        else item
        for item in parameters["line_items"]
    ]
    return parameters | {"line_items": items}
