"""The inbox: an event is stored once, acknowledged, and handled by whoever comes first."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from commande.core.command import Status
from commande.db.inbox import MAX_TRIES, StoredEvent, finish_event
from commande.db.opening import open_command
from commande.db.settlement import apply_report
from commande.db.tables import attempts, commands, events, history, messages, payments
from commande.flows.checkout import make_claim, make_ticket
from commande.flows.inbox import handle_event, handle_events
from commande.flows.reconcile import ReconcileReport, read_events
from tests.support.seams import Killed, around_transaction, dying, once
from tests.support.stage import Stage, session_of

COMPLETED = "checkout.session.completed"
SESSIONS = "GET /v1/checkout/sessions/"


async def test_an_event_is_stored_once_and_only_its_deliveries_are_counted(stage: Stage) -> None:
    opened = await stage.buy()
    [event] = await stage.events(COMPLETED)
    assert [await stage.deliver(event) for _ in range(3)] == [True, False, False]
    [row] = await stage.rows(events)
    assert (row.state, row.deliveries, row.source) == ("pending", 3, "webhook")
    assert "john@example.com" not in json.dumps(row.payload)
    assert not (await stage.command(opened)).paid, "storing is not handling"
    await stage.work()
    assert (await stage.command(opened)).paid
    [row] = await stage.rows(events)
    assert (row.state, row.next_at, row.tries) == ("done", None, 1)
    assert (await stage.kinds(opened)).count("event_repeated") == 1


async def test_an_event_of_no_interest_is_kept_without_its_content(stage: Stage) -> None:
    await stage.buy()
    await stage.hear("payment_intent.")
    assert {(row.state, str(row.payload)) for row in await stage.rows(events)} == {
        ("ignored", "{}")
    }


async def test_a_fresh_verified_event_costs_no_call(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.hear(COMPLETED)
    await stage.forget_calls()
    await stage.work()
    assert (await stage.command(opened)).paid
    assert await stage.calls(SESSIONS) == 0


async def test_an_event_that_is_old_refunded_or_only_listed_is_read_again(stage: Stage) -> None:
    old, refunded, listed = [await stage.buy() for _ in range(3)]
    by_session = {e["data"]["object"]["id"]: e for e in await stage.events(COMPLETED)}
    await stage.deliver(by_session[session_of(refunded)])
    await stage.refund(refunded)
    await stage.hear("charge.refunded")
    await stage.forget_calls()
    await stage.work()
    assert await stage.calls(SESSIONS + session_of(refunded)) == 2, "the payment, then the refund"
    await read_events(stage.shop, ReconcileReport())
    await stage.work()
    assert await stage.calls(SESSIONS + session_of(listed)) == 1
    await stage.deliver(by_session[session_of(old)] | {"id": "evt_later"})
    stage.clock.offset += timedelta(minutes=6)
    await stage.work()
    assert await stage.calls(SESSIONS + session_of(old)) == 2, "listed, then old"
    found = [(await stage.command(opened)).status for opened in (old, refunded, listed)]
    assert found == [Status.PAID, Status.REFUNDED, Status.PAID]


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
async def test_c16_c18_a_worker_that_dies_around_the_effect_loses_nothing(
    stage: Stage, committed: bool
) -> None:
    opened = await stage.buy()
    await stage.hear(COMPLETED)
    with pytest.raises(Killed):
        await handle_events(dying(stage.shop, "apply_report", committed=committed))
    [row] = await stage.rows(events)
    paid = (await stage.command(opened)).paid
    assert (row.state, paid) == (("done", True) if committed else ("pending", False))
    stage.clock.offset += timedelta(seconds=61)
    await stage.work(stage.another_process())
    assert (await stage.kinds(opened)).count("paid") == 1
    assert await stage.breaches() == []


async def test_c18_control_a_mark_before_the_effect_loses_the_payment(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.hear(COMPLETED)

    async def mark_then_die(_real: Any, *_args: Any, event_id: str, **_more: Any) -> None:
        await stage.shop.db.transaction(finish_event, event_id, "done", stage.clock.now())
        raise Killed

    with pytest.raises(Killed):
        await handle_events(around_transaction(stage.shop, "apply_report", mark_then_die))
    stage.clock.offset += timedelta(seconds=61)
    await stage.work()
    assert not (await stage.command(opened)).paid
    assert [fact[:2] for fact in await stage.breaches()] == ["I1"]


async def test_c51_a_poisoned_event_does_not_stop_the_others_and_dies_visibly(
    stage: Stage,
) -> None:
    poisoned, sound = await stage.buy(), await stage.buy()
    await stage.hear(COMPLETED)
    await stage.shop.db.transaction(_poison, session_of(poisoned))
    await stage.work()
    assert (await stage.command(sound)).paid
    await stage.sql("UPDATE events SET tries = :n WHERE state = 'pending'", n=MAX_TRIES - 2)
    for _ in range(2):
        assert (await stage.command(poisoned)).attention is None
        stage.clock.offset += timedelta(hours=1, minutes=1)
        await stage.work()
    row = next(r for r in await stage.rows(events) if r.stripe_session_id == session_of(poisoned))
    assert (row.state, row.tries, row.last_error) == ("dead", MAX_TRIES, "ValueError")
    command = await stage.command(poisoned)
    assert (command.status, command.attention) == (Status.UNPAID, "event_failed")
    assert {fact[:3] for fact in await stage.breaches()} == {"I1:", "I12"}
    assert (await stage.come_back(poisoned)).paid, "the other doors stay open"


def _poison(conn: Connection, session_id: str) -> None:
    match = events.c.stripe_session_id == session_id
    conn.execute(update(events).where(match).values(payload={"metadata": {}}))


async def test_a_twin_event_of_one_change_changes_nothing_more(stage: Stage) -> None:
    await stage.fail("twin", type=COMPLETED)
    opened = await stage.buy()
    assert await stage.hear(COMPLETED) == 2
    await stage.work()
    assert [row.state for row in await stage.rows(events)] == ["done", "done"]
    assert (await stage.kinds(opened)).count("paid") == 1
    assert len(await stage.rows(messages)) == len(await stage.rows(payments)) == 1


async def test_s08_any_number_of_deliveries_in_any_order_is_one(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.refund(opened, 1000)
    heard = [e for e in await stage.events() if not e["type"].startswith("payment_intent")]
    await stage.hear()
    await stage.work()
    truth = (await stage.command(opened), await _effects(stage))
    for seed in range(12):
        dice = random.Random(seed)
        replay = [dice.choice(heard) for _ in range(dice.randint(1, 8))]
        for n, event in enumerate(replay):
            # Sometimes under a new id: Stripe tells one change with two ids now and then.
            await stage.deliver(event | ({"id": f"evt_{seed}_{n}"} if dice.random() < 0.5 else {}))
            if dice.random() < 0.5:
                await stage.work()
        await stage.work()
        assert (await stage.command(opened), await _effects(stage)) == truth, f"seed {seed}"
    assert await stage.breaches() == []


async def test_s08_the_same_events_in_any_order_end_the_same(stage: Stage) -> None:
    """Each order on a command of its own: what is heard first must not matter."""
    ends = set()
    for seed in range(6):
        opened = await stage.buy()
        await stage.refund(opened, 1000)
        session = await stage.session(opened)
        told = [e for e in await stage.events() if _is_about(e, session)]
        random.Random(seed).shuffle(told)
        for event in told:
            await stage.deliver(event)
            await stage.work()
        command = await stage.command(opened)
        ends.add((command.status, command.refunded_minor))
        assert (await stage.kinds(opened)).count("paid") == 1
    assert ends == {(Status.PARTIALLY_REFUNDED, 1000)}
    assert await stage.breaches() == []


def _is_about(event: Any, session: Any) -> bool:
    names = {session["id"], session["payment_intent"]}
    about = event["data"]["object"]
    return bool(names & {about.get("id"), about.get("payment_intent")})


async def _effects(stage: Stage) -> tuple[int, ...]:
    lines = [row for row in await stage.rows(history) if row.kind != "event_repeated"]
    return len(lines), len(await stage.rows(messages)), len(await stage.rows(payments))


async def test_a_refund_heard_while_its_payment_is_being_written_is_not_forgotten(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.hear(COMPLETED)

    async def refund_meanwhile() -> None:
        await stage.refund(opened, 1000)
        await stage.hear("charge.refunded")
        await stage.work()

    shop = around_transaction(stage.shop, "apply_report", once(before=refund_meanwhile))
    await handle_events(shop)
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.refunded_minor) == (Status.PARTIALLY_REFUNDED, 1000)
    assert await stage.breaches() == []


async def test_c07_a_session_whose_row_was_lost_is_adopted_by_its_seal(stage: Stage) -> None:
    order, ticket = stage.order(), make_ticket(stage.shop)
    await stage.open()  # the tax rate is known
    found = await stage.shop.db.transaction(open_command, order, ticket, make_claim(order, None))
    lost = await _made_at_stripe(stage, found)
    await stage.control("pay", {"session": lost, "payment_method": "4242424242424242"})
    [event] = await stage.events(COMPLETED)
    await stage.deliver(event)
    await stage.work()
    row = next(r for r in await stage.rows(attempts) if r.id == ticket.attempt_id)
    assert (row.stripe_session_id, row.state) == (lost, "complete")
    [command] = [c for c in await stage.rows(commands) if c.id == ticket.command_id]
    assert (command.status, command.paid_session_id) == ("paid", lost)
    assert await stage.breaches() == []


async def _made_at_stripe(stage: Stage, found: Any) -> str:
    """Stripe made the session; the process died before its row was written."""
    from commande.core.session import resolve_tax_rates

    parameters = resolve_tax_rates(found.attempt.parameters, found.rates)
    report = await stage.shop.stripe.create_session(parameters, found.attempt.idempotency_key)
    return report.session_id


async def test_handling_one_event_twice_at_once_is_harmless(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.hear(COMPLETED)
    [row] = await stage.rows(events)
    kept = set(StoredEvent.__slots__) - {"dead"}
    event = StoredEvent(**{name: getattr(row, _column(name)) for name in kept})

    async def another() -> None:
        await handle_event(stage.another_process(), event, "webhook")

    shop = around_transaction(stage.shop, apply_report.__name__, once(before=another))
    await handle_event(shop, event, "webhook")
    assert (await stage.kinds(opened)).count("paid") == 1
    assert await stage.breaches() == []


def _column(name: str) -> str:
    names = {"id": "stripe_event_id", "session_id": "stripe_session_id",
             "payment_intent_id": "stripe_payment_intent_id"}  # fmt: skip
    return names.get(name, name)
