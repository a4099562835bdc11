"""Money that takes days, comes late, comes twice, or is told in the wrong order."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from commande.core.command import AttemptState, Status
from commande.core.payment import PaymentReport, PaymentState
from commande.db.tables import attempts, messages, payments
from commande.db.upkeep import clear_attention
from commande.errors import PaymentNotCompleted, PaymentProcessing
from commande.flows.checkout import Opened, retry_payment
from commande.flows.reconcile import check_due, reconcile
from commande.flows.refunds import finish_refunds
from commande.flows.upkeep import cancel_command, expire_overdue
from commande.shop import Shop
from tests.support.seams import around_stripe
from tests.support.stage import Stage, staged

SEPA, SEPA_FAILS = "DE89370400440532013000", "DE62370400440532013001"


async def _debit(stage: Stage, iban: str) -> Opened:
    """A customer pays by direct debit and comes back: the money is under way."""
    opened = await stage.open()
    await stage.pay(opened, iban)
    assert (await stage.come_back(opened)).status is Status.PROCESSING
    return opened


async def _bank_answers(stage: Stage) -> None:
    await stage.pass_time(seconds=20)


async def test_c20_a_completed_debit_is_under_way_and_nothing_touches_it(stage: Stage) -> None:
    opened = await _debit(stage, SEPA)
    await stage.hear("checkout.session.completed")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.paid) == (Status.PROCESSING, False)
    with pytest.raises(PaymentProcessing):
        await retry_payment(stage.shop, opened.command_id, opened.token)
    with pytest.raises(PaymentProcessing):
        await cancel_command(stage.shop, opened.command_id)
    assert (await expire_overdue(stage.shop, timedelta(0))).expired == []
    assert await stage.command(opened) == command
    assert await stage.breaches() == []


async def test_c20_the_debit_succeeds_days_later_and_is_paid_once(stage: Stage) -> None:
    opened = await _debit(stage, SEPA)
    await _bank_answers(stage)
    await stage.hear()
    await stage.work()
    await stage.hear()
    await stage.work()
    command = await stage.come_back(opened)
    assert command.paid
    assert (await stage.kinds(opened))[3:5] == ["payment_processing", "paid"]
    assert [row.kind for row in await stage.rows(messages)] == ["paid"]
    assert await stage.breaches() == []


async def test_c15_the_debits_success_is_found_when_nobody_tells_it(stage: Stage) -> None:
    opened = await _debit(stage, SEPA)
    await _bank_answers(stage)
    await stage.pass_time(minutes=6)
    assert (await check_due(stage.shop)).settled == 1
    assert (await stage.command(opened)).paid


async def test_c21_a_debit_that_fails_frees_the_command_and_tells_the_customer(
    stage: Stage,
) -> None:
    opened = await _debit(stage, SEPA_FAILS)
    await _bank_answers(stage)
    await stage.hear("checkout.session.")
    await stage.work()
    assert (await stage.command(opened)).status is Status.UNPAID
    assert [letter.message_id.partition(".")[0] for letter in stage.mail.letters] == [
        "payment_failed"
    ]
    with pytest.raises(PaymentNotCompleted):
        await stage.come_back(opened)
    again = await retry_payment(stage.shop, opened.command_id, opened.token)
    assert again.url != opened.url
    await stage.pay(again)
    assert (await stage.come_back(again)).paid
    assert await stage.breaches() == []


async def test_c21_an_old_failure_told_again_does_not_free_a_second_debit(stage: Stage) -> None:
    opened = await _debit(stage, SEPA_FAILS)
    await _bank_answers(stage)
    await stage.hear("checkout.session.")
    await stage.work()
    again = await retry_payment(stage.shop, opened.command_id, opened.token)
    await stage.pay(again, SEPA)
    assert (await stage.come_back(again)).status is Status.PROCESSING
    [failure] = await stage.events("checkout.session.async_payment_failed")
    await stage.deliver(failure | {"id": "evt_told_again"})
    await stage.work()
    assert (await stage.command(opened)).status is Status.PROCESSING


async def test_c21_an_answer_from_before_the_failure_does_not_make_the_command_wait(
    stage: Stage,
) -> None:
    """A check's slow answer came in after the failure: nobody could pay any more (seed 4104)."""
    opened = await _debit(stage, SEPA_FAILS)
    stage.clock.offset += timedelta(minutes=6)

    async def slow(real: Any, session_id: str) -> PaymentReport:
        earlier: PaymentReport = await real(session_id)
        await _bank_answers(stage)
        await stage.hear("checkout.session.")
        await stage.work()
        assert (await stage.command(opened)).status is Status.UNPAID
        return earlier

    await check_due(around_stripe(stage.shop, "read_session", slow))
    assert (await stage.command(opened)).status is Status.UNPAID
    assert (await stage.kinds(opened)).count("payment_processing") == 1
    again = await retry_payment(stage.shop, opened.command_id, opened.token)
    await stage.pay(again)
    assert (await stage.come_back(again)).paid
    assert await stage.breaches() == []


