"""The history: one line per fact, in the order in which they became known."""

import asyncio

from commande.db import Database
from commande.db.journal import has_fact, read_history, record
from tests.support.counter import NOW, asked, later


async def test_a_fact_has_one_line_however_often_it_arrives(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    written = await asyncio.gather(
        *(
            shop_db.transaction(record, command.id, later(seconds=n), "seen", "test", once="cs_1")
            for n in range(10)
        )
    )
    assert written.count(True) == 1
    facts = await shop_db.read(read_history, command.id)
    assert [fact.kind for fact in facts].count("seen") == 1


async def test_different_facts_of_one_kind_have_a_line_each(shop_db: Database) -> None:
    command, other = [(await shop_db.transaction(asked)).command for _ in range(2)]
    for command_id, kind, once in (
        (command.id, "seen", "1"), (command.id, "seen", "2"), (command.id, "heard", "1"),
        (command.id, "seen", ""), (other.id, "seen", "1"),
    ):  # fmt: skip
        assert await shop_db.transaction(record, command_id, NOW, kind, "test", once=once)
    assert await shop_db.read(has_fact, command.id, "seen", "2")
    assert await shop_db.read(has_fact, command.id, "seen")
    assert not await shop_db.read(has_fact, other.id, "seen", "2")


async def test_a_history_reads_in_its_order_with_its_details(shop_db: Database) -> None:
    command = (await shop_db.transaction(asked)).command
    detail = {"title": "Pâté « maison »", "charged_minor": 2**40, "current_minor": None}
    await shop_db.transaction(record, command.id, later(hours=2), "late", "test", **detail)
    await shop_db.transaction(record, command.id, later(hours=1), "early", "test")
    facts = await shop_db.read(read_history, command.id)
    assert [fact.kind for fact in facts] == ["opened", "session_requested", "late", "early"]
    assert (facts[2].detail, facts[2].at, facts[2].source) == (detail, later(hours=2), "test")
