"""The ``commande`` command: its verbs, and how errors end."""

import sys
from typing import Annotated

import click
import typer

from commande.cli import catalogue, commands, demo, doctor, modules, sandbox, serve, setup, upkeep
from commande.cli.terminal import Exit, fail, out
from commande.errors import CommandeError
from commande.version import __version__

app = typer.Typer(
    name="commande",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The checkout backend: unpaid commands, Stripe Checkout, paid once with a snapshot.",
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"commande {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The checkout backend."""


app.command("init")(setup.init)
app.command("migrate")(setup.migrate)
app.command("serve")(serve.serve)
app.command("worker")(serve.work)
app.command("demo")(demo.demo)
app.command("sandbox")(sandbox.sandbox)
app.add_typer(modules.app, name="module")
app.add_typer(catalogue.app, name="products")
app.add_typer(commands.app, name="commands")
app.command("cleanup")(upkeep.cleanup)
app.command("reconcile")(upkeep.reconcile)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run a verb; what the shop's rules refuse ends in one line, never in a traceback."""
    try:
        app(standalone_mode=False)
    except CommandeError as error:
        code = fail(error.detail).exit_code
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = Exit.WRONG
    except typer.Exit as error:
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 0
    else:
        code = Exit.OK
    sys.exit(code)
