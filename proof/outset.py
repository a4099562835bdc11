"""How a proof begins: the words that all of them take, its seed told first, its tally opened."""

import argparse
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from commande.cli.terminal import err, fail
from commande.logs import configure_logs
from proof.tally import Tally


def make_parser(proof: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of ``scripts/proof PROOF``, with ``--state``."""
    parser = argparse.ArgumentParser(
        prog=f"scripts/proof {proof}", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--state", type=Path, metavar="FILE", help="adds up over several runs")
    return parser


def make_parser_on_databases(proof: str, description: str | None) -> argparse.ArgumentParser:
    """The same for a proof on either database, with ``--database`` and ``--seed``."""
    parser = make_parser(proof, description)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, help="of the plan: who, when; not of the timing")
    return parser


def prepare() -> None:
    """End as Ctrl-C does when told to, so that nothing stays behind; log errors alone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    configure_logs("console", "error")


def tell_seed(given: int | None) -> int:
    """The seed that was given, or one by chance; printed, so that a run can be had again."""
    seed = given if given is not None else secrets.randbelow(10**6)
    err.print(f"Seed {seed}.")
    return seed


def open_tally(state: Path | None, about: dict[str, Any]) -> Tally:
    """The results so far. Ends the program with one line when the file holds other ones."""
    try:
        return Tally(state, about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{state} holds no results of this proof ({error}). Choose another --state.")
        sys.exit(2)
