"""Rows that a failover or an old backup lost are rebuilt, and nobody is mailed twice."""

from datetime import timedelta

from commande.core.command import Status
from commande.db.commands import find_command
from commande.db.discrepancies import list_discrepancies
from commande.db.tables import commands, messages
from commande.flows.reconcile import reconcile
from tests.support.stage import BOUQUET, SERVICE, Stage, session_of

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
