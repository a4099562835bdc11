"""How the command line speaks: tables, JSON, progress, one-line errors, exit codes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

# Into a pipe or a file nothing is cut to the width of a screen that is not there. No markup and no
# emoji: a customer may be called “[red]” or “:bug:”, and is shown so.
out = Console(
    highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 200
)
err = Console(
    stderr=True, highlight=False, markup=False, emoji=False,
    width=None if sys.stderr.isatty() else 200,
)  # fmt: skip

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
    err.print(Text.assemble(("commande:", "red"), f" {message}"), soft_wrap=True)
    return typer.Exit(code)


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


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Nothing until there is something to count."""
        speed = task.speed or 0
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s" if speed else "", "dim")


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar with counts, a rate and what is left, on a terminal; silence elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(
        *columns, console=err, transient=True, disable=quiet or not err.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
