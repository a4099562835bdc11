"""The ``commande`` command: its verbs, and how errors end."""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Final

import typer

from commande.cli.terminal import Exit, fail, out
from commande.errors import CommandeError, DatabaseBusy
from commande.version import __version__

VERBS: Final = {
    "init": "setup.init",
    "migrate": "setup.migrate",
    "serve": "serve.serve",
    "worker": "serve.work",
    "demo": "demo.demo",
    "sandbox": "sandbox.sandbox",
    "module": "modules.app",
    "products": "catalogue.app",
    "commands": "commands.app",
    "cleanup": "upkeep.cleanup",
    "reconcile": "upkeep.reconcile",
    "doctor": "doctor.doctor",
    "verify": "verify.verify",
    "simulate": "simulate.simulate",
}
"""Each verb and where it is written; a verb's file is imported when it is asked for."""


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"commande {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The checkout backend."""


def assemble(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command with these verbs."""
    app = typer.Typer(
        name="commande",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="The checkout backend: unpaid commands, Stripe Checkout, paid once with a snapshot.",
    )
    app.callback()(_root)
    for verb in verbs:
        file, _, name = VERBS[verb].partition(".")
        found = getattr(import_module(f"commande.cli.{file}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb)
        else:
            app.command(verb)(found)
    return app


def _wanted(arguments: list[str]) -> Iterable[str]:
    """The verb that is asked for; all of them where a list of them may be shown."""
    first = arguments[0] if arguments else ""
    if first == "--version":
        return ()
    return (first,) if first in VERBS else VERBS


def main() -> None:
    """Run a verb; what the shop's rules refuse ends in one line, never in a traceback."""
    try:
        assemble(_wanted(sys.argv[1:]))(prog_name="commande")
    except DatabaseBusy:
        where = "The database of COMMANDE_DATABASE_URL"
        sys.exit(fail(f"{where} does not answer, or is too busy. Nothing was written.").exit_code)
    except CommandeError as error:
        sys.exit(fail(error.detail).exit_code)
    except BrokenPipeError:
        # Somebody read enough: ``commande commands list | head``.
        sys.stderr.close()
        sys.exit(Exit.OK)
