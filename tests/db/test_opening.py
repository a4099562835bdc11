"""A cart becomes one unpaid command with one live attempt, however often it is asked for."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from commande.core.cart import CartLine
from commande.core.command import AttemptState, Status
from commande.core.payment import PaymentState
from commande.core.product import Price
from commande.db import Database
from commande.db.attempts import insert_attempt, list_attempts
from commande.db.catalogue import set_price, upsert_products
from commande.db.commands import find_command
from commande.db.journal import read_history
from commande.db.opening import (
    abandon_opening,
    claim_opening,
    mark_open,
    open_command,
    release_opening,
    replace_attempt,
)
from commande.db.tables import attempts, commands, modules
from commande.db.upkeep import bury_command, fence_command
from commande.errors import (
    CommandExpired,
    CommandNotFound,
    CommandsModuleMissing,
    IdempotencyConflict,
    InputInvalid,
    TotalOutOfRange,
)
from tests.support.counter import (
    BREAD,
    CAKE,
    IDS,
    NOW,
    asked,
    claim,
    later,
    open_session,
    opened,
    order,
    says,
    tell,
    ticket,
)
from tests.support.gates import Gate, somebody_in_line, until


def count(conn: Connection) -> tuple[int, int]:
    """Commands and attempts."""
    found = [conn.scalar(select(func.count()).select_from(t)) or 0 for t in (commands, attempts)]
    return found[0], found[1]


async def kinds(db: Database, command_id: str) -> list[str]:
    return [fact.kind for fact in await db.read(read_history, command_id)]


# One command.


async def test_a_cart_becomes_an_unpaid_command_with_one_attempt(shop_db: Database) -> None:
    given = ticket()
    found = await shop_db.transaction(open_command, order(), given, claim())
    command = await shop_db.read(find_command, given.command_id)
    assert command == found.command
    assert command is not None
    assert (command.status, command.paid, command.module_id) == (Status.UNPAID, False, "a" * 24)
    assert command.cart == [
        {"product_id": BREAD.id, "quantity": 2, "type": "standard"},
        {"product_id": CAKE.id, "quantity": 1, "type": "six"},
    ]
    assert command.ref == given.refs[0]
    assert await shop_db.read(list_attempts, command.id) == [found.attempt]
    assert found.attempt.amount_minor == found.attempt.quote.total_minor == 3899
    assert found.mine
    assert await kinds(shop_db, command.id) == ["opened", "session_requested"]


async def test_a_claim_made_twice_gives_one_command(shop_db: Database) -> None:
    key = claim()
    first = await shop_db.transaction(open_command, order(), ticket(), key)
    second = await shop_db.transaction(open_command, order(), ticket(later(hours=3)), key)
    assert second.command == first.command
    assert second.attempt.id == first.attempt.id
    assert await shop_db.read(count) == (1, 1)


async def test_c09_concurrent_claims_give_one_command_and_one_opener(shop_db: Database) -> None:
    key = claim()
    found = await asyncio.gather(
        *(shop_db.transaction(open_command, order(), ticket(), key) for _ in range(8))
    )
    assert len({opening.command.id for opening in found}) == 1
    assert [opening.mine for opening in found].count(True) == 1
    assert await shop_db.read(count) == (1, 1)


async def test_without_the_claim_concurrent_openings_would_be_many(shop_db: Database) -> None:
    found = await asyncio.gather(
        *(shop_db.transaction(open_command, order(), ticket(), claim()) for _ in range(8))
    )
    assert len({opening.command.id for opening in found}) == 8


async def test_the_same_key_with_another_body_is_refused(shop_db: Database) -> None:
    await shop_db.transaction(open_command, order(), ticket(), claim("key", "one"))
    with pytest.raises(IdempotencyConflict):
        await shop_db.transaction(open_command, order(), ticket(), claim("key", "two"))
    assert await shop_db.read(count) == (1, 1)


async def test_an_opening_that_fails_leaves_its_key_free(shop_db: Database) -> None:
    key = claim()
    with pytest.raises(InputInvalid):
        await shop_db.transaction(open_command, order(CartLine("f" * 24, 1)), ticket(), key)
    assert await shop_db.read(count) == (0, 0)
    await shop_db.transaction(open_command, order(), ticket(), key)
    assert await shop_db.read(count) == (1, 1)


@pytest.mark.parametrize(("seconds", "commands_made"), [(0, 1), (59, 1), (60, 2), (3600, 2)])
async def test_a_double_click_is_one_command_for_a_minute(
    shop_db: Database, seconds: int, commands_made: int
) -> None:
    key = claim("own", from_caller=False)
    await shop_db.transaction(open_command, order(), ticket(), key)
    await shop_db.transaction(open_command, order(), ticket(later(seconds=seconds)), key)
    assert (await shop_db.read(count))[0] == commands_made


async def test_a_second_order_after_the_first_is_paid_is_another_command(
    shop_db: Database,
) -> None:
    key = claim("own", from_caller=False)

    def open_and_pay(conn: Connection) -> None:
        found = open_session(conn, open_command(conn, order(), ticket(), key))
        tell(conn, says(found.attempt))

    await shop_db.transaction(open_and_pay)
    found = await shop_db.transaction(open_command, order(), ticket(later(seconds=5)), key)
    assert found.mine
    assert await shop_db.read(count) == (2, 2)


async def test_a_key_answers_the_same_after_the_payment(shop_db: Database) -> None:
    key = claim()

    def open_and_pay(conn: Connection) -> str | None:
        found = open_session(conn, open_command(conn, order(), ticket(), key))
        tell(conn, says(found.attempt))
        return found.attempt.url

    url = await shop_db.transaction(open_and_pay)
    found = await shop_db.transaction(open_command, order(), ticket(later(hours=1)), key)
    assert (found.attempt.url, found.mine) == (url, False)
    assert await shop_db.read(count) == (1, 1)


async def test_a_key_whose_attempt_died_unseen_tries_again(shop_db: Database) -> None:
    key = claim()
    first = await shop_db.transaction(open_command, order(), ticket(), key)
    await shop_db.transaction(abandon_opening, first.attempt.id, "refused", NOW)
    second = await shop_db.transaction(open_command, order(), ticket(), key)
    assert (second.command.id, second.attempt.number) == (first.command.id, 2)
    assert second.mine


async def test_c37_a_claim_opens_nothing_behind_the_fence(shop_db: Database) -> None:
    """Clean-up's fence goes up while a repeated claim waits: the claim must see it."""
    key = claim()
    first = await shop_db.transaction(open_command, order(), ticket(), key)
    await shop_db.transaction(abandon_opening, first.attempt.id, "refused", NOW)

    gate = Gate()

    def fence_and_bury(conn: Connection) -> None:
        fence_command(conn, first.command.id, NOW)
        gate.stop(conn)
        bury_command(conn, first.command.id, "worker", NOW)

    fencing = asyncio.create_task(shop_db.transaction(fence_and_bury))
    await until(lambda: gate.came, "the fence")
    claiming = asyncio.create_task(shop_db.transaction(open_command, order(), ticket(), key))
    await until(lambda: somebody_in_line(shop_db), "the claim to wait for the fence")
    gate.open()
    await fencing
    assert not (await claiming).mine
    assert (await shop_db.read(count)) == (1, 1)


