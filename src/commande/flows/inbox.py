"""The inbox: an event is a hint. It is stored, acknowledged, and handled by asking Stripe."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from commande.core.payment import PaymentReport, StripeEvent
from commande.db.inbox import (
    StoredEvent,
    claim_events,
    delay_event,
    events_due,
    finish_event,
    has_refund_or_dispute,
    ignore_unless_ours,
    store_event,
)
from commande.db.pairs import knows_session
from commande.errors import CommandeError, EventForeign
from commande.flows.recovery import find_owner
from commande.flows.refunds import read_refunds
from commande.flows.settlement import ask_stripe, settle, write_report
from commande.shop import Shop

log = structlog.get_logger()

SESSION_EVENTS: Final = "checkout.session."
REFUND_EVENTS: Final = ("charge.refund", "refund.")
MONEY_EVENTS: Final = (*REFUND_EVENTS, "charge.dispute.")
PAID_EVENTS: Final = frozenset(
    {"checkout.session.completed", "checkout.session.async_payment_succeeded"}
)
# A verified event this young may carry the report itself and spare the call; older ones, and those
# whose payment was refunded or disputed meanwhile, are re-read (design.md, "Confirm, webhook").
FRESH: Final = timedelta(minutes=5)
# What a stored session event keeps. Names, addresses and e-mails of customers stay at Stripe.
_KEPT: Final = (
    "id", "object", "amount", "amount_total", "amount_refunded", "charge", "created", "currency",
    "expires_at", "livemode", "metadata", "mode", "payment_intent", "payment_status", "reason",
    "refunded", "status", "url",
)  # fmt: skip


async def receive_event(shop: Shop, event: StripeEvent, source: str = "webhook") -> bool:
    """Store a verified event once; False when it was known. The worker handles it.

    Raises EventForeign for a checkout event that does not name a command of ours, where the
    settings say so; the event is stored either way, and never applied.
    """
    stored = _stored(event, source)
    now = shop.clock.now()
    if event.type.startswith(SESSION_EVENTS) and not _is_ours(shop, event):
        foreign = replace(stored, payload={}, command_id=None)
        await shop.db.transaction(store_event, foreign, "foreign", now)
        log.warning("event_foreign", event_id=event.id, type=event.type)
        if shop.settings.foreign_events == "reject" and source == "webhook":
            raise EventForeign("This checkout session is none of ours.")
        return False
    known = event.type.startswith((SESSION_EVENTS, *MONEY_EVENTS))
    state = "pending" if known and event.livemode is shop.settings.livemode else "ignored"
    if state == "ignored":
        stored = replace(stored, payload={})
    return await shop.db.transaction(store_event, stored, state, now)


def _is_ours(shop: Shop, event: StripeEvent) -> bool:
    metadata = event.object.get("metadata")
    right_mode = event.livemode is shop.settings.livemode
    return right_mode and isinstance(metadata, dict) and shop.seal.made(metadata)


def _stored(event: StripeEvent, source: str) -> StoredEvent:
    """The event as a row, without what names a person."""
    content = event.object
    is_session = event.type.startswith(SESSION_EVENTS)
    metadata = content.get("metadata")
    command_id = metadata.get("command_id") if isinstance(metadata, dict) else None
    intent = content.get("payment_intent")
    if isinstance(intent, dict):
        intent = intent.get("id")
    return StoredEvent(
        id=event.id,
        type=event.type,
        object_id=event.object_id,
        session_id=event.object_id if is_session else None,
        payment_intent_id=intent if isinstance(intent, str) else None,
        command_id=command_id if isinstance(command_id, str) else None,
        payload={key: content[key] for key in _KEPT if key in content},
        source=source,
        tries=0,
        occurred_at=event.created_at,
    )


async def handle_events(shop: Shop, *, all_waiting: bool = False, source: str | None = None) -> int:
    """Handle what is due in the inbox; how many were taken. Any number of workers at once.

    ``source`` names who asks in the history, where it is not what brought the event.
    """
    now = shop.clock.now()
    if not all_waiting and not await shop.db.read(events_due, now):
        return 0
    claimed = await shop.db.transaction(claim_events, now, all_waiting=all_waiting)
    for event in claimed:
        try:
            await handle_event(shop, event, source or event.source)
        except Exception as error:  # noqa: BLE001 – one poisoned event must not stop the others
            await _delay(shop, event, error)
    return len(claimed)


async def _delay(shop: Shop, event: StoredEvent, error: Exception) -> None:
    """Keep the event for a later try; facts of ours are expected, anything else is a defect."""
    reason = error.code if isinstance(error, CommandeError) else type(error).__name__
    dead = await shop.db.transaction(delay_event, event, reason, shop.clock.now())
    level = log.error if dead else log.warning
    known = isinstance(error, CommandeError)
    level("event_delayed", event_id=event.id, type=event.type, reason=reason, dead=dead,
          exc_info=None if known else error)  # fmt: skip


async def handle_event(shop: Shop, event: StoredEvent, source: str) -> None:
    """Handle one stored event; its done-mark and its effect share a transaction."""
    if event.session_id is not None:
        await _handle_session(shop, event, event.session_id, source)
        return
    intent, now = event.payment_intent_id, shop.clock.now()
    # Not a payment of ours, or not settled yet: who settles it wakes the event again.
    session_id = await shop.db.transaction(ignore_unless_ours, event.id, intent, now)
    if session_id is not None:
        if intent and event.type.startswith(REFUND_EVENTS):
            await read_refunds(shop, session_id, intent, source)
        await settle(shop, session_id, source, event.id)


async def _handle_session(shop: Shop, event: StoredEvent, session_id: str, source: str) -> None:
    report = shop.stripe.report_of(event.payload)
    known = await shop.db.read(knows_session, session_id)
    # The server may have died, or a failover forgotten, between Stripe's session and our row.
    if not known and not await find_owner(shop, session_id, report):
        await shop.db.transaction(finish_event, event.id, "ignored", shop.clock.now())
        return
    if await _carries_report(shop, event, report):
        await write_report(shop, report, source, event.occurred_at, event.id)
    else:
        await ask_stripe(shop, session_id, source, event.id)


async def _carries_report(shop: Shop, event: StoredEvent, report: PaymentReport) -> bool:
    """Whether the event may be believed as it is: verified, young, paid, never refunded."""
    young = shop.clock.now() - event.occurred_at < FRESH
    if not (young and event.type in PAID_EVENTS and report.paid and event.source == "webhook"):
        return False
    return not await shop.db.read(has_refund_or_dispute, report.payment_intent_id)
