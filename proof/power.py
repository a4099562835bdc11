"""Power loss on SQLite: what is on the disk after the plug was pulled, opened and compared.

Real transactions are recorded down to each write and fsync. Then the recording is cut at thousands
of places; from each a disk is made as a power loss could have left it, opened with SQLite, checked,
and held against what the shop had acknowledged by then. `scripts/proof power --help`
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

from commande.cli.terminal import err, out, progress, table
from proof.disk import MANNERS, Disk, write_image
from proof.outset import make_parser, open_tally, prepare
from proof.recorder import Acknowledged, Event, Recorder
from proof.tally import Tally
from proof.till import NAME, Level, Till, Told, make_shop

ORDERS: Final = 40
CUTS_OF_ONE: Final = 1000
"""Cuts of one recording: some 4,000 places, so that most are taken once or not at all."""
STALE_INDEX: Final = 0.3
GOES_ON: Final = 100
"""Every so many images the shop is opened on one and sells again."""

# What one transaction wrote is there whole or not at all.
_TORN: Final = """
SELECT count(*) FROM (
  SELECT c.id,
    (SELECT count(*) FROM attempts a WHERE a.command_id = c.id) AS attempts,
    (SELECT count(*) FROM history h WHERE h.command_id = c.id AND h.kind = 'opened') AS opened,
    (SELECT count(*) FROM attempts a WHERE a.command_id = c.id
       AND a.stripe_session_id IS NOT NULL) AS addresses,
    (SELECT count(*) FROM history h WHERE h.command_id = c.id
       AND h.kind = 'session_opened') AS noted,
    c.paid_at IS NOT NULL AS paid,
    (SELECT count(*) FROM payments p WHERE p.command_id = c.id) AS payments,
    (SELECT count(*) FROM messages m WHERE m.command_id = c.id) AS letters,
    (SELECT count(*) FROM history h WHERE h.command_id = c.id AND h.kind = 'paid') AS lines,
    (SELECT count(*) FROM attempts a WHERE a.command_id = c.id AND a.state = 'complete') AS done
  FROM commands c)
WHERE attempts <> 1 OR opened <> 1 OR addresses <> noted
   OR payments <> paid OR letters <> paid OR lines <> paid OR done <> paid
"""


def main() -> int:
    """Cut, compare, print; 1 when something was lost."""
    given = _arguments()
    prepare()
    about = {"proof": "power", "synchronous": given.synchronous, "sqlite": sqlite3.sqlite_version}
    tally = open_tally(given.state, about)
    with progress("Pulling the plug") as bar:
        prove(tally, given.cuts, given.seed, given.synchronous, bar)
    _print(tally)
    return 1 if lost(tally) else 0


def _arguments() -> argparse.Namespace:
    parser = make_parser("power", __doc__)
    parser.add_argument("--cuts", type=int, default=2000, metavar="N",
                        help="power cuts in all, those in the state file included")  # fmt: skip
    parser.add_argument("--synchronous", choices=("full", "normal"), default="full",
                        help="normal is the control: it must lose")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the first recording")
    return parser.parse_args()


def prove(
    tally: Tally,
    cuts: int,
    seed: int,
    level: Level = "full",
    tell: Callable[[int, int], None] | None = None,
) -> None:
    """Add cuts to the tally until there are so many. Deterministic but for SQLite's own salts."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        shop = make_shop(folder)
        while (done := tally.counts["cuts"]) < cuts:
            number = f"{seed + tally.counts['recordings']}"
            began = time.perf_counter()
            events = record(folder, shop, level, number)
            share = min(CUTS_OF_ONE, cuts - done)
            for images, findings in cut(folder, shop, events, share, number):
                tally.counts.update(images)
                tally.blame(f"seed {number}", findings)
                if tell is not None:
                    tell(tally.counts["cuts"], cuts)
            tally.counts["recordings"] += 1
            tally.counts["writes recorded"] += len(events)
            tally.note("seconds", time.perf_counter() - began)
            tally.save()


