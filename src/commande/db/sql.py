"""The few SQL habits that both databases share."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnClause, Connection, CursorResult, Insert, Table, Update, literal_column
from sqlalchemy.dialects import postgresql, sqlite


class NothingChanged(Exception):
    """An UPDATE that bears money or state matched no row: our picture of the row was wrong.

    Never caught in ``db``: the transaction rolls back and the caller re-reads.
    """


def constant(word: str) -> ColumnClause[str]:
    """A word of ours as part of a statement's text.

    With a parameter in its place SQLite plans the statement anew at every run, to see whether a
    partial index or a LIKE fits this time, and a plan that PostgreSQL keeps has no partial index.
    """
    return literal_column(f"'{word}'")


def insert_once(conn: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert unless a unique key already stands; whether it was inserted.

    On PostgreSQL this waits for a concurrent transaction that holds the same key.
    """
    return conn.execute(_insert_once(conn.dialect.name, table), values).rowcount == 1


@cache
def _insert_once(dialect: str, table: Table) -> Insert:
    # Built once: building a statement costs several times as much as running it.
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def locks_rows(conn: Connection) -> bool:
    """Whether rows must be locked before they are read: SQLite's writer is alone."""
    return conn.dialect.name != "sqlite"


def change_one(conn: Connection, statement: Update, values: dict[str, Any] | None = None) -> None:
    """Run an UPDATE that must change exactly one row. Raises NothingChanged.

    ``values`` are its bound parameters, and what it sets when it does not say so itself.
    """
    result: CursorResult[Any] = conn.execute(statement, values)
    if result.rowcount != 1:
        raise NothingChanged(f"{result.rowcount} rows of {statement.table}")
