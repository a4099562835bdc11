"""Clean-up: expired at Stripe first, then read again, then settled or erased."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from commande.core.command import Status
from commande.db import opening
from commande.db.tables import attempts, commands, idempotency_keys, metadata
from commande.errors import AlreadyPaid, CommandExpired, CommandNotFound, StripeRefused
from commande.flows.checkout import (
    OpeningDelayed,
    make_claim,
    make_ticket,
    open_checkout,
    retry_payment,
)
from commande.flows.upkeep import cancel_command, expire_command, expire_overdue, prune
from tests.support.seams import (
    Killed,
    around_stripe,
    around_transaction,
    die,
    dying,
    misreading,
    once,
)
from tests.support.stage import BREAD, Stage, session_of

DAY, NOW = timedelta(hours=24), timedelta(0)
PERSONAL = ("John", "Doe", "john@example.com", "33612345678", "123 Main", "75001", "Paris")


async def _dump(stage: Stage) -> str:
    """Every cell of every table, as text."""
    return await stage.shop.db.read(_all_rows)


def _all_rows(conn: Connection) -> str:
    tables = metadata.tables.values()
    rows = {table.name: [list(row) for row in conn.execute(table.select())] for table in tables}
    return json.dumps(rows, default=str, ensure_ascii=False)


async def test_clean_up_expires_at_stripe_then_leaves_a_tombstone_without_a_person(
    stage: Stage,
) -> None:
    opened = await stage.open()
    await stage.pay(opened, "4000000000000002")
    assert (await expire_overdue(stage.shop, DAY)).expired == [], "too young"
    before = await _dump(stage)
    assert [word for word in PERSONAL if word not in before] == [], "the canary is blind"
    await stage.pass_time(hours=22)
    await stage.forget_calls()
    report = await expire_overdue(stage.shop, timedelta(hours=20))
    assert report.expired == [opened.command_id]
    assert await stage.calls("/expire") == 1
    assert (await stage.session(opened))["status"] == "expired"
    await stage.hear()
    await stage.work()
    dump = await _dump(stage)
    assert [word for word in PERSONAL if word in dump] == []
    assert opened.command_id in dump, "the command itself stays, with its amount"
    assert (await stage.kinds(opened))[-2:] == ["session_expired", "expired"]
    with pytest.raises(CommandExpired):
        await retry_payment(stage.shop, opened.command_id, opened.token)
    assert await stage.breaches() == []


async def test_c36_a_payment_in_the_last_second_wins(stage: Stage) -> None:
    opened, other = await stage.open(), await stage.open((BREAD, 1))

    async def pay() -> None:
        await stage.pay(opened)

    shop = around_stripe(stage.shop, "expire_session", once(before=pay))
    report = await expire_overdue(shop, NOW)
    assert (report.settled, report.expired) == ([opened.command_id], [other.command_id])
    command = await stage.command(opened)
    assert command.paid
    assert command.customer is not None
    assert await stage.breaches() == []


async def test_c36_control_erasing_without_asking_stripe_buries_what_can_be_paid(
    stage: Stage,
) -> None:
    opened = await stage.open()

    async def believe(_real: Any, session_id: str) -> Any:
        gone = misreading(stage.shop, state="expired")
        return await gone.stripe.read_session(session_id)

    await expire_overdue(around_stripe(stage.shop, "expire_session", believe), NOW)
    assert [fact[:2] for fact in await stage.breaches()] == ["I9"]
    await stage.pay(opened)
    assert "I1" in {fact[:2] for fact in await stage.breaches()}


async def test_c37_behind_the_fence_no_new_attempt_opens(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pass_time(hours=22, minutes=45)

    async def try_again() -> None:
        with pytest.raises(CommandExpired):
            await retry_payment(stage.another_process(), opened.command_id, opened.token)

    shop = around_transaction(stage.shop, "fence_overdue", once(after=try_again))
    assert (await expire_overdue(shop, NOW)).expired == [opened.command_id]
    assert len(await stage.rows(attempts)) == 1
    assert await stage.breaches() == []


async def test_c37_an_opening_that_is_under_way_ends_unpayable(stage: Stage) -> None:
    """The clean-up comes between Stripe's answer and its row: the address never leaves."""
    await stage.open((BREAD, 1))
    order = stage.order()

    async def clean_up() -> None:
        stage.clock.offset += timedelta(seconds=15)
        await expire_overdue(stage.another_process(), NOW)

    shop = around_stripe(stage.shop, "create_session", once(after=clean_up))
    with pytest.raises(CommandExpired):
        await open_checkout(shop, order)
    assert [session["status"] for session in await stage.sessions()] == ["expired"] * 2
    assert {row.status for row in await stage.rows(commands)} == {"expired"}
    assert await stage.breaches() == []


