"""Altering a table in a later revision, on both databases, without losing its triggers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import op
from alembic.operations import BatchOperations


@contextmanager
def alter_table(table: str, **options: Any) -> Iterator[BatchOperations]:
    """Like ``op.batch_alter_table``, but SQLite's triggers survive that it rebuilds the table.

    They go away with the old table, and those of other tables that name it would refuse the
    renaming of the new one: so all of them are taken down and put up again as they were.
    """
    conn = op.get_bind()
    triggers = []
    if conn.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        triggers = list(conn.exec_driver_sql(query))
    for name, _ in triggers:
        conn.exec_driver_sql(f"DROP TRIGGER {name}")
    with op.batch_alter_table(table, **options) as batch:
        yield batch
    for _, sql in triggers:
        conn.exec_driver_sql(sql)
