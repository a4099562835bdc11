"""Money back, by several processes, while everybody else settles, retries and cleans up."""

from collections import Counter
from datetime import timedelta

from commande.db.tables import commands, refunds
from commande.flows.checkout import Opened
from commande.flows.reconcile import reconcile
from tests.races.conftest import Company
from tests.support.stage import BREAD, Stage

PART = 100
"""Less than half of the price, so that Stripe would give it several times."""
PRESSES = 6


async def _calm(stage: Stage) -> None:
    """Everything that is under way comes to its end."""
    stage.clock.offset += timedelta(seconds=90)  # leases of processes that ended
    await stage.hear()
    await stage.work()
    await reconcile(stage.shop)


async def _sold(stage: Stage, number: int) -> list[Opened]:
    """Commands that are paid, and known to be."""
    sold = [await stage.buy((BREAD, 1)) for _ in range(number)]
    await stage.hear()
    await stage.work()
    assert {row.status for row in await stage.rows(commands)} == {"paid"}
    return sold


async def _given_back(stage: Stage) -> Counter[str]:
    """What Stripe gave back of each payment, in minor units."""
    found: Counter[str] = Counter()
    for refund in (await stage.stripe_get("/v1/refunds?limit=100"))["data"]:
        found[refund["payment_intent"]] += refund["amount"]
    return found


async def test_c34_c36_confirm_webhook_retry_clean_up_and_refunds_at_once_keep_the_books(
    stage: Stage, company: Company
) -> None:
    opened = await _sold(stage, 4)
    opened += [await stage.open((BREAD, 1)) for _ in range(8)]
    roles = ["confirm", "hear", "retry", "buy backwards", "clean_up", "refund", "refund backwards"]
    done = await company.race(stage, roles, opened, rounds=3, pause=0.04, older_than=1)
    await _calm(stage)
    assert done["refund"] >= 4, "each of those that were sold can be given back, once"
    assert await stage.breaches() == []
    returned = {row.id: row.refunded_minor for row in await stage.rows(commands)}
    at_stripe = await _given_back(stage)
    assert sum(returned.values()) == at_stripe.total() > 0


async def test_c34_one_press_by_several_processes_gives_back_once(
    stage: Stage, company: Company
) -> None:
    sold = await _sold(stage, 3)
    await company.race(stage, ["refund forwards"] * PRESSES, sold, gives=PART, key="press")
    await _calm(stage)
    assert list((await _given_back(stage)).values()) == [PART] * 3
    assert len(await stage.rows(refunds)) == 3
    assert await stage.breaches() == []


async def test_c34_control_a_key_of_ones_own_gives_back_more_than_once(
    stage: Stage, company: Company
) -> None:
    await stage.fail("latency", seconds=2, count=PRESSES, path="/v1/refunds")
    sold = await _sold(stage, 1)
    job = {"gives": PART, "key": "press", "bug": "own_refund"}
    await company.race(stage, ["refund"] * PRESSES, sold, **job)
    assert (await _given_back(stage)).total() > PART
