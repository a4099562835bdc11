"""Every figure of docs/reliability.md, one proof after the other: what a release must show.

Each proof keeps its state in a file of the folder and adds up, so that it may be interrupted and
begun again. A proof that cannot run on this machine says why and counts as not reached, unless it
is skipped by its name. `scripts/proof all --help`
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from commande.cli.terminal import err, out, table
from proof.figures import FIGURES, Figure, Reached, read_state
from proof.premises import ROOT

NOT_HERE: Final = 3
"""Exit code of a proof that this machine cannot run."""
ENDS: Final = frozenset({0, 1, NOT_HERE})
"""Exit codes that a proof chooses; whatever else it ends with is a failure."""


def main() -> int:
    """Run what is missing, print where everything stands; 1 when anything failed."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = [figure for figure in FIGURES if not given.only or figure.name in given.only]
    results = []
    for figure in chosen:
        goal = figure.scaled(given.share)
        if figure.name in given.skip:
            results.append((figure, goal, Reached(), "skipped"))
            continue
        err.print(f"{figure.name}: {goal:,} {figure.unit}", style="bold")
        results.append((figure, goal, *_reach(figure, goal, given.folder)))
    return _print(results)


def _arguments() -> argparse.Namespace:
    names = [figure.name for figure in FIGURES]
    parser = argparse.ArgumentParser(
        prog="scripts/proof all", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, required=True, help="for the state of every proof")
    parser.add_argument("--share", type=float, default=1.0, metavar="PART",
                        help="of every figure, such as 0.01 (1)")  # fmt: skip
    parser.add_argument("--only", action="append", choices=names, default=[], metavar="NAME",
                        help="may be repeated: " + ", ".join(names))  # fmt: skip
    parser.add_argument("--skip", action="append", choices=names, default=[], metavar="NAME",
                        help="named in the table, and not run; may be repeated")  # fmt: skip
    given = parser.parse_args()
    if not 0 < given.share <= 1:
        parser.error("--share is a part of the whole: more than 0, at most 1")
    return given


def _reach(figure: Figure, goal: int, folder: Path) -> tuple[Reached, str]:
    """Run one proof until it is there; how far it is, and what stood in the way."""
    state = folder.resolve() / f"{figure.name.replace(' ', '-')}.json"
    reached = read_state(figure, state)
    while reached.count < goal and not reached.failures:
        proof, *words = figure.command(goal, reached.count, state)
        command = [sys.executable, "-m", f"proof.{proof}", *words]
        ended = subprocess.run(command, cwd=ROOT, check=False).returncode
        before, reached = reached, read_state(figure, state)
        if ended == NOT_HERE:
            return reached, "cannot run here"
        if ended not in ENDS:
            return reached, f"ended with {ended}"
        if reached.count == before.count:
            return reached, "came no further"
    return reached, ""


def _print(results: list[tuple[Figure, int, Reached, str]]) -> int:
    """One line for each figure; 1 when one is not as it must be."""
    rows = table("figure", "reached", "of", "failures", "", right=("reached", "of", "failures"))
    failed = 0
    for figure, goal, reached, trouble in results:
        good = trouble == "skipped" or (reached.count >= goal and not reached.failures)
        failed += not good
        verdict = trouble or ("" if good else "FAILED")
        rows.add_row(f"{figure.name}, {figure.unit}", f"{reached.count:,}", f"{goal:,}",
                     f"{reached.failures:,}", verdict)  # fmt: skip
    out.print(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
