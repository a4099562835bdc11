"""Paying again: the open session's address, or a new one once the old one is dead at Stripe."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from commande.core.command import Status
from commande.db import opening
from commande.db.tables import attempts
from commande.errors import (
    AlreadyPaid,
    CommandExpired,
    CommandNotFound,
    InputInvalid,
    PriceChanged,
    StripeUnavailable,
)
from commande.flows.catalogue import change_price
from commande.flows.checkout import Opened, make_ticket, retry_payment
from commande.flows.upkeep import cancel_command
from commande.shop import Shop
from tests.support.seams import around_transaction, once
from tests.support.stage import BOUQUET, BREAD, Stage


async def _retry(
    stage: Stage, opened: Opened, accept: int | None = None, shop: Shop | None = None
) -> Opened:
    return await retry_payment(shop or stage.shop, opened.command_id, opened.token, accept)


async def _states(stage: Stage) -> list[tuple[str, str]]:
    """Ours beside Stripe's, oldest first."""
    ours = sorted(await stage.rows(attempts), key=lambda row: row.number)
    theirs = [session["status"] for session in reversed(await stage.sessions())]
    return list(zip([row.state for row in ours], theirs, strict=True))


async def test_an_open_session_is_handed_out_again_after_one_question(stage: Stage) -> None:
    opened = await stage.open()
    await stage.forget_calls()
    assert await _retry(stage, opened) == opened
    await stage.pass_time(hours=22, minutes=20)
    await stage.forget_calls()
    assert await _retry(stage, opened) == opened
    assert await stage.calls("/v1/") == 1


async def test_s20_without_the_right_token_there_is_no_such_command(stage: Stage) -> None:
    opened, other = await stage.open(), await stage.open((BREAD, 1))
    for command_id, token in [
        (opened.command_id, None), (opened.command_id, ""), (opened.command_id, other.token),
        (opened.command_id, opened.token + "A"), (other.command_id, opened.token),
        ("f" * 24, opened.token), ("x", "é"), (opened.command_id.upper(), opened.token),
    ]:  # fmt: skip
        with pytest.raises(CommandNotFound):
            await retry_payment(stage.shop, command_id, token)


async def test_under_half_an_hour_left_the_old_session_dies_first(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22, minutes=31)
    await stage.forget_calls()
    again = await _retry(stage, opened)
    assert (again.command_id, again.ref, again.token) == (
        opened.command_id, opened.ref, opened.token,
    )  # fmt: skip
    assert again.expires_at - stage.clock.now() > timedelta(minutes=30)
    assert await _states(stage) == [("expired", "expired"), ("open", "open")]
    listed = (await stage.control("requests"))["requests"]
    posts = [r["path"] for r in listed if r["method"] == "POST" and "/v1/" in r["path"]]
    assert posts[0].endswith("/expire"), "before the new one is made"
    assert await stage.breaches() == []


async def test_an_expired_session_is_replaced_and_the_chain_ends_after_a_day(
    stage: Stage,
) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=23, minutes=30)
    again = await _retry(stage, opened)
    await stage.pay(again)
    assert (await stage.come_back(again)).paid
    assert await _states(stage) == [("expired", "expired"), ("complete", "complete")]
    assert await stage.breaches() == []


async def test_a_new_price_must_be_accepted_and_the_old_session_dies_first(stage: Stage) -> None:
    opened = await stage.open((BOUQUET, 2))
    await change_price(stage.shop, BOUQUET, "standard", 3500)
    with pytest.raises(PriceChanged) as changed:
        await _retry(stage, opened)
    assert (changed.value.old_minor, changed.value.new_minor) == (5998, 7000)
    with pytest.raises(PriceChanged):
        await _retry(stage, opened, accept=6999)
    assert await _states(stage) == [("open", "open")], "nothing changed"
    again = await _retry(stage, opened, accept=7000)
    assert await _states(stage) == [("expired", "expired"), ("open", "open")]
    await stage.pay(again)
    command = await stage.come_back(again)
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == 7000
    assert await stage.breaches() == []


async def test_what_left_the_catalogue_cannot_be_paid_again(stage: Stage) -> None:
    opened = await stage.open((BOUQUET, 1), (BREAD, 1))
    await stage.sql("UPDATE products SET active = false WHERE id = :id", id=BREAD)
    with pytest.raises(InputInvalid) as refused:
        await _retry(stage, opened)
    assert refused.value.errors[0].field.startswith("items.1")


async def test_a_settled_or_closed_command_is_not_paid_again(stage: Stage) -> None:
    paid, closed = await stage.buy(), await stage.open((BREAD, 1))
    await stage.come_back(paid)
    await cancel_command(stage.shop, closed.command_id)
    with pytest.raises(AlreadyPaid):
        await _retry(stage, paid)
    with pytest.raises(CommandExpired):
        await _retry(stage, closed)


@pytest.mark.parametrize("why", ["under half an hour left", "price changed"])
async def test_a_complete_session_is_settled_and_never_replaced(stage: Stage, why: str) -> None:
    opened = await stage.buy()
    accept = None
    if why == "price changed":
        await change_price(stage.shop, BOUQUET, "standard", 3500)
        accept = 7000
    else:
        stage.clock.offset += timedelta(hours=22, minutes=45)
    with pytest.raises(AlreadyPaid):
        await _retry(stage, opened, accept)
    assert (await stage.command(opened)).status is Status.PAID
    assert len(await stage.sessions()) == 1
    assert await stage.breaches() == []


async def test_a_session_paid_while_it_is_being_replaced_is_settled(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22, minutes=45)

    async def pay() -> None:
        await stage.pay(opened)

    # Between the plan to replace the session and the call that expires it.
    shop = around_transaction(stage.shop, "plan_retry", once(after=pay))
    with pytest.raises(AlreadyPaid):
        await _retry(stage, opened, shop=shop)
    assert (await stage.command(opened)).paid
    assert await stage.breaches() == []


async def test_control_replacing_without_asking_stripe_first_leaves_two_payable_sessions(
    stage: Stage,
) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22, minutes=45)

    async def replace_at_once(_real: Any, command_id: str, *_args: Any) -> Any:
        await stage.sql("UPDATE attempts SET state = 'expired' WHERE state = 'open'")
        return await stage.shop.db.transaction(
            opening.plan_retry, command_id, make_ticket(stage.shop), None
        )

    careless = around_transaction(stage.shop, "plan_retry", replace_at_once)
    await _retry(stage, opened, shop=careless)
    assert [fact[:2] for fact in await stage.breaches()] == ["I4"]


@pytest.mark.parametrize("left", ["half an hour", "none"])
async def test_c10_retries_in_many_tabs_at_once_give_one_live_session(
    stage: Stage, left: str
) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22 if left == "half an hour" else 23, minutes=45)
    shops = [stage.shop, stage.another_process(), stage.another_process()] * 3
    answers = await asyncio.gather(*(_retry(stage, opened, shop=shop) for shop in shops))
    assert len({answer.url for answer in answers}) == 1
    assert [state for state, _ in await _states(stage)] == ["expired", "open"]
    assert await stage.breaches() == []


async def test_stripe_down_keeps_the_old_session_and_hands_out_nothing(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22, minutes=45)
    await stage.fail("502_html", count=None)
    with pytest.raises(StripeUnavailable):
        await _retry(stage, opened)
    await stage.recover()
    assert await _states(stage) == [("open", "open")]
    assert (await _retry(stage, opened)).url != opened.url
    assert await stage.breaches() == []
