"""The connection a transaction function gets: SQL only, its beginning and end are not its own."""

from collections.abc import Callable
from types import CoroutineType
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

import orjson
from sqlalchemy import Connection, Engine, ExceptionContext, Result, event
from sqlalchemy.exc import InvalidRequestError

from commande.errors import SettingInvalid

P = ParamSpec("P")
R = TypeVar("R")

TransactionFunction = Callable[Concatenate[Connection, P], R]
"""A plain function on a connection; it may run several times and has no effect outside SQL."""

SLOW_MS = 100
"""A function above this holds back every writer of a SQLite shop: it is logged by name."""


class TransactionConnection(Connection):
    """A Core connection on which only ``db/`` itself may begin and end the transaction.

    Whoever opened it calls ``Connection.commit(connection)``: past this class, on purpose.
    """

    hidden_error = False
    """Whether a statement failed in the function that runs; reset before each."""

    def refuse_hidden_error(self, function: str) -> None:
        """Raise if a statement failed and the function went on as if nothing had happened.

        PostgreSQL would roll everything back and still answer, SQLite would keep the rest.
        """
        if self.hidden_error:
            raise InvalidRequestError(
                f"{function} caught a database error: use ON CONFLICT and row counts instead."
            )

    def begin(self) -> NoReturn:
        _refuse("begin")

    def begin_nested(self) -> NoReturn:
        _refuse("begin_nested")

    def begin_twophase(self, xid: object = None) -> NoReturn:  # noqa: ARG002
        _refuse("begin_twophase")

    def commit(self) -> NoReturn:
        _refuse("commit")

    def rollback(self) -> NoReturn:
        _refuse("rollback")

    def close(self) -> NoReturn:
        _refuse("close")

    def detach(self) -> NoReturn:
        _refuse("detach")

    def execution_options(self, **_options: object) -> NoReturn:
        # They would stay on the connection for every function after this one.
        _refuse("execution_options")


def watch_errors(engine: Engine) -> None:
    """Let the engine's connections remember that a statement failed."""
    event.listen(engine, "handle_error", _remember)


def run_plainly(
    fn: TransactionFunction[P, R], connection: Connection, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call the function; what it answers must be data that outlives the transaction.

    Raises ``TypeError`` for a coroutine (an ``async def`` was passed) or a live result.
    """
    value = fn(connection, *args, **kwargs)
    if isinstance(value, CoroutineType):
        value.close()
        raise TypeError(f"{name_of(fn)} is async: a transaction is a plain function.")
    if isinstance(value, Result):
        raise TypeError(f"{name_of(fn)} returns a live result: fetch its rows inside.")
    return value


def name_of(fn: Callable[..., object]) -> str:
    """The function's name for the log, never its arguments."""
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def to_json(value: object) -> str:
    """Write a JSON column."""
    return orjson.dumps(value).decode()


def wrong_address(detail: str) -> SettingInvalid:
    """Make the error for a database that cannot be reached as it is configured."""
    return SettingInvalid(
        "COMMANDE_DATABASE_URL",
        detail,
        "Use sqlite:////absolute/path, sqlite:///relative/path or postgresql://user@host/name.",
    )


def _remember(context: ExceptionContext) -> None:
    if isinstance(context.connection, TransactionConnection):
        context.connection.hidden_error = True


def _refuse(what: str) -> NoReturn:
    raise InvalidRequestError(
        f"{what}() inside a transaction function is refused: it would end or change the "
        "transaction of its neighbours."
    )
