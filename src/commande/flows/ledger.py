"""The ledger: Stripe's charges of a time against our paid commands, both ways."""

from datetime import datetime, timedelta
from typing import Final

from commande.core.payment import ChargeReport
from commande.db.discrepancies import (
    Booked,
    Discrepancy,
    booked_payments,
    heal_discrepancy,
    open_discrepancy,
    session_of_attempt,
)
from commande.errors import CommandeError
from commande.flows.recovery import find_owner
from commande.flows.refunds import read_refunds
from commande.flows.settlement import settle
from commande.shop import Shop

# A charge this young is still on its way to us by webhook or return page.
SETTLING: Final = timedelta(minutes=2)
# Charges whose rows are read at once.
TOGETHER: Final = 100


async def compare_charges(
    shop: Shop, since: datetime, until: datetime, source: str
) -> tuple[int, int]:
    """Compare every charge of ours with our books; (compared, differing).

    What can be healed is: a payment that we never heard of is settled or recovered, refunds and
    disputes are taken over. The rest stays open as a discrepancy. Raises StripeUnavailable,
    StripeRefused when the charges cannot be listed.
    """
    ours = [
        charge
        for charge in await shop.stripe.list_charges(since, until)
        if charge.paid and charge.payment_intent_id and shop.seal.made(charge.metadata)
    ]
    differing = 0
    for first in range(0, len(ours), TOGETHER):
        charges = ours[first : first + TOGETHER]
        booked = await _read_booked(shop, charges)
        for charge in charges:
            known = booked.get(charge.payment_intent_id or "")
            if not _agree(charge, known):
                differing += 1
                await _heal(shop, charge, known, source)
    return len(ours), differing


async def _read_booked(shop: Shop, charges: list[ChargeReport]) -> dict[str, Booked]:
    return await shop.db.read(booked_payments, [c.payment_intent_id or "" for c in charges])


def _agree(charge: ChargeReport, booked: Booked | None) -> bool:
    return (
        booked is not None
        and booked.amount_minor == charge.amount_minor
        and booked.refunded_minor == charge.refunded_minor
        and booked.disputed >= charge.disputed
    )


async def _heal(shop: Shop, charge: ChargeReport, booked: Booked | None, source: str) -> None:
    """Note the difference, ask Stripe about the session, and note what that mended."""
    now = shop.clock.now()
    kind = _kind(charge, booked)
    found = Discrepancy(
        fact=f"{kind}:{charge.charge_id}:{charge.refunded_minor}",
        kind=kind,
        amount_minor=_amount(charge, booked),
        currency=charge.currency,
        command_id=charge.metadata.get("command_id"),
        stripe_session_id=booked.stripe_session_id if booked else None,
        stripe_payment_intent_id=charge.payment_intent_id,
        found_at=now,
        healed_at=None,
        remedy=None,
    )
    await shop.db.transaction(open_discrepancy, found, charge=charge.charge_id)
    try:
        await _ask_again(shop, charge, booked, source)
    except CommandeError:
        return
    now_booked = (await _read_booked(shop, [charge])).get(charge.payment_intent_id or "")
    if _agree(charge, now_booked):
        remedy = "settled" if booked is None else "taken_over"
        await shop.db.transaction(heal_discrepancy, found.fact, remedy, shop.clock.now())


def _kind(charge: ChargeReport, booked: Booked | None) -> str:
    if booked is None:
        return "payment_unknown"
    if booked.amount_minor != charge.amount_minor:
        return "amount_differs"
    return "refund_differs" if booked.refunded_minor != charge.refunded_minor else "dispute_unknown"


def _amount(charge: ChargeReport, booked: Booked | None) -> int:
    """The money that the two books disagree about, in minor units."""
    if booked is None:
        return charge.amount_minor - charge.refunded_minor
    if booked.amount_minor != charge.amount_minor:
        return abs(booked.amount_minor - charge.amount_minor)
    return abs(booked.refunded_minor - charge.refunded_minor)


async def _ask_again(shop: Shop, charge: ChargeReport, booked: Booked | None, source: str) -> None:
    intent = charge.payment_intent_id or ""
    session_id = booked.stripe_session_id if booked else None
    if session_id is None:
        attempt_id = charge.metadata["attempt_id"]
        session_id = await shop.db.read(session_of_attempt, attempt_id)
    if session_id is None:
        session_id = await shop.stripe.find_paid_session(intent)
        if session_id is None:
            return
        await find_owner(shop, session_id, await shop.stripe.read_session(session_id))
    if charge.refunded_minor:
        await settle(shop, session_id, source)
        await read_refunds(shop, session_id, intent, source)
    await settle(shop, session_id, source)
