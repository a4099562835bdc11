"""What the world's copy of the database writes down of every change, whoever makes it."""

from typing import Final

_TABLE: Final = """
    CREATE TABLE watched (
        seq INTEGER PRIMARY KEY, what TEXT NOT NULL, id TEXT NOT NULL,
        one TEXT, two TEXT, three TEXT, four TEXT)
"""
_SAW: Final = "INSERT INTO watched (what, id, one, two, three, four) VALUES"
TRIGGERS: Final = (
    _TABLE,
    f"""CREATE TRIGGER watch_commands AFTER UPDATE OF status, snapshot, paid_session_id
        ON commands FOR EACH ROW WHEN OLD.status <> NEW.status OR OLD.snapshot IS NOT NEW.snapshot
        OR OLD.paid_session_id IS NOT NEW.paid_session_id
        BEGIN {_SAW} ('command', NEW.id, OLD.status, NEW.status, NEW.paid_session_id,
        OLD.snapshot IS NOT NULL AND (OLD.snapshot IS NOT NEW.snapshot
        OR OLD.paid_session_id IS NOT NEW.paid_session_id)); END""",
    f"""CREATE TRIGGER watch_deletes AFTER DELETE ON commands FOR EACH ROW
        BEGIN {_SAW} ('deleted', OLD.id, OLD.status, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER watch_payments AFTER INSERT ON payments FOR EACH ROW
        BEGIN {_SAW} ('payment', NEW.stripe_session_id, NEW.command_id, NEW.outcome,
        NEW.amount_minor, NEW.currency); END""",
    f"""CREATE TRIGGER watch_letters AFTER INSERT ON messages FOR EACH ROW
        BEGIN {_SAW} ('letter', NEW.key, NEW.kind, NEW.command_id, NULL, NULL); END""",
    f"""CREATE TRIGGER watch_events AFTER UPDATE OF state, last_error ON events FOR EACH ROW
        BEGIN {_SAW} ('event', NEW.stripe_event_id, NEW.state, NEW.last_error, NEW.type,
        NEW.stripe_session_id); END""",
    f"""CREATE TRIGGER watch_facts AFTER INSERT ON history FOR EACH ROW
        BEGIN {_SAW} ('fact', NEW.command_id, NEW.kind, NEW.source, NEW.detail, NULL); END""",
)
