"""The database of a simulation: SQLite in memory, driven in place, without thread or loop."""

from collections.abc import Awaitable, Callable
from typing import cast

from sqlalchemy import Engine

from commande.db.connection import (
    P,
    R,
    TransactionConnection,
    TransactionFunction,
    name_of,
    run_plainly,
)
from commande.db.group import Call, GroupRunner, driver_of
from commande.db.shortcut import ShortConnection
from commande.db.sqlite_file import prepare_in_memory, read_in_memory, sqlite_engine


class InlineDatabase:
    """Runs the same functions through the same group runner, at once and in the caller.

    ``before`` is awaited with the function's name ahead of each: there a seeded scheduler
    decides who goes on, or that nobody does. Without it nothing ever yields. Databases may
    share an ``engine``, and with it the compiled statements; with ``short`` each statement is
    compiled once and for all (see ``shortcut.py``).
    """

    dialect = "sqlite"

    def __init__(
        self,
        before: Callable[[str], Awaitable[None]] | None = None,
        *,
        engine: Engine | None = None,
        short: bool = False,
    ) -> None:
        kind = ShortConnection if short else TransactionConnection
        self._before = before
        self._connection = prepare_in_memory(kind(engine or sqlite_engine(None)))
        self.driver = driver_of(self._connection)
        self._runner = GroupRunner(self._connection)

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``."""
        if self._before is not None:
            await self._before(name_of(fn))
        return cast("R", self._run(Call(fn, args, kwargs)))

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Database``."""
        if self._before is not None:
            await self._before(name_of(fn))
        return cast("R", self._run(Call(read_in_memory, (fn, *args), kwargs)))

    def look_up(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a reading function on the rows as they stand; nothing can come between.

        Cheaper than ``read``, whose PRAGMA makes SQLite prepare every statement anew; that nothing
        is written is the caller's to check.
        """
        return run_plainly(fn, self._connection, *args, **kwargs)

    async def close(self) -> None:
        """Forget everything."""
        self._runner.close()

    def image(self) -> bytes:
        """Answer the whole content; ``load`` makes it the content again."""
        return self.driver.serialize()

    def load(self, image: bytes) -> None:
        """Replace the content: cheaper than the tables made anew for every run."""
        self.driver.deserialize(image)

    def _run(self, call: Call) -> object:
        self._runner.run([call])
        if call.error is not None:
            raise call.error
        return call.value
