"""What a simulated world broke, as small as it becomes: transactions."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from commande.core.command import AttemptState, Status
from commande.core.payment import RefundReport
from commande.db import Database
from commande.db.attempts import list_attempts
from commande.db.opening import abandon_opening, claim_opening, release_opening, replace_attempt
from commande.db.refunds import begin_refund, list_refunds, refuse_refund, write_refunds
from commande.db.tables import refunds
from commande.errors import RefundRefused
from tests.support.counter import (
    NOW,
    asked,
    later,
    open_session,
    opened,
    paid,
    says,
    tell,
    ticket,
)

TOTAL = 3899


async def test_c10_giving_an_attempt_up_does_not_close_the_session_another_caller_opened(
    shop_db: Database,
) -> None:
    """Two payable sessions of one command, met with Stripe failing more often than not.

    A worker listed Stripe's sessions up to the moment it began, a customer's retry made the session
    while it did; the worker found none and closed the attempt whose address was out already.
    """
    found = await shop_db.transaction(asked)
    command_id, attempt_id = found.command.id, found.attempt.id
    await shop_db.transaction(release_opening, found.attempt, "indeterminate", NOW)
    worker = await shop_db.transaction(claim_opening, command_id, ticket(later(seconds=1)))
    assert (worker.mine, worker.attempt.last_error) == (True, "indeterminate")
    await shop_db.transaction(open_session, found)

    await shop_db.transaction(abandon_opening, attempt_id, "indeterminate", later(seconds=9))
    reached = await shop_db.transaction(replace_attempt, command_id, ticket(later(seconds=9)))
    [only] = await shop_db.read(list_attempts, command_id)
    assert (only.state, only.stripe_session_id) == (AttemptState.OPEN, f"cs_test_{attempt_id}")
    assert (reached.attempt.id, reached.attempt.url) == (attempt_id, only.url)
    assert only.url is not None


async def test_c48_a_reading_dated_by_a_fast_clock_does_not_outrank_the_honest_ones(
    shop_db: Database,
) -> None:
    """A refund was not seen for two hours: the payment's row said that it was read later."""
    attempt = (await shop_db.transaction(opened)).attempt
    ahead = later(hours=2)
    await shop_db.transaction(tell, says(attempt), ahead, as_of=ahead)
    told = await shop_db.transaction(
        tell, says(attempt, refunded_minor=TOTAL), later(minutes=5), as_of=later(minutes=5)
    )
    assert (told.command.status, told.command.refunded_minor) == (Status.REFUNDED, TOTAL)


async def test_c34_a_dashboards_refund_waits_while_a_promise_of_ours_fills_the_payment(
    shop_db: Database,
) -> None:
    """Both of one payment, ours not heard by Stripe yet: the database refused, a defect was logged.

    It is a fact now: the event that brought it waits, and once Stripe has refused ours it fits.
    """
    settled = await shop_db.transaction(paid)
    command_id, session = settled.command.id, settled.command.paid_session_id
    assert session is not None
    ours = await shop_db.transaction(begin_refund, command_id, None, None, NOW)
    theirs = _refund(settled.command.id)
    write: tuple[Any, ...] = (write_refunds, session, [theirs], "webhook", later(minutes=3))
    with pytest.raises(RefundRefused):
        await shop_db.transaction(*write)
    assert [r.state for r in await shop_db.read(list_refunds, command_id)] == ["creating"]

    await shop_db.transaction(refuse_refund, ours, "charge_already_refunded", later(minutes=4))
    await shop_db.transaction(*write)
    assert await shop_db.read(_states) == {ours.key: "failed", "stripe:re_1": "succeeded"}


def _refund(command_id: str) -> RefundReport:
    intent = f"pi_{command_id}"
    return RefundReport(
        "re_1", "succeeded", TOTAL, "eur", intent, "ch_1", NOW + timedelta(minutes=2), None
    )


def _states(conn: Connection) -> dict[str, str]:
    return dict(conn.execute(select(refunds.c.key, refunds.c.state)).all())
