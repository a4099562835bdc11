"""A cart becomes an unpaid command with one payable session, whatever Stripe does meanwhile."""

import asyncio
from datetime import timedelta

import pytest

from commande.core.command import AttemptState, Status
from commande.db import opening
from commande.db.attempts import find_attempt
from commande.db.tables import attempts, commands, tax_rates
from commande.errors import IdempotencyConflict, InputInvalid, QuoteMismatch
from commande.flows.checkout import OpeningDelayed, make_claim, make_ticket, open_checkout
from commande.flows.upkeep import finish_openings
from tests.support.stage import BOUQUET, BREAD, SERVICE, Stage, session_of


async def test_a_cart_becomes_an_unpaid_command_with_one_session(stage: Stage) -> None:
    opened = await stage.open((BOUQUET, 2), (BREAD, 1))
    command = await stage.command(opened)
    assert (command.status, command.paid, command.snapshot) == (Status.UNPAID, False, None)
    session = await stage.session(opened)
    assert (session["amount_total"], session["currency"]) == (2 * 2999 + 680, "eur")
    assert session["client_reference_id"] == opened.command_id
    assert await stage.kinds(opened) == ["opened", "session_requested", "session_opened"]


async def test_an_order_costs_one_call_once_its_tax_rates_are_known(stage: Stage) -> None:
    await stage.open((BOUQUET, 1), (SERVICE, 1))
    await stage.forget_calls()
    opened = await stage.open((BOUQUET, 1), (SERVICE, 1))
    assert await stage.calls() == 1
    await stage.pay(opened)
    await stage.come_back(opened)
    assert await stage.calls("/v1/") == 2


async def test_a_restarted_process_remembers_the_tax_rates(stage: Stage) -> None:
    await stage.open()
    await stage.forget_calls()
    await open_checkout(stage.another_process(), stage.order((BOUQUET, 3)))
    assert await stage.calls("POST /v1/tax_rates") == 0


async def test_two_processes_that_need_one_rate_at_once_make_one(stage: Stage) -> None:
    shops = [stage.shop, stage.another_process(), stage.another_process()]
    await stage.fail("latency", seconds=0.1, count=20)
    await asyncio.gather(
        *(open_checkout(s, stage.order((BOUQUET, n))) for n, s in enumerate(shops, start=1))
    )
    assert len(await stage.rows(tax_rates)) == 1
    listed = await stage.stripe_get("/v1/tax_rates?limit=100")
    assert len(listed["data"]) == 1


async def test_c09_a_double_click_makes_one_command_and_one_session(stage: Stage) -> None:
    order = stage.order()
    shops = [stage.shop, stage.another_process()] * 4
    opened = await asyncio.gather(*(open_checkout(shop, order) for shop in shops))
    assert len(set(opened)) == 1
    assert len(await stage.rows(commands)) == 1
    assert len(await stage.sessions()) == 1
    assert await stage.calls("POST /v1/checkout/sessions") == 1


async def test_c09_the_same_order_two_minutes_later_is_another_command(stage: Stage) -> None:
    order = stage.order()
    first = await open_checkout(stage.shop, order)
    stage.clock.offset += timedelta(minutes=2)
    assert (await open_checkout(stage.shop, order)).command_id != first.command_id


async def test_c01_the_same_key_gives_the_same_answer_and_another_body_a_conflict(
    stage: Stage,
) -> None:
    order = stage.order()
    shops = [stage.shop, stage.another_process()] * 4
    opened = await asyncio.gather(*(open_checkout(shop, order, "key-1") for shop in shops))
    assert len(set(opened)) == 1
    stage.clock.offset += timedelta(hours=1)
    assert await open_checkout(stage.shop, order, "key-1") == opened[0]
    with pytest.raises(IdempotencyConflict):
        await open_checkout(stage.shop, stage.order((BREAD, 1)), "key-1")
    assert len(await stage.rows(commands)) == 1


@pytest.mark.parametrize("fault", ["500_before", "cut_body", "502_html", "502_html_after", "429"])
async def test_c03_c04_a_lost_or_refused_answer_ends_in_one_session(
    stage: Stage, fault: str
) -> None:
    await stage.open()
    await stage.fail(fault, path="/v1/checkout/sessions")
    opened = await stage.open()
    assert (await stage.session(opened))["status"] == "open"
    assert len(await stage.sessions()) == 2


async def test_c05_a_kept_500_is_found_again_by_its_metadata(stage: Stage) -> None:
    await stage.open()
    await stage.fail("500_after", path="/v1/checkout/sessions")
    order = stage.order()
    with pytest.raises(OpeningDelayed) as delayed:
        await open_checkout(stage.shop, order)
    assert (await stage.rows(commands))[-1].status == "unpaid"
    opened = await open_checkout(stage.shop, order)
    assert opened.command_id == delayed.value.command_id
    assert len(await stage.sessions()) == 2
    assert "session_delayed" in await stage.kinds(opened)


@pytest.mark.parametrize("seconds", [-60, 60], ids=["behind", "ahead"])
async def test_c05_it_is_found_also_by_a_shop_whose_clock_is_not_stripes(
    stage: Stage, seconds: int
) -> None:
    stage.clock.offset += timedelta(seconds=seconds)
    await stage.fail("500_after", path="/v1/checkout/sessions")
    order = stage.order()
    with pytest.raises(OpeningDelayed):
        await open_checkout(stage.shop, order)
    await open_checkout(stage.shop, order)
    assert len(await stage.sessions()) == 1


