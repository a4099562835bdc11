"""The invariants of a quiet shop, asked of its database and of Stripe's own list of sessions.

Quiet: every fault is over, every event heard and handled, every attempt asked about. The numbers
are those of the house's list: I1 conservation, I2 paid means paid, I3 one command per payment, I4
one payable session, I5 one snapshot for ever, I6 one effect, I7 nothing foreign, I8 refunds within
the payment, I9 nothing that can be paid is buried, I12 nothing is left half done.
"""

import asyncio
import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from commande.core.command import SETTLED
from commande.db import Database
from commande.db.tables import attempts, commands, events, history, messages, payments, refunds

Row = Any
Session = dict[str, Any]


@dataclass(frozen=True)
class Books:
    """What both sides hold."""

    commands: dict[str, Row]
    attempts: dict[str, Row]
    """By Stripe session id."""
    openings: list[Row]
    """Attempts that have no session."""
    payments: list[Row]
    refunds: list[Row]
    messages: list[Row]
    history: list[Row]
    events: list[Row]
    sessions: dict[str, Session]
    """Stripe's."""

    def ours(self) -> Iterator[Session]:
        """Stripe's sessions that our attempts made, recorded or not."""
        known = {row.id for row in (*self.attempts.values(), *self.openings)}
        for session in self.sessions.values():
            if session["id"] in self.attempts or session["metadata"].get("attempt_id") in known:
                yield session

    def facts(self, kind: str) -> Counter[str]:
        """How many history lines of a kind each command has."""
        return Counter(row.command_id for row in self.history if row.kind == kind)

    def given_back(self) -> Counter[str]:
        """Minor units given back or promised, by session."""
        given: Counter[str] = Counter()
        for row in self.refunds:
            if row.state not in ("failed", "canceled"):
                given[row.stripe_session_id] += row.amount_minor
        return given


def is_paid(session: Session) -> bool:
    """Stripe has the money."""
    return bool(session["payment_status"] == "paid")


def is_processing(session: Session) -> bool:
    """A delayed payment is under way (needs the expanded intent)."""
    intent = session["payment_intent"]
    moving = isinstance(intent, dict) and intent["status"] == "processing"
    return bool(session["status"] == "complete" and not is_paid(session) and moving)


def conservation(books: Books) -> Iterator[str]:
    """I1: every paid session of ours is one payment, applied or shown; nothing else is one."""
    rows = {row.stripe_session_id: row for row in books.payments}
    for session in books.ours():
        if is_paid(session) and session["id"] not in rows:
            yield f"{session['id']} is paid and nobody wrote it down"
    shown = books.facts("attention_cleared")
    for row in books.payments:
        believed = books.sessions.get(row.stripe_session_id)
        if believed is None or not is_paid(believed):
            yield f"{row.stripe_session_id} is written down as paid and is not"
        flagged = books.commands[row.command_id].attention or shown[row.command_id]
        back = max(row.refunded_minor, books.given_back()[row.stripe_session_id])
        if row.outcome != "applied" and back < row.amount_minor and not flagged:
            yield f"{row.stripe_session_id} is {row.outcome}, kept, and nobody is shown it"


def paid_means_paid(books: Books) -> Iterator[str]:
    """I2: a paid command's own session was paid, for the exact amount and currency."""
    for command in books.commands.values():
        if command.paid_at is None:
            continue
        session = books.sessions.get(command.paid_session_id)
        attempt = books.attempts.get(command.paid_session_id)
        if session is None or not is_paid(session) or attempt is None:
            yield f"{command.id} is paid by {command.paid_session_id}, which is not"
            continue
        charged = (session["amount_total"], session["currency"], session["livemode"])
        frozen = (command.snapshot["total_minor"], command.currency, attempt.livemode)
        if charged != frozen or attempt.command_id != command.id:
            yield f"{command.id} is paid with {frozen}, charged was {charged}"


def one_payment(books: Books) -> Iterator[str]:
    """I3: one applied payment per paid command, one command per session and per intent."""
    applied = Counter(row.command_id for row in books.payments if row.outcome == "applied")
    for command in books.commands.values():
        if applied[command.id] != (command.paid_at is not None):
            yield f"{command.id} ({command.status}) has {applied[command.id]} applied payments"
    for name in ("stripe_session_id", "stripe_payment_intent_id"):
        ids = Counter(getattr(row, name) for row in books.payments)
        yield from (f"{id_} pays {n} times" for id_, n in ids.items() if id_ and n > 1)


def one_payable(books: Books) -> Iterator[str]:
    """I4: at most one session of a command can be paid, none once it is paid."""
    payable: defaultdict[str, list[str]] = defaultdict(list)
    for session_id, row in books.attempts.items():
        if books.sessions.get(session_id, {}).get("status") == "open":
            payable[row.command_id].append(session_id)
    for command_id, found in payable.items():
        if len(found) > 1 or books.commands[command_id].status in SETTLED:
            status = books.commands[command_id].status
            yield f"{command_id} ({status}) can still be paid by {', '.join(found)}"


