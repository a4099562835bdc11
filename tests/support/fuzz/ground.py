"""A shop over HTTP in a thread of its own, for walks that are steps of a plain, shrinkable test."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from commande.db.schema import migrate
from commande.shop import Shop
from tests.support.frontend import FrontEnd, opened_to_the_public
from tests.support.serving import serving
from tests.support.stage import Stage, staged

T = TypeVar("T")
Seeded = Callable[[Shop], Shop]
"""Puts a seeded bug into the shop."""


def honest(shop: Shop) -> Shop:
    """No bug."""
    return shop


class Ground:
    """One event loop in a thread, and in it one fresh shop after the other."""

    def __init__(self, seeded: Seeded = honest) -> None:
        self._seeded = seeded
        self._folder = Path(tempfile.mkdtemp(prefix="commande-walk-"))
        self._template = self._folder / "template.sqlite"
        migrate(f"sqlite:///{self._template}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._number = 0

    def run(self, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
        """Do it in the shop's loop and wait."""

        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(120)

    def open(self) -> "Opened":
        """A new shop: empty but for its catalogue, with a Stripe of its own."""
        self._number += 1
        path = self._folder / f"shop{self._number}.sqlite"
        shutil.copy(self._template, path)
        return Opened(self, f"sqlite:///{path}", self._seeded)

    def close(self) -> None:
        """End the thread, remove the files."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Opened:
    """One open shop."""

    def __init__(self, ground: Ground, url: str, seeded: Seeded) -> None:
        self._ground = ground
        self._servers, self._rooms = ExitStack(), AsyncExitStack()
        self.front: FrontEnd = ground.run(self._open(url, seeded))
        self.stage: Stage = self.front.stage

    async def _open(self, url: str, seeded: Seeded) -> FrontEnd:
        def serve(app: Any) -> str:
            return self._servers.enter_context(serving(app))

        stage = await self._rooms.enter_async_context(staged(url, serve, log_level="error"))
        stage.shop = seeded(stage.shop)
        return await self._rooms.enter_async_context(opened_to_the_public(stage))

    def close(self) -> None:
        """Close shop and Stripe."""
        self._ground.run(self._rooms.aclose())
        self._servers.close()
