"""Stripe down, slow or misused: the answer comes in time, nothing is lost, nobody else waits."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from commande.db import tables
from tests.support.frontend import CONFIRM, Answer, FrontEnd, opened_to_the_public, session_of
from tests.support.seams import Held, around_stripe
from tests.support.stage import staged

MANY = int(os.environ.get("COMMANDE_TEST_MANY", "60"))


async def test_stripe_down_is_a_503_that_can_be_paid_later(shop: FrontEnd) -> None:
    await shop.stage.fail("500_before", count=20, path="/v1/checkout/sessions")
    answer = await shop.create("my key")
    assert (answer.status, answer.code) == (503, "stripe_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    delayed = answer.json
    assert delayed.keys() >= {"commandId", "ref", "token"}
    command = (await shop.status(delayed)).json["command"]
    assert (command["status"], command["ref"]) == ("unpaid", delayed["ref"])
    await shop.stage.recover()
    paid = await shop.retry(delayed)
    assert paid.status == 200 and paid.json["commandId"] == delayed["commandId"]
    again = await shop.create("my key")
    assert again.json == paid.json, "the repeat of the first request finds the same session"
    assert len([s for s in await shop.stage.sessions() if s["status"] == "open"]) == 1


async def test_s45_a_hanging_stripe_answers_503_in_time_and_holds_nobody_up(
    kiosk: FrontEnd,
) -> None:
    await kiosk.stage.fail("hang_before", count=100, seconds=80)
    opening = asyncio.gather(*(timed(kiosk, n) for n in range(5)))
    async with asyncio.timeout(60):
        while await kiosk.stage.calls() < 5:
            pass
    for _ in range(10):
        for path in ("/healthz", "/api/products", "/readyz"):
            assert (await kiosk.get(path)).status == 200
    assert not opening.done(), "30 looks took as long as Stripe was waited for"
    for answer, seconds in await opening:
        assert (answer.status, answer.code) == (503, "stripe_unavailable")
        # One deadline of 11 seconds and not two, however busy the machine is.
        assert seconds < 20


async def timed(front: FrontEnd, number: int) -> tuple[Answer, float]:
    began = time.perf_counter()
    answer = await front.create(customer__city=f"Paris {number}")
    return answer, time.perf_counter() - began


async def test_s41_strangers_cost_no_call_to_stripe(shop: FrontEnd) -> None:
    opened = await shop.buy()
    await shop.confirm(opened)
    await shop.stage.forget_calls()
    answers = await asyncio.gather(*(
        shop.post(CONFIRM, {"sessionId": f"cs_test_{n}", "commandId": f"{n:024x}"})
        for n in range(MANY)
    ))  # fmt: skip
    assert {answer.code for answer in answers} == {"command_not_found"}
    guesses = await asyncio.gather(*(
        shop.confirm(opened, sessionId=f"cs_test_{n}") for n in range(MANY)
    ))  # fmt: skip
    assert {answer.code for answer in guesses} == {"session_invalid"}
    again = await asyncio.gather(*(shop.confirm(opened) for _ in range(MANY)))
    assert {answer.status for answer in again} == {200}
    assert await shop.stage.calls() == 0


async def test_s01_a_paid_session_pays_its_own_command_and_no_other(shop: FrontEnd) -> None:
    orders = [await shop.open(items__0__quantity=n) for n in (1, 2, 2, 3)]
    for opened in orders[:3]:
        await shop.pay(opened)
    await shop.stage.forget_calls()
    before = await shop.rows()
    for paid in orders:
        for other in orders:
            if paid is not other:
                answer = await shop.confirm(other, sessionId=session_of(paid))
                assert (answer.status, answer.code) == (400, "session_mismatch")
    assert await shop.stage.calls() == 0
    assert await shop.rows() == before
    assert [(await shop.confirm(each)).status for each in orders] == [200, 200, 200, 400]
    payments = await shop.stage.rows(tables.payments)
    assert sorted(row.amount_minor for row in payments) == [2999, 5998, 5998]


async def test_s02_confirm_and_webhook_at_once_have_one_effect(shop: FrontEnd) -> None:
    opened = await shop.buy()
    event = (await shop.stage.events("checkout.session.completed"))[-1]
    answers = await asyncio.gather(*(
        shop.confirm(opened) if n % 2 else shop.deliver(event) for n in range(MANY)
    ))  # fmt: skip
    assert {answer.status for answer in answers} == {200}
    await shop.stage.work()
    assert len({answer.body for answer in answers if b"command" in answer.body}) == 1
    assert len(await shop.stage.rows(tables.payments)) == 1
    assert len(await shop.stage.rows(tables.messages)) == 1
    assert len(shop.stage.mail.letters) == 1


async def test_s04_another_amount_currency_or_mode_is_never_paid(kiosk: FrontEnd) -> None:
    real = kiosk.stage.shop.stripe

    for changes in (
        {"amount_minor": 5997}, {"amount_minor": 5999}, {"amount_minor": 599800},
        {"currency": "jpy"}, {"currency": "EUR"}, {"mode": "setup"}, {"mode": "subscription"},
        {"livemode": True}, {"no_payment_required": True}, {"amount_minor": None},
    ):  # fmt: skip
        opened = await kiosk.buy()

        class Lying:
            def __init__(self, changes: dict[str, Any]) -> None:
                self._changes = changes

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            async def read_session(self, session_id: str) -> Any:
                return replace(await real.read_session(session_id), **self._changes)

        kiosk.app.state.shop = replace(kiosk.stage.shop, stripe=Lying(changes))
        answer = await kiosk.confirm(opened)
        assert (answer.status, answer.code) == (400, "session_mismatch"), changes
        command = (await kiosk.status(opened)).json["command"]
        assert command["paid"] is False and command["cartSnapshot"] is None
        stored = await kiosk.stage.command(opened_as_flow(opened))
        assert stored.attention == "payment_mismatch", changes


def opened_as_flow(opened: dict[str, Any]) -> Any:
    """The stage speaks of what the flow returned; its id is all that it needs."""

    class Named:
        command_id = opened["commandId"]

    return Named()


async def test_a_client_that_hangs_up_cuts_nothing(kiosk: FrontEnd) -> None:
    held = Held()
    kiosk.app.state.shop = around_stripe(kiosk.stage.shop, "create_session", held)
    impatient = asyncio.create_task(kiosk.create("impatient"))
    await asyncio.wait_for(held.begun.wait(), 60)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await asyncio.sleep(0.3)  # the server has noticed
    (attempt,) = await kiosk.stage.rows(tables.attempts)
    assert attempt.state == "creating"
    held.go_on.set()
    async with asyncio.timeout(60):
        while attempt.state == "creating":
            (attempt,) = await kiosk.stage.rows(tables.attempts)
    assert attempt.state == "open" and attempt.stripe_session_id
    again = await kiosk.create("impatient")
    assert again.status == 200 and len(await kiosk.stage.sessions()) == 1


async def test_a_flow_under_way_ends_before_the_application_does(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with staged(sqlite_url, serve) as stage:
        held = Held()
        stage.shop = around_stripe(stage.shop, "create_session", held)
        async with opened_to_the_public(stage) as front:
            leaving = asyncio.create_task(front.create())
            await asyncio.wait_for(held.begun.wait(), 60)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            asyncio.get_running_loop().call_later(0.4, held.go_on.set)
        assert held.go_on.is_set(), "the application did not wait"
        (attempt,) = await stage.rows(tables.attempts)
        assert attempt.state == "open"