@pytest.mark.parametrize(
    "told",
    ["checkout.session.async_payment_failed", "checkout.session.expired"],
    ids=["c22_failed_after_succeeded", "c23_expired_after_completed"],
)
async def test_a_stale_event_does_not_take_a_payment_back(stage: Stage, told: str) -> None:
    opened = await stage.buy()
    command = await stage.come_back(opened)
    [event] = await stage.events("checkout.session.completed")
    stale = json.loads(json.dumps(event)) | {"id": "evt_stale", "type": told}
    stale["data"]["object"] |= {
        "payment_status": "unpaid",
        "status": "expired" if told.endswith("expired") else "complete",
    }
    await stage.deliver(stale)
    await stage.work()
    repeated = [kind for kind in await stage.kinds(opened) if kind in ("paid", "session_expired")]
    assert (await stage.command(opened), repeated) == (command, ["paid"])


async def test_c24_success_heard_before_completion_stays_paid(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pay(opened, SEPA)
    await _bank_answers(stage)
    for event in reversed(await stage.events("checkout.session.")):
        await stage.deliver(event)
        await stage.work()
        assert (await stage.command(opened)).paid
    assert (await stage.kinds(opened)).count("paid") == 1
    assert await stage.breaches() == []


def _believing_it_dead(shop: Shop) -> Shop:
    """A shop to which Stripe says “expired” of a session that can still be paid."""

    async def around(_real: Any, session_id: str) -> PaymentReport:
        report = await shop.stripe.read_session(session_id)
        return replace(report, state=PaymentState.EXPIRED)

    return around_stripe(shop, "expire_session", around)


async def test_c25_late_money_finds_its_tombstone_and_is_shown(stage: Stage) -> None:
    opened = await stage.open()
    report = await expire_overdue(_believing_it_dead(stage.shop), timedelta(0))
    assert report.expired == [opened.command_id]
    await stage.pay(opened)
    await stage.hear("checkout.session.completed")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.attention) == (Status.PAID, "paid_after_expiry")
    assert command.customer is None
    assert "paid_after_expiry" in await stage.kinds(opened)
    assert await stage.rows(messages) == [], "nobody is left to write to"
    assert await stage.breaches() == []


async def test_c25_control_before_its_event_is_heard_the_buried_money_is_a_breach(
    stage: Stage,
) -> None:
    opened = await stage.open()
    await expire_overdue(_believing_it_dead(stage.shop), timedelta(0))
    assert [fact[:2] for fact in await stage.breaches()] == ["I9"]
    await stage.pay(opened)
    assert {fact[:2] for fact in await stage.breaches()} == {"I1", "I9"}


async def _two_sessions(stage: Stage) -> tuple[Opened, Opened]:
    """Two payable sessions of one command: Stripe lied about the end of the first."""
    first = await stage.open()
    await stage.pass_time(hours=22, minutes=45)
    shop = _believing_it_dead(stage.shop)
    second = await retry_payment(shop, first.command_id, first.token)
    assert second.url != first.url
    assert [fact[:2] for fact in await stage.breaches("I4")] == ["I4"]
    return first, second


async def _pay_both(stage: Stage) -> tuple[Opened, Opened]:
    first, second = await _two_sessions(stage)
    await stage.pay(first)
    await stage.pay(second)
    paid = await stage.come_back(second)
    await stage.hear()
    await stage.work()
    command = await stage.command(second)
    assert (command.snapshot, command.paid_at) == (paid.snapshot, paid.paid_at)
    rows = {row.stripe_session_id: row.outcome for row in await stage.rows(payments)}
    assert rows == {_session(second): "applied", _session(first): "duplicate"}
    assert len(await stage.rows(messages)) == 1
    return first, second


async def test_c28_a_second_paid_session_is_recorded_and_given_back(stage: Stage) -> None:
    first, _ = await _pay_both(stage)
    assert await finish_refunds(stage.shop) == 1
    await stage.hear()
    await stage.work()
    command = await stage.command(first)
    assert (command.status, command.refunded_minor) == (Status.PAID, 0)
    refunded = {row.stripe_session_id: row.refunded_minor for row in await stage.rows(payments)}
    assert refunded[_session(first)] == 5998
    assert await stage.breaches() == []


async def test_c28_a_shop_that_wants_it_so_is_shown_the_second_payment_once(
    database_url: str, serve: Any
) -> None:
    async with staged(database_url, serve, steady=True, duplicate_payments="person") as stage:
        first, _ = await _pay_both(stage)
        command = await stage.command(first)
        assert (command.status, command.attention) == (Status.PAID, "paid_twice")
        await stage.shop.db.transaction(clear_attention, command.id, stage.clock.now())
        for event in await stage.events("checkout.session.completed"):
            await stage.deliver(event | {"id": event["id"] + "b"})
        await stage.work()
        # What a person has cleared stays cleared.
        assert (await stage.command(first)).attention is None
        assert await stage.breaches() == []


def _session(opened: Opened) -> str:
    return opened.url.rsplit("/", 1)[-1].partition("#")[0]


async def test_c28_a_second_debit_that_nobody_tells_of_is_asked_about(stage: Stage) -> None:
    first, second = await _two_sessions(stage)
    await stage.pay(second)
    assert (await stage.come_back(second)).paid
    await stage.pay(first, SEPA)
    await stage.hear("checkout.session.completed")
    await stage.work()
    assert (await stage.command(first)).attention == "second_payment_processing"
    await _bank_answers(stage)
    await stage.fail("502_html", count=None, path="/v1/events")
    await reconcile(stage.shop)
    rows = {row.stripe_session_id: row.outcome for row in await stage.rows(payments)}
    assert rows == {_session(second): "applied", _session(first): "duplicate"}
    assert {row.state for row in await stage.rows(attempts)} == {AttemptState.COMPLETE}
