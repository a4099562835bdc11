"""Webhook events: which we handle, how they are verified, what they carry.

https://docs.stripe.com/webhooks#verify-manually
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import stripe

from commande.core.payment import StripeEvent
from commande.errors import SignatureInvalid, WebhookUnconfigured
from commande.stripe_gateway.reports import storable

HANDLED_EVENTS: Final = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)
"""Event types that change a command. At most 20, so that one listing can ask for all."""

TOLERANCE: Final = timedelta(seconds=300)
# Stripe's own objects nest about ten deep; json and databases give up at around a thousand.
_DEEPEST: Final = 40
_TIMESTAMP: Final = re.compile(r"(?:^|,)t=(\d{1,12})(?=,|$)", re.ASCII)
_EVENT_ID: Final = re.compile(r"evt_\w{1,250}", re.ASCII)
_EVENT_TYPE: Final = re.compile(r"[\w.]{1,250}", re.ASCII)

# One sentence for whatever is wrong before the signature holds: a forger learns nothing.
_UNVERIFIED: Final = "The webhook's signature is missing or does not match."


class NotAnEvent(ValueError):
    """The JSON is no event that we could handle; says why."""


def read_event(
    body: bytes, signature: str | None, secrets: tuple[str, ...], now: datetime
) -> StripeEvent:
    """Verify a webhook against every configured secret and parse it.

    Raises WebhookUnconfigured without a secret, SignatureInvalid for everything else that is no
    event of ours, however hostile. A future timestamp passes, as it does with Stripe's SDK.
    """
    secrets = tuple(secret for secret in secrets if secret.strip())
    if not secrets:
        raise WebhookUnconfigured("STRIPE_WEBHOOK_SECRET is not set: no event can be believed.")
    signed_at = _verify(body, signature or "", secrets)
    if signed_at < (now - TOLERANCE).timestamp():
        raise SignatureInvalid(
            "The webhook was signed more than 300 seconds ago: a replay, or a wrong clock."
        )
    try:
        return parse_event(orjson.loads(body))
    except ValueError as error:
        raise SignatureInvalid(f"The webhook is signed but no event: {error}") from None


def _verify(body: bytes, signature: str, secrets: tuple[str, ...]) -> int:
    """When the body was signed (Unix seconds). Raises SignatureInvalid."""
    # Checked before the SDK sees them: it would raise TypeError, UnicodeDecodeError and more.
    stamps = _TIMESTAMP.findall(signature) if signature.isascii() and len(signature) < 4096 else []
    try:
        payload = body.decode()
    except UnicodeDecodeError:
        stamps = []
    if len(stamps) != 1 or not any(_matches(payload, signature, secret) for secret in secrets):
        raise SignatureInvalid(_UNVERIFIED)
    return int(stamps[0])


def _matches(payload: str, signature: str, secret: str) -> bool:
    try:
        # Without a tolerance: the SDK would compare with its own clock instead of the shop's.
        stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance=None)
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


def parse_event(raw: object) -> StripeEvent:
    """An event from its JSON. Raises NotAnEvent that names what is wrong."""
    if not isinstance(raw, dict):
        raise NotAnEvent("the body is not a JSON object.")
    if str(raw.get("object", "event")).startswith("v2."):
        raise NotAnEvent("this is a thin event; choose snapshot payloads for the endpoint.")
    event_id, kind, created = raw.get("id"), raw.get("type"), raw.get("created")
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        raise NotAnEvent("its id does not begin with evt_.")
    if not isinstance(kind, str) or not _EVENT_TYPE.fullmatch(kind):
        raise NotAnEvent("it has no type.")
    if not isinstance(created, int) or isinstance(created, bool) or not 0 < created < 2**37:
        raise NotAnEvent("it has no time.")
    data = raw.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not isinstance(about, dict):
        raise NotAnEvent("it has no data.object.")
    return StripeEvent(
        id=event_id,
        type=kind,
        created_at=datetime.fromtimestamp(created, UTC),
        livemode=raw.get("livemode") is True,
        object=_storable(about, _DEEPEST),
    )


def _storable(value: Any, deeper: int) -> Any:
    """The JSON value as every database takes it. Raises NotAnEvent when nested too deep."""
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, (dict, list)):
        return value
    if deeper == 0:
        raise NotAnEvent("it is nested too deep.")
    if isinstance(value, list):
        return [_storable(each, deeper - 1) for each in value]
    return {storable(key): _storable(each, deeper - 1) for key, each in value.items()}
