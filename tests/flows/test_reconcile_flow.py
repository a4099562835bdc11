"""Reconciliation: whoever failed to tell whom, what Stripe knows is found."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from commande.core.command import AttemptState, Status
from commande.db.attempts import find_attempt
from commande.db.tables import attempts, cursors, events
from commande.db.upkeep import schedule_check
from commande.flows.checkout import retry_payment
from commande.flows.reconcile import CURSOR, OVERLAP, ReconcileReport, check_due, read_events
from commande.flows.reconcile import reconcile as reconcile_all
from commande.shop import Shop
from tests.support.seams import Killed, dying
from tests.support.stage import BREAD, MovableClock, Stage, session_of

COMPLETED = "checkout.session.completed"


async def test_c15_a_payment_that_nobody_reported_is_found(stage: Stage) -> None:
    paid = [await stage.buy((BREAD, n)) for n in (1, 2, 3)]
    unpaid = await stage.open((BREAD, 4))
    report = await reconcile_all(stage.shop)
    assert report.complete
    assert report.unanswered == 0
    for opened in paid:
        assert (await stage.command(opened)).paid
    assert (await stage.command(unpaid)).status is Status.UNPAID
    assert await stage.breaches() == []
    again = await reconcile_all(stage.shop)
    assert (again.events_new, again.settled, again.asked) == (0, 0, 1), "only the unpaid one"
    assert await stage.breaches() == []


async def test_c15_without_events_every_open_session_is_asked_about(stage: Stage) -> None:
    paid = [await stage.buy((BREAD, n)) for n in (1, 2)]
    await stage.fail("502_html", count=None, path="/v1/events")
    seen: list[tuple[int, int]] = []
    report = await reconcile_all(stage.shop, progress=lambda *done: seen.append(done))
    assert report.events_unavailable is not None
    assert (report.asked, report.settled, seen) == (2, 2, [(1, 2), (2, 2)])
    for opened in paid:
        assert (await stage.command(opened)).paid
    assert await stage.rows(cursors) == [], "what could not be read is read again"


async def test_sessions_that_cannot_be_asked_about_are_counted_and_stay_due(stage: Stage) -> None:
    paid, other = await stage.buy(), await stage.buy((BREAD, 1))
    await stage.fail("502_html", count=None, path="/v1/events")
    await stage.fail("502_html", count=None, path=f"*/{session_of(paid)}")
    report = await reconcile_all(stage.shop)
    assert (report.unanswered, report.settled) == (1, 1)
    assert not report.complete
    assert (await stage.command(other)).paid
    await stage.recover()
    assert (await reconcile_all(stage.shop)).complete
    assert (await stage.command(paid)).paid


async def test_the_cursor_moves_with_an_overlap_and_since_reads_from_there(stage: Stage) -> None:
    await stage.buy()
    first = ReconcileReport()
    await read_events(stage.shop, first)
    [cursor] = await stage.rows(cursors)
    assert (cursor.name, first.events_new > 0) == (CURSOR, True)
    assert abs(cursor.at - stage.clock.now()) < timedelta(seconds=30)
    again = ReconcileReport()
    await read_events(stage.shop, again)
    assert (again.events_read, again.events_new) == (first.events_read, 0)
    await stage.pass_time(seconds=(OVERLAP + timedelta(minutes=1)).total_seconds())
    await read_events(stage.shop, ReconcileReport())
    assert await stage.rows(cursors) == [cursor], "it stands where Stripe told something last"
    await stage.buy()
    await read_events(stage.shop, ReconcileReport())
    later = ReconcileReport()
    await read_events(stage.shop, later)
    assert later.events_read == first.events_read, "beyond the overlap"
    since = ReconcileReport()
    await read_events(stage.shop, since, stage.clock.now() - timedelta(days=1))
    assert (since.events_read, since.events_new) == (2 * first.events_read, 0)


async def test_a_clock_of_ours_that_is_ahead_does_not_move_the_cursor_past_an_event(
    stage: Stage,
) -> None:
    """It ate the whole overlap: what Stripe listed late was never read (seed 26413)."""
    await stage.buy()
    ahead = replace(stage.another_process(), clock=MovableClock())
    ahead.clock.offset = OVERLAP + timedelta(minutes=1)
    await _is_read_though_listed_late(stage, read_before_by=ahead)


async def test_an_event_shown_later_than_it_was_made_is_within_the_overlap(stage: Stage) -> None:
    await _is_read_though_listed_late(stage, read_before_by=stage.shop)


async def _is_read_though_listed_late(stage: Stage, read_before_by: Shop) -> None:
    opened = await stage.open()
    await stage.fail("late_listing", type=COMPLETED, seconds=600)
    await stage.pay(opened)
    await read_events(read_before_by, ReconcileReport())
    assert session_of(opened) not in {row.stripe_session_id for row in await stage.rows(events)}
    await stage.pass_time(minutes=11)
    report = ReconcileReport()
    await read_events(stage.shop, report)
    assert report.events_new == 1
    await stage.work()
    assert (await stage.command(opened)).paid


async def test_a_cursor_moves_only_once_its_events_are_stored(stage: Stage) -> None:
    opened = await stage.buy()
    with pytest.raises(Killed):
        await read_events(dying(stage.shop, "store_event", committed=False), ReconcileReport())
    assert await stage.rows(cursors) == []
    await read_events(stage.another_process(), ReconcileReport())
    await stage.work()
    assert (await stage.command(opened)).paid


async def test_the_worker_asks_at_five_minutes_an_hour_and_so_on(stage: Stage) -> None:
    opened = await stage.open()
    [row] = await stage.rows(attempts)
    asked = []
    for _ in range(6):
        [now] = await stage.rows(attempts)
        if now.check_at is None:
            break
        asked.append(now.check_at - row.created_at)
        # Only our clock: at Stripe the session stays open, and unpaid, all the while.
        stage.clock.offset += now.check_at - stage.clock.now() + timedelta(seconds=1)
        assert (await check_due(stage.shop)).asked == 1
        assert (await check_due(stage.shop)).asked == 0, "not before its time"
    minutes = [round(after.total_seconds() / 60) for after in asked]
    assert minutes[:5] == [5, 60, 1390, 1500, 4320]
    await stage.pay(opened)
    assert (await reconcile_all(stage.shop)).settled == 1 or (await stage.command(opened)).paid


async def test_both_lost_a_payment_is_seen_by_the_five_minute_check(stage: Stage) -> None:
    opened = await stage.buy()
    assert (await check_due(stage.shop)).asked == 0
    await stage.pass_time(minutes=5, seconds=1)
    report = await check_due(stage.shop)
    assert (report.asked, report.settled) == (1, 1)
    [row] = await stage.rows(attempts)
    assert (row.state, row.check_at) == ("complete", None)
    assert (await stage.command(opened)).paid


async def test_the_schedule_is_not_put_back_by_an_older_look(stage: Stage) -> None:
    opened = await stage.buy()
    [row] = await stage.rows(attempts)
    before = await stage.shop.db.read(find_attempt, row.id)
    await stage.come_back(opened)
    assert before is not None
    await stage.shop.db.transaction(schedule_check, before, stage.clock.now())
    [row] = await stage.rows(attempts)
    assert row.check_at is None, "settled: never asked about again"


async def test_c28_an_open_session_of_a_paid_command_is_expired_at_stripe(stage: Stage) -> None:
    first = await stage.open()
    await stage.pass_time(hours=22, minutes=45)
    # Two live attempts cannot be had but by force: the older one comes back from the dead.
    second = await retry_payment(stage.shop, first.command_id, first.token)
    await stage.sql("UPDATE attempts SET state = 'complete' WHERE number = 2")
    revived = await stage.control(
        "sessions", {"amount": 5998, "metadata": (await stage.session(first))["metadata"]}
    )
    await stage.sql("DROP TRIGGER attempts_session_stays" + _on(stage))
    await stage.sql(
        "UPDATE attempts SET state = 'open', stripe_session_id = :id, url = 'https://x'"
        " WHERE number = 1", id=revived["id"],
    )  # fmt: skip
    await stage.pay(second)
    assert (await stage.come_back(second)).paid
    assert [fact[:2] for fact in await stage.breaches("I4")] == ["I4"]
    report = await check_due(stage.shop)
    assert report.asked == 0, "it is not asked about but expired"
    assert (await stage.stripe_get(f"/v1/checkout/sessions/{revived['id']}"))["status"] == "expired"
    states = {row.number: row.state for row in await stage.rows(attempts)}
    assert states == {1: AttemptState.EXPIRED, 2: AttemptState.COMPLETE}
    assert await stage.breaches() == []


def _on(stage: Stage) -> str:
    return " ON attempts" if stage.shop.db.dialect == "postgresql" else ""


async def test_many_reconciliations_at_once_settle_once(stage: Stage) -> None:
    paid = [await stage.buy((BREAD, n)) for n in range(1, 7)]
    shops = [stage.shop, stage.another_process(), stage.another_process()]
    await asyncio.gather(*(reconcile_all(shop) for shop in shops))
    for opened in paid:
        assert (await stage.kinds(opened)).count("paid") == 1
    assert await stage.breaches() == []
