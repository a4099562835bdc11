"""Money given back: by the shop, in Stripe's dashboard, or because it came twice."""

import asyncio

import pytest

from commande.core.command import Status
from commande.core.refund import RefundLine
from commande.db.refunds import list_refunds
from commande.db.tables import payments, refunds
from commande.errors import RefundRefused
from commande.flows.reconcile import reconcile
from commande.flows.refunds import finish_refunds, refund_command
from tests.support.stage import BOUQUET, BREAD, Stage, session_of


async def paid(stage: Stage, *lines: tuple[str, int]) -> object:
    opened = await stage.buy(*lines)
    await stage.come_back(opened)
    return opened


async def test_a_full_refund_leaves_the_command_paid_and_refunded(stage: Stage) -> None:
    opened = await paid(stage)
    refund = await refund_command(stage.shop, opened.command_id, reason="changed her mind")
    command = await stage.command(opened)
    assert (command.status, command.paid) == (Status.REFUNDED, True)
    assert (refund.amount_minor, command.refunded_minor) == (5998, 5998)
    [row] = await stage.rows(refunds)
    assert (row.state, row.origin) == ("succeeded", "shop")


async def test_pieces_of_lines_are_given_back_at_what_they_cost(stage: Stage) -> None:
    opened = await paid(stage, (BOUQUET, 2), (BREAD, 1))
    await refund_command(stage.shop, opened.command_id, lines=[RefundLine(BOUQUET, "standard", 1)])
    command = await stage.command(opened)
    assert (command.status, command.refunded_minor) == (Status.PARTIALLY_REFUNDED, 2999)
    with pytest.raises(RefundRefused):
        await refund_command(stage.shop, opened.command_id, lines=[RefundLine(BREAD, "entier", 2)])


async def test_s15_concurrent_refunds_never_pass_the_payment(stage: Stage) -> None:
    opened = await paid(stage)
    shops = [stage.shop, stage.another_process()] * 4
    answers = await asyncio.gather(
        *(refund_command(shop, opened.command_id, 2000) for shop in shops), return_exceptions=True
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 2
    assert (await stage.command(opened)).refunded_minor == 4000


async def test_s15_the_same_key_refunds_once(stage: Stage) -> None:
    opened = await paid(stage)
    shops = [stage.shop, stage.another_process()] * 3
    await asyncio.gather(
        *(refund_command(shop, opened.command_id, 1000, key="desk-7") for shop in shops)
    )
    assert (await stage.command(opened)).refunded_minor == 1000


@pytest.mark.parametrize("fault", ["502_html", "502_html_after"])
async def test_c35_an_answer_that_was_lost_is_asked_for_again_under_the_same_key(
    stage: Stage, fault: str
) -> None:
    opened = await paid(stage)
    await stage.fail(fault, count=4, path="/v1/refunds")
    await refund_command(stage.shop, opened.command_id, 1000)
    [row] = await stage.rows(refunds)
    assert row.state == "creating"
    await stage.pass_time(minutes=2)
    assert await finish_refunds(stage.another_process()) == 1
    assert (await stage.command(opened)).refunded_minor == 1000
    assert len((await stage.stripe_get("/v1/refunds?limit=100"))["data"]) == 1


async def test_a_refund_in_the_dashboard_arrives_with_its_row(stage: Stage) -> None:
    opened = await paid(stage)
    [payment] = await stage.rows(payments)
    intent = payment.stripe_payment_intent_id
    await stage.control("refunds", {"payment_intent": intent, "amount": 1500})
    await stage.hear("charge.refunded")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.refunded_minor) == (Status.PARTIALLY_REFUNDED, 1500)
    [row] = await stage.rows(refunds)
    assert (row.origin, row.amount_minor, row.state) == ("stripe", 1500, "succeeded")
    await stage.hear("refund.")
    await stage.work()
    assert len(await stage.rows(refunds)) == 1


async def test_a_refund_that_fails_later_gives_the_money_back_to_the_shop(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pay(opened, "4000000000005126")
    await stage.come_back(opened)
    await refund_command(stage.shop, opened.command_id)
    assert (await stage.command(opened)).status is Status.REFUNDED
    refund_id = (await stage.rows(refunds))[0].stripe_refund_id
    await stage.control("refunds/fail", {"refund": refund_id})
    await stage.hear("refund.failed")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.attention) == (Status.PAID, "refund_failed")


async def test_c28_a_second_payment_is_given_back_once(stage: Stage) -> None:
    opened = await stage.buy()
    # Two payable sessions cannot be had; one is made by spoiling the first attempt's row.
    await stage.sql(
        "UPDATE attempts SET state = 'closed' WHERE command_id = :id", id=opened.command_id
    )
    again = await _retry(stage, opened)
    await stage.pay(again)
    await stage.come_back(again)
    await stage.hear("checkout.session.completed")
    await stage.work()
    outcomes = {row.stripe_session_id: row.outcome for row in await stage.rows(payments)}
    assert outcomes == {session_of(opened): "duplicate", session_of(again): "applied"}
    assert await finish_refunds(stage.shop) == 1
    [refund] = await stage.shop.db.read(list_refunds, opened.command_id)
    assert (refund.state, refund.origin, refund.amount_minor) == ("succeeded", "duplicate", 5998)
    report = await reconcile(stage.shop)
    command = await stage.command(opened)
    assert (command.status, command.attention, report.complete) == (Status.PAID, None, True)
    assert len(await stage.rows(refunds)) == 1


async def _retry(stage: Stage, opened: object) -> object:
    from commande.flows.checkout import retry_payment

    return await retry_payment(stage.shop, opened.command_id, opened.token)
