"""The ``commande`` command: its verbs, and how errors end."""

import sys
from typing import Annotated

import typer

from commande.cli import (
    catalogue,
    commands,
    demo,
    doctor,
    modules,
    sandbox,
    serve,
    setup,
    simulate,
    upkeep,
    verify,
)
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
app.command("verify")(verify.verify)
app.command("simulate")(simulate.simulate)


def main() -> None:
    """Run a verb; what the shop's rules refuse ends in one line, never in a traceback."""
    try:
        app()
    except CommandeError as error:
        sys.exit(fail(error.detail).exit_code)
    except BrokenPipeError:
        # Somebody read enough: ``commande commands list | head``.
        sys.stderr.close()
        sys.exit(Exit.OK)
