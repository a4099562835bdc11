"""Settlement: the one door to paid. Whoever knocks, and however often, one payment is written."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import product
from typing import TypeVar

import pytest

from commande.core.command import Status
from commande.core.document import command_document
from commande.db.tables import history, messages, payments
from commande.errors import (
    CommandNotFound,
    DatabaseBusy,
    PaymentNotCompleted,
    SessionInvalid,
    SessionMismatch,
    StripeUnavailable,
)
from commande.flows.checkout import Opened
from commande.flows.settlement import confirm_payment, recheck, settle
from tests.support.seams import Killed, dying
from tests.support.stage import BOUQUET, BREAD, SERVICE, Stage, session_of

T = TypeVar("T")


async def test_a_paid_session_makes_a_paid_command(stage: Stage) -> None:
    opened = await stage.buy((BOUQUET, 2), (BREAD, 1))
    command = await stage.come_back(opened)
    assert (command.status, command.paid) == (Status.PAID, True)
    assert command.paid_session_id == session_of(opened)
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == (await stage.session(opened))["amount_total"]
    assert (await stage.kinds(opened))[3:] == ["paid"]
    [payment] = await stage.rows(payments)
    assert (payment.outcome, payment.amount_minor, payment.method) == (
        "applied", 2 * 2999 + 680, "visa •••• 4242",
    )  # fmt: skip
    assert await stage.breaches() == []


async def test_c12_a_repeated_confirm_gives_the_same_answer_and_asks_nobody(stage: Stage) -> None:
    opened = await stage.buy()
    first = command_document(await stage.come_back(opened))
    await stage.forget_calls()
    stage.clock.offset += timedelta(minutes=5)
    again = [command_document(await stage.come_back(opened)) for _ in range(3)]
    assert again == [first] * 3
    assert await stage.calls() == 0


async def test_an_unpaid_session_is_not_paid_and_nothing_changes(stage: Stage) -> None:
    opened = await stage.open()
    before = await stage.command(opened)
    with pytest.raises(PaymentNotCompleted):
        await stage.come_back(opened)
    assert await stage.command(opened) == before
    assert len(await stage.history(opened)) == 3


async def test_a_declined_card_leaves_the_command_unpaid_and_payable(stage: Stage) -> None:
    opened = await stage.open()
    assert "error" in await stage.pay(opened, "4000000000000002")
    with pytest.raises(PaymentNotCompleted):
        await stage.come_back(opened)
    await stage.pay(opened)
    assert (await stage.come_back(opened)).paid


async def test_stripe_down_says_so_and_the_next_confirm_settles(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.fail("502_html", count=None)
    with pytest.raises(StripeUnavailable):
        await stage.come_back(opened)
    assert not (await stage.command(opened)).paid
    assert await recheck(stage.shop, session_of(opened), "reconcile") is None
    await stage.recover()
    assert (await stage.come_back(opened)).paid


async def test_a_session_that_stripe_forgot_is_invalid(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.sql("DROP TRIGGER attempts_session_stays" + _on(stage))
    await stage.sql("UPDATE attempts SET stripe_session_id = 'cs_test_forgotten'")
    with pytest.raises(SessionInvalid):
        await confirm_payment(stage.shop, "cs_test_forgotten", opened.command_id)


def _on(stage: Stage) -> str:
    """PostgreSQL names a trigger with its table."""
    return " ON attempts" if stage.shop.db.dialect == "postgresql" else ""


@pytest.mark.parametrize("command_id", ["", "x", "0" * 23, "é" * 24, "' OR 1=1 --", "f" * 24])
async def test_s41_an_unknown_command_is_refused_without_a_call(
    stage: Stage, command_id: str
) -> None:
    opened = await stage.buy()
    await stage.forget_calls()
    with pytest.raises(CommandNotFound):
        await confirm_payment(stage.shop, session_of(opened), command_id)
    with pytest.raises(SessionInvalid):
        await confirm_payment(stage.shop, command_id, opened.command_id)
    with pytest.raises(SessionInvalid):
        await settle(stage.shop, "cs_test_of_nobody", "browser")
    assert await stage.calls() == 0


async def test_s01_a_paid_session_pays_its_own_command_and_no_other(stage: Stage) -> None:
    carts = [(BOUQUET, n, kind) for n in (1, 2) for kind in ("standard", "grand")]
    carts += [(BREAD, n) for n in (1, 2, 3, 4)] + [(SERVICE, n) for n in (1, 2, 3, 4)]
    bought = [await stage.open(cart) for cart in carts]
    paid = bought[::2] + bought[1::4]
    for opened in paid:
        await stage.pay(opened)
    await stage.come_back(paid[0])  # one that is settled already opens nothing for others either
    await stage.forget_calls()
    results = {pair: await _confirms(stage, *pair) for pair in product(bought, bought)}
    assert [pair for pair, ok in results.items() if ok] == [(one, one) for one in bought
                                                            if one in paid]  # fmt: skip
    # Of all pairs only each session with its own command was asked about, once.
    assert await stage.calls() == len(bought) - 1
    assert await stage.breaches() == []


async def _confirms(stage: Stage, paid: Opened, other: Opened) -> bool:
    try:
        command, _ = await confirm_payment(stage.shop, session_of(paid), other.command_id)
    except SessionMismatch:
        assert paid is not other
        return False
    except PaymentNotCompleted:
        return False
    return command.paid


async def test_s01_control_two_ids_read_independently_would_pay_a_strangers_command(
    stage: Stage,
) -> None:
    cheap, dear = await stage.buy((BREAD, 1)), await stage.open((BOUQUET, 9))
    report = await stage.shop.stripe.read_session(session_of(cheap))
    assert report.paid, "all that a literal reading of the reference asks"
    await stage.come_back(cheap)
    snapshot = "(SELECT snapshot FROM commands WHERE snapshot IS NOT NULL)"
    await stage.sql(
        f"UPDATE commands SET status = 'paid', snapshot = {snapshot}, paid_at = updated_at,"
        " paid_session_id = 'cs_test_another' WHERE id = :id",
        id=dear.command_id,
    )
    found = await stage.breaches()
    assert {fact[:2] for fact in found} >= {"I2", "I3"}


async def test_s02_c14_a_hundred_and_twenty_eight_tellers_at_once_have_one_effect(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    shops = [stage.shop, *(stage.another_process() for _ in range(3))]
    [event] = await stage.events("checkout.session.completed")
    tellers = []
    for n in range(64):
        shop = shops[n % 4]
        confirm = partial(confirm_payment, shop, session_of(opened), opened.command_id)
        tellers.append(_insist(confirm))
        tellers.append(_webhook(stage, event, n))
    answers = await asyncio.gather(*tellers)
    assert all(command.paid for command, _ in answers[::2])
    assert sum(answers[1::2]) == 1, "the event was stored once"
    await asyncio.gather(*(stage.work(shop) for shop in shops))
    assert len(await stage.rows(payments)) == 1
    assert len(await stage.rows(messages)) == 1
    assert len(stage.mail.letters) == 1
    assert (await stage.kinds(opened)).count("paid") == 1
    assert {command.updated_at for command, _ in answers[::2]} == {
        (await stage.command(opened)).updated_at
    }
    assert await stage.breaches() == []


async def _webhook(stage: Stage, event: dict, n: int) -> bool:
    shops = [stage.shop, *stage.others]
    shop = shops[(n + 1) % len(shops)]
    new = await _insist(partial(stage.deliver, event, shop))
    await _insist(partial(stage.work, shop))
    return new


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Whoever is told that the database is busy, because the machine is, asks again."""
    async with asyncio.timeout(240):
        while True:
            with suppress(DatabaseBusy):
                return await ask()
            await asyncio.sleep(0.05)


