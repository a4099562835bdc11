"""Forbidden writes in plain SQL, each with the guard of the database that must refuse it."""

from dataclasses import dataclass

from commande.db import tables


@dataclass(frozen=True)
class Forbidden:
    """One statement that must fail, and the guards (on which table) without which it passes."""

    sql: str
    table: str
    guards: tuple[str, ...]


def copy(table: str, where: str = "TRUE", **changes: str) -> str:
    """An INSERT of one row that stands already, with some columns changed (SQL expressions)."""
    names = [column.name for column in tables.metadata.tables[table].columns]
    if table == "history":
        names.remove("id")
    values = ", ".join(changes.get(name, name) for name in names)
    into = f"INSERT INTO {table} ({', '.join(names)})"
    return f"{into} SELECT {values} FROM {table} WHERE {where} ORDER BY {table}.{names[0]} LIMIT 1"


PAID = "paid_at IS NOT NULL"
OPEN = "state = 'open'"
CREATING = "id IN (SELECT min(id) FROM attempts WHERE state = 'creating')"
# A paid command that no other row refers to, so that only a trigger can keep it.
CHILDLESS = "id = 'childless'"
NEW_COMMAND = {"id": "'new'", "ref": "'#NEW'", "paid_session_id": "NULL"}
NEW_ATTEMPT = {
    "id": "'new'", "number": "number + 9", "idempotency_key": "'new'",
    "stripe_session_id": "'cs_new'",
}  # fmt: skip
NEW_PAYMENT = {
    "stripe_session_id": "'cs_new'", "stripe_payment_intent_id": "NULL", "outcome": "'duplicate'",
}  # fmt: skip
NEW_REFUND = {"key": "'new'", "stripe_refund_id": "NULL"}


def _without(given: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in given.items() if key != name}


def _rule(table: str, guard: str, sql: str, *more: str) -> Forbidden:
    return Forbidden(sql, table, (guard, *more))


_FROZEN = "commands_frozen_once_paid"
_UNPAY = (
    "UPDATE commands SET paid_at = NULL, snapshot = NULL, paid_session_id = NULL, status = 'unpaid'"
    f" WHERE {PAID}"
)

