"""Events that were given up have further tries."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    """Index what has a try to come, whatever its state; give those that were given up theirs."""
    waiting = sa.text("next_at IS NOT NULL")
    op.create_index(
        "ix_events_waiting", "events", ["next_at"],
        sqlite_where=waiting, postgresql_where=waiting,
    )  # fmt: skip
    op.drop_index("ix_events_pending", "events")
    op.execute("UPDATE events SET next_at = received_at WHERE state = 'dead'")
