"""Every table and constraint. No behaviour.

The constraints carry the invariants, on both databases: one live attempt per command, one applied
payment per command, paid if and only if there is a snapshot. What a constraint cannot say (a paid
command's snapshot never changes, history only grows) is a trigger in ``triggers.py``.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from commande.db.utc import Utc

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str = "id") -> Column[str]:
    return Column(name, String(24), primary_key=True)


def _at(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, Utc, nullable=nullable)


def _minor(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **options)


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=column)


modules = Table(
    "modules",
    metadata,
    _id(),
    Column("type", String(40), nullable=False, unique=True),
    Column("settings", JSON, nullable=False),
    _at("created_at"),
    _at("updated_at"),
)

products = Table(
    "products",
    metadata,
    _id(),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("image", String(500), nullable=True),
    Column("active", Boolean, nullable=False),
    Column("tax_percentage", String(12), nullable=True),
    Column("tax_inclusive", Boolean, nullable=False),
    Column("stock", Integer, nullable=True),
    Column("position", Integer, nullable=False),
    _at("created_at"),
    _at("updated_at"),
    CheckConstraint("stock IS NULL OR stock >= 0", name="stock"),
)

prices = Table(
    "prices",
    metadata,
    Column("product_id", ForeignKey("products.id", ondelete="CASCADE"), primary_key=True),
    Column("type", String(80), primary_key=True),
    _minor("amount_minor"),
    Column("currency", String(3), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
    CheckConstraint("amount_minor >= 0", name="amount"),
)
Index(
    "one_default_price",
    prices.c.product_id,
    unique=True,
    sqlite_where=text("is_default"),
    postgresql_where=text("is_default"),
)

tax_rates = Table(
    "tax_rates",
    metadata,
    # (country, percentage, inclusive) in one text, as TaxRate.key spells it.
    Column("key", String(40), primary_key=True),
    Column("livemode", Boolean, primary_key=True),
    Column("stripe_tax_rate_id", String(80), nullable=False),
    _at("created_at"),
)

commands = Table(
    "commands",
    metadata,
    _id(),
    Column("ref", String(9), nullable=False, unique=True),
    Column("module_id", ForeignKey("modules.id"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("cart", JSON, nullable=False),
    Column("customer", JSON(none_as_null=True), nullable=True),
    _at("appointment_at"),
    Column("note", Text, nullable=True),
    Column("locale", String(2), nullable=False),
    Column("snapshot", JSON(none_as_null=True), nullable=True),
    _at("paid_at", nullable=True),
    Column("paid_session_id", String(255), nullable=True, unique=True),
    Column("refunded_minor", BigInteger, nullable=False, server_default="0"),
    # Why a person must look, or NULL.
    Column("attention", String(40), nullable=True),
    _at("erased_at", nullable=True),
    _at("created_at"),
    _at("updated_at"),
    _one_of(
        "status",
        "unpaid", "processing", "paid", "partially_refunded", "refunded", "expiring", "expired",
    ),
    CheckConstraint(
        "(paid_at IS NULL) = (snapshot IS NULL) AND (paid_at IS NULL) = (paid_session_id IS NULL)"
        " AND (paid_at IS NULL) = (status NOT IN ('paid', 'partially_refunded', 'refunded'))",
        name="paid_has_snapshot",
    ),
    CheckConstraint(
        "refunded_minor = 0 OR refunded_minor > 0 AND snapshot IS NOT NULL"
        " AND refunded_minor <= CAST(snapshot ->> 'total_minor' AS BIGINT)",
        name="refunded",
    ),
    CheckConstraint("customer IS NOT NULL OR erased_at IS NOT NULL", name="erased"),
    Index("ix_commands_status", "status", "created_at"),
    Index("ix_commands_created_at", "created_at"),
)  # fmt: skip
Index(
    "commands_attention",
    commands.c.updated_at,
    sqlite_where=text("attention IS NOT NULL"),
    postgresql_where=text("attention IS NOT NULL"),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("command_id", ForeignKey("commands.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("idempotency_key", String(80), nullable=False, unique=True),
    # Frozen with the row: the same key with other parameters is an error at Stripe.
    Column("parameters", JSON, nullable=False),
    Column("quote", JSON, nullable=False),
    _minor("amount_minor"),
    Column("currency", String(3), nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_session_id", String(255), nullable=True, unique=True),
    Column("url", Text, nullable=True),
    _at("expires_at"),
    # While one caller opens the session the others wait; a dead caller's lease runs out.
    _at("opening_until", nullable=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("last_error", String(80), nullable=True),
    # When reconciliation asks Stripe about it next; NULL = never again.
    _at("check_at", nullable=True),
    Column("checks", Integer, nullable=False, server_default="0"),
    _at("created_at"),
    _at("opened_at", nullable=True),
    _at("closed_at", nullable=True),
    UniqueConstraint("command_id", "number"),
    _one_of("state", "creating", "open", "complete", "expired", "closed"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("state <> 'open' OR stripe_session_id IS NOT NULL", name="open_has_session"),
    Index("ix_attempts_check_at", "check_at"),
)
Index(
    "one_live_attempt",
    attempts.c.command_id,
    unique=True,
    sqlite_where=text("state IN ('creating', 'open')"),
    postgresql_where=text("state IN ('creating', 'open')"),
)
Index("ix_attempts_creating", attempts.c.created_at,
      sqlite_where=text("state = 'creating'"), postgresql_where=text("state = 'creating'"),
)  # fmt: skip

payments = Table(
    "payments",
    metadata,
    # One row per paid session: the session is the key, however often it is reported.
    Column("stripe_session_id", String(255), primary_key=True),
    Column("stripe_payment_intent_id", String(255), nullable=True, unique=True),
    Column("stripe_charge_id", String(255), nullable=True),
    Column("command_id", ForeignKey("commands.id"), nullable=False),
    Column("attempt_id", ForeignKey("attempts.id"), nullable=False),
    _minor("amount_minor"),
    Column("currency", String(3), nullable=False),
    Column("method", String(80), nullable=True),
    Column("outcome", String(10), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False, server_default="0"),
    Column("disputed", Boolean, nullable=False),
    # When Stripe was asked for what stands here: an older reading never overwrites a newer one.
    _at("as_of"),
    _at("created_at"),
    _one_of("outcome", "applied", "duplicate", "mismatch", "late"),
    CheckConstraint("refunded_minor >= 0 AND refunded_minor <= amount_minor", name="refunded"),
    Index("ix_payments_command_id", "command_id"),
)
Index(
    "one_applied_payment",
    payments.c.command_id,
    unique=True,
    sqlite_where=text("outcome = 'applied'"),
    postgresql_where=text("outcome = 'applied'"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("stripe_refund_id", String(255), nullable=True, unique=True),
    Column("stripe_session_id", ForeignKey("payments.stripe_session_id"), nullable=False),
    Column("command_id", ForeignKey("commands.id"), nullable=False),
    _minor("amount_minor"),
    Column("state", String(10), nullable=False),
    Column("origin", String(10), nullable=False),
    Column("reason", String(200), nullable=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    # When the worker asks Stripe for it (again); NULL once Stripe knows it.
    _at("next_at", nullable=True),
    Column("last_error", String(200), nullable=True),
    _at("created_at"),
    _at("updated_at"),
    _one_of("state", "creating", "pending", "succeeded", "failed", "canceled"),
    _one_of("origin", "shop", "stripe", "duplicate", "late"),
    CheckConstraint("amount_minor > 0", name="amount"),
    Index("ix_refunds_command_id", "command_id"),
    Index("ix_refunds_stripe_session_id", "stripe_session_id"),
)
Index("ix_refunds_creating", refunds.c.next_at,
      sqlite_where=text("state = 'creating'"), postgresql_where=text("state = 'creating'"),
)  # fmt: skip

events = Table(
    "events",
    metadata,
    # The inbox: stored, then acknowledged, then handled. The row is the queue.
    Column("stripe_event_id", String(255), primary_key=True),
    Column("type", String(80), nullable=False),
    Column("object_id", String(255), nullable=True),
    Column("stripe_session_id", String(255), nullable=True),
    Column("stripe_payment_intent_id", String(255), nullable=True),
    Column("command_id", String(24), nullable=True),
    Column("payload", JSON, nullable=False),
    Column("state", String(8), nullable=False),
    Column("source", String(10), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("deliveries", Integer, nullable=False, server_default="1"),
    _at("next_at", nullable=True),
    Column("last_error", String(200), nullable=True),
    _at("occurred_at"),
    _at("received_at"),
    _at("handled_at", nullable=True),
    _one_of("state", "pending", "done", "ignored", "foreign", "dead"),
    _one_of("source", "webhook", "reconcile"),
    Index("ix_events_received_at", "received_at"),
    Index("ix_events_stripe_payment_intent_id", "stripe_payment_intent_id"),
)
Index("ix_events_waiting", events.c.next_at,
      sqlite_where=text("next_at IS NOT NULL"), postgresql_where=text("next_at IS NOT NULL"),
)  # fmt: skip

messages = Table(
    "messages",
    metadata,
    # The outbox: written in the transaction that makes the fact; the key makes it one effect.
    Column("key", String(120), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("command_id", ForeignKey("commands.id"), nullable=False),
    Column("state", String(8), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    _at("next_at", nullable=True),
    Column("last_error", String(200), nullable=True),
    _at("created_at"),
    _at("sent_at", nullable=True),
    # held: perhaps sent before a backup was restored; a person decides.
    _one_of("state", "pending", "held", "sent", "skipped", "dead"),
    Index("ix_messages_command_id", "command_id"),
)
Index("ix_messages_pending", messages.c.next_at,
      sqlite_where=text("state = 'pending'"), postgresql_where=text("state = 'pending'"),
)  # fmt: skip

history = Table(
    "history",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("command_id", ForeignKey("commands.id"), nullable=False),
    _at("at"),
    Column("kind", String(40), nullable=False),
    Column("source", String(20), nullable=False),
    Column("detail", JSON, nullable=False),
    # One line per fact, however often the fact arrives.
    Column("fact", String(300), nullable=False, unique=True),
    Index("ix_history_command_id", "command_id", "id"),
)

discrepancies = Table(
    "discrepancies",
    metadata,
    # What Stripe and we told differently ("écarts"): healed by itself, or for a person.
    Column("fact", String(300), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("command_id", String(24), nullable=True),
    Column("stripe_session_id", String(255), nullable=True),
    Column("stripe_payment_intent_id", String(255), nullable=True),
    Column("detail", JSON, nullable=False),
    _at("found_at"),
    _at("healed_at", nullable=True),
    # What was done about it, in a word.
    Column("remedy", String(40), nullable=True),
    Index("ix_discrepancies_found_at", "found_at"),
)
Index("ix_discrepancies_open", discrepancies.c.found_at,
      sqlite_where=text("healed_at IS NULL"), postgresql_where=text("healed_at IS NULL"),
)  # fmt: skip

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # SHA-256 of the caller's key: it may hold anything.
    Column("key", String(64), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    # No foreign key: the key is claimed first, so that of two callers one waits for the other.
    Column("command_id", String(24), nullable=False),
    _at("created_at"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(40), primary_key=True),
    _at("at"),
    Column("detail", JSON, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(80), primary_key=True),
    _at("started_at"),
    _at("beat_at"),
    Index("ix_workers_beat_at", "beat_at"),
)
