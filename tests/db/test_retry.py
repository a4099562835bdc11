"""Paying an unpaid command again: its open session, or a new one once the old one is dead."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from commande.core.payment import PaymentState
from commande.db import Database
from commande.db.attempts import Attempt
from commande.db.catalogue import set_price, upsert_products
from commande.db.opening import (
    mark_open,
    plan_retry,
)
from commande.db.upkeep import fence_command, give_up_session
from commande.errors import (
    AlreadyPaid,
    CommandExpired,
    CommandNotFound,
    InputInvalid,
    PaymentProcessing,
    PriceChanged,
)
from tests.support.counter import (
    CAKE,
    NOW,
    asked,
    opened,
    paid,
    says,
    tell,
    ticket,
)

# Paying again.


async def retry(db: Database, command_id: str, accept: int | None = None, **passed: Any) -> Any:
    return await db.transaction(plan_retry, command_id, ticket(NOW + timedelta(**passed)), accept)


async def closed_attempt(db: Database) -> Attempt:
    found = await db.transaction(opened)
    await db.transaction(give_up_session, found.attempt.id, NOW)
    return found.attempt


async def test_r4_a_retry_gives_the_open_session_again(shop_db: Database) -> None:
    found = await shop_db.transaction(opened)
    plan = await retry(shop_db, found.command.id, minutes=5)
    assert (plan.attempt, plan.stale, plan.mine) == (found.attempt, False, False)


async def test_a_session_with_little_time_left_is_retired(shop_db: Database) -> None:
    found = await shop_db.transaction(opened)
    left = found.attempt.expires_at - NOW
    enough = await retry(shop_db, found.command.id, seconds=(left.total_seconds() - 1800))
    little = await retry(shop_db, found.command.id, seconds=(left.total_seconds() - 1799))
    assert (enough.stale, little.stale) == (False, True)


async def test_r4_after_an_expired_session_comes_a_new_attempt(shop_db: Database) -> None:
    dead = await closed_attempt(shop_db)
    plan = await retry(shop_db, dead.command_id, minutes=5)
    assert (plan.attempt.number, plan.mine, plan.stale) == (2, True, False)
    assert plan.attempt.idempotency_key != dead.idempotency_key


async def test_c10_two_retries_at_once_make_one_attempt(shop_db: Database) -> None:
    dead = await closed_attempt(shop_db)
    plans = await asyncio.gather(*(retry(shop_db, dead.command_id, minutes=5) for _ in range(6)))
    assert len({plan.attempt.id for plan in plans}) == 1
    assert [plan.mine for plan in plans].count(True) == 1


async def test_c29_a_moved_price_must_be_accepted(shop_db: Database) -> None:
    dead = await closed_attempt(shop_db)
    await shop_db.transaction(set_price, CAKE.id, "six", 3099, NOW)
    with pytest.raises(PriceChanged) as refusal:
        await retry(shop_db, dead.command_id)
    assert (refusal.value.old_minor, refusal.value.new_minor) == (3899, 3999)
    with pytest.raises(PriceChanged):
        await retry(shop_db, dead.command_id, accept=3899)
    plan = await retry(shop_db, dead.command_id, accept=3999)
    assert plan.attempt.amount_minor == 3999


async def test_c29_an_accepted_price_retires_the_older_session_first(shop_db: Database) -> None:
    found = await shop_db.transaction(opened)
    await shop_db.transaction(set_price, CAKE.id, "six", 3099, NOW)
    plan = await retry(shop_db, found.command.id, accept=3999)
    assert (plan.stale, plan.attempt.amount_minor) == (True, 3899)


async def test_c30_what_left_the_catalogue_cannot_be_paid_again(shop_db: Database) -> None:
    found = await shop_db.transaction(opened)
    await shop_db.transaction(upsert_products, [replace(CAKE, active=False)], NOW)
    with pytest.raises(InputInvalid):
        await retry(shop_db, found.command.id)


async def test_tax_that_stripe_rounded_is_no_moved_price(shop_db: Database) -> None:
    taxed = replace(CAKE, tax_inclusive=False)
    await shop_db.transaction(upsert_products, [taxed], NOW)

    def open_with_adopted_tax(conn: Connection) -> str:
        found = asked(conn)
        quote = found.attempt.quote
        last = quote.lines[-1]
        adopted = replace(
            quote, lines=(*quote.lines[:-1], replace(last, tax_minor=last.tax_minor - 1))
        )
        report = says(found.attempt, PaymentState.OPEN, session_id="cs_test_1")
        mark_open(conn, found.attempt.id, report, adopted, NOW)
        return found.command.id

    plan = await retry(shop_db, await shop_db.transaction(open_with_adopted_tax))
    assert not plan.stale


async def test_what_is_paid_under_way_or_gone_is_not_paid_again(shop_db: Database) -> None:
    settled = await shop_db.transaction(paid)
    with pytest.raises(AlreadyPaid):
        await retry(shop_db, settled.command.id)

    delayed = await shop_db.transaction(opened)
    await shop_db.transaction(tell, says(delayed.attempt, PaymentState.PROCESSING))
    with pytest.raises(PaymentProcessing):
        await retry(shop_db, delayed.command.id)

    fenced = await shop_db.transaction(opened)
    await shop_db.transaction(fence_command, fenced.command.id, NOW)
    with pytest.raises(CommandExpired):
        await retry(shop_db, fenced.command.id)
    with pytest.raises(CommandNotFound):
        await retry(shop_db, "f" * 24)