def record(folder: Path, shop: bytes, level: Level, seed: str) -> list[Event]:
    """One recording: a shop sells, from its opening to its closing."""
    write_image({NAME: shop}, folder)
    recorder = Recorder(folder)
    with recorder.recording():
        till = Till(recorder, folder, level, seed)
        till.ring_up(ORDERS // 2)
        till.restock()
        till.ring_up(ORDERS - ORDERS // 2)
        till.close()
    return recorder.events


def cut(
    folder: Path, shop: bytes, events: list[Event], cuts: int, seed: str
) -> Iterator[tuple[dict[str, int], list[str]]]:
    """Cut a recording so often; what each image was counted as, and what is wrong with it."""
    rng = Random(f"cuts of {seed}")
    disk, told, at = Disk({NAME: shop}), Promises(), 0
    for number, place in enumerate(_places(events, cuts, rng)):
        for event in events[at:place]:
            disk.follow(event)
            if isinstance(event, Acknowledged):
                told.hear(event.fact)
        at = place
        manner = rng.choice(list(MANNERS))
        unsynced = disk.unsynced
        image = disk.cut(rng, manner)
        if rng.random() < STALE_INDEX:
            # The log's index lives in shared memory and is never synced: whatever is found there.
            image[f"{NAME}-shm"] = rng.randbytes(32768)
        write_image(image, folder)
        counts = {"cuts": 1, f"manner: {manner}": 1, "facts compared": told.count,
                  "cuts with unsynced writes": unsynced > 0}  # fmt: skip
        findings, lost_facts = _compare(folder, told)
        if not findings and number % GOES_ON == 0:
            _sell_on(folder, f"{seed}/{number}")
            counts["sold on afterwards"] = 1
        counts |= {f"{kind} images": 1 for kind in findings} | {"lost facts": lost_facts}
        yield counts, [f"cut at {place} of {len(events)}, {manner}: {text}"
                       for text in findings.values()]  # fmt: skip


def _places(events: list[Event], cuts: int, rng: Random) -> list[int]:
    """Half of the cuts anywhere, half at the worst moment: somebody has just been told."""
    just_told = [n for n, event in enumerate(events, 1) if isinstance(event, Acknowledged)]
    anywhere = (rng.randint(0, len(events)) for _ in range(cuts - cuts // 2))
    return sorted([*anywhere, *(rng.choice(just_told) for _ in range(cuts // 2))])


class Promises:
    """What the shop has told so far."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, str]] = {
            kind: {} for kind in ("command", "address", "event", "paid", "letter", "buried")
        }

    def hear(self, told: Told) -> None:
        """One more."""
        self._told[told.kind][told.command] = told.detail

    @property
    def count(self) -> int:
        """How many facts."""
        return sum(map(len, self._told.values()))

    def broken(self, connection: sqlite3.Connection) -> int:
        """How many of them are not so."""
        read = connection.execute
        held: dict[str, dict[str, str]] = {
            "command": dict(read("SELECT id, '' FROM commands")),
            "address": dict(read("SELECT command_id, stripe_session_id FROM attempts"
                                 " WHERE state <> 'creating'")),
            "event": dict(read("SELECT command_id, stripe_event_id FROM events")),
            "paid": dict(read("SELECT id, paid_session_id FROM commands"
                              " WHERE paid_at IS NOT NULL AND snapshot IS NOT NULL")),
            "letter": dict(read("SELECT command_id, '' FROM messages WHERE state = 'sent'")),
            "buried": dict(read("SELECT id, '' FROM commands WHERE status = 'expired'")),
        }  # fmt: skip
        return sum(
            held[kind].get(command) != detail
            for kind, told in self._told.items()
            for command, detail in told.items()
        )


def _compare(folder: Path, told: Promises) -> tuple[dict[str, str], int]:
    """What is wrong with an image, by kind; and how many acknowledged facts are not in it."""
    found = {}
    try:
        with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as connection:
            for check in ("integrity_check", "foreign_key_check"):
                answer = connection.execute(f"PRAGMA {check}").fetchall()
                if answer not in ([("ok",)], []):
                    found["corrupt"] = f"{check}: {answer[:2]}"
            torn = connection.execute(_TORN).fetchone()[0]
            if torn:
                found["half-made"] = f"{torn} commands are half-made"
            broken = told.broken(connection)
            if broken:
                found["losing"] = f"{broken} of {told.count} acknowledged facts are gone"
    except sqlite3.DatabaseError as error:
        return {"corrupt": f"SQLite cannot read it: {error}"}, told.count
    return found, broken


def _sell_on(folder: Path, seed: str) -> None:
    """The shop itself opens on what is left and sells two more."""
    till = Till(Recorder(folder), folder, "full", f"afterwards {seed}")
    till.ring_up(2)
    till.close()


def lost(tally: Tally) -> int:
    """How many images had something wrong."""
    return sum(tally.counts[f"{kind} images"] for kind in ("losing", "corrupt", "half-made"))


def _print(tally: Tally) -> None:
    """The result as a table, and the first findings."""
    counts, rows = tally.counts, table("", "", right=("",))
    level = tally.about["synchronous"].upper()
    rows.add_row(f"Power cuts (SQLite {tally.about['sqlite']}, synchronous={level})",
                 f"{counts['cuts']:,}")  # fmt: skip
    names = ("recordings", "writes recorded", "cuts with unsynced writes", "facts compared",
             "sold on afterwards", "losing images", "lost facts", "corrupt images",
             "half-made images")  # fmt: skip
    for name in names:
        rows.add_row(f"  {name}", f"{counts[name]:,}")
    for manner in MANNERS:
        rows.add_row(f"  the disk's cache: {manner}", f"{counts[f'manner: {manner}']:,}")
    rows.add_row("  minutes", f"{sum(tally.figures.get('seconds', [])) / 60:.1f}")
    out.print(rows)
    for finding in tally.findings[:5]:
        err.print(finding)


if __name__ == "__main__":
    sys.exit(main())
