"""Where a transaction function stops until the test lets it go on; and waiting for what it means.

Two things that must happen at the same time, or in this order, are made to: a pause that is long
enough on one machine is too short on another.
"""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from commande.db import Database

PATIENCE = 60.0  # seconds: reached only when something is wrong
_IN_LINE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Gate:
    """Stops whoever comes, on either database, until it is opened, or until so many came."""

    def __init__(self, opens_at: int | None = None) -> None:
        self.came = 0
        self._opens_at = opens_at
        self._opened = threading.Event()

    def stop(self, connection: Connection) -> None:
        """Called by a transaction function, in its transaction; raises when nobody opens."""
        self.came += 1
        if self.came == self._opens_at:
            self.open()
        if connection.dialect.name == "postgresql":
            # Its functions run in the test's loop: who waits there gives the loop back meanwhile.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await_only(until(self._opened.is_set, "the gate to open"))
        elif not self._opened.wait(PATIENCE):
            raise AssertionError(f"Waited {PATIENCE:.0f} s in vain for the gate to open")

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()


async def until(
    holds: Callable[[], Any | Awaitable[Any]], what: str, seconds: float = PATIENCE
) -> None:
    """Ask every few milliseconds; raises AssertionError that names ``what`` in the end."""
    give_up = time.monotonic() + seconds
    while True:
        answer = holds()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if time.monotonic() > give_up:
            raise AssertionError(f"Waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(0.005)


async def somebody_in_line(db: Database) -> bool:
    """Whether a transaction waits for another's lock. SQLite's only writer keeps the line itself:
    there whoever was asked to write is in it."""
    if db.dialect == "sqlite":
        await asyncio.sleep(0)
        return True
    return bool(await db.read(lambda conn: conn.scalar(text(_IN_LINE))))
