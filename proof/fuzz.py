"""Fuzzing: hostile requests over HTTP, forged webhooks, and people who do everything in any order.

`http` asks a real server process, with the stand-in for Stripe behind it: what its own description
allows and what it does not (Schemathesis), raw bodies and frames that no front end sends, and
forged webhooks. `webhooks` hands forgeries to the gateway itself. `shop` walks through the whole
shop step by step and looks into its database after each. `scripts/proof fuzz --help`
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from commande.cli.terminal import err, out, progress, table
from commande.stripe_gateway.events import read_event
from proof.outset import make_parser, open_tally, prepare
from proof.tally import Tally
from tests.support.fuzz.api import Fuzz
from tests.support.fuzz.forgeries import Forger, an_event, judge
from tests.support.fuzz.walk import walk
from tests.support.fuzz.wire import Sent
from tests.support.premises import SECRET, Premises, opened_premises
from tests.support.stand import eventually

# One round of each kind, about a thousand requests; its seed is the first one plus its number.
HONEST, DESCRIBED, LINKED, HOSTILE, FORGED = 20, 120, 15, 150, 300
FORGERIES: Final = 5000
WALKS: Final = 20
"""Walks of a round, thirty steps each."""
Step = Callable[[int, int], None]


def main() -> int:
    """Fuzz, print; 1 when something was found."""
    given = _arguments()
    prepare()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6) * 10**6
    tally = open_tally(given.state, {"proof": f"fuzz {given.what}"})
    err.print(f"seed {seed}")
    with progress("Fuzzing") as bar, suppress(KeyboardInterrupt):
        PROOFS[given.what](tally, given.cases, seed, bar)
    _print(tally, given.what, seed)
    return 1 if tally.findings else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser("fuzz", __doc__)
    parser.add_argument("what", choices=tuple(PROOFS))
    parser.add_argument("--cases", type=int, default=2000, metavar="N",
                        help="cases in all, those in the state file included")  # fmt: skip
    parser.add_argument(
        "--seed", type=int, help="of the first round; drawn and printed if left out"
    )
    return parser.parse_args()


def fuzz_http(tally: Tally, cases: int, seed: int, bar: Step) -> None:
    """Rounds of requests to one server process until there were so many."""
    with tempfile.TemporaryDirectory(prefix="commande-fuzz-") as folder:
        address = f"sqlite:///{Path(folder) / 'shop.sqlite'}"
        # Without a worker nobody writes while the forgers do, and every table can be compared.
        with opened_premises(Path(folder), address, no_worker=True) as premises:
            while tally.counts["cases"] < cases and not tally.findings:
                _http_round(tally, premises, seed + tally.counts["rounds"], cases, bar)


def _http_round(tally: Tally, premises: Premises, seed: int, cases: int, bar: Step) -> None:
    before = tally.counts["cases"]
    fuzz = Fuzz(premises.urls[0], SECRET, tick=lambda _: bar(before + fuzz.cases, cases))
    kinds = ((fuzz.honest, HONEST), (fuzz.described, DESCRIBED), (fuzz.linked, LINKED),
             (fuzz.hostile, HOSTILE))  # fmt: skip
    for kind, count in kinds:
        _count(tally, fuzz, kind.__name__, partial(kind, seed, count))
    eventually(premises.all_delivered)
    written = premises.content()
    _count(tally, fuzz, "forged", partial(fuzz.forged, seed, FORGED))
    if premises.content() != written:
        fuzz.found.append("forged webhooks wrote something")
    if fuzz.wire.ask(Sent("GET", "/readyz")).status != 200:
        fuzz.found.append("the server is no longer ready")
    for status, times in fuzz.judge.statuses.items():
        tally.counts[f"answer {status}"] += times
    fuzz.close()
    tally.blame(f"seed {seed}", fuzz.found)
    tally.counts["rounds"] += 1
    tally.save()


def _count(tally: Tally, fuzz: Fuzz, kind: str, run: Callable[[], None]) -> None:
    before = fuzz.cases
    run()
    tally.counts[kind] += fuzz.cases - before
    tally.counts["cases"] += fuzz.cases - before


def fuzz_webhooks(tally: Tally, cases: int, seed: int, bar: Step) -> None:
    """Forgeries for the gateway itself, until there were so many."""
    now = datetime.now(UTC)
    while tally.counts["cases"] < cases and not tally.findings:
        number = seed + tally.counts["rounds"]
        count = min(FORGERIES, cases - tally.counts["cases"])
        forger = Forger(number, an_event(now), SECRET, now)
        seen = judge(
            lambda body, header, at: read_event(body, header, (SECRET,), at), forger, count
        )
        tally.counts["cases"] += seen.drawn
        tally.counts["refused"] += seen.refused
        tally.counts["accepted, untouched"] += seen.unchanged
        tally.counts["rounds"] += 1
        tally.note("median µs", seen.median_us)
        tally.note("slowest µs", seen.slowest_us)
        tally.blame(f"seed {number}", seen.broken)
        bar(tally.counts["cases"], cases)
        tally.save()


def fuzz_shop(tally: Tally, cases: int, seed: int, bar: Step) -> None:
    """Walks through the shop until so many steps were taken."""
    while tally.counts["cases"] < cases and not tally.findings:
        number = seed + tally.counts["rounds"]
        steps, found = walk(number, WALKS)
        tally.counts["cases"] += steps.total()
        tally.counts.update(steps)
        tally.counts["rounds"] += 1
        tally.blame(f"seed {number}", [found] if found else [])
        bar(tally.counts["cases"], cases)
        tally.save()


PROOFS: Final[dict[str, Callable[[Tally, int, int, Step], None]]] = {
    "http": fuzz_http,
    "webhooks": fuzz_webhooks,
    "shop": fuzz_shop,
}


def _print(tally: Tally, what: str, seed: int) -> None:
    shown = table(f"fuzz {what}", "", right=("",))
    for name, count in sorted(tally.counts.items()):
        shown.add_row(name, f"{count:,}")
    for name in tally.figures:
        shown.add_row(f"{name}, median of rounds", f"{tally.quantile(name, 50):.1f}")
        shown.add_row(f"{name}, greatest", f"{tally.quantile(name, 100):.1f}")
    out.print(shown)
    for finding in tally.findings:
        out.print(finding, soft_wrap=True)
    verdict = f"{len(tally.findings)} found" if tally.findings else "nothing found"
    out.print(f"{verdict}; first seed {seed}")


if __name__ == "__main__":
    sys.exit(main())
