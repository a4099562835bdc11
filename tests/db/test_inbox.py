"""The inbox: an event is stored once, held by one worker at a time, and never forgotten."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update
from structlog.testing import capture_logs

from commande.db import Database
from commande.db.commands import find_command, lock_command
from commande.db.inbox import (
    HORIZON,
    LEASE,
    MAX_TRIES,
    StoredEvent,
    claim_events,
    count_events,
    delay_event,
    events_due,
    finish_event,
    has_refund_or_dispute,
    known_sessions,
    last_webhook_at,
    session_of_intent,
    store_event,
)
from commande.db.journal import read_history
from commande.db.tables import events
from commande.db.upkeep import clear_attention, prune
from tests.support.counter import NOW, asked, later, opened, paid
from tests.support.gates import Gate, somebody_in_line, until


def event(number: int = 1, **changes: Any) -> StoredEvent:
    given: dict[str, Any] = {
        "id": f"evt_{number:03}",
        "type": "checkout.session.completed",
        "object_id": f"cs_{number}",
        "session_id": f"cs_{number}",
        "payment_intent_id": f"pi_{number}",
        "command_id": None,
        "payload": {"id": f"cs_{number}", "amount_total": 3899, "note": "Noël"},
        "source": "webhook",
        "tries": 0,
        "occurred_at": NOW - timedelta(seconds=2),
    }
    return StoredEvent(**given | changes)


async def store(db: Database, *numbers: int, state: str = "pending", **changes: Any) -> None:
    for number in numbers:
        await db.transaction(store_event, event(number, **changes), state, NOW)


async def row(db: Database, number: int = 1) -> Any:
    query = select(events).where(events.c.stripe_event_id == f"evt_{number:03}")
    return await db.read(lambda conn: conn.execute(query).one())


async def claimed(db: Database, seconds: float = 0, **options: Any) -> list[StoredEvent]:
    return await db.transaction(claim_events, later(seconds=seconds), **options)


# Stored once.


async def test_an_event_comes_back_as_it_was_stored(shop_db: Database) -> None:
    await store(shop_db, 1)
    assert await claimed(shop_db) == [event(1)]


async def test_s08_an_event_is_stored_once_and_its_deliveries_counted(shop_db: Database) -> None:
    first = await shop_db.transaction(store_event, event(), "pending", NOW)
    again = []
    for minutes in (1, 2):
        moment = later(minutes=minutes)
        again.append(await shop_db.transaction(store_event, event(), "pending", moment))
    assert (first, again) == (True, [False, False])
    stored = await row(shop_db)
    assert (stored.deliveries, stored.received_at) == (3, NOW)


async def test_s08_deliveries_at_once_store_one_event(shop_db: Database) -> None:
    stored = await asyncio.gather(
        *(shop_db.transaction(store_event, event(), "pending", NOW) for _ in range(10))
    )
    assert stored.count(True) == 1
    assert (await row(shop_db)).deliveries == 10


async def test_a_delivery_after_the_event_was_handled_wakes_nobody(shop_db: Database) -> None:
    await store(shop_db, 1)
    await shop_db.transaction(finish_event, "evt_001", "done", later(seconds=1))
    await store(shop_db, 1)
    assert await claimed(shop_db, 3600) == []
    assert (await row(shop_db)).deliveries == 2


async def test_an_event_found_by_reconciliation_is_no_delivery(shop_db: Database) -> None:
    await store(shop_db, 1)
    await store(shop_db, 1, source="reconcile")
    stored = await row(shop_db)
    assert (stored.deliveries, stored.source) == (1, "webhook")


async def test_a_repeated_delivery_leaves_one_line_in_the_commands_history(
    shop_db: Database,
) -> None:
    command = (await shop_db.transaction(asked)).command
    for _ in range(3):
        await store(shop_db, 1, command_id=command.id)
    facts = await shop_db.read(read_history, command.id)
    assert [fact.kind for fact in facts].count("event_repeated") == 1


async def test_an_event_that_names_no_command_of_ours_is_stored_all_the_same(
    shop_db: Database,
) -> None:
    for _ in range(2):
        await store(shop_db, 1, command_id="f" * 24)
    assert (await row(shop_db)).deliveries == 2


@pytest.mark.postgres
async def test_a_delivery_while_the_event_is_handled_waits_and_never_deadlocks(
    shop_db: Database,
) -> None:
    """Who settles holds the command and then wants the event; a delivery wants both, too."""
    command = (await shop_db.transaction(asked)).command
    await store(shop_db, 1, command_id=command.id)

    gate = Gate()

    def handle(conn: Connection) -> None:
        lock_command(conn, command.id)
        gate.stop(conn)
        finish_event(conn, "evt_001", "done", NOW)

    with capture_logs() as logs:
        handling = asyncio.create_task(shop_db.transaction(handle))
        await until(lambda: gate.came, "the handler's lock")
        delivering = asyncio.create_task(store(shop_db, 1, command_id=command.id))
        await until(lambda: somebody_in_line(shop_db), "the delivery to wait for the handler")
        gate.open()
        await asyncio.gather(handling, delivering)
    assert [line for line in logs if line["event"] == "transaction_interrupted"] == []
    stored = await row(shop_db)
    assert (stored.state, stored.deliveries) == ("done", 2)


# Held by one.


async def test_the_oldest_due_events_are_claimed_first(shop_db: Database) -> None:
    for number, seconds in ((1, 3), (2, 1), (3, 2), (4, 60)):
        await shop_db.transaction(store_event, event(number), "pending", later(seconds=seconds))
    taken = await claimed(shop_db, 5, limit=2)
    assert [one.id for one in taken] == ["evt_002", "evt_003"]
    assert [one.id for one in await claimed(shop_db, 5)] == ["evt_001"]


async def test_c16_a_dead_workers_events_come_back(shop_db: Database) -> None:
    await store(shop_db, 1)
    assert len(await claimed(shop_db)) == 1
    assert await claimed(shop_db, LEASE.total_seconds() - 1) == []
    (again,) = await claimed(shop_db, LEASE.total_seconds())
    assert again.tries == 1


async def test_concurrent_claims_are_disjoint_and_leave_nothing(shop_db: Database) -> None:
    await store(shop_db, *range(100))
    hands = await asyncio.gather(*(claimed(shop_db, limit=30) for _ in range(4)))
    taken = [one.id for hand in hands for one in hand]
    assert len(taken) == len(set(taken))
    while hand := await claimed(shop_db, limit=30):
        taken += [one.id for one in hand]
    assert sorted(taken) == [f"evt_{number:03}" for number in range(100)]


async def test_claimers_of_postgresql_do_not_wait_for_each_other(shop_db: Database) -> None:
    await store(shop_db, *range(40))

    def hold(conn: Connection) -> list[str]:
        taken = [one.id for one in claim_events(conn, NOW, 10)]
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_sleep(0.3)"))
        return taken

    hands = await asyncio.gather(*(shop_db.transaction(hold) for _ in range(4)))
    assert [len(hand) for hand in hands] == [10, 10, 10, 10]
    assert len({one for hand in hands for one in hand}) == 40


async def test_without_skipping_what_is_locked_claims_would_overlap(shop_db: Database) -> None:
    """Negative control: a claim that neither locks nor marks."""
    await store(shop_db, *range(10))
    query = select(events.c.stripe_event_id).where(events.c.state == "pending").limit(5)

    def careless(conn: Connection) -> list[str]:
        return list(conn.execute(query).scalars())

    hands = await asyncio.gather(*(shop_db.transaction(careless) for _ in range(2)))
    assert hands[0] == hands[1]


async def test_an_idle_worker_sees_that_nothing_is_due(shop_db: Database) -> None:
    assert not await shop_db.read(events_due, NOW)
    await store(shop_db, 1)
    assert await shop_db.read(events_due, NOW)
    await claimed(shop_db)
    assert not await shop_db.read(events_due, NOW)
    assert await shop_db.read(events_due, NOW + LEASE)


async def test_what_is_ignored_or_foreign_is_never_claimed(shop_db: Database) -> None:
    await store(shop_db, 1, state="ignored")
    await store(shop_db, 2, state="foreign")
    assert await claimed(shop_db, 10**6, all_waiting=True) == []
    assert await shop_db.read(count_events) == {"ignored": 1, "foreign": 1}


async def test_a_drain_takes_also_what_is_not_due_yet(shop_db: Database) -> None:
    await store(shop_db, 1)
    (one,) = await claimed(shop_db)
    await shop_db.transaction(delay_event, one, "stripe_unavailable", NOW)
    assert await claimed(shop_db) == []
    assert [again.id for again in await claimed(shop_db, all_waiting=True)] == [one.id]


# Tried again, or shown.


async def test_a_failed_event_waits_ever_longer(shop_db: Database) -> None:
    await store(shop_db, 1)
    waits, moment = [], NOW
    for _ in range(MAX_TRIES - 1):
        (one,) = await shop_db.transaction(claim_events, moment)
        assert not await shop_db.transaction(delay_event, one, "stripe_unavailable", moment)
        stored = await row(shop_db)
        waits.append((stored.next_at - moment).total_seconds())
        moment = stored.next_at
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]


async def test_c51_after_its_last_try_an_event_is_shown_to_a_person(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    await store(shop_db, 1, command_id=command.id)
    last = event(1, command_id=command.id, tries=MAX_TRIES - 1)
    assert await shop_db.transaction(delay_event, last, "x" * 500, later(hours=4))
    stored = await row(shop_db)
    expected = ("dead", later(hours=5), "x" * 200)
    assert (stored.state, stored.next_at, stored.last_error) == expected
    shown = await shop_db.read(find_command, command.id)
    assert shown is not None
    assert shown.attention == "event_failed"
    kinds = [fact.kind for fact in await shop_db.read(read_history, command.id)]
    assert kinds.count("event_failed") == 1


async def test_c51_a_dead_event_is_tried_once_an_hour_and_shown_once(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    await store(shop_db, 1, command_id=command.id)
    nearly = update(events).values(tries=MAX_TRIES - 1)
    await shop_db.transaction(lambda conn: conn.execute(nearly).rowcount)
    moment = later(hours=4)
    for _ in range(3):
        (one,) = await shop_db.transaction(claim_events, moment)
        assert await shop_db.transaction(delay_event, one, "stripe_unavailable", moment)
        await shop_db.transaction(clear_attention, command.id, moment)
        assert await shop_db.transaction(claim_events, moment + timedelta(minutes=59)) == []
        moment += timedelta(hours=1)
    shown = await shop_db.read(find_command, command.id)
    assert shown is not None
    assert shown.attention is None, "a person has seen it"
    (one,) = await shop_db.transaction(claim_events, moment)
    await shop_db.transaction(finish_event, one.id, "done", moment)
    assert ((stored := await row(shop_db)).state, stored.next_at) == ("done", None)


async def test_c51_nobody_asks_about_an_event_older_than_stripe_lists(shop_db: Database) -> None:
    await store(shop_db, 1)
    last = event(1, tries=MAX_TRIES - 1)
    moment = last.occurred_at + HORIZON
    await shop_db.transaction(delay_event, last, "ValueError", moment - timedelta(seconds=1))
    assert [one.id for one in await shop_db.transaction(claim_events, later(days=31))] == [last.id]
    await shop_db.transaction(delay_event, last, "ValueError", moment)
    assert ((stored := await row(shop_db)).state, stored.next_at) == ("dead", None)
    assert await claimed(shop_db, 10**9, all_waiting=True) == []


async def test_a_slow_workers_failure_does_not_undo_what_another_did(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    await store(shop_db, 1, command_id=command.id)
    await shop_db.transaction(finish_event, "evt_001", "done", later(minutes=2))
    slow = event(1, command_id=command.id, tries=MAX_TRIES - 1)
    assert not await shop_db.transaction(delay_event, slow, "late", later(minutes=3))
    assert (await row(shop_db)).state == "done"
    untouched = await shop_db.read(find_command, command.id)
    assert untouched == command


async def test_a_done_mark_is_made_once(shop_db: Database) -> None:
    await store(shop_db, 1)
    await shop_db.transaction(finish_event, "evt_001", "done", later(seconds=1))
    await shop_db.transaction(finish_event, "evt_001", "ignored", later(seconds=9))
    stored = await row(shop_db)
    assert (stored.state, stored.handled_at, stored.next_at) == ("done", later(seconds=1), None)


# What the inbox knows.


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("charge.refunded", True),
        ("refund.created", True),
        ("charge.dispute.created", True),
        ("checkout.session.completed", False),
        ("charge.succeeded", False),
    ],
)
async def test_a_refund_or_dispute_of_an_intent_is_known(
    shop_db: Database, kind: str, counts: bool
) -> None:
    await store(shop_db, 1, type=kind)
    assert await shop_db.read(has_refund_or_dispute, "pi_1") is counts
    assert await shop_db.read(has_refund_or_dispute, "pi_2") is False
    assert await shop_db.read(has_refund_or_dispute, None) is False


async def test_sessions_of_ours_are_told_from_others(shop_db: Database) -> None:
    settled = await shop_db.transaction(paid)
    attempt = (await shop_db.transaction(opened)).attempt
    sessions = [settled.command.paid_session_id or "", attempt.stripe_session_id or ""]
    assert await shop_db.read(known_sessions, [*sessions, "cs_foreign"]) == set(sessions)
    intent = f"pi_{sessions[0].removeprefix('cs_test_')}"
    assert await shop_db.read(session_of_intent, intent) == sessions[0]
    assert await shop_db.read(session_of_intent, "pi_foreign") is None


async def test_the_newest_webhook_is_known(shop_db: Database) -> None:
    assert await shop_db.read(last_webhook_at) is None
    await store(shop_db, 1)
    reconciled = event(2, source="reconcile")
    await shop_db.transaction(store_event, reconciled, "pending", later(hours=1))
    assert await shop_db.read(last_webhook_at) == NOW


async def test_only_what_was_handled_long_ago_is_forgotten(shop_db: Database) -> None:
    await store(shop_db, 1, 2)
    await store(shop_db, 3, state="ignored")
    await shop_db.transaction(finish_event, "evt_001", "done", NOW)
    assert await shop_db.transaction(prune, later(days=30)) == 0
    assert await shop_db.transaction(prune, later(days=32)) == 2
    assert await shop_db.read(count_events) == {"pending": 1}
