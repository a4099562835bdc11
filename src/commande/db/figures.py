"""The shop in figures: counts and ages, for whoever watches it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from commande.core.command import SETTLED
from commande.db.discrepancies import money_unaccounted
from commande.db.inbox import count_events
from commande.db.outbox import count_messages
from commande.db.tables import commands, events, messages
from commande.db.upkeep import last_beat_at


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts by state, and since when the oldest of what waits has waited."""

    commands: dict[str, int]
    """By status. Commands are never deleted, so sums only grow."""
    attention: int
    events: dict[str, int]
    messages: dict[str, int]
    oldest_event_at: datetime | None
    oldest_message_at: datetime | None
    unaccounted: dict[str, int]
    """Money about which Stripe's books and ours differ, by currency, in minor units."""
    worker_at: datetime | None
    """When any worker was last alive."""

    @property
    def opened(self) -> int:
        """All commands that there ever were."""
        return sum(self.commands.values())

    @property
    def paid(self) -> int:
        """Those that were ever paid, refunds or not."""
        return sum(self.commands.get(status, 0) for status in SETTLED)


def read_figures(conn: Connection) -> Figures:
    """Count. Reads indexes only, except for events and letters."""
    by_status = select(commands.c.status, func.count()).group_by(commands.c.status)
    attention = select(func.count()).where(commands.c.attention.is_not(None))
    event = select(func.min(events.c.received_at)).where(events.c.state == "pending")
    message = select(func.min(messages.c.created_at)).where(messages.c.state == "pending")
    return Figures(
        commands=dict(conn.execute(by_status).all()),
        attention=conn.execute(attention).scalar_one(),
        events=count_events(conn),
        messages=count_messages(conn),
        oldest_event_at=conn.execute(event).scalar(),
        oldest_message_at=conn.execute(message).scalar(),
        unaccounted=money_unaccounted(conn),
        worker_at=last_beat_at(conn),
    )
