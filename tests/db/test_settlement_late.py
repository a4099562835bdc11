"""Money that comes late, goes back, or meets a catalogue that moved."""

import asyncio

import pytest
from sqlalchemy import Connection, select, text

from commande.core.command import Action, AttemptState, Policy, Status, take_snapshot
from commande.core.payment import PaymentState
from commande.db import Database
from commande.db.attempts import Attempt, find_attempt
from commande.db.catalogue import set_price, upsert_products
from commande.db.commands import find_command, list_payments
from commande.db.inbox import StoredEvent, store_event
from commande.db.journal import read_history
from commande.db.pairs import find_pair, read_return
from commande.db.refunds import list_refunds
from commande.db.settlement import Settled
from commande.db.sql import NothingChanged
from commande.db.tables import events, products
from commande.db.upkeep import bury_command, fence_command, give_up_session
from tests.support.counter import (
    BREAD,
    CAKE,
    NOW,
    later,
    paid,
    says,
    stocked,
    tell,
)
from tests.support.schema import content_of
from tests.support.told import (
    command_of,
    kinds,
    letters,
    opened_in,
    outcomes,
    second_session,
)

PAID, PROCESSING = PaymentState.PAID, PaymentState.PROCESSING
FAILED, EXPIRED, OPEN = PaymentState.FAILED, PaymentState.EXPIRED, PaymentState.OPEN


# Late.


async def buried(db: Database) -> Attempt:
    attempt = await opened_in(db)

    def bury(conn: Connection) -> Status:
        fence_command(conn, attempt.command_id, NOW)
        give_up_session(conn, attempt.id, NOW)
        return bury_command(conn, attempt.command_id, "worker", NOW)

    assert await db.transaction(bury) is Status.EXPIRED
    return attempt


async def test_c25_late_money_finds_its_tombstone(shop_db: Database) -> None:
    attempt = await buried(shop_db)
    settled = await shop_db.transaction(tell, says(attempt), later(days=2))
    command = settled.command
    assert (settled.action, command.status, command.customer) == (Action.APPLY, Status.PAID, None)
    assert command.attention == "paid_after_expiry"
    assert command.snapshot == take_snapshot(attempt.quote)
    assert await letters(shop_db) == []
    assert (await kinds(shop_db, attempt))["paid_after_expiry"] == 1
    before = await shop_db.read(content_of)
    await shop_db.transaction(tell, says(attempt), later(days=3))
    assert await shop_db.read(content_of) == before


async def test_c25_late_money_that_the_shop_does_not_keep_goes_back(shop_db: Database) -> None:
    attempt = await buried(shop_db)
    policy = Policy(keep_late=False)
    for days in (2, 3):
        settled = await shop_db.transaction(tell, says(attempt), later(days=days), policy=policy)
        assert settled.command.status is Status.EXPIRED
    assert await outcomes(shop_db, attempt) == ["late"]
    (promised,) = await shop_db.read(list_refunds, attempt.command_id)
    assert (promised.amount_minor, promised.origin, promised.state) == (3899, "late", "creating")


async def test_c25_late_money_on_its_way_is_asked_about_again(shop_db: Database) -> None:
    attempt = await buried(shop_db)
    settled = await shop_db.transaction(tell, says(attempt, PROCESSING), later(days=2))
    assert settled.command.status is Status.PROCESSING
    assert settled.command.attention == "processing_after_expiry"
    waiting = await shop_db.read(find_attempt, attempt.id)
    assert waiting is not None
    assert waiting.check_at == later(days=2)


