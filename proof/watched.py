"""A shop's effects with points on them, at which its process may be told to die; and shops that are
broken on purpose, which the proofs must catch."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from secrets import token_hex
from typing import Any, Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen

from commande.core.command import Action
from commande.db import Database
from commande.db.connection import P, R, TransactionFunction, name_of
from commande.db.journal import record
from commande.db.outbox import post_message
from commande.db.pairs import find_pair
from commande.db.settlement import apply_report
from commande.db.tables import messages
from proof.board import Board

BREAKS: Final = {
    "early-answer": "answers a transaction before its COMMIT",
    "letter-apart": "queues the confirmation in a transaction after the one that pays",
}
# As long as a write-behind cache would keep what it has not written yet.
_BEHIND: Final = 0.03


class WatchedDatabase:
    """Passes everything on, and tells the board how far each transaction came."""

    def __init__(self, db: Database, board: Board) -> None:
        self._db, self._board = db, board
        listen(Engine, "before_cursor_execute", self._statement)

    @property
    def dialect(self) -> str:
        return self._db.dialect

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See ``Database``."""

        def watched(conn: Connection, /, *args: P.args, **kwargs: P.kwargs) -> R:
            value = fn(conn, *args, **kwargs)
            self._board.reach("commit")
            return value

        # Its name is what the log calls it by.
        watched.__qualname__ = name_of(fn)
        value = await self._db.transaction(watched, *args, **kwargs)
        self._board.reach("committed")
        return value

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Database``."""
        return await self._db.read(fn, *args, **kwargs)

    async def close(self) -> None:
        """See ``Database``."""
        await self._db.close()

    def _statement(self, *_details: Any) -> None:
        self._board.reach("statement")


class EarlyAnswer(WatchedDatabase):
    """BROKEN: the caller hears of success when the function is done, not when it is durable."""

    async def transaction(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        early: asyncio.Future[Any] = loop.create_future()

        @wraps(fn)
        def hasty(conn: Connection, *args: Any, **kwargs: Any) -> Any:
            value = fn(conn, *args, **kwargs)
            loop.call_soon_threadsafe(_settle, early, value)
            time.sleep(_BEHIND)
            return value

        late = loop.create_task(super().transaction(hasty, *args, **kwargs))
        late.add_done_callback(lambda task: _pass_on(task, early))
        return await early


class LetterApart(WatchedDatabase):
    """BROKEN: fact and effect in two transactions."""

    async def transaction(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if fn is not apply_report:
            return await super().transaction(fn, *args, **kwargs)
        taken: list[Any] = []

        @wraps(fn)
        def without_letter(conn: Connection, *args: Any, **kwargs: Any) -> Any:
            before = set(conn.execute(select(messages.c.key)).scalars())
            value = fn(conn, *args, **kwargs)
            new = messages.c.key.not_in(before)
            taken[:] = conn.execute(select(messages).where(new)).all()
            conn.execute(delete(messages).where(new))
            return value

        value = await super().transaction(without_letter, *args, **kwargs)
        for row in taken:
            again = (row.key, row.kind, row.command_id, row.created_at)
            await super().transaction(post_message, *again)
        return value


class Unguarded(WatchedDatabase):
    """BROKEN: “not paid yet”, looked up in one transaction, then the effects in another, under keys
    that are new each time."""

    async def transaction(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if fn is not apply_report:
            return await super().transaction(fn, *args, **kwargs)
        pair = await self.read(find_pair, args[0].session_id)
        settled = await super().transaction(fn, *args, **kwargs)
        believed = pair is not None and not pair.command.paid
        if believed and settled.action is Action.AGAIN:
            await super().transaction(_confirm_again, settled.command.id, args[2])
        return settled


def _confirm_again(conn: Connection, command_id: str, now: datetime) -> None:
    """The letter and the line of history of somebody who believes to be the first."""
    once = token_hex(4)
    post_message(conn, f"paid:{command_id}:{once}", "paid", command_id, now)
    record(conn, command_id, now, "paid", "browser", once=once)


def watch_database(db: Database, board: Board, broken: str | None) -> Database:
    """The database with points on it, whole or broken on purpose."""
    kinds = {"early-answer": EarlyAnswer, "letter-apart": LetterApart, "unguarded": Unguarded}
    return kinds.get(broken or "", WatchedDatabase)(db, board)


class WatchedGateway:
    """Passes every call to Stripe on, and tells the board when it leaves and when it is back."""

    def __init__(self, gateway: Any, board: Board) -> None:
        self._gateway, self._board = gateway, board

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        return self._watch(found) if asyncio.iscoroutinefunction(found) else found

    def _watch(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*args: Any, **kwargs: Any) -> Any:
            self._board.reach("asked")
            answer = await call(*args, **kwargs)
            self._board.reach("answered")
            return answer

        return watched


class WatchedApp:
    """An ASGI application with points at the coming of a request and the leaving of its answer."""

    def __init__(self, app: Any, board: Board) -> None:
        self._app, self._board = app, board

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._board.reach("request")

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._board.reach("answering")
            await send(message)

        await self._app(scope, receive, sent)


def _settle(early: asyncio.Future[Any], value: Any) -> None:
    if not early.done():
        early.set_result(value)


def _pass_on(task: asyncio.Task[Any], early: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not early.done():
        early.set_exception(error)
