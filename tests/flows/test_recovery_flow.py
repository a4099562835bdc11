"""Rows that a failover or an old backup lost are rebuilt, and nobody is mailed twice."""

from datetime import timedelta

import pytest

from commande.core.command import Status
from commande.db.catalogue import upsert_products
from commande.db.commands import find_command
from commande.db.discrepancies import list_discrepancies
from commande.db.tables import commands, messages
from commande.flows.notices import send_due
from commande.flows.reconcile import reconcile
from tests.support.stage import BOUQUET, SERVICE, WRAPPING, Stage, session_of

DEBIT_PAYS, DEBIT_FAILS = "DE08370400440532013003", "DE78370400440532013004"
BANK_TAKES = 181.0
LOSE = (
    "DELETE FROM history WHERE command_id = :id",
    "DELETE FROM attempts WHERE command_id = :id",
    "DELETE FROM idempotency_keys WHERE command_id = :id",
    "DELETE FROM commands WHERE id = :id",
)


async def lose_rows(stage: Stage, command_id: str) -> None:
    """As if they had never been written: what a restored backup knows of a later command."""
    await drop_triggers(stage)
    for statement in LOSE:
        await stage.sql(statement, id=command_id)


async def drop_triggers(stage: Stage) -> None:
    from sqlalchemy import text

    def drop(conn: object) -> None:
        if stage.shop.db.dialect == "sqlite":
            names = conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            for (name,) in list(names):
                conn.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("history", "attempts", "commands"):
                conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))

    await stage.shop.db.transaction(drop)


async def test_c26_a_paid_order_whose_rows_were_lost_is_rebuilt_from_its_event(
    stage: Stage,
) -> None:
    opened = await stage.buy((BOUQUET, 2), (SERVICE, 1))
    before = await stage.command(opened)
    await lose_rows(stage, opened.command_id)
    await stage.hear("checkout.session.completed")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.attention, command.ref) == (
        Status.PAID, "recovered", before.ref,
    )  # fmt: skip
    session = await stage.session(opened)
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == session["amount_total"]
    assert [line["product_id"] for line in command.snapshot["lines"]] == [BOUQUET, SERVICE]
    assert command.appointment_at == before.appointment_at
    assert command.cart == before.cart
    [letter] = await stage.rows(messages)
    assert letter.state == "held"
    assert stage.mail.letters == []


async def test_c26_a_rebuilt_order_keeps_stripes_rounding_of_tax(stage: Stage) -> None:
    await stage.shop.db.transaction(upsert_products, [WRAPPING], stage.clock.now())
    await stage.control("settings", {"tax_rounding": "rate"})
    opened = await stage.buy((SERVICE, 1), (WRAPPING.id, 1))
    session = await stage.session(opened)
    assert abs(int(session["metadata"]["total"]) - session["amount_total"]) == 1
    await lose_rows(stage, opened.command_id)
    await stage.hear("checkout.session.completed")
    await stage.work()
    command = await stage.command(opened)
    assert (command.status, command.attention) == (Status.PAID, "recovered")
    assert command.snapshot is not None
    assert command.snapshot["total_minor"] == session["amount_total"]


async def test_c45_reconcile_since_a_restore_rebuilds_everything_and_mails_nobody_twice(
    stage: Stage,
) -> None:
    known = await stage.buy()
    lost = await stage.buy((BOUQUET, 1))
    await lose_rows(stage, lost.command_id)
    since = stage.clock.now() - timedelta(hours=1)
    await reconcile(stage.shop, since)
    await stage.work()
    for opened in (known, lost):
        assert (await stage.command(opened)).status is Status.PAID
    assert stage.mail.letters == []
    assert {row.state for row in await stage.rows(messages)} == {"held"}
    await reconcile(stage.shop, since)
    assert len(await stage.rows(commands)) == 2


