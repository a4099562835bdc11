"""The four effects of a shop, simulated: database, clock, mail and the dice under the ids.

Each ``await`` on one of them is a point where another task runs, the process dies, or something
breaks. Stripe is in ``gateway.py``.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from commande.core.letter import Letter
from commande.db.connection import P, TransactionFunction
from commande.db.inline import InlineDatabase
from commande.errors import DatabaseBusy, MailUnavailable, OutcomeUnknown
from commande.simulation.scheduler import Process, pause
from commande.simulation.stage import Stage
from commande.simulation.watch import Watch

R = TypeVar("R")


class _Again(Exception):
    """A transaction that the database undoes once, as PostgreSQL does on a conflict."""


class SimulatedDatabase:
    """Every process has one; all stand before the same rows."""

    dialect = "sqlite"

    def __init__(self, stage: Stage, watch: Watch, rows: InlineDatabase) -> None:
        self._stage, self._watch, self._rows = stage, watch, rows

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``."""
        stage = self._stage
        await stage.step(fn.__name__, stage.latency("db"))
        if stage.strikes("db_busy"):
            raise DatabaseBusy("The database cannot be written to now.")
        unknown = stage.strikes("db_unknown")
        if unknown and stage.coin():
            raise OutcomeUnknown("The connection died before COMMIT.")
        if stage.strikes("db_rerun"):
            await self._undo(fn, *args, **kwargs)
        value = await self._rows.transaction(fn, *args, **kwargs)
        self._watch.look(fn.__name__)
        if unknown:
            raise OutcomeUnknown("The connection died after COMMIT.")
        return value

    async def _undo(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        def undone(conn: Any) -> None:
            fn(conn, *args, **kwargs)
            raise _Again

        try:
            await self._rows.transaction(undone)
        except _Again:
            return
        except Exception:  # noqa: BLE001 – the second run meets the same error and shows it
            return

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Database``."""
        stage = self._stage
        await stage.step(fn.__name__, stage.latency("db"))
        if stage.strikes("db_busy"):
            raise DatabaseBusy("The database cannot be read now.")
        before = stage.driver.total_changes
        value = self._rows.look_up(fn, *args, **kwargs)
        if stage.driver.total_changes != before:
            self._watch.cry("I0", f"{fn.__name__} writes inside a read")
        return value

    async def close(self) -> None:
        """The rows outlive every process."""


class SimulatedClock:
    """The world's time plus the process's error."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self._scheduler, self._process = stage.scheduler, process

    def now(self) -> datetime:
        """The moment, aware UTC."""
        return datetime.fromtimestamp(self._scheduler.now + self._process.skew, UTC)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Let that much time pass."""
        return pause(seconds)


class SimulatedMail:
    """A mail server that is sometimes down, and sometimes takes a letter without saying so."""

    enabled = True

    def __init__(self, stage: Stage, watch: Watch) -> None:
        self._stage, self._watch = stage, watch

    async def send(self, letter: Letter) -> None:
        """Hand the letter over. Raises MailUnavailable."""
        stage = self._stage
        await stage.step("mail", stage.latency("mail"))
        if stage.strikes("mail_down"):
            stage.reach("C40")
            raise MailUnavailable("The mail server does not answer.")
        self._watch.letter_sent(letter)
        await stage.step("mail:sent", stage.latency("mail"))
        if stage.strikes("mail_unsure"):
            stage.reach("C40")
            raise MailUnavailable("The mail server hung up after the letter.")
