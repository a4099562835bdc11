"""How the command line speaks: tables, JSON, progress, one-line errors, exit codes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Final, TypeVar
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from commande.db.schema import pending_migrations
from commande.errors import SettingInvalid
from commande.logs import configure_logs
from commande.settings import Settings, load_settings
from commande.shop import Shop, close_shop, open_shop

R = TypeVar("R")

# Into a pipe or a file nothing is cut to the width of a screen that is not there.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


class Exit(IntEnum):
    """Exit codes that a script can use."""

    OK = 0
    ATTENTION = 1
    """It worked, but something is not in order (see what was printed)."""
    WRONG = 2
    """It could not be done: a setting, an argument, the database."""


def fail(message: str, code: Exit = Exit.WRONG) -> typer.Exit:
    """Print one line about what is wrong and how to mend it; raise what is returned."""
    err.print(f"[red]commande:[/red] {message}", markup=True, soft_wrap=True)
    return typer.Exit(code)


NO_KEY: Final = {"stripe_secret_key": "sk_test_none"}
"""Stands in for the Stripe key where nothing is asked of Stripe."""


def read_settings(*, stripe: bool = True) -> Settings:
    """Settings for a verb; logs stay quiet so that the output is the answer.

    Without ``stripe`` the verb asks Stripe nothing, and works before there is a key.
    """
    try:
        settings = load_settings()
    except SettingInvalid as error:
        if stripe or error.variable != "STRIPE_SECRET_KEY":
            raise
        settings = load_settings(**NO_KEY)
    configure_logs(settings.log_format, "error")
    return settings


def with_shop(
    work: Callable[[Shop], Awaitable[R]],
    settings: Settings | None = None,
    *,
    migrated: bool = True,
) -> R:
    """Open the shop, run the work, close it; ``migrated`` wants the tables up to date first.

    Raises SettingInvalid and what the work raises.
    """

    async def run() -> R:
        shop = open_shop(settings or read_settings())
        try:
            pending = await shop.db.read(pending_migrations)
            if migrated and pending:
                raise fail("The database is not up to date. Run “commande migrate” first.")
            return await work(shop)
        finally:
            await close_shop(shop)

    return asyncio.run(run())


def print_json(value: object) -> None:
    """JSON as a program wants it: indented, UTF-8, a newline at the end."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A quiet table: a hairline under the head, amounts at the right."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def moment(at: datetime, zone: ZoneInfo) -> str:
    """A time for people, in the shop's zone."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar with counts and what is left, on a terminal; silence elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(
        *columns, console=err, transient=True, disable=quiet or not err.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
