"""The four effects of a shop, simulated: database, clock, mail and the dice under the ids.

Each ``await`` on one of them is a point where another task runs, the process dies, or something
breaks. Stripe is in ``gateway.py``.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from commande.core.letter import Letter
from commande.db.connection import P, TransactionFunction
from commande.db.inline import InlineDatabase
from commande.errors import DatabaseBusy, MailUnavailable, OutcomeUnknown
from commande.simulation.scheduler import Process, pause

if TYPE_CHECKING:
    from commande.simulation.world import World

R = TypeVar("R")


class _Again(Exception):
    """A transaction that the database undoes once, as PostgreSQL does on a conflict."""


class SimulatedDatabase:
    """Every process has one; all stand before the same rows."""

    dialect = "sqlite"

    def __init__(self, world: "World", process: Process, rows: InlineDatabase) -> None:
        self._world, self._process, self._rows = world, process, rows

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``."""
        world = self._world
        await world.step(fn.__name__, world.latency("db"))
        if world.strikes("db_busy"):
            raise DatabaseBusy("The database cannot be written to now.")
        unknown = world.strikes("db_unknown")
        if unknown and world.coin():
            raise OutcomeUnknown("The connection died before COMMIT.")
        if world.strikes("db_rerun"):
            await self._undo(fn, *args, **kwargs)
        value = await self._rows.transaction(fn, *args, **kwargs)
        world.watch.look(fn.__name__)
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
        world = self._world
        await world.step(fn.__name__, world.latency("db"))
        if world.strikes("db_busy"):
            raise DatabaseBusy("The database cannot be read now.")
        # Not the rows' own ``read``: its PRAGMA makes SQLite prepare every statement anew.
        before = world.driver.total_changes
        value = await self._rows.transaction(fn, *args, **kwargs)
        if world.driver.total_changes != before:
            world.watch.cry("I0", f"{fn.__name__} writes inside a read")
        return value

    async def close(self) -> None:
        """The rows outlive every process."""


class SimulatedClock:
    """The world's time plus the process's error."""

    def __init__(self, world: "World", process: Process) -> None:
        self._scheduler, self._process = world.scheduler, process

    def now(self) -> datetime:
        """The moment, aware UTC."""
        return datetime.fromtimestamp(self._scheduler.now + self._process.skew, UTC)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Let that much time pass."""
        return pause(seconds)


class SimulatedMail:
    """A mail server that is sometimes down, and sometimes takes a letter without saying so."""

    enabled = True

    def __init__(self, world: "World") -> None:
        self._world = world

    async def send(self, letter: Letter) -> None:
        """Hand the letter over. Raises MailUnavailable."""
        world = self._world
        await world.step("mail", world.latency("mail"))
        if world.strikes("mail_down"):
            world.reach("C40")
            raise MailUnavailable("The mail server does not answer.")
        world.watch.letter_sent(letter)
        await world.step("mail:sent", world.latency("mail"))
        if world.strikes("mail_unsure"):
            world.reach("C40")
            raise MailUnavailable("The mail server hung up after the letter.")
