"""The outbox: letters to send, written in the transaction that makes the fact."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from commande.core.letter import Kind
from commande.db.commands import change_command, lock_command
from commande.db.journal import record
from commande.db.sql import constant, insert_once
from commande.db.tables import messages

# 1 min, 2, 4 … about two days in all; then a person must look.
MAX_TRIES: Final = 12
# Longer than any send may take: a sender that died gives its letters back.
LEASE: Final = timedelta(seconds=60)
# A hand small enough to be sent within the lease one by one, even when each takes its whole time.
CLAIMED: Final = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One claimed letter."""

    key: str
    kind: Kind
    command_id: str
    tries: int


# Built once, with bound parameters: building one costs several times as much as running it.
_PENDING: Final = messages.c.state == constant("pending")
_DUE: Final = _PENDING & (messages.c.next_at <= bindparam("now"))
_IS_DUE: Final = select(messages.c.key).where(_DUE).limit(1)
_DUE_FIRST: Final = (
    select(messages.c.key, messages.c.kind, messages.c.command_id, messages.c.tries)
    .where(_DUE)
    .order_by(messages.c.next_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TAKE: Final = (
    update(messages).where(messages.c.key == bindparam("taken")).values(tries=messages.c.tries + 1)
)
_CHANGE: Final = update(messages).where(messages.c.key == bindparam("message"), _PENDING)


def post_message(conn: Connection, key: str, kind: Kind, command_id: str, now: datetime) -> bool:
    """Queue a letter; the key makes it one, however often the fact arrives."""
    row = {"key": key, "kind": kind, "command_id": command_id, "state": "pending"}
    return insert_once(conn, messages, row | {"tries": 0, "next_at": now, "created_at": now})


def hold_message(conn: Connection, key: str, kind: Kind, command_id: str, now: datetime) -> bool:
    """Note a letter that may have been sent before rows were lost: a person decides."""
    row = {"key": key, "kind": kind, "command_id": command_id, "state": "held"}
    held = insert_once(conn, messages, row | {"tries": 0, "created_at": now})
    if held:
        record(conn, command_id, now, "mail_held", "shop", once=key, letter=kind)
    return held


def hold_waiting(conn: Connection, now: datetime) -> int:
    """Hold every letter that waits: in a restored copy it may have left after the copy was made.

    How many there were. Repeat-safe.
    """
    query = select(messages.c.key, messages.c.kind, messages.c.command_id)
    waiting = conn.execute(query.where(_PENDING).order_by(messages.c.key)).all()
    for row in waiting:
        if conn.execute(_CHANGE, {"message": row.key, "state": "held", "next_at": None}).rowcount:
            record(conn, row.command_id, now, "mail_held", "shop", once=row.key, letter=row.kind)
    return len(waiting)


def release_messages(conn: Connection, command_id: str, now: datetime) -> int:
    """A person wants the held letters of a command sent; how many there were."""
    match = (messages.c.command_id == command_id) & (messages.c.state == "held")
    values = {"state": "pending", "next_at": now}
    return conn.execute(update(messages).where(match).values(values)).rowcount


def messages_due(conn: Connection, now: datetime) -> bool:
    """Whether a letter is due: a read, so that an idle worker writes nothing."""
    return conn.execute(_IS_DUE, {"now": now}).first() is not None


def claim_messages(conn: Connection, now: datetime, limit: int = CLAIMED) -> list[Message]:
    """Take due letters for a minute; two senders never hold the same one."""
    claimed = [Message(*row) for row in conn.execute(_DUE_FIRST, {"most": limit, "now": now})]
    if claimed:
        conn.execute(_TAKE, [{"taken": each.key, "next_at": now + LEASE} for each in claimed])
    return claimed


def finish_message(conn: Connection, message: Message, state: str, now: datetime) -> None:
    """Mark a letter sent or skipped, with its line in the history. Repeat-safe."""
    values = {"state": state, "next_at": None, "sent_at": now, "last_error": None}
    if conn.execute(_CHANGE, values | {"message": message.key}).rowcount:
        record(
            conn, message.command_id, now, f"mail_{state}", "worker",
            once=message.key, letter=message.kind,
        )  # fmt: skip


def delay_message(conn: Connection, message: Message, error: str, now: datetime) -> None:
    """Try again later, or give up after the last try and show it."""
    tries = message.tries + 1
    dead = tries >= MAX_TRIES
    values = {
        "state": "dead" if dead else "pending",
        "next_at": None if dead else now + timedelta(minutes=2 ** min(tries - 1, 8)),
        "last_error": error[:200],
    }
    if conn.execute(_CHANGE, values | {"message": message.key}).rowcount and dead:
        record(conn, message.command_id, now, "mail_failed", "worker", once=message.key,
               letter=message.kind)  # fmt: skip
        command = lock_command(conn, message.command_id)
        if command is not None and command.attention is None:
            change_command(conn, command, now, attention="mail_failed")


def count_messages(conn: Connection) -> dict[str, int]:
    """How many letters there are in each state."""
    query = select(messages.c.state, func.count()).group_by(messages.c.state)
    return dict(conn.execute(query).all())
