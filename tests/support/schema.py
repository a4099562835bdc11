"""What a database really holds, read off the database, in words that two databases share."""

import hashlib
import re
from typing import Any

from sqlalchemy import Connection, inspect, text

FUNCTIONS = """
    SELECT proname, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
"""
POSTGRES_TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
"""
SQLITE_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


def schema_of(conn: Connection) -> dict[str, Any]:
    """Columns, keys, checks, indexes with their conditions, triggers and functions."""
    look = inspect(conn)
    tables = {
        table: {
            "columns": [_column(column) for column in look.get_columns(table)],
            "primary key": look.get_pk_constraint(table),
            "foreign keys": _by_name(look.get_foreign_keys(table)),
            "unique": _by_name(look.get_unique_constraints(table)),
            "checks": _by_name(look.get_check_constraints(table)),
            "indexes": _by_name(look.get_indexes(table)),
        }
        for table in look.get_table_names()
    }
    return {"tables": tables, "triggers": triggers_of(conn)}


def triggers_of(conn: Connection) -> dict[str, str]:
    """Triggers, and on PostgreSQL their functions, by name."""
    sqlite = conn.dialect.name == "sqlite"
    queries = [SQLITE_TRIGGERS] if sqlite else [POSTGRES_TRIGGERS, FUNCTIONS]
    return {name: _plain(sql) for query in queries for name, sql in conn.execute(text(query))}


def columns_of(conn: Connection) -> dict[str, list[str]]:
    """The names of each table's columns."""
    look = inspect(conn)
    return {
        table: [column["name"] for column in look.get_columns(table)]
        for table in sorted(look.get_table_names())
    }


def content_of(conn: Connection, known: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Of each table (and column) its number of rows and a hash of them, whatever their order."""
    content = {}
    for table, names in (known or columns_of(conn)).items():
        columns = ", ".join(f'CAST("{name}" AS TEXT)' for name in names)
        found = conn.execute(text(f"SELECT {columns} FROM {table}"))
        rows = sorted(repr(tuple(row)) for row in found)
        digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        content[table] = f"{len(rows)} {digest}"
    return content


def _column(column: Any) -> tuple[Any, ...]:
    return column["name"], str(column["type"]), column["nullable"], _plain(str(column["default"]))


def _by_name(found: list[Any]) -> dict[str, str]:
    return {entry["name"]: _plain(repr(_sorted(entry))) for entry in found}


def _sorted(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: _sorted(entry[key]) for key in sorted(entry)}
    return str(entry) if hasattr(entry, "compile") else entry


def _plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql.replace('"', "")).strip()
