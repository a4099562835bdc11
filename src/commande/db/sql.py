"""The few SQL habits that both databases share."""

from typing import Any

from sqlalchemy import Connection, CursorResult, Table, Update
from sqlalchemy.dialects import postgresql, sqlite


class NothingChanged(Exception):
    """An UPDATE that bears money or state matched no row: our picture of the row was wrong.

    Never caught in ``db``: the transaction rolls back and the caller re-reads.
    """


def insert_once(conn: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert unless a unique key already stands; whether it was inserted.

    On PostgreSQL this waits for a concurrent transaction that holds the same key.
    """
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    result = conn.execute(insert(table).values(values).on_conflict_do_nothing())
    return result.rowcount == 1


def change_one(conn: Connection, statement: Update) -> None:
    """Run an UPDATE that must change exactly one row. Raises NothingChanged."""
    result: CursorResult[Any] = conn.execute(statement)
    if result.rowcount != 1:
        raise NothingChanged(f"{result.rowcount} rows of {statement.table}")