TRIGGERED = {
    "a_snapshot_never_changes": _rule(
        "commands", _FROZEN, f"UPDATE commands SET snapshot = '{{}}' WHERE {PAID}"
    ),
    "the_moment_of_payment_never_changes": _rule(
        "commands", _FROZEN, f"UPDATE commands SET paid_at = created_at WHERE {PAID}"
    ),
    "a_paid_command_is_never_unpaid": _rule("commands", _FROZEN, _UNPAY, "commands_status_moves"),
    "the_paid_session_never_changes": _rule(
        "commands", _FROZEN, f"UPDATE commands SET paid_session_id = 'cs_other' WHERE {CHILDLESS}"
    ),
    "a_paid_currency_never_changes": _rule(
        "commands", _FROZEN, f"UPDATE commands SET currency = 'usd' WHERE {PAID}"
    ),
    "a_paid_cart_never_changes": _rule(
        "commands", _FROZEN, f"UPDATE commands SET cart = '[]' WHERE {PAID}"
    ),
    "a_status_moves_along_the_table": _rule(
        "commands", "commands_status_moves",
        "UPDATE commands SET status = 'unpaid' WHERE status = 'expired'",
    ),
    "a_paid_command_is_never_deleted": _rule(
        "commands", "commands_paid_stay", f"DELETE FROM commands WHERE {CHILDLESS}"
    ),
    "a_payable_command_is_never_deleted": _rule(
        "commands", "commands_live_stay",
        f"DELETE FROM commands WHERE id IN (SELECT command_id FROM attempts WHERE {OPEN})",
        "foreign keys",
    ),
    "a_session_stays_with_its_attempt": _rule(
        "attempts", "attempts_session_stays",
        f"UPDATE attempts SET stripe_session_id = 'cs_other' WHERE {OPEN}",
    ),
    "an_open_attempts_amount_never_changes": _rule(
        "attempts", "attempts_terms_frozen",
        f"UPDATE attempts SET amount_minor = amount_minor - 1 WHERE {OPEN}",
    ),
    "an_open_attempts_quote_never_changes": _rule(
        "attempts", "attempts_terms_frozen", f"UPDATE attempts SET quote = '{{}}' WHERE {OPEN}"
    ),
    "an_open_attempts_parameters_never_change": _rule(
        "attempts", "attempts_parameters_frozen",
        f"UPDATE attempts SET parameters = '{{\"a\": 1}}' WHERE {OPEN}",
    ),
    "an_attempt_is_never_deleted": _rule(
        "attempts", "attempts_stay", f"DELETE FROM attempts WHERE {CREATING}"
    ),
    "a_payment_is_never_deleted": _rule(
        "payments", "payments_stay", "DELETE FROM payments", "foreign keys"
    ),
    "a_refund_is_never_deleted": _rule("refunds", "refunds_stay", "DELETE FROM refunds"),
    "refunds_never_exceed_their_payment": _rule(
        "refunds", "refunds_within_payment",
        copy("refunds", amount_minor="3800", **NEW_REFUND),
    ),
    "a_refund_never_grows_beyond_its_payment": _rule(
        "refunds", "refunds_stay_within_payment", "UPDATE refunds SET amount_minor = 3900"
    ),
    "history_is_never_rewritten": _rule(
        "history", "history_unchanged", "UPDATE history SET detail = '{}'"
    ),
    "history_is_never_deleted": _rule("history", "history_stays", "DELETE FROM history"),
} | {
    f"an_attempts_{column}_never_changes": _rule(
        "attempts", "attempts_frozen", f"UPDATE attempts SET {column} = {value} WHERE {CREATING}"
    )
    for column, value in {
        "id": "'other'",
        "command_id": "'childless'",
        "number": "7",
        "idempotency_key": "'other'",
        "livemode": "TRUE",
        "currency": "'usd'",
    }.items()
} | {
    f"a_payments_{column}_never_changes": _rule(
        "payments", "payments_frozen", f"UPDATE payments SET {column} = {value}", "foreign keys"
    )
    for column, value in {
        "stripe_session_id": "'cs_other'",
        "command_id": f"(SELECT min(id) FROM commands WHERE NOT {PAID})",
        "attempt_id": f"(SELECT min(id) FROM attempts WHERE {OPEN})",
        "amount_minor": "amount_minor + 1",
        "currency": "'usd'",
        "outcome": "'duplicate'",
    }.items()
}  # fmt: skip

# Only PostgreSQL can empty a table in one go.
TRUNCATED = {
    f"{table}_are_never_emptied": _rule(table, f"{table}_not_emptied", f"TRUNCATE {table} CASCADE")
    for table in ("refunds", "history")
} | {
    "payments_are_never_emptied": _rule(
        "payments", "payments_not_emptied", "TRUNCATE payments CASCADE", "refunds_not_emptied"
    ),
    "attempts_are_never_emptied": _rule(
        "attempts", "attempts_not_emptied", "TRUNCATE attempts CASCADE",
        "payments_not_emptied", "refunds_not_emptied",
    ),
}  # fmt: skip

# Only SQLite can delete by inserting.
REPLACED = {
    "a_paid_command_is_never_replaced": _rule(
        "commands", "commands_paid_stay",
        copy("commands", CHILDLESS).replace("INSERT", "INSERT OR REPLACE"),
    ),
    "a_line_of_history_is_never_replaced": _rule(
        "history", "history_stays",
        copy("history").replace("INSERT", "INSERT OR REPLACE"),
    ),
}  # fmt: skip