@pytest.mark.parametrize(
    ("transaction", "committed"),
    [("fence_overdue", True), ("apply_report", False), ("apply_report", True),
     ("bury_command", False)],
)  # fmt: skip
async def test_c38_a_clean_up_that_died_is_finished_by_the_next(
    stage: Stage, transaction: str, committed: bool
) -> None:
    opened = await stage.open()
    with pytest.raises(Killed):
        await expire_overdue(dying(stage.shop, transaction, committed=committed), NOW)
    assert (await stage.command(opened)).status is Status.EXPIRING
    # However young the command, what stands behind the fence is finished.
    assert (await expire_overdue(stage.another_process(), DAY)).expired == [opened.command_id]
    assert await stage.breaches() == []


async def test_c38_a_command_behind_a_dead_clean_ups_fence_can_still_be_paid(
    stage: Stage,
) -> None:
    opened = await stage.open()
    with pytest.raises(Killed):
        await expire_overdue(around_stripe(stage.shop, "expire_session", once(before=die)), NOW)
    await stage.pay(opened)
    assert (await stage.come_back(opened)).paid
    assert (await expire_overdue(stage.shop, NOW)).settled == []
    assert await stage.breaches() == []


async def test_c39_clean_ups_at_once_do_everything_once(stage: Stage) -> None:
    opened = [await stage.open((BREAD, n)) for n in range(1, 7)]
    await stage.pay(opened[0])
    shops = [stage.shop, stage.another_process(), stage.another_process()]
    reports = await asyncio.gather(*(expire_overdue(shop, NOW) for shop in shops))
    assert {id_ for report in reports for id_ in report.expired} == {
        o.command_id for o in opened[1:]
    }
    for one in opened[1:]:
        assert (await stage.kinds(one)).count("expired") == 1
    assert (await stage.command(opened[0])).paid
    assert await stage.breaches() == []


async def test_c52_while_stripe_is_down_commands_wait_behind_the_fence(stage: Stage) -> None:
    opened = await stage.open()
    await stage.fail("502_html", count=None)
    report = await expire_overdue(stage.shop, NOW)
    assert (report.expired, report.waiting) == ([], [opened.command_id])
    assert (await stage.command(opened)).customer is not None
    await stage.recover()
    assert (await expire_overdue(stage.shop, NOW)).expired == [opened.command_id]


async def test_one_session_that_stripe_refuses_does_not_stop_the_others(stage: Stage) -> None:
    opened = [await stage.open((BREAD, n)) for n in (1, 2, 3)]

    await stage.fail("502_html", count=None, path=f"*/{session_of(opened[1])}/expire")
    report = await expire_overdue(stage.shop, NOW)
    assert report.expired == [opened[0].command_id, opened[2].command_id]
    assert report.waiting == [opened[1].command_id]
    await stage.recover()
    assert (await expire_overdue(stage.shop, NOW)).expired == [opened[1].command_id]


async def test_an_opening_that_stripe_refuses_for_good_does_not_stop_the_others(
    stage: Stage,
) -> None:
    ticket = make_ticket(stage.shop)
    claim = make_claim(stage.order(), None)
    await stage.shop.db.transaction(opening.open_command, stage.order(), ticket, claim)
    opened = await stage.open((BREAD, 1))
    stage.clock.offset += timedelta(seconds=15)

    async def refuse(_real: Any, *_args: Any) -> Any:
        raise StripeRefused("Invalid email address", param="customer_email")

    report = await expire_overdue(around_stripe(stage.shop, "create_session", refuse), NOW)
    assert report.expired == [ticket.command_id, opened.command_id]


