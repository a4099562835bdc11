"""Commands as rows: found, listed, counted, changed once, erased."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import StatementError

from commande.core.command import Status
from commande.core.customer import Customer
from commande.db import Database
from commande.db.attempts import list_attempts
from commande.db.commands import (
    FILTERS,
    change_command,
    count_commands,
    erase_command,
    find_by_ref,
    find_command,
    list_commands,
    lock_command,
)
from commande.db.opening import open_command
from commande.db.sql import NothingChanged
from commande.db.tables import attempts, commands
from commande.db.upkeep import bury_command, fence_command, give_up_session
from tests.support.counter import NOW, asked, claim, later, opened, order, paid, ticket


async def refs(db: Database, **wanted: object) -> list[str]:
    return [one.command.ref for one in await db.read(list_commands, **wanted)]  # type: ignore[arg-type]


async def open_for(db: Database, first_name: str, last_name: str = "Martin") -> str:
    """A command of a person with that name; its reference."""
    given = order()
    who = replace(given.customer, firstName=first_name, lastName=last_name)
    named = replace(given, customer=who)
    return (await db.transaction(open_command, named, ticket(), claim())).command.ref


# Found.


async def test_a_command_is_found_by_id_and_by_reference(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    assert await shop_db.read(find_command, command.id) == command
    for spelling in (command.ref, command.ref[1:], command.ref.lower()):
        assert await shop_db.read(find_by_ref, spelling) == command
    assert await shop_db.read(find_command, "f" * 24) is None
    assert await shop_db.read(find_by_ref, "#NOTHERE0") is None


async def test_times_are_utc_whatever_zone_they_came_in(shop_db: Database) -> None:
    paris = datetime(2026, 11, 26, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=1)))
    given = order(appointment_at=paris)
    made = (await shop_db.transaction(open_command, given, ticket(), claim())).command
    found = await shop_db.read(find_command, made.id)
    assert found is not None
    assert found.appointment_at == paris
    assert found.appointment_at.tzinfo is UTC or found.appointment_at.utcoffset() == timedelta(0)


async def test_a_time_without_a_zone_is_refused(shop_db: Database) -> None:
    naive = order(appointment_at=datetime(2026, 11, 26, 9, 30))  # noqa: DTZ001
    with pytest.raises((StatementError, ValueError), match="a time without a zone"):
        await shop_db.transaction(open_command, naive, ticket(), claim())


# Changed.


async def test_writing_what_stands_already_moves_no_updated_at(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    await shop_db.transaction(change_command, command, later(hours=1), note=command.note)
    assert await shop_db.read(find_command, command.id) == command
    await shop_db.transaction(change_command, command, later(hours=1), note="Avec noix")
    changed = await shop_db.read(find_command, command.id)
    assert changed == replace(command, note="Avec noix", updated_at=later(hours=1))


async def test_a_status_moves_along_the_table_only(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    with pytest.raises(NothingChanged, match="unpaid does not become expired"):
        await shop_db.transaction(change_command, command, NOW, status=Status.EXPIRED)


async def test_a_change_of_a_row_that_was_not_as_read_is_never_silent(shop_db: Database) -> None:
    command = (await shop_db.transaction(opened)).command
    await shop_db.transaction(fence_command, command.id, NOW)
    with pytest.raises(NothingChanged, match="0 rows of commands"):
        await shop_db.transaction(change_command, command, NOW, status=Status.PROCESSING)


async def test_two_changes_at_once_wait_for_each_other(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command

    def add_one(conn: Connection) -> None:
        locked = lock_command(conn, command.id)
        assert locked is not None
        count = int(locked.attention or 0) + 1
        change_command(conn, locked, NOW, attention=str(count))

    await asyncio.gather(*(shop_db.transaction(add_one) for _ in range(10)))
    found = await shop_db.read(find_command, command.id)
    assert found is not None
    assert found.attention == "10"


# Erased.


async def test_a_tombstone_names_nobody(shop_db: Database) -> None:
    found = await shop_db.transaction(opened, email="secret@example.org")

    def bury(conn: Connection) -> Status:
        fence_command(conn, found.command.id, NOW)
        give_up_session(conn, found.attempt.id, NOW)
        return bury_command(conn, found.command.id, "worker", later(hours=24))

    assert await shop_db.transaction(bury) is Status.EXPIRED
    command = await shop_db.read(find_command, found.command.id)
    assert command is not None
    assert (command.customer, command.note) == (None, None)

    def all_text(conn: Connection) -> str:
        rows = [conn.execute(select(t)).all() for t in (commands, attempts)]
        return repr(rows)

    text = await shop_db.read(all_text)
    for word in ("secret@example.org", "Lovelace", "rue de la Paix", "Sans noix", "33612345678"):
        assert word not in text
    (attempt,) = await shop_db.read(list_attempts, command.id)
    assert (attempt.amount_minor, attempt.stripe_session_id) == (
        3899, found.attempt.stripe_session_id,
    )  # fmt: skip


async def test_only_what_stands_behind_the_fence_is_erased(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    with pytest.raises(NothingChanged):
        await shop_db.transaction(erase_command, command, NOW)
    assert await shop_db.read(find_command, command.id) == command


async def test_i09_a_command_with_a_live_session_is_not_buried(shop_db: Database) -> None:
    command = (await shop_db.transaction(opened)).command
    await shop_db.transaction(fence_command, command.id, NOW)
    status = await shop_db.transaction(bury_command, command.id, "worker", NOW)
    assert status is Status.EXPIRING


# Listed and counted.


async def test_commands_are_listed_newest_first_page_by_page(shop_db: Database) -> None:
    made = [
        (await shop_db.transaction(open_command, order(), ticket(later(minutes=n)), claim()))
        for n in (2, 0, 1)
    ]
    newest = [made[0].command.ref, made[2].command.ref, made[1].command.ref]
    assert await refs(shop_db) == newest
    assert await refs(shop_db, limit=2) == newest[:2]
    assert await refs(shop_db, limit=2, offset=2) == newest[2:]


async def test_a_list_shows_what_was_paid_or_is_asked(shop_db: Database) -> None:
    await shop_db.transaction(paid)
    await shop_db.transaction(asked)
    totals = [one.total_minor for one in await shop_db.read(list_commands)]
    assert totals == [3899, 3899]


async def one_of_each(db: Database) -> dict[str, str]:
    """A reference for each filter."""
    unpaid = (await db.transaction(asked)).command
    settled = (await db.transaction(paid)).command
    late = await db.transaction(opened)

    def bury_and_flag(conn: Connection) -> None:
        fence_command(conn, late.command.id, NOW)
        give_up_session(conn, late.attempt.id, NOW)
        bury_command(conn, late.command.id, "worker", NOW)
        change_command(conn, settled, NOW, attention="disputed")

    await db.transaction(bury_and_flag)
    return {
        "unpaid": unpaid.ref, "paid": settled.ref,
        "expired": late.command.ref, "attention": settled.ref,
    }  # fmt: skip


async def test_each_filter_lists_its_own(shop_db: Database) -> None:
    expected = await one_of_each(shop_db)
    for name in (*FILTERS, "attention"):
        wanted = [expected[name]] if name in expected else []
        assert await refs(shop_db, state=name) == wanted, name


async def test_counts_agree_with_the_lists(shop_db: Database) -> None:
    await one_of_each(shop_db)
    counts = await shop_db.read(count_commands)
    assert counts == {
        "unpaid": 1, "processing": 0, "paid": 1, "refunded": 0, "expired": 1,
        "attention": 1, "all": 3,
    }  # fmt: skip


async def test_every_status_has_its_filter() -> None:
    assert {status for states in FILTERS.values() for status in states} == set(Status)


async def test_a_search_finds_names_addresses_and_references(shop_db: Database) -> None:
    ada = await open_for(shop_db, "Ada", "Lovelace")
    elodie = await open_for(shop_db, "Élodie", "Lefèvre")
    for words in ("ada", "LOVELACE", ada, ada[1:5].lower()):
        assert ada in await refs(shop_db, search=words), words
    for words in ("Élodie", "élodie", "lefèvre", "LEFÈVRE"):
        assert await refs(shop_db, search=words) == [elodie], words
    assert await refs(shop_db, search="nobody") == []
    assert (await shop_db.read(count_commands, "lovelace"))["all"] == 1


async def test_s10_a_search_is_text_and_nothing_else(shop_db: Database) -> None:
    await open_for(shop_db, "Robert'); DROP TABLE commands;--")
    await open_for(shop_db, "Ada")
    for words in ("%", "'", "\\", "%%%", "'; DROP TABLE commands;--", '"', "\x00"[:0]):
        await refs(shop_db, search=words)
    assert len(await refs(shop_db, search="drop table")) == 1
    assert len(await refs(shop_db)) == 2


def test_the_customer_is_stored_by_the_names_of_the_api() -> None:
    assert list(order().customer.to_dict()) == list(Customer.__dataclass_fields__)