CHECKED = {
    "stock": _rule("products", "ck_products_stock", "UPDATE products SET stock = -1"),
    "price": _rule("prices", "ck_prices_amount", "UPDATE prices SET amount_minor = -1"),
    "status": _rule(
        "commands", "ck_commands_status",
        copy("commands", f"NOT ({PAID})", status="'lost'", **NEW_COMMAND),
    ),
    "paid_without_snapshot": _rule(
        "commands", "ck_commands_paid_has_snapshot",
        copy("commands", f"NOT ({PAID})", status="'paid'", **NEW_COMMAND),
    ),
    "snapshot_without_payment": _rule(
        "commands", "ck_commands_paid_has_snapshot",
        f"UPDATE commands SET snapshot = '{{}}' WHERE NOT ({PAID})",
    ),
    "moment_without_session": _rule(
        "commands", "ck_commands_paid_has_snapshot",
        f"UPDATE commands SET paid_at = created_at, snapshot = '{{}}' WHERE NOT ({PAID})",
    ),
    "payment_without_status": _rule(
        "commands", "ck_commands_paid_has_snapshot",
        copy("commands", PAID, status="'unpaid'", **NEW_COMMAND | {"paid_session_id": "'cs_new'"}),
    ),
    "refunded": _rule(
        "commands", "ck_commands_refunded", "UPDATE commands SET refunded_minor = -1"
    ),
    "refunded_beyond_what_was_paid": _rule(
        "commands", "ck_commands_refunded",
        f"UPDATE commands SET refunded_minor = 1000000000000 WHERE {PAID}",
    ),
    "refunded_unpaid": _rule(
        "commands", "ck_commands_refunded",
        f"UPDATE commands SET refunded_minor = 1 WHERE NOT ({PAID})",
    ),
    "erased": _rule(
        "commands", "ck_commands_erased",
        "UPDATE commands SET customer = NULL WHERE erased_at IS NULL",
    ),
    "attempt_state": _rule(
        "attempts", "ck_attempts_state", f"UPDATE attempts SET state = 'lost' WHERE {OPEN}"
    ),
    "attempt_amount": _rule(
        "attempts", "ck_attempts_amount", f"UPDATE attempts SET amount_minor = 0 WHERE {CREATING}"
    ),
    "open_without_session": _rule(
        "attempts", "ck_attempts_open_has_session",
        f"UPDATE attempts SET state = 'open' WHERE {CREATING}",
    ),
    "payment_outcome": _rule(
        "payments", "ck_payments_outcome",
        copy("payments", **NEW_PAYMENT | {"outcome": "'lost'"}),
    ),
    "refunded_beyond": _rule(
        "payments", "ck_payments_refunded", "UPDATE payments SET refunded_minor = amount_minor + 1"
    ),
    "refunded_below": _rule(
        "payments", "ck_payments_refunded", "UPDATE payments SET refunded_minor = -1"
    ),
    "refund_state": _rule("refunds", "ck_refunds_state", "UPDATE refunds SET state = 'lost'"),
    "refund_origin": _rule("refunds", "ck_refunds_origin", "UPDATE refunds SET origin = 'lost'"),
    "refund_amount": _rule("refunds", "ck_refunds_amount", "UPDATE refunds SET amount_minor = 0"),
    "event_state": _rule("events", "ck_events_state", "UPDATE events SET state = 'lost'"),
    "event_source": _rule("events", "ck_events_source", "UPDATE events SET source = 'lost'"),
    "message_state": _rule("messages", "ck_messages_state", "UPDATE messages SET state = 'lost'"),
}  # fmt: skip

INDEXED = {
    "one_default_price": _rule(
        "prices", "one_default_price", "UPDATE prices SET is_default = TRUE"
    ),
    "one_live_attempt_beside_an_open_one": _rule(
        "attempts", "one_live_attempt", copy("attempts", OPEN, **NEW_ATTEMPT)
    ),
    "one_live_attempt_beside_one_in_the_making": _rule(
        "attempts", "one_live_attempt", copy("attempts", CREATING, **NEW_ATTEMPT)
    ),
    "one_applied_payment": _rule(
        "payments", "one_applied_payment",
        copy("payments", **NEW_PAYMENT | {"outcome": "'applied'"}),
    ),
}  # fmt: skip