@pytest.mark.parametrize("made", [False, True], ids=["never made", "made, answer lost"])
async def test_a_session_that_was_being_made_is_recovered_first(stage: Stage, made: bool) -> None:
    await stage.open((BREAD, 1))
    await stage.fail("502_html_after" if made else "502_html", count=None, path="/v1/checkout/*")
    with pytest.raises(OpeningDelayed):
        await open_checkout(stage.shop, stage.order())
    assert [row.state for row in await stage.rows(attempts)] == ["open", "creating"]
    await stage.recover()
    report = await expire_overdue(stage.shop, NOW)
    assert len(report.expired) == 2
    assert {session["status"] for session in await stage.sessions()} == {"expired"}
    assert "john@example.com" not in await _dump(stage)
    assert await stage.breaches() == []


async def test_c06_an_opening_too_old_for_its_key_is_looked_for_and_closed(stage: Stage) -> None:
    order, ticket = stage.order(), make_ticket(stage.shop)
    await stage.shop.db.transaction(opening.open_command, order, ticket, make_claim(order, None))
    await stage.pass_time(hours=25)
    await stage.forget_calls()
    assert (await expire_overdue(stage.shop, DAY)).expired == [ticket.command_id]
    assert await stage.calls("POST /v1/checkout/sessions") == 0, "not asked for a second time"
    assert await stage.breaches() == []


async def test_a_session_unknown_at_stripe_is_shown_and_given_up_after_its_time(
    stage: Stage,
) -> None:
    opened = await stage.open()
    on = " ON attempts" if stage.shop.db.dialect == "postgresql" else ""
    await stage.sql("DROP TRIGGER attempts_session_stays" + on)
    await stage.sql("UPDATE attempts SET stripe_session_id = 'cs_test_of_another_account'")
    assert (await expire_overdue(stage.shop, NOW)).waiting == [opened.command_id]
    command = await stage.command(opened)
    assert (command.status, command.attention) == (Status.EXPIRING, "session_missing")
    await stage.pass_time(hours=24, minutes=5)
    assert (await expire_overdue(stage.shop, DAY)).expired == [opened.command_id]
    assert (await stage.kinds(opened)).count("session_forgotten") == 1


async def test_a_person_cancels_one_command_as_clean_up_would(stage: Stage) -> None:
    opened, paid, bystander = await stage.open(), await stage.buy(), await stage.open((BREAD, 1))
    assert await cancel_command(stage.shop, opened.command_id) is Status.EXPIRED
    assert (await stage.session(opened))["status"] == "expired"
    assert (await stage.command(opened)).customer is None
    assert await cancel_command(stage.shop, opened.command_id) is Status.EXPIRED, "repeated"
    # Paid, but nobody had heard of it: the money is found before anything is closed.
    assert await cancel_command(stage.shop, paid.command_id) is Status.PAID
    with pytest.raises(AlreadyPaid):
        await cancel_command(stage.shop, paid.command_id)
    with pytest.raises(CommandNotFound):
        await cancel_command(stage.shop, "f" * 24)
    assert (await stage.command(bystander)).status is Status.UNPAID
    assert await stage.breaches() == []


async def test_zero_seconds_deal_with_every_unsettled_command(stage: Stage) -> None:
    unpaid, paid, debit = await stage.open(), await stage.buy(), await stage.open((BREAD, 2))
    await stage.pay(debit, "DE89370400440532013000")
    seen: list[tuple[int, int]] = []
    report = await expire_overdue(stage.shop, NOW, lambda *done: seen.append(done))
    assert report.expired == [unpaid.command_id]
    assert sorted(report.settled) == sorted([paid.command_id, debit.command_id])
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (await stage.command(debit)).status is Status.PROCESSING
    assert (await expire_overdue(stage.shop, NOW)) == type(report)()
    await expire_command(stage.shop, unpaid.command_id, "worker")
    assert await stage.breaches() == []


async def test_pruning_forgets_keys_after_two_days_and_events_after_a_month(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.hear()
    await stage.work()
    assert await prune(stage.shop) == 0
    stage.clock.offset += timedelta(hours=49)
    assert await prune(stage.shop) == len([opened])
    assert await stage.rows(idempotency_keys) == []
    stage.clock.offset += timedelta(days=30)
    assert await prune(stage.shop) > 0
    assert (await stage.come_back(opened)).paid
