"""The outbox: a letter per fact, sent at least once and told once."""

import asyncio
from collections import Counter
from datetime import timedelta

from sqlalchemy import Connection, select, text

from commande.db import Database
from commande.db.journal import read_history
from commande.db.outbox import (
    CLAIMED,
    LEASE,
    MAX_TRIES,
    Message,
    claim_messages,
    count_messages,
    delay_message,
    finish_message,
    messages_due,
    post_message,
)
from commande.db.tables import messages
from commande.mail import DEADLINE
from tests.support.counter import NOW, asked, later


async def post(db: Database, *keys: str) -> str:
    """Letters of one command; its id."""
    command = (await db.transaction(asked)).command
    for key in keys:
        await db.transaction(post_message, key, "paid", command.id, NOW)
    return command.id


async def kinds(db: Database, command_id: str) -> Counter[str]:
    return Counter(fact.kind for fact in await db.read(read_history, command_id))


async def test_i06_a_letter_is_posted_once_per_key(shop_db: Database) -> None:
    command_id = await post(shop_db)
    posted = await asyncio.gather(
        *(shop_db.transaction(post_message, "paid:1", "paid", command_id, NOW) for _ in range(8))
    )
    assert posted.count(True) == 1
    assert await shop_db.read(count_messages) == {"pending": 1}


async def test_i06_a_letter_that_was_sent_is_not_posted_again(shop_db: Database) -> None:
    command_id = await post(shop_db, "paid:1")
    (letter,) = await shop_db.transaction(claim_messages, NOW)
    await shop_db.transaction(finish_message, letter, "sent", NOW)
    assert not await shop_db.transaction(post_message, "paid:1", "paid", command_id, later(days=1))
    assert await shop_db.transaction(claim_messages, later(days=2)) == []
    assert await shop_db.read(count_messages) == {"sent": 1}


async def test_a_letter_and_its_fact_are_written_together_or_not(shop_db: Database) -> None:
    def break_after(conn: Connection) -> None:
        post_message(conn, "paid:1", "paid", asked(conn).command.id, NOW)
        raise ZeroDivisionError

    try:
        await shop_db.transaction(break_after)
    except ZeroDivisionError:
        assert await shop_db.read(count_messages) == {}


async def test_senders_at_once_hold_different_letters(shop_db: Database) -> None:
    await post(shop_db, *(f"paid:{number}" for number in range(40)))

    def hold(conn: Connection) -> list[Message]:
        taken = claim_messages(conn, NOW, 10)
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_sleep(0.2)"))
        return taken

    hands = await asyncio.gather(*(shop_db.transaction(hold) for _ in range(4)))
    assert [len(hand) for hand in hands] == [10, 10, 10, 10]
    assert len({letter.key for hand in hands for letter in hand}) == 40


async def test_c40_a_dead_senders_letters_come_back(shop_db: Database) -> None:
    await post(shop_db, "paid:1")
    (first,) = await shop_db.transaction(claim_messages, NOW)
    assert await shop_db.transaction(claim_messages, NOW) == []
    assert not await shop_db.read(messages_due, NOW)
    (again,) = await shop_db.transaction(claim_messages, NOW + LEASE)
    assert (first.tries, again.tries, again.key) == (0, 1, first.key)


async def test_a_sent_letter_is_told_once(shop_db: Database) -> None:
    command_id = await post(shop_db, "paid:1")
    (letter,) = await shop_db.transaction(claim_messages, NOW)
    for _ in range(3):
        await shop_db.transaction(finish_message, letter, "sent", later(seconds=1))
    assert (await kinds(shop_db, command_id))["mail_sent"] == 1


async def test_a_letter_that_cannot_be_sent_waits_ever_longer(shop_db: Database) -> None:
    command_id = await post(shop_db, "paid:1")
    waits, moment = [], NOW
    query = select(messages.c.next_at)
    for _ in range(MAX_TRIES - 1):
        (letter,) = await shop_db.transaction(claim_messages, moment)
        await shop_db.transaction(delay_message, letter, "refused", moment)
        next_at = await shop_db.read(lambda conn: conn.execute(query).scalar_one())
        waits.append(round((next_at - moment).total_seconds() / 60))
        moment = next_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]
    (letter,) = await shop_db.transaction(claim_messages, moment)
    for _ in range(2):
        await shop_db.transaction(delay_message, letter, "refused", moment)
    assert await shop_db.read(count_messages) == {"dead": 1}
    assert (await kinds(shop_db, command_id))["mail_failed"] == 1


async def test_a_slow_senders_failure_does_not_undo_what_another_sent(shop_db: Database) -> None:
    command_id = await post(shop_db, "paid:1")
    (letter,) = await shop_db.transaction(claim_messages, NOW)
    await shop_db.transaction(finish_message, letter, "sent", NOW)
    last = Message(letter.key, letter.kind, command_id, MAX_TRIES - 1)
    await shop_db.transaction(delay_message, last, "late", later(minutes=3))
    assert await shop_db.read(count_messages) == {"sent": 1}
    assert (await kinds(shop_db, command_id))["mail_failed"] == 0


def test_a_hand_of_letters_is_sent_within_its_lease() -> None:
    # Else another sender takes the last ones of a slow hand, and they leave twice.
    assert CLAIMED * timedelta(seconds=DEADLINE + 3) <= LEASE
