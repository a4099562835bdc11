"""Holds the shop's database against what its customers were told, and against Stripe."""

import asyncio
import json
import urllib.request
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from commande.core.command import AttemptState
from commande.core.document import instant
from commande.db import Database
from commande.db.inbox import count_events
from commande.db.outbox import count_messages
from commande.db.tables import (
    attempts,
    commands,
    events,
    history,
    idempotency_keys,
    messages,
    payments,
)
from proof.ledger import Facts, Ledger, Paid
from tests.support.invariants import find_breaches

_EFFECTS: Final = "snapshots {}, payments {}, letters {}, lines {}"
ONCE: Final = _EFFECTS.format(1, 1, 1, 1)
NEVER: Final = _EFFECTS.format(0, 0, 0, 0)


async def find_losses(db: Database, facts: Facts) -> list[str]:
    """I11: every acknowledged fact that is not in the database; empty when nothing was lost.

    The facts are those of a moment before this is called: customers go on meanwhile.
    """
    return await db.read(_compare, facts)


async def audit(db: Database, stripe_url: str, ledger: Ledger) -> list[str]:
    """Everything that is wrong once the upkeep has run: all invariants, and nothing on its way.

    Every session that Stripe calls paid is one applied payment, one snapshot, one confirmation,
    with equal amounts (I1, I2, I3, I6); each acknowledged fact stands (I11); nothing is
    half-made (I12).
    """
    wrong = await find_losses(db, ledger.facts())
    wrong += await find_breaches(db, stripe_url)
    wrong += await db.read(find_half_made)
    return wrong + ledger.wrong


async def read_acknowledged(stripe_url: str, key: str) -> set[str]:
    """The events whose webhook was answered 2xx, as Stripe keeps it."""
    return await asyncio.to_thread(_delivered, stripe_url, key)


def _compare(conn: Connection, facts: Facts) -> list[str]:
    """What was lost and then found again at Stripe counts as lost: it looks different."""
    recovered = select(history.c.command_id).where(history.c.kind == "recovered")
    again = set(conn.execute(recovered).scalars())
    live = attempts.c.state != AttemptState.CREATING
    query = select(attempts.c.stripe_session_id, attempts.c.command_id).where(live)
    sessions = {row.stripe_session_id: row.command_id for row in conn.execute(query)}
    wrong = [
        f"I11: the answer {opening.command} {opening.session} is lost"
        for opening in facts.opened
        if sessions.get(opening.session) != opening.command or opening.command in again
    ]
    columns = (commands.c.id, commands.c.paid_session_id, commands.c.paid_at, commands.c.snapshot)
    settled = {
        row.id: Paid(row.paid_session_id, row.snapshot["total_minor"], instant(row.paid_at) or "")
        for row in conn.execute(select(*columns).where(commands.c.paid_at.is_not(None)))
    }
    wrong += [
        f"I11: the confirmed payment of {command} by {paid.session} is lost"
        for command, paid in facts.paid
        if settled.get(command) != paid
    ]
    # Reconciliation brings an event back; but then it came once, and not by webhook.
    heard = (events.c.source == "webhook") | (events.c.deliveries > 1)
    stored = set(conn.execute(select(events.c.stripe_event_id).where(heard)).scalars())
    return wrong + [
        f"I11: the acknowledged event {event} is lost"
        for event in facts.webhooks
        if event not in stored
    ]


def find_half_made(conn: Connection) -> list[str]:
    """I12: what is still on its way though nobody is at work any more."""
    waiting = messages.c.state.in_(["pending", "dead"])
    letters = conn.execute(select(messages.c.key).where(waiting)).scalars()
    wrong = [f"I12: the letter {key} was not dealt with" for key in letters]
    ending = commands.c.status.in_(["unpaid", "expiring", "processing"])
    unsettled = conn.execute(select(commands.c.id, commands.c.status).where(ending))
    wrong += [f"I12: {row.id} is {row.status} after the upkeep" for row in unsettled]
    orphans = select(idempotency_keys.c.command_id).where(
        idempotency_keys.c.command_id.not_in(select(commands.c.id))
    )
    return wrong + [
        f"I12: a key names {command}, which is not there"
        for command in conn.execute(orphans).scalars()
    ]


def _delivered(stripe_url: str, key: str) -> set[str]:
    heard = _list(stripe_url, key, "/v1/events?limit=100&delivery_success=true")
    return {event["id"] for event in heard}


def count_under_way(conn: Connection) -> int:
    """Events and letters that somebody holds or that wait for somebody."""
    return sum(found.get("pending", 0) for found in (count_events(conn), count_messages(conn)))


def count_unsettled(conn: Connection) -> int:
    """Commands that are neither paid nor closed."""
    open_ = commands.c.status.in_(["unpaid", "expiring", "processing"])
    count: int = conn.execute(select(func.count()).where(open_)).scalar_one()
    return count


def count_effects(conn: Connection) -> dict[str, str]:
    """What each command's payment left behind, by command id: ``ONCE``, ``NEVER`` or wrong."""

    def counted(table: Table, *condition: ColumnElement[bool]) -> dict[str, int]:
        query = select(table.c.command_id, func.count()).where(*condition)
        return {row[0]: row[1] for row in conn.execute(query.group_by(table.c.command_id))}

    paid = counted(payments)
    letters = counted(messages, messages.c.kind == "paid")
    lines = counted(history, history.c.kind == "paid")
    return {
        row.id: _EFFECTS.format(
            int(row.snapshot is not None), paid.get(row.id, 0), letters.get(row.id, 0),
            lines.get(row.id, 0),
        )
        for row in conn.execute(select(commands.c.id, commands.c.snapshot))
    }  # fmt: skip


async def find_refund_gaps(db: Database, stripe_url: str, key: str) -> list[str]:
    """I8: every payment of which Stripe gave back another sum than our books say."""
    charges = await asyncio.to_thread(_list, stripe_url, key, "/v1/charges?limit=100")
    given = {each["payment_intent"]: each["amount_refunded"] for each in charges if each["paid"]}
    return await db.read(_compare_refunds, given)


def _compare_refunds(conn: Connection, given: dict[str, int]) -> list[str]:
    query = select(payments.c.stripe_payment_intent_id, payments.c.refunded_minor)
    return [
        f"I8: of {intent} {given.get(intent, 0)} were given back, the books say {booked}"
        for intent, booked in conn.execute(query)
        if given.get(intent, 0) != booked
    ]


def _list(stripe_url: str, key: str, path: str) -> list[dict[str, Any]]:
    """All pages of one of Stripe's lists, newest first."""
    found: list[dict[str, Any]] = []
    while True:
        after = f"&starting_after={found[-1]['id']}" if found else ""
        request = urllib.request.Request(
            f"{stripe_url}{path}{after}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            page = json.loads(answer.read())
        found += page["data"]
        if not page["has_more"]:
            return found
