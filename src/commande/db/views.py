"""What pages read, each in one snapshot, so that no page contradicts itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from commande.core.document import Command
from commande.core.product import Product
from commande.db.attempts import Attempt, list_attempts
from commande.db.catalogue import find_products, read_products
from commande.db.commands import (
    Listed,
    Payment,
    count_commands,
    find_command,
    list_commands,
    list_payments,
)
from commande.db.inbox import count_events, last_webhook_at
from commande.db.journal import Fact, read_history
from commande.db.modules import COMMANDS, Module, find_module
from commande.db.tables import events, payments
from commande.db.upkeep import last_beat_at


@dataclass(frozen=True, slots=True)
class Front:
    """What the shop's front shows: its module (None before it is set up) and products."""

    module: Module | None
    products: list[Product]


def read_front(conn: Connection, ids: Iterable[str] | None = None) -> Front:
    """The module and the products on sale; with ``ids`` exactly those, on sale or not."""
    if ids is None:
        products = read_products(conn, active_only=True)
    else:
        products = list(find_products(conn, ids).values())
    return Front(find_module(conn, COMMANDS), products)


@dataclass(frozen=True, slots=True)
class Dossier:
    """One command with everything that is known of it."""

    command: Command
    attempts: list[Attempt]
    """Newest first."""
    payments: list[Payment]
    history: list[Fact]


def read_dossier(conn: Connection, command_id: str) -> Dossier | None:
    """The command's dossier; None when there is no such command."""
    command = find_command(conn, command_id)
    if command is None:
        return None
    return Dossier(
        command,
        list_attempts(conn, command_id),
        list_payments(conn, command_id),
        read_history(conn, command_id),
    )


@dataclass(frozen=True, slots=True)
class Worklist:
    """One page of the list of commands, and what waits for a person."""

    listed: list[Listed]
    counts: dict[str, int]
    waiting: list[Listed]
    dead_events: int


def read_worklist(
    conn: Connection, *, state: str | None, search: str | None, limit: int, offset: int
) -> Worklist:
    """The list as asked for; ``waiting`` holds the newest few that need a person."""
    return Worklist(
        list_commands(conn, state=state, search=search, limit=limit, offset=offset),
        count_commands(conn, search),
        list_commands(conn, state="attention", limit=5),
        count_events(conn).get("dead", 0),
    )


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether the shop is alive behind its pages."""

    worker_beat_at: datetime | None
    webhook_at: datetime | None
    events: dict[str, int]
    """How many events there are in each state."""
    unaccounted: dict[str, int]
    """Money at Stripe that no command counts, by currency, in minor units."""


def read_pulse(conn: Connection) -> Pulse:
    """The signs of life."""
    kept = func.sum(payments.c.amount_minor - payments.c.refunded_minor)
    query = select(payments.c.currency, kept).where(payments.c.outcome != "applied")
    unaccounted = {
        row[0]: int(row[1]) for row in conn.execute(query.group_by(payments.c.currency)) if row[1]
    }
    return Pulse(last_beat_at(conn), last_webhook_at(conn), count_events(conn), unaccounted)


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that no try could handle."""

    id: str
    type: str
    command_id: str | None
    error: str | None
    tries: int
    received_at: datetime


def list_dead_events(conn: Connection, limit: int = 100) -> list[DeadEvent]:
    """Events that need a person, newest first."""
    columns = (
        events.c.stripe_event_id, events.c.type, events.c.command_id, events.c.last_error,
        events.c.tries, events.c.received_at,
    )  # fmt: skip
    query = select(*columns).where(events.c.state == "dead")
    rows = conn.execute(query.order_by(events.c.received_at.desc()).limit(limit))
    return [DeadEvent(*row) for row in rows]
