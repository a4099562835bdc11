"""The first tables."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from commande.db.migrations.triggers_0001 import POSTGRESQL, SQLITE

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    """Make every table, then the triggers on them."""
    _cursors()
    _events()
    _idempotency_keys()
    _modules()
    _products()
    _tax_rates()
    _workers()
    _commands()
    _prices()
    _attempts()
    _history()
    _messages()
    _payments()
    _refunds()
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _index(
    name: str, table: str, *columns: str, unique: bool = False, where: str | None = None
) -> None:
    only = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=only, postgresql_where=only)


def _cursors() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("stripe_event_id", sa.String(255), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("object_id", sa.String(255), nullable=True),
        sa.Column("stripe_session_id", sa.String(255), nullable=True),
        sa.Column("stripe_payment_intent_id", sa.String(255), nullable=True),
        sa.Column("command_id", sa.String(24), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(200), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("stripe_event_id", name="pk_events"),
        sa.CheckConstraint("source IN ('webhook', 'reconcile')", name="ck_events_source"),
        sa.CheckConstraint(
            "state IN ('pending', 'done', 'ignored', 'foreign', 'dead')", name="ck_events_state"
        ),
    )
    _index("ix_events_pending", "events", "next_at", where="state = 'pending'")
    _index("ix_events_received_at", "events", "received_at")
    _index("ix_events_stripe_payment_intent_id", "events", "stripe_payment_intent_id")


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )
    _index("ix_idempotency_keys_created_at", "idempotency_keys", "created_at")


def _modules() -> None:
    op.create_table(
        "modules",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_modules"),
        sa.UniqueConstraint("type", name="uq_modules_type"),
    )


def _products() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("image", sa.String(500), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("tax_percentage", sa.String(12), nullable=True),
        sa.Column("tax_inclusive", sa.Boolean(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.CheckConstraint("stock IS NULL OR stock >= 0", name="ck_products_stock"),
    )


def _tax_rates() -> None:
    op.create_table(
        "tax_rates",
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_tax_rate_id", sa.String(80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", "livemode", name="pk_tax_rates"),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    _index("ix_workers_beat_at", "workers", "beat_at")


def _commands() -> None:
    op.create_table(
        "commands",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("ref", sa.String(9), nullable=False),
        sa.Column("module_id", sa.String(24), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cart", sa.JSON(), nullable=False),
        sa.Column("customer", sa.JSON(), nullable=True),
        sa.Column("appointment_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_session_id", sa.String(255), nullable=True),
        sa.Column("refunded_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attention", sa.String(40), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
        sa.ForeignKeyConstraint(["module_id"], ["modules.id"], name="fk_commands_module_id"),
        sa.UniqueConstraint("paid_session_id", name="uq_commands_paid_session_id"),
        sa.UniqueConstraint("ref", name="uq_commands_ref"),
        sa.CheckConstraint(
            "customer IS NOT NULL OR erased_at IS NOT NULL", name="ck_commands_erased"
        ),
        sa.CheckConstraint(
            "(paid_at IS NULL) = (snapshot IS NULL) AND (paid_at IS NULL) = (paid_session_id IS "
            "NULL) AND (paid_at IS NULL) = (status NOT IN ('paid', 'partially_refunded', "
            "'refunded'))",
            name="ck_commands_paid_has_snapshot",
        ),
        sa.CheckConstraint(
            "refunded_minor = 0 OR refunded_minor > 0 AND snapshot IS NOT NULL"
            " AND refunded_minor <= CAST(snapshot ->> 'total_minor' AS BIGINT)",
            name="ck_commands_refunded",
        ),
        sa.CheckConstraint(
            "status IN ('unpaid', 'processing', 'paid', 'partially_refunded', 'refunded', "
            "'expiring', 'expired')",
            name="ck_commands_status",
        ),
    )
    _index("commands_attention", "commands", "updated_at", where="attention IS NOT NULL")
    _index("ix_commands_created_at", "commands", "created_at")
    _index("ix_commands_status", "commands", "status", "created_at")


def _prices() -> None:
    op.create_table(
        "prices",
        sa.Column("product_id", sa.String(24), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "type", name="pk_prices"),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name="fk_prices_product_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("amount_minor >= 0", name="ck_prices_amount"),
    )
    _index("one_default_price", "prices", "product_id", unique=True, where="is_default")


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("idempotency_key", sa.String(80), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("quote", sa.JSON(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_session_id", sa.String(255), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opening_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(80), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name="fk_attempts_command_id"),
        sa.UniqueConstraint("command_id", "number", name="uq_attempts_command_id_number"),
        sa.UniqueConstraint("idempotency_key", name="uq_attempts_idempotency_key"),
        sa.UniqueConstraint("stripe_session_id", name="uq_attempts_stripe_session_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_attempts_amount"),
        sa.CheckConstraint(
            "state <> 'open' OR stripe_session_id IS NOT NULL", name="ck_attempts_open_has_session"
        ),
        sa.CheckConstraint(
            "state IN ('creating', 'open', 'complete', 'expired', 'closed')",
            name="ck_attempts_state",
        ),
    )
    _index("ix_attempts_check_at", "attempts", "check_at")
    _index("ix_attempts_creating", "attempts", "created_at", where="state = 'creating'")
    _index(
        "one_live_attempt",
        "attempts",
        "command_id",
        unique=True,
        where="state IN ('creating', 'open')",
    )


def _history() -> None:
    op.create_table(
        "history",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("fact", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name="fk_history_command_id"),
        sa.UniqueConstraint("fact", name="uq_history_fact"),
    )
    _index("ix_history_command_id", "history", "command_id", "id")


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("key", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_messages"),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name="fk_messages_command_id"),
        sa.CheckConstraint(
            "state IN ('pending', 'held', 'sent', 'skipped', 'dead')", name="ck_messages_state"
        ),
    )
    _index("ix_messages_command_id", "messages", "command_id")
    _index("ix_messages_pending", "messages", "next_at", where="state = 'pending'")


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("stripe_session_id", sa.String(255), nullable=False),
        sa.Column("stripe_payment_intent_id", sa.String(255), nullable=True),
        sa.Column("stripe_charge_id", sa.String(255), nullable=True),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("attempt_id", sa.String(24), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("method", sa.String(80), nullable=True),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("stripe_session_id", name="pk_payments"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name="fk_payments_attempt_id"),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name="fk_payments_command_id"),
        sa.UniqueConstraint(
            "stripe_payment_intent_id", name="uq_payments_stripe_payment_intent_id"
        ),
        sa.CheckConstraint(
            "outcome IN ('applied', 'duplicate', 'mismatch', 'late')",
            name="ck_payments_outcome",
        ),
        sa.CheckConstraint(
            "refunded_minor >= 0 AND refunded_minor <= amount_minor", name="ck_payments_refunded"
        ),
    )
    _index("ix_payments_command_id", "payments", "command_id")
    _index(
        "one_applied_payment", "payments", "command_id", unique=True, where="outcome = 'applied'"
    )


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("stripe_refund_id", sa.String(255), nullable=True),
        sa.Column("stripe_session_id", sa.String(255), nullable=False),
        sa.Column("command_id", sa.String(24), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_refunds"),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name="fk_refunds_command_id"),
        sa.ForeignKeyConstraint(
            ["stripe_session_id"],
            ["payments.stripe_session_id"],
            name="fk_refunds_stripe_session_id",
        ),
        sa.UniqueConstraint("stripe_refund_id", name="uq_refunds_stripe_refund_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_refunds_amount"),
        sa.CheckConstraint(
            "origin IN ('shop', 'stripe', 'duplicate', 'late')", name="ck_refunds_origin"
        ),
        sa.CheckConstraint(
            "state IN ('creating', 'pending', 'succeeded', 'failed', 'canceled')",
            name="ck_refunds_state",
        ),
    )
    _index("ix_refunds_command_id", "refunds", "command_id")
    _index("ix_refunds_creating", "refunds", "next_at", where="state = 'creating'")
    _index("ix_refunds_stripe_session_id", "refunds", "stripe_session_id")
