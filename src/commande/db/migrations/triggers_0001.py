"""The triggers as revision 0001 made them. Frozen: a later revision brings a file of its own.

Every refusal is an integrity error on both databases. SQLite aborts the statement alone: ROLLBACK
would end the transaction of the neighbours in its group.
"""

from typing import Final

# Every move of core.command.TRANSITIONS, as it stood. Standing still is no move.
_MOVES: Final = """
    (OLD.status = 'unpaid' AND NEW.status IN
        ('processing', 'expiring', 'paid', 'partially_refunded', 'refunded'))
    OR (OLD.status = 'processing' AND NEW.status IN
        ('unpaid', 'paid', 'partially_refunded', 'refunded'))
    OR (OLD.status = 'expiring' AND NEW.status IN
        ('unpaid', 'processing', 'expired', 'paid', 'partially_refunded', 'refunded'))
    OR (OLD.status = 'expired' AND NEW.status IN
        ('processing', 'paid', 'partially_refunded', 'refunded'))
    OR (OLD.status = 'paid' AND NEW.status IN ('partially_refunded', 'refunded'))
    OR (OLD.status = 'partially_refunded' AND NEW.status IN ('paid', 'refunded'))
    OR (OLD.status = 'refunded' AND NEW.status IN ('paid', 'partially_refunded'))
"""

# A refund that failed or was canceled moved no money.
_GIVEN_BACK: Final = """
    SELECT coalesce(sum(amount_minor), 0) FROM refunds
    WHERE stripe_session_id = NEW.stripe_session_id AND state NOT IN ('failed', 'canceled')
"""

_LIVE: Final = """
    SELECT 1 FROM attempts
    WHERE command_id = OLD.id AND state IN ('creating', 'open', 'complete')
"""


def _changed(*columns: str) -> str:
    # As text, since PostgreSQL compares no json; two spellings of one document are a change too.
    return " OR ".join(
        f"CAST(OLD.{name} AS TEXT) IS DISTINCT FROM CAST(NEW.{name} AS TEXT)" for name in columns
    )


# name, table, moment, condition, what the refused caller reads; the same on both databases.
_RULES: Final = (
    (
        "commands_frozen_once_paid",
        "commands",
        "BEFORE UPDATE",
        (
            "OLD.snapshot IS NOT NULL AND"
            f" ({_changed('id', 'snapshot', 'paid_at', 'paid_session_id', 'currency', 'cart')})"
        ),
        "what a paid command was paid for never changes",
    ),
    (
        "commands_status_moves",
        "commands",
        "BEFORE UPDATE OF status",
        f"OLD.status <> NEW.status AND NOT ({_MOVES})",
        "the status of a command moves along the transition table only",
    ),
    (
        "commands_paid_stay",
        "commands",
        "BEFORE DELETE",
        "OLD.paid_at IS NOT NULL",
        "a paid command is never deleted",
    ),
    (
        "attempts_frozen",
        "attempts",
        "BEFORE UPDATE",
        _changed("id", "command_id", "number", "idempotency_key", "livemode", "currency"),
        "an attempt keeps what it was made with",
    ),
    (
        "attempts_session_stays",
        "attempts",
        "BEFORE UPDATE OF stripe_session_id",
        f"OLD.stripe_session_id IS NOT NULL AND ({_changed('stripe_session_id')})",
        "a session belongs to its attempt for ever",
    ),
    (
        "attempts_terms_frozen",
        "attempts",
        "BEFORE UPDATE OF quote, amount_minor",
        f"OLD.state <> 'creating' AND ({_changed('quote', 'amount_minor')})",
        "quote and amount stand once the session is made",
    ),
    (
        "attempts_parameters_frozen",
        "attempts",
        "BEFORE UPDATE OF parameters",
        (
            "OLD.state <> 'creating' AND CAST(NEW.parameters AS TEXT) <> '{}'"
            f" AND ({_changed('parameters')})"
        ),
        "parameters stand once the session is made, or are erased",
    ),
    ("attempts_stay", "attempts", "BEFORE DELETE", "TRUE", "an attempt is never deleted"),
    (
        "payments_frozen",
        "payments",
        "BEFORE UPDATE",
        _changed(
            "stripe_session_id", "command_id", "attempt_id", "amount_minor", "currency", "outcome"
        ),
        "what was paid, and what it was taken for, never changes",
    ),
    ("payments_stay", "payments", "BEFORE DELETE", "TRUE", "a payment is never deleted"),
    (
        "refunds_stay",
        "refunds",
        "BEFORE DELETE",
        "OLD.state NOT IN ('failed', 'canceled')",
        "a refund that may have moved money is never deleted",
    ),
    ("history_unchanged", "history", "BEFORE UPDATE", "TRUE", "history only grows"),
    ("history_stays", "history", "BEFORE DELETE", "TRUE", "history only grows"),
)

