"""What the tests of settlement read of a command, and the sessions that they begin with."""

from collections import Counter

from sqlalchemy import Connection, select

from commande.core.document import Command
from commande.db import Database
from commande.db.attempts import Attempt
from commande.db.commands import find_command, list_payments
from commande.db.journal import Fact, read_history
from commande.db.opening import plan_retry
from commande.db.tables import messages
from commande.db.upkeep import give_up_session
from tests.support.counter import NOW, later, open_session, opened, ticket


async def command_of(db: Database, attempt: Attempt) -> Command:
    command = await db.read(find_command, attempt.command_id)
    assert command is not None
    return command


async def kinds(db: Database, attempt: Attempt) -> Counter[str]:
    facts: list[Fact] = await db.read(read_history, attempt.command_id)
    return Counter(fact.kind for fact in facts)


async def letters(db: Database) -> list[str]:
    def read(conn: Connection) -> list[str]:
        return list(conn.execute(select(messages.c.kind).order_by(messages.c.key)).scalars())

    return await db.read(read)


async def outcomes(db: Database, attempt: Attempt) -> list[str]:
    return [p.outcome for p in await db.read(list_payments, attempt.command_id)]


async def opened_in(db: Database) -> Attempt:
    return (await db.transaction(opened)).attempt


async def second_session(db: Database, first: Attempt) -> Attempt:
    """Another open session of the same command, after the first one was believed dead."""

    def work(conn: Connection) -> Attempt:
        give_up_session(conn, first.id, NOW)
        plan = plan_retry(conn, first.command_id, ticket(later(minutes=2)), None)
        return open_session(conn, plan, later(minutes=2)).attempt

    return await db.transaction(work)