async def test_a_shop_without_its_module_sells_nothing(shop_db: Database) -> None:
    await shop_db.transaction(lambda conn: conn.execute(modules.delete()).close())
    with pytest.raises(CommandsModuleMissing):
        await shop_db.transaction(open_command, order(), ticket(), claim())


async def test_a_total_below_stripes_least_is_refused(shop_db: Database) -> None:
    penny = replace(BREAD, prices=(Price("standard", 1, "eur"),))
    await shop_db.transaction(upsert_products, [penny], NOW)
    with pytest.raises(TotalOutOfRange):
        await shop_db.transaction(open_command, order(CartLine(BREAD.id, 1)), ticket(), claim())
    assert await shop_db.read(count) == (0, 0)


async def test_s22_a_reference_that_is_taken_is_not_given_again(shop_db: Database) -> None:
    first = ticket()
    second = replace(ticket(), refs=(first.refs[0], "#SECOND00"))
    await shop_db.transaction(open_command, order(), first, claim())
    found = await shop_db.transaction(open_command, order(), second, claim())
    assert found.command.ref == "#SECOND00"


async def test_r2_the_parameters_are_frozen_with_the_attempt(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    parameters = found.attempt.parameters
    assert parameters["expires_at"] == int(found.attempt.expires_at.timestamp())
    assert parameters["client_reference_id"] == found.command.id
    assert parameters["metadata"]["total"] == "3899"
    assert [item["price_data"]["unit_amount"] for item in parameters["line_items"]] == [450, 2999]
    await shop_db.transaction(set_price, CAKE.id, "six", 1, NOW)
    (again,) = await shop_db.read(list_attempts, found.command.id)
    assert again.parameters == parameters


# One live attempt.


async def test_c10_the_database_refuses_a_second_live_attempt(shop_db: Database) -> None:
    found = await shop_db.transaction(opened)
    second = replace(
        found.attempt, id=IDS.object_id(NOW), number=2, state=AttemptState.CREATING,
        idempotency_key="other", stripe_session_id=None,
    )  # fmt: skip
    with pytest.raises(IntegrityError):
        await shop_db.transaction(insert_attempt, second)


async def test_only_one_of_many_callers_holds_the_lease(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    await shop_db.transaction(release_opening, found.attempt, "unavailable", NOW)
    claims = await asyncio.gather(
        *(shop_db.transaction(claim_opening, found.command.id, ticket()) for _ in range(6))
    )
    assert [opening.mine for opening in claims].count(True) == 1
    assert {opening.attempt.tries for opening in claims} == {2}


async def test_c02_a_dead_callers_lease_runs_out(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    waiting = await shop_db.transaction(claim_opening, found.command.id, ticket(later(seconds=12)))
    taking = await shop_db.transaction(claim_opening, found.command.id, ticket(later(seconds=13)))
    assert (waiting.mine, taking.mine) == (False, True)


async def test_nobody_claims_what_does_not_exist(shop_db: Database) -> None:
    with pytest.raises(CommandNotFound):
        await shop_db.transaction(claim_opening, "f" * 24, ticket())


async def test_c04_the_session_is_recorded_once(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    report = says(found.attempt, PaymentState.OPEN, session_id="cs_test_1")
    quote = found.attempt.quote
    first = await shop_db.transaction(mark_open, found.attempt.id, report, quote, NOW)
    again = await shop_db.transaction(mark_open, found.attempt.id, report, quote, later(hours=1))
    assert first == again
    assert (first.state, first.opened_at) == (AttemptState.OPEN, NOW)
    assert (await kinds(shop_db, found.command.id)).count("session_opened") == 1


async def test_c37_a_session_of_a_closed_attempt_is_not_handed_out(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    await shop_db.transaction(abandon_opening, found.attempt.id, "expired", NOW)
    report = says(found.attempt, PaymentState.OPEN, session_id="cs_test_1")
    closed = await shop_db.transaction(
        mark_open, found.attempt.id, report, found.attempt.quote, NOW
    )
    assert (closed.state, closed.url) == (AttemptState.CLOSED, None)


async def test_the_total_of_stripe_is_frozen_where_tax_was_rounded(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    first, *rest = found.attempt.quote.lines
    adopted = replace(found.attempt.quote, lines=(replace(first, unit_minor=451), *rest))
    report = says(found.attempt, PaymentState.OPEN, session_id="cs_test_1")
    attempt = await shop_db.transaction(mark_open, found.attempt.id, report, adopted, NOW)
    assert attempt.amount_minor == attempt.quote.total_minor == 3901
    assert await shop_db.read(list_attempts, found.command.id) == [attempt]


async def test_a_lease_that_somebody_else_took_is_not_given_back(shop_db: Database) -> None:
    slow = await shop_db.transaction(asked)
    quick = await shop_db.transaction(claim_opening, slow.command.id, ticket(later(seconds=14)))
    assert quick.mine
    await shop_db.transaction(release_opening, slow.attempt, "unavailable", later(seconds=15))
    third = await shop_db.transaction(claim_opening, slow.command.id, ticket(later(seconds=16)))
    assert not third.mine
    assert await shop_db.read(list_attempts, slow.command.id) == [quick.attempt]


async def test_a_delay_is_told_once_per_reason(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    for reason in ("unavailable", "unavailable", "indeterminate"):
        await shop_db.transaction(release_opening, found.attempt, reason, NOW)
    assert (await kinds(shop_db, found.command.id)).count("session_delayed") == 2


async def test_an_abandoned_attempt_makes_room_once(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    for _ in range(2):
        await shop_db.transaction(abandon_opening, found.attempt.id, "refused", NOW)
    new = await shop_db.transaction(replace_attempt, found.command.id, ticket())
    assert (new.attempt.number, new.attempt.quote, new.mine) == (2, found.attempt.quote, True)
    waiting = await shop_db.transaction(replace_attempt, found.command.id, ticket())
    assert (waiting.attempt.id, waiting.mine) == (new.attempt.id, False)
    assert (await kinds(shop_db, found.command.id)).count("session_abandoned") == 1


async def test_c37_behind_the_fence_no_attempt_is_replaced(shop_db: Database) -> None:
    found = await shop_db.transaction(asked)
    await shop_db.transaction(abandon_opening, found.attempt.id, "refused", NOW)
    await shop_db.transaction(fence_command, found.command.id, NOW)
    with pytest.raises(CommandExpired):
        await shop_db.transaction(replace_attempt, found.command.id, ticket())
