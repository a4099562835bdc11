"""The hammer: everybody who may settle a payment does, at the same moment, and it happens once.

Four server processes with their workers, and clean-up that never rests and finds every command
overdue. For each paid command 64 customers confirm, 64 signed webhooks come (first ones, repeats,
twins under another id) and two tabs press “pay again”, over kept connections that all go through
the same commands at the same time. Of each command there must then be one payment, one snapshot,
one letter and one line that says paid, and all who were told so were told the same, byte for byte.
Some are paid in the very moment in which clean-up closes them. `scripts/proof hammer --help`
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from typing import Final

from commande.cli.terminal import err, out, progress, table
from proof.anvil import CONFIRMERS, DOORS, WAVE, WEBHOOKS, Anvil
from proof.outset import make_parser_on_databases, open_tally, prepare, tell_seed
from proof.premises import Premises, opened_premises
from proof.tally import Tally

WAVES: Final = 15
"""Of one shop, before its books are compared."""
RESULTS: Final = ("worlds", "requests", "paid commands", "letters sent", "paid in the same moment",
                  "closed before it was paid", "findings")  # fmt: skip
BROKEN: Final = "unguarded"


def main() -> int:
    """Hammer, compare, print; 1 when something happened otherwise than once."""
    given = _arguments()
    prepare()
    broken = BROKEN if given.without_guard else None
    about = {"proof": "hammer", "database": given.database, "broken": broken}
    tally = open_tally(given.state, about)
    seed = tell_seed(given.seed)
    with progress("Hammering") as bar, opened_premises(given.database) as place:
        prove(place, tally, given.commands, seed, broken, bar)
    _print(tally)
    return 1 if tally.counts["findings"] else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser_on_databases("hammer", __doc__)
    parser.add_argument("--commands", type=int, default=240, metavar="N",
                        help="commands in all, those in the state file included")  # fmt: skip
    parser.add_argument("--without-guard", action="store_true",
                        help="the control: a shop that looks in one transaction and writes in "
                        "another, until caught")  # fmt: skip
    return parser.parse_args()


def prove(
    place: Premises, tally: Tally, commands: int, seed: int, broken: str | None,
    tell: Callable[[int, int], None],
) -> None:  # fmt: skip
    """Shop after shop until so many commands were hammered, or a control is caught."""
    while (done := tally.counts["hammered"]) < commands:
        if broken and tally.counts["findings"]:
            return
        waves = min(WAVES, -(-(commands - done) // WAVE))
        name = f"{seed}-{tally.counts['worlds']}"
        anvil = Anvil(place, name, waves, broken, tell=lambda n: tell(done + n, commands))
        _add(place, tally, anvil, asyncio.run(_live(anvil)))
        tally.save()


async def _live(anvil: Anvil) -> list[str]:
    try:
        return await anvil.run()
    except (RuntimeError, TimeoutError, ConnectionError) as error:
        return [*anvil.wrong, f"{type(error).__name__}: {error}"]


def _add(place: Premises, tally: Tally, anvil: Anvil, findings: list[str]) -> None:
    """One shop's results; its folder is kept when something is wrong with it."""
    tally.counts.update(anvil.counts)
    tally.counts["worlds"] += 1
    if findings:
        kept = place.keep(anvil.url, anvil.folder, "hammer")
        tally.blame(f"shop {anvil.name}", findings)
        err.print(f"Shop {anvil.name} is kept in {kept}")
    place.clear(anvil.url, anvil.folder)


def _print(tally: Tally) -> None:
    """The result as a table, and the first findings."""
    counts, rows = tally.counts, table("", "", right=("",))
    about = f"{CONFIRMERS} confirm, {WEBHOOKS} webhooks, {DOORS} processes"
    rows.add_row(f"Commands on {tally.about['database']}: {about}", f"{counts['hammered']:,}")
    for name in RESULTS:
        rows.add_row(f"  {name}", f"{counts[name]:,}")
    for name, count in sorted(counts.items()):
        if ":" in name:
            rows.add_row(f"  answered, {name}", f"{count:,}")
    seconds = counts["milliseconds"] / 1000
    rows.add_row("  under the hammer", f"{seconds / 60:.1f} min")
    rows.add_row("  requests a second", f"{counts['requests'] / max(seconds, 0.001):,.0f}")
    out.print(rows)
    for finding in tally.findings[:5]:
        err.print(finding, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
