"""What a simulated world broke, as small as it becomes: flows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from commande.core.payment import PaymentReport
from commande.db import opening
from commande.db.tables import attempts
from commande.flows.checkout import OpeningDelayed, make_claim, make_ticket
from commande.flows.upkeep import expire_overdue, finish_openings
from tests.support.seams import around_stripe
from tests.support.stage import BREAD, SERVICE, Stage


async def test_c05_a_500_kept_under_a_tax_rates_key_does_not_close_the_shop_for_a_day(
    stage: Stage,
) -> None:
    """Stripe replays a 500 as long as it keeps the key: a later try brings one of its own."""
    await stage.fail("500_after", path="/v1/tax_rates")
    for _ in range(2):
        with pytest.raises(OpeningDelayed):
            await stage.open((SERVICE, 1))
    assert await finish_openings(stage.shop) == 2
    assert {row.state for row in await stage.rows(attempts)} == {"open"}
    await stage.open((SERVICE, 2))


async def test_an_opening_whose_total_is_not_ours_does_not_stop_the_others(stage: Stage) -> None:
    """The worker's duty ended with it, and every stuck opening behind it waited for ever."""
    wrong, right = await _two_stuck(stage)
    assert await finish_openings(_with_a_wrong_total(stage)) == 1
    states = {row.command_id: row.state for row in await stage.rows(attempts)}
    assert states == {wrong: "closed", right: "open"}


async def test_clean_up_buries_an_opening_whose_total_is_not_ours_and_goes_on(
    stage: Stage,
) -> None:
    """It ended the whole clean-up. Two layers keep it from that now; undo both to see it."""
    wrong, right = await _two_stuck(stage)
    report = await expire_overdue(_with_a_wrong_total(stage), timedelta())
    assert report.expired == [wrong, right]
    assert {session["status"] for session in await stage.sessions()} == {"expired"}


async def _two_stuck(stage: Stage) -> tuple[str, str]:
    """Two commands whose openers died before they asked Stripe, the older one first."""
    made = []
    for pieces in (1, 2):
        order, ticket = stage.order((BREAD, pieces)), make_ticket(stage.shop)
        claim = make_claim(order, None)
        await stage.shop.db.transaction(opening.open_command, order, ticket, claim)
        made.append(ticket.command_id)
        stage.clock.offset += timedelta(seconds=15)
    return made[0], made[1]


def _with_a_wrong_total(stage: Stage) -> Any:
    """A shop to which Stripe tells another total for the first session that it makes."""
    told: list[PaymentReport] = []

    async def misread(real: Any, *given: Any) -> PaymentReport:
        report: PaymentReport = await real(*given)
        told.append(report)
        amount = (report.amount_minor or 0) + (500 if len(told) == 1 else 0)
        return replace(report, amount_minor=amount)

    return around_stripe(stage.shop, "create_session", misread)
