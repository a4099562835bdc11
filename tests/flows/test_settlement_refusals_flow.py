"""What never pays a command: strangers' sessions, and sessions that are not what was frozen."""

import json
from typing import Any

import pytest

from commande.core.command import Status
from commande.core.product import Price, Product
from commande.db.catalogue import upsert_products
from commande.db.tables import attempts, commands, events, messages, payments
from commande.errors import (
    EventForeign,
    SessionInvalid,
    SessionMismatch,
    StripeUnavailable,
    TotalOutOfRange,
)
from commande.flows.checkout import Opened
from commande.flows.settlement import confirm_payment
from tests.support.seams import around_stripe, misreading
from tests.support.stage import Stage, session_of, staged

FREE = "507f1f77bcf86cd799439014"


async def _own_metadata(stage: Stage, opened: Opened) -> dict[str, str]:
    metadata: dict[str, str] = (await stage.session(opened))["metadata"]
    return metadata


async def _pay_elsewhere(stage: Stage, **how: Any) -> Any:
    """Another program of the account sells something; its session is paid."""
    made = await stage.control("sessions", {"pay_with": "4242424242424242"} | how)
    assert made["payment_status"] == "paid", made
    return made


@pytest.mark.parametrize("metadata", ["none", "our words", "wrong mark"])
async def test_s03_a_strangers_paid_session_with_our_reference_is_stored_and_nothing_else(
    stage: Stage, metadata: str
) -> None:
    victim = await stage.open()
    forged = {
        "none": {},
        "our words": {"app": "commande", "command_id": victim.command_id},
        "wrong mark": await _own_metadata(stage, victim) | {"mac": "0" * 64},
    }[metadata]
    before = await stage.command(victim)
    for amount in (100, 5998, 99900):
        foreign = await _pay_elsewhere(
            stage, amount=amount, client_reference_id=victim.command_id, metadata=forged,
            payment_link=metadata == "none",
        )  # fmt: skip
        with pytest.raises(EventForeign):
            await stage.deliver((await stage.events("checkout.session.completed"))[-1])
        with pytest.raises(SessionInvalid):
            await confirm_payment(stage.shop, foreign["id"], victim.command_id)
    await stage.work()
    assert await stage.command(victim) == before
    stored = [(e.state, e.payload, e.command_id) for e in await stage.rows(events)]
    assert stored == [("foreign", {}, None)] * 3
    assert (await stage.stripe_get("/v1/refunds?limit=10"))["data"] == []
    assert await stage.rows(payments) == []


async def test_s03_in_a_shared_account_a_foreign_event_is_kept_without_complaint(
    database_url: str, serve: Any
) -> None:
    async with staged(database_url, serve, steady=True, foreign_events="ignore") as stage:
        await _pay_elsewhere(stage)
        assert await stage.hear("checkout.session.") == 0
        [stored] = await stage.rows(events)
        assert (stored.state, stored.payload) == ("foreign", {})


async def test_s03_a_copy_of_our_sealed_metadata_on_another_session_pays_nothing(
    stage: Stage,
) -> None:
    victim = await stage.open()
    await _pay_elsewhere(stage, amount=5998, metadata=await _own_metadata(stage, victim))
    await stage.hear("checkout.session.completed")
    await stage.work()
    [stored] = await stage.rows(events)
    assert (stored.state, stored.last_error) == ("pending", "session_invalid")
    assert (await stage.command(victim)).status is Status.UNPAID
    assert await stage.rows(payments) == []


MISREADINGS = {
    "amount": [{"amount_minor": n} for n in (5997, 5999, 599800, 0)] + [{"amount_minor": None}],
    "currency": [{"currency": word} for word in ("jpy", "EUR", "usd", None)],
    "mode": [{"mode": "setup"}, {"mode": "subscription"}],
    "livemode": [{"livemode": True}],
    "payment_required": [{"no_payment_required": True}],
}


@pytest.mark.parametrize("term", MISREADINGS)
async def test_s04_a_session_that_breaks_a_frozen_term_is_shown_and_never_paid(
    stage: Stage, term: str
) -> None:
    for changes in MISREADINGS[term]:
        opened = await stage.buy()
        shop = misreading(stage.shop, **changes)
        for _ in range(2):
            with pytest.raises(SessionMismatch):
                await confirm_payment(shop, session_of(opened), opened.command_id)
        command = await stage.command(opened)
        assert (command.status, command.paid) == (Status.UNPAID, False), changes
        assert command.attention == "payment_mismatch"
        [fact] = [f for f in await stage.history(opened) if f.kind == "payment_mismatch"]
        assert fact.detail["differences"] == [term]
    stored = [(row.outcome, row.detail) for row in await stage.rows(payments)]
    assert stored == [("mismatch", {"differences": [term]})] * len(MISREADINGS[term])
    assert await stage.rows(messages) == []


async def test_s04_another_session_than_the_one_asked_for_is_no_payment(stage: Stage) -> None:
    dear, cheap = await stage.open(), await stage.buy()
    report = await stage.shop.stripe.read_session(session_of(cheap))

    async def swapped(_real: Any, _session_id: str) -> Any:
        return report

    shop = around_stripe(stage.shop, "read_session", swapped)
    with pytest.raises(StripeUnavailable):
        await confirm_payment(shop, session_of(dear), dear.command_id)
    assert not (await stage.command(dear)).paid
    assert not (await stage.command(cheap)).paid


async def test_s04_an_unpaid_session_that_is_not_ours_touches_nothing_but_is_shown(
    stage: Stage,
) -> None:
    opened = await stage.open()
    with pytest.raises(SessionMismatch):
        shop = misreading(stage.shop, amount_minor=1)
        await confirm_payment(shop, session_of(opened), opened.command_id)
    assert (await stage.command(opened)).attention == "session_mismatch"
    assert await stage.rows(payments) == []
    await stage.pay(opened)
    assert (await stage.come_back(opened)).paid, "the real session still pays"


async def test_s04_what_was_judged_a_mismatch_stays_one_and_its_refund_is_written_down(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    with pytest.raises(SessionMismatch):
        shop = misreading(stage.shop, livemode=True)
        await confirm_payment(shop, session_of(opened), opened.command_id)
    with pytest.raises(SessionMismatch):
        await stage.come_back(opened)
    await stage.refund(opened, 1000)
    await stage.hear()
    await stage.work()
    [payment] = await stage.rows(payments)
    assert (payment.outcome, payment.refunded_minor) == ("mismatch", 1000)
    assert {event.state for event in await stage.rows(events)} == {"done", "ignored"}
    assert await stage.breaches() == []


async def test_s16_a_cart_that_costs_nothing_is_refused(stage: Stage) -> None:
    free = Product(FREE, "Merci", prices=(Price("standard", 0, "eur"),))
    await stage.shop.db.transaction(upsert_products, [free], stage.clock.now())
    with pytest.raises(TotalOutOfRange):
        await stage.open((FREE, 3))
    assert await stage.rows(commands) == []
    assert await stage.rows(attempts) == []


async def test_s05_an_event_of_live_mode_does_not_enter_a_shop_in_test_mode(stage: Stage) -> None:
    opened = await stage.buy()
    [event] = await stage.events("checkout.session.completed")
    live = json.loads(json.dumps(event)) | {"livemode": True}
    live["data"]["object"]["livemode"] = True
    with pytest.raises(EventForeign):
        await stage.deliver(live)
    await stage.work()
    assert not (await stage.command(opened)).paid