CLOSED_ATTEMPT = NEW_ATTEMPT | {"state": "'closed'"}
UNIQUE = {
    "module_type": _rule("modules", "uq_modules_type", copy("modules", id="'new'")),
    "ref": _rule(
        "commands", "uq_commands_ref",
        copy("commands", f"NOT ({PAID})", **_without(NEW_COMMAND, "ref")),
    ),
    "paid_session": _rule(
        "commands", "uq_commands_paid_session_id",
        copy("commands", PAID, **_without(NEW_COMMAND, "paid_session_id")),
    ),
    "attempt_number": _rule(
        "attempts", "uq_attempts_command_id_number",
        copy("attempts", OPEN, **_without(CLOSED_ATTEMPT, "number")),
    ),
    "idempotency_key": _rule(
        "attempts", "uq_attempts_idempotency_key",
        copy("attempts", OPEN, **_without(CLOSED_ATTEMPT, "idempotency_key")),
    ),
    "attempt_session": _rule(
        "attempts", "uq_attempts_stripe_session_id",
        copy("attempts", OPEN, **_without(CLOSED_ATTEMPT, "stripe_session_id")),
    ),
    "payment_intent": _rule(
        "payments", "uq_payments_stripe_payment_intent_id",
        copy("payments", **_without(NEW_PAYMENT, "stripe_payment_intent_id")),
    ),
    "refund_id": _rule(
        "refunds", "uq_refunds_stripe_refund_id", copy("refunds", key="'new'", amount_minor="1")
    ),
    "fact": _rule("history", "uq_history_fact", copy("history")),
    "module_id": _rule("modules", "pk_modules", copy("modules", type="'new'")),
    "product_id": _rule("products", "pk_products", copy("products")),
    "price": _rule("prices", "pk_prices", copy("prices", is_default="FALSE")),
    "tax_rate": _rule("tax_rates", "pk_tax_rates", copy("tax_rates")),
    "command_id": _rule(
        "commands", "pk_commands", copy("commands", PAID, **_without(NEW_COMMAND, "id"),
                                        status="'unpaid'", snapshot="NULL", paid_at="NULL"),
    ),
    "attempt_id": _rule(
        "attempts", "pk_attempts", copy("attempts", OPEN, **_without(CLOSED_ATTEMPT, "id"))
    ),
    "payment_session": _rule(
        "payments", "pk_payments", copy("payments", **_without(NEW_PAYMENT, "stripe_session_id"))
    ),
    "refund_key": _rule(
        "refunds", "pk_refunds", copy("refunds", stripe_refund_id="NULL", amount_minor="1")
    ),
    "event_id": _rule("events", "pk_events", copy("events")),
    "message_key": _rule("messages", "pk_messages", copy("messages")),
    "line_of_history": _rule(
        "history", "pk_history",
        "INSERT INTO history (id, command_id, at, kind, source, detail, fact)"
        " SELECT id, command_id, at, kind, source, detail, 'new' FROM history LIMIT 1",
    ),
    "claim": _rule("idempotency_keys", "pk_idempotency_keys", copy("idempotency_keys")),
    "discrepancy": _rule("discrepancies", "pk_discrepancies", copy("discrepancies")),
    "cursor": _rule("cursors", "pk_cursors", copy("cursors")),
    "worker": _rule("workers", "pk_workers", copy("workers")),
}  # fmt: skip

REFERRING = {
    "price_of_no_product": _rule(
        "prices", "fk_prices_product_id", copy("prices", product_id="'none'")
    ),
    "command_of_no_module": _rule(
        "commands", "fk_commands_module_id", "UPDATE commands SET module_id = 'none'"
    ),
    "attempt_of_no_command": _rule(
        "attempts", "fk_attempts_command_id",
        copy("attempts", OPEN, command_id="'none'", **NEW_ATTEMPT),
    ),
    "payment_of_no_command": _rule(
        "payments", "fk_payments_command_id", copy("payments", command_id="'none'", **NEW_PAYMENT)
    ),
    "payment_of_no_attempt": _rule(
        "payments", "fk_payments_attempt_id", copy("payments", attempt_id="'none'", **NEW_PAYMENT)
    ),
    "refund_of_no_payment": _rule(
        "refunds", "fk_refunds_stripe_session_id",
        copy("refunds", stripe_session_id="'none'", **NEW_REFUND),
    ),
    "refund_of_no_command": _rule(
        "refunds", "fk_refunds_command_id",
        copy("refunds", command_id="'none'", amount_minor="1", **NEW_REFUND),
    ),
    "message_of_no_command": _rule(
        "messages", "fk_messages_command_id", copy("messages", key="'new'", command_id="'none'")
    ),
    "history_of_no_command": _rule(
        "history", "fk_history_command_id", copy("history", fact="'new'", command_id="'none'")
    ),
}  # fmt: skip

ADD_CHILDLESS = copy(
    "commands", PAID, id="'childless'", ref="'#CHILD'", paid_session_id="'cs_childless'"
)
