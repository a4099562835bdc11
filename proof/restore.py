"""An old copy of the database is put back: Stripe's payments come back, and no letter goes twice.

A shop sells; its database is copied meanwhile; business goes on for one to sixty minutes by its
clock and Stripe's; then the machine is lost, the copy is put back, ``commande reconcile --since``
the copy is run and the shop opens again. Every session that Stripe was paid for must then be one
paid command of the same amount, refunds included, all invariants hold, and no letter that left
before leaves again. `scripts/proof restore --help`
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from random import Random
from typing import Final

from commande.cli.terminal import err, out, progress, table
from proof.comeback import Comeback
from proof.outset import make_parser_on_databases, open_tally, prepare, tell_seed
from proof.premises import Premises, opened_premises
from proof.tally import Tally

AGES: Final = (1.0, 60.0)
"""Minutes."""
RESULTS: Final = (
    "orders", "orders after the copy", "refunds", "paid sessions",
    "paid orders that the copy did not have", "lost orders paid afterwards", "letters sent",
    "of them afterwards", "letters held", "findings",
)  # fmt: skip


def main() -> int:
    """Restore, compare, print; 1 when a payment was not found again or a letter went twice."""
    given = _arguments()
    prepare()
    tally = open_tally(given.state, {"proof": "restore", "database": given.database})
    seed = tell_seed(given.seed)
    with progress("Restoring") as bar, opened_premises(given.database) as place:
        prove(place, tally, given.rounds, seed, bar)
    _print(tally)
    return 1 if tally.counts["findings"] else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser_on_databases("restore", __doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="restores in all, those in the state file included")  # fmt: skip
    return parser.parse_args()


def prove(
    place: Premises, tally: Tally, rounds: int, seed: int, tell: Callable[[int, int], None]
) -> None:
    """Shop after shop until there are so many; ages spread over the hour."""
    while (done := tally.counts["rounds"]) < rounds:
        name = f"{seed}-{done}"
        # Each twentieth of the hour has its turn, so that few rounds see old and young copies.
        part = (done % 20 + Random(name).random()) / 20
        comeback = Comeback(place, name, AGES[0] + part * (AGES[1] - AGES[0]))
        findings = asyncio.run(_live(comeback))
        _add(place, tally, comeback, findings)
        tally.save()
        tell(done + 1, rounds)


async def _live(comeback: Comeback) -> list[str]:
    try:
        return await comeback.run()
    except (RuntimeError, TimeoutError) as error:
        return [f"{type(error).__name__}: {error}"]


def _add(place: Premises, tally: Tally, comeback: Comeback, findings: list[str]) -> None:
    """One restore; its folder is kept when something is wrong with it."""
    tally.counts.update(comeback.counts)
    tally.counts["rounds"] += 1
    tally.note("age", comeback.minutes)
    tally.note("reconcile", comeback.seconds)
    if findings:
        kept = place.keep(comeback.url, comeback.folder, "restore")
        tally.blame(f"shop {comeback.name}", findings)
        err.print(f"Shop {comeback.name} is kept in {kept}")
    place.clear(comeback.url, comeback.folder)


def _print(tally: Tally) -> None:
    """The result as a table, and the first findings."""
    counts, rows = tally.counts, table("", "", right=("",))
    rows.add_row(f"Old copies put back, {tally.about['database']}", f"{counts['rounds']:,}")
    ages = [tally.quantile("age", percent) for percent in (0, 50, 100)]
    rows.add_row("  age in minutes", " · ".join(f"{age:.0f}" for age in ages))
    for name in RESULTS:
        rows.add_row(f"  {name}", f"{counts[name]:,}")
    rows.add_row("  reconcile took at most", f"{tally.quantile('reconcile', 100):.1f} s")
    out.print(rows)
    for finding in tally.findings:
        err.print(finding, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