async def test_c36_money_that_comes_while_the_fence_is_up_pays(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(fence_command, attempt.command_id, NOW)
    settled = await shop_db.transaction(tell, says(attempt), later(minutes=1))
    assert (settled.command.status, settled.command.attention) == (Status.PAID, None)
    status = await shop_db.transaction(bury_command, attempt.command_id, "worker", NOW)
    assert status is Status.PAID
    assert (await command_of(shop_db, attempt)).customer is not None


async def test_c36_clean_up_and_payment_at_once_never_lose_the_money(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)

    def clean(conn: Connection) -> Status:
        fence_command(conn, attempt.command_id, NOW)
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_sleep(0.2)"))
        give_up_session(conn, attempt.id, NOW)
        return bury_command(conn, attempt.command_id, "worker", NOW)

    _, settled = await asyncio.gather(
        shop_db.transaction(clean), shop_db.transaction(tell, says(attempt), later(minutes=1)),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(settled, Settled)
    assert settled.command.paid
    assert await outcomes(shop_db, attempt) == ["applied"]


async def test_a_paid_command_has_its_other_sessions_checked_at_once(shop_db: Database) -> None:
    first = await opened_in(shop_db)
    second = await second_session(shop_db, first)
    await shop_db.transaction(tell, says(first), later(minutes=3))
    leftover = await shop_db.read(find_attempt, second.id)
    assert leftover is not None
    assert (leftover.state, leftover.check_at) == (AttemptState.OPEN, later(minutes=3))


# Given back, disputed.


async def test_refunds_move_the_status_and_never_the_snapshot(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    snapshot = (await command_of(shop_db, attempt)).snapshot
    statuses = []
    for minutes, refunded in ((2, 100), (3, 100), (4, 3899), (5, 0)):
        report = says(attempt, refunded_minor=refunded)
        settled = await shop_db.transaction(tell, report, later(minutes=minutes))
        statuses.append((settled.command.status, settled.command.refunded_minor))
        (payment,) = await shop_db.read(list_payments, attempt.command_id)
        assert payment.refunded_minor == refunded
    assert statuses == [
        (Status.PARTIALLY_REFUNDED, 100), (Status.PARTIALLY_REFUNDED, 100),
        (Status.REFUNDED, 3899), (Status.PAID, 0),
    ]  # fmt: skip
    command = await command_of(shop_db, attempt)
    assert (command.snapshot, command.paid_at) == (snapshot, later(minutes=1))
    assert (await kinds(shop_db, attempt))["refunded"] == 3


async def test_an_older_reading_takes_no_refund_back(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    await shop_db.transaction(tell, says(attempt, refunded_minor=100), later(minutes=5))
    before = await shop_db.read(content_of)
    stale = says(attempt)
    await shop_db.transaction(tell, stale, later(minutes=6), as_of=later(minutes=4))
    assert await shop_db.read(content_of) == before


async def test_c32_money_given_back_before_we_heard_of_it_is_no_order(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    report = says(attempt, refunded_minor=3899)
    settled = await shop_db.transaction(tell, report, later(minutes=1))
    assert (settled.command.status, settled.command.paid) == (Status.REFUNDED, True)
    assert await letters(shop_db) == []


async def test_c33_a_dispute_is_shown_once(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    for minutes in (2, 3):
        report = says(attempt, disputed=True)
        await shop_db.transaction(tell, report, later(minutes=minutes))
    command = await command_of(shop_db, attempt)
    assert (command.attention, command.updated_at) == ("disputed", later(minutes=2))
    assert (await kinds(shop_db, attempt))["disputed"] == 1


# What the catalogue did meanwhile.


async def test_c29_c30_the_snapshot_is_what_was_charged_and_history_says_what_moved(
    shop_db: Database,
) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(set_price, CAKE.id, "six", 3500, NOW)
    gone = products.delete().where(products.c.id == BREAD.id)
    await shop_db.transaction(lambda conn: conn.execute(gone).close())
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    command = await command_of(shop_db, attempt)
    assert command.snapshot == take_snapshot(attempt.quote)
    facts = await shop_db.read(read_history, attempt.command_id)
    moved = {f.detail["title"]: f.detail for f in facts if f.kind == "price_moved"}
    assert (moved["Gâteau"]["charged_minor"], moved["Gâteau"]["current_minor"]) == (2999, 3500)
    assert moved["Pain de campagne"]["current_minor"] is None


async def test_a_catalogue_that_stood_still_leaves_no_line(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(upsert_products, [BREAD, CAKE], later(seconds=30))
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    assert (await kinds(shop_db, attempt))["price_moved"] == 0


# The event and its effect.


def event_of(attempt: Attempt, event_id: str = "evt_1") -> StoredEvent:
    return StoredEvent(
        event_id, "checkout.session.completed", attempt.stripe_session_id,
        attempt.stripe_session_id, None, attempt.command_id, {}, "webhook", 0, NOW,
    )  # fmt: skip


async def event_state(db: Database) -> str:
    def read(conn: Connection) -> str:
        return str(conn.execute(select(events.c.state)).scalar_one())

    return await db.read(read)


async def test_c18_the_event_is_done_with_its_effect(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(store_event, event_of(attempt), "pending", NOW)
    await shop_db.transaction(tell, says(attempt), later(minutes=1), event_id="evt_1")
    assert await event_state(shop_db) == "done"
    assert (await command_of(shop_db, attempt)).paid


async def test_c18_what_breaks_in_the_middle_leaves_neither(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(store_event, event_of(attempt), "pending", NOW)
    before = await shop_db.read(content_of)

    def break_after(conn: Connection) -> None:
        tell(conn, says(attempt), event_id="evt_1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await shop_db.transaction(break_after)
    assert await shop_db.read(content_of) == before
    assert await event_state(shop_db) == "pending"


# Who belongs to whom.


async def test_s01_a_pair_is_bound_in_our_own_tables(shop_db: Database) -> None:
    one, other = await opened_in(shop_db), await opened_in(shop_db)
    session = one.stripe_session_id or ""
    pair = await shop_db.read(find_pair, session)
    assert pair is not None
    assert (pair.command.id, pair.attempt.id) == (one.command_id, one.id)
    assert await shop_db.read(find_pair, "cs_test_foreign") is None
    crossed = await shop_db.read(read_return, session, other.command_id)
    assert crossed.command is not None
    assert crossed.pair is not None
    assert (crossed.command.id, crossed.pair.command.id) == (other.command_id, one.command_id)
    nothing = await shop_db.read(read_return, "cs_test_foreign", "f" * 24)
    assert (nothing.command, nothing.pair) == (None, None)


async def test_i03_one_intent_pays_one_session(shop_db: Database) -> None:
    settled = await shop_db.transaction(paid)
    attempt = await opened_in(shop_db)
    (first,) = await shop_db.read(list_payments, settled.command.id)
    stolen = says(attempt, payment_intent_id=first.stripe_payment_intent_id)
    with pytest.raises(NothingChanged, match="the payment stands already"):
        await shop_db.transaction(tell, stolen)
    assert not (await command_of(shop_db, attempt)).paid


async def test_without_the_lock_two_reports_would_both_believe_to_be_first(
    postgres_url: str,
) -> None:
    """Negative control: the same decision, taken on a row that is not locked."""
    async with stocked(postgres_url) as db:
        attempt = await opened_in(db)

        def unlocked(conn: Connection) -> bool:
            command = find_command(conn, attempt.command_id)
            conn.execute(text("SELECT pg_sleep(0.2)"))
            return command is not None and not command.paid

        def locked(conn: Connection) -> bool:
            conn.execute(text("SELECT pg_sleep(0.1)"))
            return tell(conn, says(attempt)).action is Action.APPLY

        assert await asyncio.gather(*(db.transaction(unlocked) for _ in range(2))) == [True, True]
        assert sorted(await asyncio.gather(*(db.transaction(locked) for _ in range(2)))) == [
            False, True,
        ]  # fmt: skip