async def test_c15_without_events_the_charges_alone_find_a_lost_order(stage: Stage) -> None:
    opened = await stage.buy()
    await lose_rows(stage, opened.command_id)
    await stage.fail("500_before", path="/v1/events", count=None)
    await stage.pass_time(minutes=5)
    report = await reconcile(stage.shop)
    assert report.events_unavailable is not None
    assert (report.charges, report.differing) == (1, 1)
    assert (await stage.command(opened)).paid
    [healed] = await stage.shop.db.read(list_discrepancies)
    assert (healed.kind, healed.remedy, healed.amount_minor) == ("payment_unknown", "settled", 5998)


async def test_i15_what_cannot_be_healed_stays_open_and_reconcile_says_so(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    await stage.pass_time(minutes=5)
    assert (await reconcile(stage.shop)).complete
    await drop_triggers(stage)
    if stage.shop.db.dialect != "sqlite":
        await stage.sql("ALTER TABLE payments DISABLE TRIGGER USER")
    await stage.sql("UPDATE payments SET amount_minor = amount_minor - 100")
    report = await reconcile(stage.shop)
    assert (report.complete, report.unaccounted_minor) == (False, {"eur": 100})


async def test_an_expired_session_of_a_lost_command_is_no_order(stage: Stage) -> None:
    opened = await stage.open()
    await lose_rows(stage, opened.command_id)
    await stage.control("expire", {"session": session_of(opened)})
    await stage.hear("checkout.session.expired")
    await stage.work()
    assert await stage.shop.db.read(find_command, opened.command_id) is None


async def states(stage: Stage) -> dict[str, str]:
    return {row.kind: row.state for row in await stage.rows(messages)}


async def test_c45_a_letter_that_waits_in_the_backup_is_held(stage: Stage) -> None:
    await stage.come_back(await stage.buy())
    assert await states(stage) == {"paid": "pending"}
    await reconcile(stage.shop, stage.clock.now())
    await send_due(stage.shop)
    assert await states(stage) == {"paid": "held"}
    assert stage.mail.letters == []


async def test_c45_control_an_ordinary_reconciliation_holds_nothing(stage: Stage) -> None:
    await stage.come_back(await stage.buy())
    await reconcile(stage.shop)
    await send_due(stage.shop)
    assert await states(stage) == {"paid": "sent"}


@pytest.mark.parametrize(("since", "state"), [(True, "held"), (False, "sent")])
async def test_c45_the_letter_about_a_failed_debit_is_held_after_a_restore_only(
    stage: Stage, since: bool, state: str
) -> None:
    opened = await stage.open()
    await stage.pay(opened, DEBIT_FAILS)
    await stage.come_back(opened)
    await stage.pass_time(seconds=BANK_TAKES)
    await reconcile(stage.shop, stage.clock.now() - timedelta(hours=1) if since else None)
    await send_due(stage.shop)
    assert await states(stage) == {"payment_failed": state}


async def test_c45_a_debit_under_way_that_is_rebuilt_has_no_confirmation_yet(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pay(opened, DEBIT_FAILS)
    await lose_rows(stage, opened.command_id)
    await reconcile(stage.shop, stage.clock.now() - timedelta(hours=1))
    assert (await stage.command(opened)).status is Status.PROCESSING
    assert await states(stage) == {}
    await stage.pass_time(seconds=BANK_TAKES)
    await reconcile(stage.shop)
    assert (await stage.command(opened)).status is Status.UNPAID
    assert "paid" not in await states(stage)


async def test_c45_a_rebuilt_debit_that_succeeds_is_confirmed_once(stage: Stage) -> None:
    opened = await stage.open()
    await stage.pay(opened, DEBIT_PAYS)
    await lose_rows(stage, opened.command_id)
    await reconcile(stage.shop, stage.clock.now() - timedelta(hours=1))
    await stage.pass_time(seconds=BANK_TAKES)
    await reconcile(stage.shop)
    await send_due(stage.shop)
    assert (await stage.command(opened)).status is Status.PAID
    assert await states(stage) == {"paid": "sent"}


async def test_c45_what_happened_right_before_the_backup_and_was_heard_after_it_is_read(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    await stage.refund(opened, 100)
    since = stage.clock.now() + timedelta(seconds=5)
    await stage.pass_time(days=3)
    await reconcile(stage.shop, since)
    assert (await stage.command(opened)).refunded_minor == 100
