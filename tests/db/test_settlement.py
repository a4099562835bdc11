"""The one door to paid: a report meets a command, in any order, any number of times."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Connection

from commande.core.command import Action, AttemptState, Policy, Status, take_snapshot
from commande.core.payment import PaymentState
from commande.db import Database
from commande.db.attempts import Attempt, find_attempt
from commande.db.commands import list_payments
from commande.db.journal import read_history
from commande.db.opening import plan_retry
from commande.db.refunds import list_refunds
from commande.db.settlement import Settled
from commande.errors import SessionInvalid
from tests.support.counter import (
    NOW,
    later,
    open_session,
    says,
    tell,
    ticket,
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


async def state_of(db: Database, attempt: Attempt) -> AttemptState:
    found = await db.read(find_attempt, attempt.id)
    assert found is not None
    return found.state


# Paid, once.


async def test_i03_a_paid_report_writes_everything_in_one_commit(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    report = says(attempt, charge_id="ch_1", method="visa •••• 4242")
    settled = await shop_db.transaction(tell, report, later(minutes=1))
    command = await command_of(shop_db, attempt)
    assert settled == Settled(Action.APPLY, command)
    assert (command.status, command.paid_at) == (Status.PAID, later(minutes=1))
    assert command.paid_session_id == attempt.stripe_session_id
    assert command.snapshot == take_snapshot(attempt.quote)
    assert command.updated_at == later(minutes=1)
    (payment,) = await shop_db.read(list_payments, command.id)
    assert (payment.outcome, payment.amount_minor, payment.method) == (
        "applied", 3899, "visa •••• 4242",
    )  # fmt: skip
    assert await state_of(shop_db, attempt) is AttemptState.COMPLETE
    assert await letters(shop_db) == ["paid"]
    assert (await kinds(shop_db, attempt))["paid"] == 1


async def test_s02_a_second_report_changes_nothing(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    before = await shop_db.read(content_of)
    for minutes, source in ((2, "browser"), (3, "webhook"), (600, "reconcile")):
        settled = await shop_db.transaction(
            tell, says(attempt), later(minutes=minutes), source=source
        )
        assert settled.action is Action.AGAIN
    assert await shop_db.read(content_of) == before


async def test_s02_c14_many_reports_at_once_have_one_effect(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    settled = await asyncio.gather(
        *(shop_db.transaction(tell, says(attempt), later(seconds=n)) for n in range(16))
    )
    assert Counter(one.action for one in settled) == {Action.APPLY: 1, Action.AGAIN: 15}
    assert len({one.command.paid_at for one in settled}) == 1
    assert await letters(shop_db) == ["paid"]
    assert await outcomes(shop_db, attempt) == ["applied"]
    assert (await kinds(shop_db, attempt))["paid"] == 1


async def test_i07_a_session_that_is_not_ours_is_never_applied(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    before = await shop_db.read(content_of)
    with pytest.raises(SessionInvalid):
        await shop_db.transaction(tell, says(attempt, session_id="cs_test_foreign"))
    assert await shop_db.read(content_of) == before


async def test_a_later_report_completes_what_the_first_could_not_know(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt, payment_intent_id=None), later(minutes=1))
    command = await command_of(shop_db, attempt)
    full = says(attempt, method="visa", charge_id="ch_1")
    await shop_db.transaction(tell, full, later(minutes=2))
    (payment,) = await shop_db.read(list_payments, attempt.command_id)
    assert (payment.stripe_payment_intent_id, payment.method) == (full.payment_intent_id, "visa")
    assert await command_of(shop_db, attempt) == command


# The wrong money.


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"amount_minor": 3898}, "amount"),
        ({"amount_minor": 3900}, "amount"),
        ({"amount_minor": 389900}, "amount"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"livemode": True}, "livemode"),
        ({"mode": "subscription"}, "mode"),
        ({"no_payment_required": True}, "payment_required"),
    ],
)
async def test_s04_other_money_than_frozen_is_recorded_and_never_applied(
    shop_db: Database, changes: dict[str, Any], difference: str
) -> None:
    attempt = await opened_in(shop_db)
    report = says(attempt, **changes)
    for minutes in (1, 2):
        settled = await shop_db.transaction(tell, report, later(minutes=minutes))
        assert settled.action is Action.MISMATCH
    command = await command_of(shop_db, attempt)
    assert (command.status, command.paid, command.snapshot) == (Status.UNPAID, False, None)
    assert (command.attention, command.updated_at) == ("payment_mismatch", later(minutes=1))
    assert await outcomes(shop_db, attempt) == ["mismatch"]
    assert await letters(shop_db) == []
    facts = await shop_db.read(read_history, attempt.command_id)
    assert [f.detail["differences"] for f in facts if f.kind == "payment_mismatch"] == [
        [difference]
    ]


async def test_s04_an_unpaid_session_that_is_not_as_frozen_only_calls_a_person(
    shop_db: Database,
) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt, OPEN, amount_minor=1), later(minutes=1))
    command = await command_of(shop_db, attempt)
    assert (command.status, command.attention) == (Status.UNPAID, "session_mismatch")
    assert await outcomes(shop_db, attempt) == []
    assert await state_of(shop_db, attempt) is AttemptState.OPEN


@pytest.mark.parametrize("given_back", [True, False])
async def test_c28_a_second_paid_session_is_recorded_and_given_back_or_shown(
    shop_db: Database, given_back: bool
) -> None:
    policy = Policy(refund_duplicates=given_back)
    first = await opened_in(shop_db)
    second = await second_session(shop_db, first)
    await shop_db.transaction(tell, says(second), later(minutes=3))
    for minutes in (4, 5):
        moment = later(minutes=minutes)
        settled = await shop_db.transaction(tell, says(first), moment, policy=policy)
        assert settled.action is Action.DUPLICATE
    command = await command_of(shop_db, first)
    assert command.paid_session_id == second.stripe_session_id
    promised = await shop_db.read(list_refunds, first.command_id)
    if given_back:
        assert [(r.stripe_session_id, r.amount_minor, r.origin) for r in promised] == [
            (first.stripe_session_id, 3899, "duplicate")
        ]
        assert (command.attention, command.updated_at) == (None, later(minutes=3))
    else:
        assert promised == []
        assert (command.attention, command.updated_at) == ("paid_twice", later(minutes=4))
    assert await outcomes(shop_db, first) == ["applied", "duplicate"]
    assert await letters(shop_db) == ["paid"]
    assert (await kinds(shop_db, first))["paid_twice"] == 1


async def test_c28_of_two_sessions_paid_at_once_one_is_the_duplicate(shop_db: Database) -> None:
    first = await opened_in(shop_db)
    second = await second_session(shop_db, first)
    settled = await asyncio.gather(
        *(shop_db.transaction(tell, says(one), later(minutes=3)) for one in (first, second) * 4)
    )
    assert Counter(one.action for one in settled) == {
        Action.APPLY: 1, Action.AGAIN: 3, Action.DUPLICATE: 4,
    }  # fmt: skip
    assert sorted(await outcomes(shop_db, first)) == ["applied", "duplicate"]


# Delayed methods.


async def test_c20_a_delayed_payment_waits_and_then_pays(shop_db: Database) -> None:
    attempt = await opened_in(shop_db)
    settled = await shop_db.transaction(tell, says(attempt, PROCESSING), later(minutes=1))
    assert (settled.action, settled.command.status) == (Action.PROCESSING, Status.PROCESSING)
    before = await shop_db.read(content_of)
    await shop_db.transaction(tell, says(attempt, PROCESSING), later(minutes=2))
    assert await shop_db.read(content_of) == before
    settled = await shop_db.transaction(tell, says(attempt), later(days=3))
    assert (settled.action, settled.command.status) == (Action.APPLY, Status.PAID)


async def test_c21_a_failed_payment_may_be_tried_again(shop_db: Database) -> None:
    first = await opened_in(shop_db)
    await shop_db.transaction(tell, says(first, PROCESSING), later(minutes=1))
    settled = await shop_db.transaction(tell, says(first, FAILED), later(days=1))
    assert (settled.action, settled.command.status) == (Action.FAILED, Status.UNPAID)
    assert await state_of(shop_db, first) is AttemptState.CLOSED
    assert await letters(shop_db) == ["payment_failed"]

    def again(conn: Connection) -> Attempt:
        plan = plan_retry(conn, first.command_id, ticket(later(days=1)), None)
        return open_session(conn, plan, later(days=1)).attempt

    second = await shop_db.transaction(again)
    await shop_db.transaction(tell, says(second, PROCESSING), later(days=1, minutes=1))
    # Told once more, the old failure must not free the command while the money is on its way.
    settled = await shop_db.transaction(tell, says(first, FAILED), later(days=1, minutes=2))
    assert settled.command.status is Status.PROCESSING
    settled = await shop_db.transaction(tell, says(second), later(days=2))
    assert settled.command.status is Status.PAID
    assert (await kinds(shop_db, first))["payment_failed"] == 1
    assert await letters(shop_db) == ["paid", "payment_failed"]


@pytest.mark.parametrize("state", [PROCESSING, FAILED, EXPIRED, OPEN])
async def test_c22_c23_an_older_reading_never_unpays(
    shop_db: Database, state: PaymentState
) -> None:
    attempt = await opened_in(shop_db)
    await shop_db.transaction(tell, says(attempt), later(minutes=1))
    before = await shop_db.read(content_of)
    settled = await shop_db.transaction(tell, says(attempt, state), later(minutes=2))
    assert settled.action is Action.NOTHING
    assert await shop_db.read(content_of) == before


async def test_an_expired_session_is_closed_once_and_its_address_forgotten(
    shop_db: Database,
) -> None:
    attempt = await opened_in(shop_db)
    for minutes in (1, 2):
        await shop_db.transaction(tell, says(attempt, EXPIRED), later(minutes=minutes))
    closed = await shop_db.read(find_attempt, attempt.id)
    assert closed is not None
    assert (closed.state, closed.url, closed.closed_at) == (
        AttemptState.EXPIRED, None, later(minutes=1),
    )  # fmt: skip
    assert (await command_of(shop_db, attempt)).updated_at == NOW
    assert (await kinds(shop_db, attempt))["session_expired"] == 1
