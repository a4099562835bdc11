"""The simulation for a release: as many checkouts as it takes over many runs, and the seeded bugs.

The same worlds as ``commande simulate``, seed after seed; what is in the state file does not come
again. With ``--mutants`` every seeded bug must be caught. `scripts/proof simulate --help`
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Final

from commande.cli.terminal import err, out, progress, table
from commande.simulation.campaign import run_campaign
from commande.simulation.ground import Ground
from commande.simulation.mutants import catch
from commande.simulation.mutations import MUTANTS
from commande.simulation.run import silence
from proof.outset import make_parser, open_tally, prepare
from proof.tally import Tally

SHARE: Final = 25_000
"""Checkouts between two savings of the state."""
Step = Callable[[int, int], None]


def main() -> int:
    """Simulate, print; 1 when an invariant broke or a seeded bug was not caught."""
    given = _arguments()
    prepare()
    what = "mutants" if given.mutants else "simulate"
    tally = open_tally(given.state, {"proof": what, "seed": given.seed})
    with progress("Hunting" if given.mutants else "Simulating") as bar:
        if given.mutants:
            hunt(tally, min(given.bugs, len(MUTANTS)), given.seed, bar)
        else:
            simulate(tally, given.checkouts, given.seed, given.jobs, bar)
    _print(tally)
    return 1 if tally.counts["findings"] else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser("simulate", __doc__)
    parser.add_argument("--checkouts", type=int, default=10_000, metavar="N",
                        help="checkouts in all, those in the state file included")  # fmt: skip
    parser.add_argument("--mutants", action="store_true", help="hunt the seeded bugs instead")
    parser.add_argument("--bugs", type=int, default=len(MUTANTS), metavar="N",
                        help=f"the first so many of them ({len(MUTANTS)})")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="processes (one for each core)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the first world (1)")
    return parser.parse_args()


def simulate(tally: Tally, checkouts: int, seed: int, jobs: int, bar: Step) -> None:
    """World after world until there were so many checkouts."""
    counts = tally.counts
    while (done := counts["checkouts"]) < checkouts:
        share = min(SHARE, checkouts - done)
        totals = run_campaign(
            share,
            seed + counts["worlds"],
            jobs,
            lambda more, _: bar(done + more, checkouts),
        )
        faults = totals.struck.total()
        counts.update({"worlds": totals.worlds, "checkouts": totals.checkouts, "faults": faults,
                       "steps": totals.steps})  # fmt: skip
        tally.note("seconds", totals.seconds)
        for world in totals.failures:
            tally.blame(f"seed {world.seed}", [str(world.violations[0])])
        tally.save()


def hunt(tally: Tally, bugs: int, seed: int, bar: Step) -> None:
    """Each seeded bug three times, until a world shows it."""
    silence()
    ground = Ground()
    for done, mutant in enumerate(list(MUTANTS)[:bugs]):
        bar(done, bugs)
        if tally.counts[f"caught: {mutant.name}"]:
            continue
        found = catch(mutant, ground, seed)
        if found.median is None:
            tally.blame(mutant.name, ["was not caught"])
        else:
            tally.counts.update({"caught": 1, f"caught: {mutant.name}": 1})
            tally.note("worlds until caught", found.median)
        tally.save()


def _print(tally: Tally) -> None:
    """The result as a table, and the first findings."""
    rows = table("", "", right=("",))
    for name, count in tally.counts.items():
        if ":" not in name:
            rows.add_row(name, f"{count:,}")
    for name in tally.figures:
        rows.add_row(f"{name}, greatest", f"{tally.quantile(name, 100):,.1f}")
    out.print(rows)
    for finding in tally.findings[:5]:
        err.print(finding, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
