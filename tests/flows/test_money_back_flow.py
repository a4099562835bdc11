"""After the payment: prices move, products go, money goes back, banks object."""

import pytest

from commande.core.command import Status
from commande.db.tables import messages, payments
from commande.db.upkeep import clear_attention
from commande.flows.catalogue import change_price
from commande.flows.checkout import Opened
from tests.support.stage import BOUQUET, BREAD, Stage


async def _hear_all(stage: Stage) -> None:
    await stage.hear()
    await stage.work()


async def test_c29_a_price_that_moved_after_the_session_does_not_move_the_snapshot(
    stage: Stage,
) -> None:
    opened = await stage.buy((BOUQUET, 2), (BREAD, 1))
    await change_price(stage.shop, BOUQUET, "standard", 3500)
    command = await stage.come_back(opened)
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == 2 * 2999 + 680
    [moved] = [fact for fact in await stage.history(opened) if fact.kind == "price_moved"]
    assert moved.detail["charged_minor"] == 2999
    assert moved.detail["current_minor"] == 3500
    assert await stage.breaches() == []


async def test_c30_a_product_that_is_gone_is_still_on_the_snapshot(stage: Stage) -> None:
    opened = await stage.buy((BOUQUET, 1), (BREAD, 2))
    await stage.sql("DELETE FROM products")
    command = await stage.come_back(opened)
    assert command.snapshot is not None
    assert [(line["title"], line["total_minor"]) for line in command.snapshot["lines"]] == [
        ("Bouquet de saison", 2999), ("Pain de campagne", 1360),
    ]  # fmt: skip
    assert (await stage.kinds(opened)).count("price_moved") == 2
    await stage.work()
    assert "Pain de campagne" in stage.mail.letters[0].text
    assert await stage.breaches() == []


async def test_c32_money_given_back_before_the_return_is_paid_and_refunded_without_a_letter(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.refund(opened)
    command = await stage.come_back(opened)
    assert (command.status, command.paid) == (Status.REFUNDED, True)
    assert command.refunded_minor == 5998
    assert await stage.rows(messages) == []
    await _hear_all(stage)
    assert await stage.command(opened) == command
    assert await stage.breaches() == []


async def test_c32_a_completed_event_heard_after_its_refund_is_not_believed_as_it_is(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.refund(opened)
    await stage.hear("charge.refunded")
    await stage.hear("checkout.session.completed")
    await stage.work()
    assert (await stage.command(opened)).status is Status.REFUNDED
    assert await stage.breaches() == []


async def test_refunds_of_the_dashboard_are_followed_to_the_cent(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    for amount, status in ((1000, Status.PARTIALLY_REFUNDED), (4998, Status.REFUNDED)):
        last = await stage.refund(opened, amount)
        await _hear_all(stage)
        command = await stage.command(opened)
        assert (command.status, command.paid) == (status, True)
    assert command.refunded_minor == 5998
    await stage.control("refunds/fail", {"refund": last["id"]})
    await _hear_all(stage)
    command = await stage.command(opened)
    assert (command.status, command.refunded_minor) == (Status.PARTIALLY_REFUNDED, 1000)
    assert [f.detail["refunded_minor"] for f in await _refunds(stage, opened)] == [1000, 5998, 1000]
    assert await stage.breaches() == []


async def _refunds(stage: Stage, opened: Opened) -> list:
    return [fact for fact in await stage.history(opened) if fact.kind == "refunded"]


async def test_a_refund_that_fails_altogether_gives_the_command_back_its_payment(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    refund = await stage.refund(opened)
    await _hear_all(stage)
    await stage.control("refunds/fail", {"refund": refund["id"]})
    await _hear_all(stage)
    command = await stage.command(opened)
    assert (command.status, command.refunded_minor) == (Status.PAID, 0)
    assert len(await stage.rows(messages)) == 1
    assert await stage.breaches() == []


@pytest.mark.parametrize("heard", ["after the payment", "with the payment"])
async def test_c33_a_dispute_is_shown_once(stage: Stage, heard: str) -> None:
    opened = await stage.buy()
    if heard == "after the payment":
        await stage.come_back(opened)
    intent = (await stage.session(opened))["payment_intent"]
    await stage.control("disputes", {"payment_intent": intent})
    if heard == "with the payment":
        await stage.come_back(opened)
    await _hear_all(stage)
    command = await stage.command(opened)
    assert (command.status, command.attention) == (Status.PAID, "disputed")
    assert (await stage.kinds(opened)).count("disputed") == 1
    assert [row.disputed for row in await stage.rows(payments)] == [True]
    await stage.shop.db.transaction(clear_attention, command.id, stage.clock.now())
    for event in await stage.events("charge.dispute."):
        await stage.deliver(event | {"id": event["id"] + "b"})
    await stage.work()
    assert (await stage.command(opened)).attention is None
    assert await stage.breaches() == []
