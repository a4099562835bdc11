"""kill -9: processes of a working shop die at any moment, come back, and nothing may be lost.

Customers order over HTTP, pay at the stand-in for Stripe (which is never killed: it is Stripe) and
keep a ledger of every yes they heard. Server and worker processes get SIGKILL at random times, or
at the n-th statement, COMMIT, call to Stripe or answer. After each death every acknowledged fact is
looked up in the database; at the end of each world the upkeep runs, dies a few times too, and the
books are compared with Stripe's. `scripts/proof kill --help`
"""

import argparse
import asyncio
import sys
from typing import Final

from commande.cli.terminal import err, out, progress, table
from proof.board import POINTS
from proof.outset import make_parser_on_databases, open_tally, prepare, tell_seed
from proof.premises import Premises, opened_premises
from proof.tally import Tally
from proof.watched import BREAKS
from proof.world import Plan, World

RESULTS: Final = (
    "worlds", "journeys", "commands", "paid sessions", "connections broken",
    "acknowledged facts", "facts looked up", "lost", "half-made", "findings",
)  # fmt: skip


def main() -> int:
    """Kill, compare, print; 1 when something was lost."""
    given = _arguments()
    prepare()
    tally = open_tally(given.state, {"proof": "kill", "database": given.database,
                                "broken": given.broken})  # fmt: skip
    seed = tell_seed(given.seed)
    with progress("Killing") as bar, opened_premises(given.database) as place:
        while tally.counts["kills"] < given.rounds and not _enough(tally, given.broken):
            share = min(given.world, given.rounds - tally.counts["kills"])
            # What is in the state already does not come again.
            name = f"{seed}-{tally.counts['worlds']}"
            asyncio.run(live(place, tally, Plan(name, share, given.customers, given.broken)))
            tally.save()
            bar(tally.counts["kills"], given.rounds)
    _print(tally)
    return 1 if tally.counts["findings"] else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser_on_databases("kill", __doc__)
    parser.add_argument("--rounds", type=int, default=100, metavar="N",
                        help="kills in all, those in the state file included")  # fmt: skip
    parser.add_argument("--world", type=int, default=30, metavar="N",
                        help="kills of one shop before its books are compared (30)")  # fmt: skip
    parser.add_argument("--customers", type=int, default=12, metavar="N", help="at a time (12)")
    parser.add_argument("--broken", choices=tuple(BREAKS),
                        help="the control: a shop that is broken on purpose, until caught; "
                        + "; ".join(f"{name} {what}" for name, what in BREAKS.items()))  # fmt: skip
    return parser.parse_args()


def _enough(tally: Tally, broken: str | None) -> bool:
    """A control ends when it is caught."""
    return broken is not None and tally.counts["findings"] > 0


async def live(place: Premises, tally: Tally, plan: Plan) -> None:
    """One world, added to the tally; its folder is kept when something is wrong with it."""
    world = World(place, plan)
    try:
        findings = await world.run()
    except (RuntimeError, TimeoutError) as error:
        findings = [f"{type(error).__name__}: {error}"]
    tally.counts.update(world.counts)
    tally.counts["worlds"] += 1
    for seconds in world.restarts:
        tally.note("restart", seconds)
    if findings:
        kept = place.keep(world.url, world.folder, "kill")
        again = f"--seed {plan.name.partition('-')[0]} --world {plan.kills}"
        tally.blame(f"world {plan.name}", findings)
        err.print(f"World {plan.name} is kept in {kept}; the same plan again: {again}")
    place.clear(world.url, world.folder)


def _print(tally: Tally) -> None:
    """The result as a table, and the first findings."""
    counts, rows = tally.counts, table("", "", right=("",))
    database = tally.about["database"]
    rows.add_row(f"kill -9 on {database}", f"{counts['kills']:,}")
    for who in ("all at once", "server", "worker", "upkeep"):
        rows.add_row(f"  {who}", f"{counts[f'killed: {who}']:,}")
    for point in POINTS:
        rows.add_row(f"  last point passed: {point}", f"{counts[f'phase: {point}']:,}")
    for name in RESULTS:
        rows.add_row(f"  {name}", f"{counts[name]:,}")
    for percent in (50, 95, 100):
        seconds = tally.quantile("restart", percent)
        rows.add_row(f"  restart p{percent} (forked, imports done)", f"{seconds * 1000:.0f} ms")
    out.print(rows)
    for finding in tally.findings[:5]:
        err.print(finding)


if __name__ == "__main__":
    sys.exit(main())
