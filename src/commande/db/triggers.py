"""The triggers: what no constraint can say. The database itself refuses, whoever asks.

A paid command's snapshot, a payment, an attempt's terms and the history never change; statuses
move along the transition table; refunds never exceed their payment.
"""

from typing import Final

from sqlalchemy import Connection

# Those of the newest revision that changed any: a later one brings all of them in its own file.
from commande.db.migrations.triggers_0001 import POSTGRESQL, SQLITE

TRIGGERS: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def create_triggers(conn: Connection) -> None:
    """Create all triggers on tables that have none."""
    for statement in TRIGGERS[conn.dialect.name]:
        conn.exec_driver_sql(statement)