# A trigger's own condition may hold no query on PostgreSQL: these have a function there.
_LIVE_STAYS: Final = "a command that can still be paid is never deleted"
_WITHIN: Final = "refunds together never exceed the payment"
# After, not before: a refund that ON CONFLICT passes over was counted already.
_REFUND_MOMENTS: Final = {
    "refunds_within_payment": "INSERT",
    "refunds_stay_within_payment": "UPDATE OF stripe_session_id, amount_minor, state",
}


def _sqlite(name: str, table: str, moment: str, condition: str, message: str) -> str:
    condition = condition.replace(" IS DISTINCT FROM ", " IS NOT ")
    return (
        f"CREATE TRIGGER {name} {moment} ON {table} FOR EACH ROW WHEN {condition}"
        f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _postgresql(name: str, table: str, moment: str, condition: str, message: str) -> str:
    return (
        f"CREATE TRIGGER {name} {moment} ON {table} FOR EACH ROW WHEN ({condition})"
        f" EXECUTE FUNCTION refuse('{message}')"
    )


_PAID: Final = "SELECT amount_minor FROM payments WHERE stripe_session_id = NEW.stripe_session_id"

SQLITE: Final = (
    *(_sqlite(*rule) for rule in _RULES),
    _sqlite("commands_live_stay", "commands", "BEFORE DELETE", f"EXISTS ({_LIVE})", _LIVE_STAYS),
    *(
        _sqlite(name, "refunds", f"AFTER {moment}", f"({_GIVEN_BACK}) > ({_PAID})", _WITHIN)
        for name, moment in _REFUND_MOMENTS.items()
    ),
)

_REFUSAL: Final = (
    "RAISE EXCEPTION '%', TG_ARGV[0]"
    " USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME"
)

_REFUSE: Final = f"""
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {_REFUSAL}; END $$
"""

# search_path: a function that names tables must find them also while a backup is restored.
_REFUSE_IF_LIVE: Final = f"""
    CREATE FUNCTION refuse_if_live() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
    BEGIN
        IF EXISTS ({_LIVE}) THEN {_REFUSAL}; END IF;
        RETURN OLD;
    END $$
"""

# The payment's row is the lock: of two refunds at once the second one counts the first.
# NO KEY: both hold its key already, for their foreign key, and would wait for each other.
_REFUSE_BEYOND_PAYMENT: Final = f"""
    CREATE FUNCTION refuse_beyond_payment() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
    BEGIN
        PERFORM ({_PAID} FOR NO KEY UPDATE);
        IF ({_GIVEN_BACK}) > ({_PAID}) THEN {_REFUSAL}; END IF;
        RETURN NULL;
    END $$
"""

_FUNCTION_TRIGGERS: Final = (
    ("commands_live_stay", "BEFORE DELETE ON commands", f"refuse_if_live('{_LIVE_STAYS}')"),
    *(
        (name, f"AFTER {moment} ON refunds", f"refuse_beyond_payment('{_WITHIN}')")
        for name, moment in _REFUND_MOMENTS.items()
    ),
)

POSTGRESQL: Final = (
    _REFUSE,
    _REFUSE_IF_LIVE,
    _REFUSE_BEYOND_PAYMENT,
    *(_postgresql(*rule) for rule in _RULES),
    *(
        f"CREATE TRIGGER {name} {moment} FOR EACH ROW EXECUTE FUNCTION {call}"
        for name, moment, call in _FUNCTION_TRIGGERS
    ),
    # A table can also be emptied without one DELETE.
    *(
        f"CREATE TRIGGER {table}_not_emptied BEFORE TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION refuse('{table} are never emptied')"
        for table in ("attempts", "payments", "refunds", "history")
    ),
)