def one_snapshot(books: Books) -> Iterator[str]:
    """I5: what was paid stays paid; the snapshot is the quote that was frozen, summed up."""
    for command_id in books.facts("paid"):
        if books.commands[command_id].status not in SETTLED:
            yield f"{command_id} was paid and is {books.commands[command_id].status}"
    for command in books.commands.values():
        if command.snapshot is None:
            continue
        lines = command.snapshot["lines"]
        if sum(line["total_minor"] for line in lines) != command.snapshot["total_minor"]:
            yield f"the lines of {command.id} do not add up to its total"
        attempt = books.attempts.get(command.paid_session_id)
        if attempt is not None and attempt.quote["lines"] != lines:
            yield f"the snapshot of {command.id} is not what was frozen"


def one_effect(books: Books) -> Iterator[str]:
    """I6: one letter and one line of history per paid command, none for an unpaid one.

    Stock and appointment slots join here: one decrement per line and one taken slot per paid
    command, none held by a command that is neither open nor paid.
    """
    letters = Counter(row.command_id for row in books.messages if row.kind == "paid")
    lines = books.facts("paid")
    for command in books.commands.values():
        paid = command.paid_at is not None
        # Given back before we heard of it, or late money on a tombstone: nobody to confirm it to.
        silent = command.status == "refunded" or command.erased_at is not None
        if letters[command.id] > paid or (paid and not letters[command.id] and not silent):
            yield f"{command.id} ({command.status}) has {letters[command.id]} confirmations"
        if lines[command.id] != paid:
            yield f"{command.id} ({command.status}) has {lines[command.id]} lines that say paid"


def nothing_foreign(books: Books) -> Iterator[str]:
    """I7: no session that we did not make is recorded as a payment."""
    for row in books.payments:
        session = books.sessions.get(row.stripe_session_id)
        if session and session["metadata"].get("command_id") != row.command_id:
            yield f"{row.stripe_session_id} was not made for {row.command_id}"


def refunds_within(books: Books) -> Iterator[str]:
    """I8: never more given back than was paid, the same sum everywhere."""
    given = books.given_back()
    for row in books.payments:
        session_id, amount = row.stripe_session_id, row.amount_minor
        if max(row.refunded_minor, given[session_id]) > amount:
            yield f"{session_id} gave back more than {amount}"
        command = books.commands[row.command_id]
        if row.outcome == "applied" and command.refunded_minor != row.refunded_minor:
            yield f"{command.id} says {command.refunded_minor} back, {row.refunded_minor} it was"


def nothing_payable_is_buried(books: Books) -> Iterator[str]:
    """I9: a tombstone has no session that is open, under way or paid."""
    for session in books.ours():
        command = books.commands.get(session["metadata"].get("command_id", ""))
        if command is None:
            yield f"the command of {session['id']} is gone"
        elif command.status == "expired" and (
            (session["status"] == "open" and session["id"] in books.attempts)
            or is_processing(session)
            or is_paid(session)
        ):
            yield f"{command.id} is buried and {session['id']} is {session['status']}"


def nothing_half_done(books: Books) -> Iterator[str]:
    """I12: once it is quiet nothing is still on its way."""
    for command in books.commands.values():
        if command.status == "expiring":
            yield f"{command.id} stands behind its fence"
    for row in (*books.attempts.values(), *books.openings):
        if row.state == "creating":
            yield f"attempt {row.id} is still being made"
    for row in books.events:
        if row.state in ("pending", "dead"):
            yield f"{row.type} {row.stripe_event_id} is {row.state}: {row.last_error}"


INVARIANTS: dict[str, Callable[[Books], Iterator[str]]] = {
    "I1": conservation,
    "I2": paid_means_paid,
    "I3": one_payment,
    "I4": one_payable,
    "I5": one_snapshot,
    "I6": one_effect,
    "I7": nothing_foreign,
    "I8": refunds_within,
    "I9": nothing_payable_is_buried,
    "I12": nothing_half_done,
}


async def find_breaches(
    db: Database, stripe_url: str, *, only: frozenset[str] | None = None
) -> list[str]:
    """Every broken invariant as ``I4: what is wrong``; empty when all hold."""
    books = await read_books(db, stripe_url)
    return [
        f"{name}: {fact}"
        for name, check in INVARIANTS.items()
        if only is None or name in only
        for fact in check(books)
    ]


async def read_books(db: Database, stripe_url: str) -> Books:
    """Both sides as they stand."""
    rows = await db.read(_read)
    made = [row for row in rows["attempts"] if row.stripe_session_id]
    listed = await asyncio.to_thread(list_sessions, stripe_url)
    return Books(
        commands={row.id: row for row in rows["commands"]},
        attempts={row.stripe_session_id: row for row in made},
        openings=[row for row in rows["attempts"] if not row.stripe_session_id],
        sessions={session["id"]: session for session in listed},
        **{name: rows[name] for name in ("payments", "refunds", "messages", "history", "events")},
    )


def _read(conn: Connection) -> dict[str, list[Row]]:
    tables = (commands, attempts, payments, refunds, messages, history, events)
    return {table.name: list(conn.execute(table.select())) for table in tables}


def list_sessions(stripe_url: str, key: str = "sk_test_stage") -> list[Session]:
    """Every session of the stand-in, with its payment intent."""
    found: list[Session] = []
    address = f"{stripe_url}/v1/checkout/sessions?limit=100&expand[]=data.payment_intent"
    while True:
        after = f"&starting_after={found[-1]['id']}" if found else ""
        request = urllib.request.Request(
            address + after, headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.loads(answer.read())
        found += page["data"]
        if not page["has_more"]:
            return found
