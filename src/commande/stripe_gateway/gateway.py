"""The gateway: each thing that the shop asks of Stripe."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from commande.core.payment import (
    ChargeReport,
    PaidOrder,
    PaymentReport,
    RefundReport,
    StripeEvent,
)
from commande.core.tax import TaxRate, canonical
from commande.errors import StripeRefused, StripeUnavailable
from commande.settings import Settings
from commande.stripe_gateway import events
from commande.stripe_gateway.client import Client
from commande.stripe_gateway.orders import report_order
from commande.stripe_gateway.patience import Limits
from commande.stripe_gateway.reports import (
    REFUND_KEY,
    report_charge,
    report_refund,
    report_session,
)
from commande.stripe_gateway.troubles import Call

T = TypeVar("T")

SESSIONS: Final = "/v1/checkout/sessions"
_PAGE: Final = 100
# Stripe takes no other words (https://docs.stripe.com/api/refunds/create).
_REFUND_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")
# The tax's own name where the shop is, as customers read it on Stripe's page and receipts.
_TAX_NAMES: Final = {
    **dict.fromkeys(("FR", "MC", "BE", "LU", "CH"), "TVA"),
    **dict.fromkeys(("DE", "AT", "LI"), "MwSt."),
    **dict.fromkeys(("IT", "ES", "PT"), "IVA"),
    "NL": "btw",
    "US": "Sales tax",
}

log = structlog.get_logger("commande.stripe")


class Gateway:
    """Stripe over HTTP. See ``shop.StripeGateway`` for what each call promises.

    Every call ends within its deadline; ``list_events`` and ``list_charges`` have one for each
    page, because they may read thousands and nobody waits for them at a screen.
    """

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._client = Client(settings, limits)
        self._secrets = tuple(s.get_secret_value() for s in settings.stripe_webhook_secrets)

    async def create_tax_rate(self, rate: TaxRate, idempotency_key: str) -> str:
        """Make the rate; its Stripe id. The same key gives the same rate."""
        params = {
            "display_name": _TAX_NAMES.get(rate.country, "VAT"),
            "percentage": canonical(rate.percentage),
            "inclusive": rate.inclusive,
            "country": rate.country,
            "metadata": {"commande_rate": rate.key},
        }
        call = Call("create_tax_rate", "post", "/v1/tax_rates", params, key=idempotency_key)
        raw = await self._client.call(call)
        return _read(lambda found: str(found["id"]), raw)

    async def create_session(
        self, parameters: dict[str, Any], idempotency_key: str
    ) -> PaymentReport:
        """Open a Checkout Session with frozen parameters. The same key gives the same session."""
        call = Call("create_session", "post", SESSIONS, parameters, key=idempotency_key)
        return _read(report_session, await self._client.call(call))

    async def read_session(self, session_id: str) -> PaymentReport:
        """The session with its intent and charge. Raises StripeObjectMissing."""
        return await self._read_session(session_id, None)

    async def _read_session(self, session_id: str, until: float | None) -> PaymentReport:
        params = {"expand": ["payment_intent.latest_charge"]}
        call = Call("read_session", "get", SESSIONS + "/{id}", params, id=session_id)
        return _read(report_session, await self._client.call(call, until))

    async def expire_session(self, session_id: str) -> PaymentReport:
        """Make the session unpayable, or report what it has become instead (complete, expired)."""
        until = self._client.deadline()
        path = SESSIONS + "/{id}/expire"
        # No idempotency key of ours: expiring twice is refused, and a stale answer would lie.
        call = Call("expire_session", "post", path, {}, id=session_id)
        try:
            return _read(report_session, await self._client.call(call, until))
        except StripeRefused as refused:
            report = await self._read_session(session_id, until)
            if report.state == "open":
                raise refused from None  # It is not the session's state that Stripe minds.
            return report

    async def find_session(
        self,
        since: datetime,
        until: datetime,
        attempt_id: str,
        ours: Callable[[dict[str, str]], bool],
    ) -> PaymentReport | None:
        """The session made in that window whose metadata is ours and names the attempt.

        Whoever else uses the account can write the same names into a session of theirs.
        """
        window = {"created": {"gte": _seconds(since), "lte": _seconds(until) + 1}}
        deadline = self._client.deadline()
        call = Call("list_sessions", "get", SESSIONS, window)
        async for raw in self._list(call, deadline):
            report = _read(report_session, raw)
            if report.metadata.get("attempt_id") == attempt_id and ours(report.metadata):
                return await self._read_session(report.session_id, deadline)
        return None

    async def read_order(self, session_id: str) -> PaidOrder:
        """The session with its line items and payer. Raises StripeObjectMissing."""
        params = {
            "expand": [
                "payment_intent.latest_charge",
                "line_items.data.price.product",
                "line_items.data.taxes",
            ]
        }
        call = Call("read_order", "get", SESSIONS + "/{id}", params, id=session_id)
        return _read(report_order, await self._client.call(call))

    async def find_paid_session(self, payment_intent_id: str) -> str | None:
        """The id of the session that this payment intent belongs to."""
        params = {"payment_intent": payment_intent_id, "limit": 1}
        call = Call("find_session_of_intent", "get", SESSIONS, params)
        async for raw in self._list(call, self._client.deadline()):
            return _read(report_session, raw).session_id
        return None

    async def list_events(
        self, since: datetime, *, undelivered: bool = False, limit: int = 10_000
    ) -> list[StripeEvent]:
        """Events of the types that we handle, oldest first; the oldest when there are more."""
        params: dict[str, Any] = {
            "created": {"gte": _seconds(since)},
            "types": list(events.HANDLED_EVENTS),
        }
        if undelivered:
            params["delivery_success"] = False
        # Stripe lists the newest first: all pages are read, so that a cursor skips none.
        oldest: deque[StripeEvent] = deque(maxlen=limit)
        async for raw in self._list(Call("list_events", "get", "/v1/events", params)):
            try:
                oldest.append(events.parse_event(raw))
            except events.NotAnEvent as error:
                # One broken event must not hold up all that follow; its object is re-read anyway.
                log.warning("stripe_event_unreadable", event_id=raw.get("id"), reason=str(error))
        return list(reversed(oldest))

    async def list_charges(self, since: datetime, until: datetime) -> list[ChargeReport]:
        """Charges made in that window, oldest first."""
        window = {"created": {"gte": _seconds(since), "lte": _seconds(until) + 1}}
        call = Call("list_charges", "get", "/v1/charges", window)
        return [_read(report_charge, raw) async for raw in self._list(call)][::-1]

    async def create_refund(
        self, payment_intent_id: str, amount_minor: int, key: str, reason: str | None
    ) -> RefundReport:
        """Give money back. The same key refunds once."""
        params: dict[str, Any] = {
            "payment_intent": payment_intent_id,
            "amount": amount_minor,
            "metadata": {REFUND_KEY: key},
        }
        if reason in _REFUND_REASONS:
            params["reason"] = reason
        elif reason:
            params["metadata"]["reason"] = reason[:500]
        call = Call(
            "create_refund", "post", "/v1/refunds", params, key=key, addressed="payment_intent"
        )
        return _read(report_refund, await self._client.call(call))

    async def list_refunds(self, payment_intent_id: str) -> list[RefundReport]:
        """All refunds of a payment, also those made in Stripe's dashboard; oldest first."""
        params = {"payment_intent": payment_intent_id}
        call = Call("list_refunds", "get", "/v1/refunds", params, addressed="payment_intent")
        found = self._list(call, self._client.deadline())
        return [_read(report_refund, raw) async for raw in found][::-1]

    def report_of(self, session: dict[str, Any]) -> PaymentReport:
        """What a session object (of an event, say) tells; absent keys tell nothing."""
        return report_session(session)

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> StripeEvent:
        """Verify and parse a webhook. Raises WebhookUnconfigured or SignatureInvalid."""
        return events.read_event(body, signature, self._secrets, now)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def _list(self, call: Call, until: float | None = None) -> AsyncIterator[dict[str, Any]]:
        """Every object of a listing, newest first, page by page."""
        params, last = call.params | {"limit": _PAGE}, None
        while True:
            page = await self._client.call(replace(call, params=params), until)
            found = page.get("data")
            if not isinstance(found, list) or not all(isinstance(raw, dict) for raw in found):
                raise StripeUnavailable("Stripe's answer cannot be read.")
            for raw in found:
                yield raw
            cursor = found[-1].get("id") if found else None
            if page.get("has_more") is not True or cursor in (None, last):
                return
            last = cursor
            params["starting_after"] = last


def open_gateway(settings: Settings, limits: Limits | None = None) -> Gateway:
    """The gateway for a shop; connects when it is first used, in the loop that runs then."""
    return Gateway(settings, limits or Limits())


def _read(report: Callable[[dict[str, Any]], T], raw: dict[str, Any]) -> T:
    try:
        return report(raw)
    except (KeyError, ValueError) as error:
        raise StripeUnavailable(f"Stripe's answer cannot be read: {error}.") from None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
