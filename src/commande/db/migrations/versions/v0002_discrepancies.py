"""What Stripe and we told differently."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    """One new table: nothing that an older program would miss."""
    op.create_table(
        "discrepancies",
        sa.Column("fact", sa.String(300), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("command_id", sa.String(24), nullable=True),
        sa.Column("stripe_session_id", sa.String(255), nullable=True),
        sa.Column("stripe_payment_intent_id", sa.String(255), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("healed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remedy", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("fact", name="pk_discrepancies"),
    )
    op.create_index("ix_discrepancies_found_at", "discrepancies", ["found_at"])
    still_open = sa.text("healed_at IS NULL")
    op.create_index(
        "ix_discrepancies_open", "discrepancies", ["found_at"],
        sqlite_where=still_open, postgresql_where=still_open,
    )  # fmt: skip
