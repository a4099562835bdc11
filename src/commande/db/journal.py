"""The history: append-only, one line per fact, however often the fact arrives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from commande.db.sql import insert_once
from commande.db.tables import history

# Built once: asked with every return of a customer.
_STANDS: Final = select(history.c.id).where(history.c.fact == bindparam("line"))


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a command's history."""

    at: datetime
    kind: str
    source: str
    detail: dict[str, Any]


def record(
    conn: Connection,
    /,
    command_id: str,
    at: datetime,
    kind: str,
    source: str,
    *,
    once: str = "",
    **detail: Any,
) -> bool:
    """Add a line; whether it was new. ``once`` names the fact within its command and kind."""
    line = {
        "command_id": command_id,
        "at": at,
        "kind": kind,
        "source": source,
        "detail": detail,
        "fact": f"{command_id}:{kind}:{once}",
    }
    return insert_once(conn, history, line)


def read_history(conn: Connection, command_id: str) -> list[Fact]:
    """The command's lines, oldest first."""
    columns = (history.c.at, history.c.kind, history.c.source, history.c.detail)
    query = select(*columns).where(history.c.command_id == command_id).order_by(history.c.id)
    return [Fact(*row) for row in conn.execute(query)]


def has_fact(conn: Connection, command_id: str, kind: str, once: str = "") -> bool:
    """Whether that line stands already."""
    return conn.execute(_STANDS, {"line": f"{command_id}:{kind}:{once}"}).first() is not None
