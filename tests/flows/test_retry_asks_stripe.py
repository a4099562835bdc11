"""Paying again when Stripe knows more about the open session than we have heard."""

import pytest

from commande.core.command import Status
from commande.errors import AlreadyPaid
from commande.flows.checkout import retry_payment
from tests.support.stage import Stage


async def test_a_session_that_was_paid_unheard_is_settled_and_not_paid_again(stage: Stage) -> None:
    opened = await stage.buy()
    with pytest.raises(AlreadyPaid):
        await retry_payment(stage.shop, opened.command_id, opened.token)
    assert (await stage.command(opened)).status is Status.PAID
    assert len(await stage.sessions()) == 1
    assert await stage.breaches() == []


async def test_a_session_that_ended_unheard_is_replaced_at_once(stage: Stage) -> None:
    opened = await stage.open()
    [session] = await stage.sessions()
    await stage.control("expire", {"session": session["id"]})
    again = await retry_payment(stage.shop, opened.command_id, opened.token)
    assert again.command_id == opened.command_id
    assert again.url != opened.url
    assert sorted(session["status"] for session in await stage.sessions()) == ["expired", "open"]
    assert await stage.breaches() == []


async def test_an_open_session_is_handed_out_while_stripe_does_not_answer(stage: Stage) -> None:
    opened = await stage.open()
    await stage.fail("500_before", path="/v1/checkout/sessions/*", count=9)
    assert await retry_payment(stage.shop, opened.command_id, opened.token) == opened