async def test_s45_stripe_down_leaves_an_unpaid_command_that_the_worker_opens(
    stage: Stage,
) -> None:
    await stage.fail("502_html", count=None)
    with pytest.raises(OpeningDelayed) as delayed:
        await stage.open()
    [row] = await stage.rows(attempts)
    assert row.state == "creating"
    await asyncio.to_thread(_remove_faults, stage)
    assert await finish_openings(stage.shop) == 1
    [row] = await stage.rows(attempts)
    assert (row.state, row.command_id) == ("open", delayed.value.command_id)


def _remove_faults(stage: Stage) -> None:
    import urllib.request

    url = f"{stage.stripe_url}/sandbox-control/faults"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()


async def test_c02_an_opener_that_died_is_taken_over_after_its_lease(stage: Stage) -> None:
    order = stage.order()
    ticket = make_ticket(stage.shop)
    await stage.shop.db.transaction(opening.open_command, order, ticket, make_claim(order, None))
    assert await finish_openings(stage.shop) == 0, "a live opener is left alone"
    stage.clock.offset += timedelta(seconds=14)
    assert await finish_openings(stage.another_process()) == 1
    opened = await open_checkout(stage.shop, order)
    assert opened.command_id == ticket.command_id
    assert len(await stage.sessions()) == 1


async def test_c07_a_session_whose_row_was_lost_is_found_under_the_same_key(stage: Stage) -> None:
    opened = await stage.open()
    found = await stage.shop.db.read(find_attempt, (await stage.rows(attempts))[0].id)
    assert found is not None
    report = await stage.shop.stripe.create_session(
        _as_sent(found.parameters, await stage.rows(tax_rates)), found.idempotency_key
    )
    assert report.session_id == session_of(opened)


def _as_sent(parameters: dict, rates: list) -> dict:
    from commande.core.session import resolve_tax_rates

    return resolve_tax_rates(parameters, {row.key: row.stripe_tax_rate_id for row in rates})


async def test_c06_an_attempt_too_old_for_its_key_is_closed_not_repeated(stage: Stage) -> None:
    order = stage.order()
    ticket = make_ticket(stage.shop)
    await stage.shop.db.transaction(opening.open_command, order, ticket, make_claim(order, None))
    await stage.pass_time(hours=23, minutes=30)
    await finish_openings(stage.shop)
    [row] = await stage.rows(attempts)
    assert (row.state, await stage.sessions()) == ("closed", [])


async def test_a_rate_that_stripe_forgot_is_made_anew(stage: Stage) -> None:
    await stage.open()
    await stage.sql("UPDATE tax_rates SET stripe_tax_rate_id = 'txr_gone'")
    opened = await stage.open()
    assert (await stage.session(opened))["status"] == "open"


async def test_tax_on_top_takes_over_stripes_rounding_within_a_cent(stage: Stage) -> None:
    await stage.control("settings", {"tax_rounding": "rate"})
    lines = [(SERVICE, 1), (BOUQUET, 1)]
    opened = await stage.open(*lines)
    session = await stage.session(opened)
    [row] = await stage.rows(attempts)
    assert row.amount_minor == session["amount_total"]
    await stage.pay(opened)
    command = await stage.come_back(opened)
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == session["amount_total"]


async def test_a_total_that_is_not_ours_is_expired_before_anybody_can_pay(stage: Stage) -> None:
    await stage.open()
    await stage.sql("DELETE FROM idempotency_keys")
    order = stage.order()
    ticket = make_ticket(stage.shop)
    await stage.shop.db.transaction(opening.open_command, order, ticket, make_claim(order, None))
    # The row and what is sent to Stripe disagree by five cents: as if Stripe had computed them.
    await stage.sql(
        "UPDATE attempts SET amount_minor = amount_minor - 5, quote = :quote WHERE id = :id",
        id=ticket.attempt_id,
        quote=await _cheaper_quote(stage, ticket.attempt_id),
    )
    stage.clock.offset += timedelta(seconds=14)
    with pytest.raises(QuoteMismatch):
        await open_checkout(stage.shop, order)
    newest = (await stage.sessions())[0]
    assert newest["status"] == "expired"
    row = next(row for row in await stage.rows(attempts) if row.id == ticket.attempt_id)
    assert (row.state, row.last_error) == (AttemptState.CLOSED, "quote_mismatch")


async def _cheaper_quote(stage: Stage, attempt_id: str) -> str:
    import json

    row = next(row for row in await stage.rows(attempts) if row.id == attempt_id)
    quote = json.loads(json.dumps(row.quote))
    quote["lines"][0]["unit_minor"] -= 5
    return json.dumps(quote)


async def test_an_appointment_in_the_past_is_refused_and_nothing_is_written(stage: Stage) -> None:
    order = stage.order()
    stage.clock.offset += timedelta(days=3)
    with pytest.raises(InputInvalid) as refused:
        await open_checkout(stage.shop, order)
    assert refused.value.errors[0].field == "appointment"
    assert await stage.rows(commands) == []
