"""Several processes on one database and one Stripe: whoever comes first, the books are right.

Each race is run again with a bug put in place, and then the same checks must fail: a race that
cannot be lost proves nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from commande.core.product import Price, Product
from commande.db.catalogue import upsert_products
from commande.db.tables import attempts, commands, messages, tax_rates
from commande.flows.checkout import Opened
from commande.flows.reconcile import reconcile
from commande.flows.upkeep import expire_overdue
from tests.races.conftest import Company
from tests.support.stage import BOUQUET, BREAD, SERVICE, Stage

Fresh = Callable[[Stage], Awaitable[list[Opened]]]


async def _orders(stage: Stage, number: int) -> list[Opened]:
    goods = [(BREAD, 1), (BOUQUET, 1), (SERVICE, 2)]
    return [await stage.open(goods[n % 3]) for n in range(number)]


async def _paid_orders(stage: Stage) -> list[Opened]:
    opened = await _orders(stage, 12)
    for one in opened:
        await stage.pay(one)
    return opened


async def _old_orders(stage: Stage) -> list[Opened]:
    opened = await _orders(stage, 3)
    await stage.pass_time(hours=23, minutes=30)
    await _calm(stage)
    return opened


async def _calm(stage: Stage) -> None:
    """Everything that is under way comes to its end."""
    stage.clock.offset += timedelta(seconds=90)  # leases of processes that ended
    await stage.hear()
    await stage.work()
    await reconcile(stage.shop)
    await expire_overdue(stage.shop, timedelta(days=400))


async def _lost(
    stage: Stage, company: Company, roles: list[str], rule: str, fresh: Fresh, **job: Any
) -> bool:
    """Whether the rule is broken in one of a few races: processes do not meet in each of them."""
    for _ in range(10):
        await company.race(stage, roles, await fresh(stage), **job)
        if rule in {fact[:2] for fact in await stage.breaches()}:
            return True
    return False


async def _watch(stage: Stage, race: asyncio.Task[dict[str, int]]) -> int:
    """Look over and over for two payable sessions of one command; how many looks."""
    looks = 0
    while not race.done():
        found = [fact for fact in await stage.breaches("I4") if ", " in fact]
        assert found == []
        looks += 1
        await asyncio.sleep(0.1)
    return looks


async def test_c14_c36_confirm_webhook_retry_and_clean_up_at_once_keep_the_books(
    stage: Stage, company: Company
) -> None:
    older = await _orders(stage, 8)
    stage.clock.offset += timedelta(minutes=5)
    younger = await _orders(stage, 8)
    # So late that every retry must replace a session; the older half is overdue as well.
    await stage.pass_time(hours=22, minutes=45)
    job = {"rounds": 2, "pause": 0.04}  # at least 1.3 s in all, for the looks
    job["older_than"] = timedelta(hours=22, minutes=47).total_seconds()
    # Who pays again begins with the younger ones, who pays at all with the older ones.
    roles = ["confirm", "hear", "retry forwards", "buy backwards", "clean_up"]
    race = asyncio.ensure_future(company.race(stage, roles, younger + older, **job))
    looks = await _watch(stage, race)
    done = await race
    await _calm(stage)
    assert looks > 1
    assert set(done) == {"confirm", "hear", "retry", "buy", "clean_up"}
    assert all(done.values()), done
    assert await stage.breaches() == []
    assert {row.status for row in await stage.rows(commands)} <= {"paid", "expired", "unpaid"}


async def test_s02_four_processes_settle_the_same_commands_once(
    stage: Stage, company: Company
) -> None:
    opened = await _paid_orders(stage)
    done = await company.race(stage, ["confirm", "confirm", "hear", "hear"], opened)
    assert done["confirm"] == 24
    await _calm(stage)
    assert await stage.breaches() == []
    assert len(await stage.rows(messages)) == 12


async def test_s02_control_looking_in_one_transaction_and_writing_in_another_sends_two_letters(
    stage: Stage, company: Company
) -> None:
    roles = ["confirm forwards"] * 4
    assert await _lost(stage, company, roles, "I6", _paid_orders, bug="look_then_write")


async def test_s02_control_alone_the_same_bug_goes_unnoticed(
    stage: Stage, company: Company
) -> None:
    opened = [await stage.buy((BREAD, 1)) for _ in range(3)]
    await company.race(stage, ["confirm"], opened, bug="look_then_write")
    assert await stage.breaches() == []


async def test_four_processes_that_need_one_new_rate_make_one(
    stage: Stage, company: Company
) -> None:
    await company.race(stage, ["order"] * 4, [])
    assert (len(await stage.rows(tax_rates)), await _rates(stage)) == (1, 1)
    assert len(await stage.rows(commands)) == 4


async def test_control_rates_made_under_keys_of_ones_own_are_many(
    stage: Stage, company: Company
) -> None:
    await stage.fail("latency", seconds=1, count=4, path="/v1/tax_rates")
    await company.race(stage, ["order"] * 4, [], bug="own_rate")
    assert await _rates(stage) > 1


async def _rates(stage: Stage) -> int:
    return len((await stage.stripe_get("/v1/tax_rates?limit=100"))["data"])


# Clean-up begins with the oldest, the customers with the newest: they meet in the middle.
_CLOSING = ["clean_up", "clean_up", "buy backwards", "buy backwards"]


async def test_c36_paying_and_closing_in_the_same_second_ends_in_one_or_the_other(
    stage: Stage, company: Company
) -> None:
    statuses: Counter[str] = Counter()
    for _ in range(10):
        opened = await _orders(stage, 24)
        await company.race(stage, _CLOSING, opened, pause=0.005, spared=4)
        await _calm(stage)
        assert await stage.breaches() == []
        statuses = Counter(row.status for row in await stage.rows(commands))
        if len(statuses) > 1:
            break
    assert set(statuses) == {"paid", "expired"}, "nobody met"


async def test_c36_control_closing_without_asking_stripe_buries_what_can_be_paid(
    stage: Stage, company: Company
) -> None:
    async def fresh(stage: Stage) -> list[Opened]:
        return await _orders(stage, 12)

    assert await _lost(stage, company, _CLOSING, "I9", fresh, bug="bury_blindly")


async def test_c10_four_processes_retry_one_command_and_make_one_session(
    stage: Stage, company: Company
) -> None:
    opened = await _old_orders(stage)
    await company.race(stage, ["retry forwards"] * 4, opened, pays=0)
    live = Counter(r.command_id for r in await stage.rows(attempts) if r.state == "open")
    assert sorted(live.values()) == [1, 1, 1]
    assert len(await stage.sessions()) == 6
    assert await stage.breaches() == []


async def test_c10_control_without_the_index_and_the_lock_there_are_two_payable_sessions(
    stage: Stage, company: Company
) -> None:
    await stage.sql("DROP INDEX one_live_attempt")
    roles = ["retry forwards"] * 4
    assert await _lost(stage, company, roles, "I4", _old_orders, pays=0, bug="plan_apart")


@pytest.mark.parametrize("bug", ["", "mark_first"], ids=["c16_c18", "c18_control"])
async def test_a_worker_killed_while_it_handles_events(
    stage: Stage, company: Company, bug: str
) -> None:
    """Nothing is lost; unless the event is marked before its effect: then a payment is."""
    paid = [await stage.buy((BREAD, 1)) for _ in range(6)]
    await stage.hear("checkout.session.completed")
    for _ in range(2):
        await asyncio.to_thread(company.prepare, stage, ["work"], [], bug=bug, halt=2)
        company.actors[0].tell("go")
        assert await asyncio.to_thread(company.actors[0].answer) == "halted"
        company.actors[0].end()
        stage.clock.offset += timedelta(seconds=61)
    await stage.work()
    lost = [one for one in paid if not (await stage.command(one)).paid]
    assert len(lost) == (2 if bug else 0)
    assert {fact[:2] for fact in await stage.breaches()} == ({"I1"} if bug else set())


async def test_new_rates_and_prices_do_not_disturb_those_who_pay(
    stage: Stage, company: Company
) -> None:
    opened = await _orders(stage, 8)
    roles = ["buy forwards", "confirm", "hear", "order"]
    job = {"rounds": 3, "pause": 0.04}  # at least a second in all, for the changes
    race = asyncio.ensure_future(company.race(stage, roles, opened, **job))
    minor = 681
    while not race.done():
        moved = Product(BREAD, f"Pain à {minor}", prices=(Price("entier", minor, "eur"),))
        await stage.shop.db.transaction(upsert_products, [moved], stage.clock.now())
        minor += 1
        await asyncio.sleep(0.02)
    await race
    await _calm(stage)
    assert minor > 683
    assert await stage.breaches() == []