async def test_c13_the_return_settles_before_the_webhook_and_the_webhook_adds_nothing(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    command = await stage.come_back(opened)
    await stage.hear()
    await stage.work()
    assert await stage.command(opened) == command
    assert (await stage.kinds(opened)).count("paid") == 1
    assert await stage.breaches() == []


async def test_c12_the_webhook_settles_before_the_return(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.hear()
    await stage.work()
    command = await stage.command(opened)
    assert command.paid
    assert await stage.come_back(opened) == command
    [paid] = [fact for fact in await stage.history(opened) if fact.kind == "paid"]
    assert paid.source == "webhook"
    assert (await stage.kinds(opened)).count("confirmed") == 1


async def test_a_confirm_that_dies_before_its_commit_left_nothing_and_is_repeated(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    before = await stage.rows(history)
    dead = dying(stage.shop, "apply_report", committed=False)
    with pytest.raises(Killed):
        await confirm_payment(dead, session_of(opened), opened.command_id)
    assert await stage.rows(history) == before
    dead = dying(stage.shop, "apply_report", committed=True)
    with pytest.raises(Killed):
        await confirm_payment(dead, session_of(opened), opened.command_id)
    assert (await stage.come_back(opened)).paid
    assert await stage.breaches() == []


async def test_s21_personal_data_is_shown_for_a_day_after_the_payment(stage: Stage) -> None:
    opened = await stage.buy()
    pair = (session_of(opened), opened.command_id)
    _, masked = await confirm_payment(stage.shop, *pair)
    assert not masked
    stage.clock.offset += timedelta(hours=23, minutes=59)
    assert not (await confirm_payment(stage.shop, *pair))[1]
    stage.clock.offset += timedelta(minutes=2)
    command, masked = await confirm_payment(stage.shop, *pair)
    assert masked
    assert "john@example.com" not in str(command_document(command, masked=True))
