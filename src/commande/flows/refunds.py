"""Refunds: money given back, whoever asked for it. Row and key before the call."""

from datetime import timedelta
from typing import Final

from commande.core.refund import RefundLine, amount_of_lines
from commande.db.commands import find_command
from commande.db.refunds import (
    Refund,
    begin_refund,
    claim_refunds,
    delay_refund,
    refunds_due,
    refuse_refund,
    write_refunds,
)
from commande.errors import (
    CommandNotFound,
    RefundRefused,
    StripeObjectMissing,
    StripeRefused,
    StripeUnavailable,
)
from commande.flows.settlement import recheck
from commande.shop import Shop

# Stripe keeps a key for at least 24 h; an older refund is looked for before it is asked for again.
KEY_LIFETIME: Final = timedelta(hours=23)


async def refund_command(
    shop: Shop,
    command_id: str,
    amount_minor: int | None = None,
    *,
    lines: list[RefundLine] | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> Refund:
    """Give back an amount, some pieces, or all that is left of a paid command.

    With a key repeat-safe. When Stripe does not answer, the promise stands and the worker goes on.
    Raises CommandNotFound, RefundRefused.
    """
    if lines is not None:
        command = await shop.db.read(find_command, command_id)
        if command is None:
            raise CommandNotFound("There is no such command.")
        if command.snapshot is None:
            raise RefundRefused("This command was not paid.")
        amount_minor = amount_of_lines(command.snapshot, lines)
    now = shop.clock.now()
    refund = await shop.db.transaction(begin_refund, command_id, amount_minor, reason, now, key)
    if refund.state == "creating":
        await _ask(shop, refund)
    return refund


async def finish_refunds(shop: Shop) -> int:
    """Ask Stripe for refunds that are due; how many were taken. Any number of workers at once."""
    now = shop.clock.now()
    if not await shop.db.read(refunds_due, now):
        return 0
    claimed = await shop.db.transaction(claim_refunds, now)
    for refund in claimed:
        await _ask(shop, refund)
    return len(claimed)


async def _ask(shop: Shop, refund: Refund) -> None:
    """One refund at Stripe: asked for under its key, or found if it was made long ago."""
    intent = refund.payment_intent_id
    now = shop.clock.now()
    if intent is None:
        await shop.db.transaction(refuse_refund, refund, "no_payment_intent", now)
        return
    try:
        if now - refund.created_at > KEY_LIFETIME:
            made = await shop.stripe.list_refunds(intent)
            reports = [report for report in made if report.key == refund.key]
        else:
            reports = []
        if not reports:
            amount, reason = refund.amount_minor, refund.reason
            reports = [await shop.stripe.create_refund(intent, amount, refund.key, reason)]
    except StripeUnavailable as error:
        await shop.db.transaction(delay_refund, refund, error.code, shop.clock.now())
    except (StripeRefused, StripeObjectMissing) as error:
        reason = getattr(error, "stripe_code", None) or error.code
        await shop.db.transaction(refuse_refund, refund, reason, shop.clock.now())
    else:
        session_id = refund.stripe_session_id
        await shop.db.transaction(write_refunds, session_id, reports, "stripe", shop.clock.now())
        await recheck(shop, session_id, "shop")


async def read_refunds(shop: Shop, session_id: str, payment_intent_id: str, source: str) -> None:
    """Take over every refund of a payment that Stripe lists. Raises StripeUnavailable."""
    reports = await shop.stripe.list_refunds(payment_intent_id)
    now = shop.clock.now()
    await shop.db.transaction(write_refunds, session_id, reports, source, now)
