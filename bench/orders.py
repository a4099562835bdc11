"""What an order costs, from cart to paid, beside a floor and a naive design: `scripts/bench`.

Everything is measured in one run on one machine, turn by turn, so that the ratios hold when the
times do not: on a machine that is shared, compare only figures of the same table.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Literal

import aiohttp
import psutil
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.buyers import Buyers, measure
from bench.measure import Tree, describe_machine
from bench.systems import System, started_systems

LEVELS = (1, 16, 64)
WARM_UP = 24
Figures = dict[str, float]
Rows = dict[tuple[str, int], Figures]
"""By system and how many customers at a time."""

out = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
err = Console(stderr=True, highlight=False)


def main() -> None:
    """Measure and print."""
    given = _arguments()
    databases = ["sqlite", "postgresql"] if given.database == "both" else [given.database]
    # As for Ctrl-C: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine = describe_machine()
    err.print("Starting servers …")
    with started_systems(databases) as systems, _progress() as bar:
        counts = {level: _share(given.orders, level, given.latency) for level in LEVELS}
        total = given.rounds * len(systems) * sum(counts.values())
        task = bar.add_task("Ordering", total=total)
        runs = uvloop.run(_run(systems, given, counts, lambda: bar.advance(task)))
        rows = _compare(runs)
    out.print(_table(rows, systems))
    _explain(machine, given, counts)
    if given.json:
        _write(given.json, machine, given, counts, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--orders", type=int, default=300, metavar="N",
                        help="orders a run (default 300)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="runs of which the median is shown (default 3)")  # fmt: skip
    parser.add_argument("--latency", type=int, default=0, metavar="MS",
                        help="how long Stripe takes for each call (default 0)")  # fmt: skip
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    if given.orders < 1 or given.rounds < 1 or given.latency < 0:
        parser.error("--orders and --rounds are at least 1, --latency at least 0")
    return given


def _share(orders: int, waiting: int, latency: int) -> int:
    """How many orders a run makes: one at a time with a slow Stripe would take for ever."""
    return max(2, orders // 15) if latency and waiting == 1 else max(orders, waiting)


async def _run(
    systems: list[System], given: argparse.Namespace, counts: dict[int, int],
    progress: Callable[[], None],
) -> Rows:  # fmt: skip
    client = Tree(psutil.Process(), alone=True)
    for system in systems:
        await _prepare(system, given.latency)
    runs: dict[tuple[str, int], list[Figures]] = {}
    for _ in range(given.rounds):
        for level, orders in counts.items():
            # Turn by turn: whatever else the machine does meets all of them alike.
            for system in systems:
                figures = await measure(system, orders, level, client, progress)
                runs.setdefault((system.name, level), []).append(figures)
    return {key: _medians(figures) for key, figures in runs.items()}


async def _prepare(system: System, latency: int) -> None:
    """Warm up (caches, connections, tax rates), then let Stripe take its time."""
    async with aiohttp.ClientSession() as http:
        buyers = Buyers(system, http, lambda: None)
        await buyers.prepare(1)
        for orders, waiting in ((1, 1), (WARM_UP, 8)):
            load = await buyers.buy(orders, waiting)
            if load.failures:
                raise SystemExit(f"{system.name} does not work: {dict(load.failures)}")
        for path in ("/v1/checkout/*", "/v1/tax_rates*") if latency else ():
            fault = {"kind": "latency", "count": None, "seconds": latency / 1000, "path": path}
            async with http.post(f"{system.stripe}/sandbox-control/faults", json=fault) as answer:
                answer.raise_for_status()


def _medians(runs: list[Figures]) -> Figures:
    figures = {name: median(run[name] for run in runs) for name in runs[0]}
    return figures | {"failed": sum(run["failed"] for run in runs)}


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip


COLUMNS = (
    "system", "at once", "orders/s", "create", "+Δ", "confirm", "+Δ", "calls", "CPU-s", "× floor",
    "RSS", "failed", "others",
)  # fmt: skip
LEGEND = """\
create, confirm: ms, p50 · p95. +Δ: p50 less that of the same question put to the stand-in itself.
calls: to Stripe per order, to open + to settle. CPU-s: per 1,000 orders, server + PostgreSQL.
RSS: MB of the server. others: CPU-s per 1,000 orders of the stand-in · the load client.
All of them share the machine: orders/s and times tell about the sum, calls and CPU-s about one.
"""


def _table(rows: Rows, systems: list[System]) -> Table:
    shown = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        justify: Literal["left", "right"] = "left" if column == "system" else "right"
        shown.add_column(column, justify=justify, no_wrap=True)
    for system in systems:
        for level in LEVELS:
            shown.add_row(*_cells(rows, system, level), end_section=level == LEVELS[-1])
    return shown


def _cells(rows: Rows, system: System, level: int) -> list[str]:
    row, alone = rows[system.name, level], rows["stand-in alone", level]
    cells = [system.name, str(level), f"{row['orders_per_s']:.0f}"]
    for name in ("create", "confirm"):
        p50, p95 = row[f"{name}_p50_ms"], row[f"{name}_p95_ms"]
        added = "" if system.url is None else f"{p50 - alone[f'{name}_p50_ms']:+.1f}"
        cells += [f"{p50:.1f} · {p95:.1f}", added]
    cells.append(f"{row['calls_to_open']:.2f} + {row['calls_to_settle']:.2f}")
    if system.url is None:
        cells += ["", "", ""]
    else:
        server, database = row["server_cpu_s"], row.get("database_cpu_s")
        bill = f"{server:.2f}" if database is None else f"{server:.2f} + {database:.2f}"
        cells += [bill, f"{row['times_floor']:.1f}", f"{row['rss_mb']:.0f}"]
    return [
        *cells,
        f"{row['failed']:.0f}",
        f"{row['stripe_cpu_s']:.2f} · {row['client_cpu_s']:.2f}",
    ]


def _compare(rows: Rows) -> Rows:
    """The rows with each system's CPU as a multiple of the floor's at the same level."""
    compared = {}
    for (name, level), row in rows.items():
        floor = rows["floor, SQLite", level]["server_cpu_s"]
        own = row.get("server_cpu_s", 0.0) + row.get("database_cpu_s", 0.0)
        compared[name, level] = row | {"times_floor": own / floor if floor else float("nan")}
    return compared


def _explain(machine: dict[str, str], given: argparse.Namespace, counts: dict[int, int]) -> None:
    out.print(f"\n{LEGEND}")
    parts = (machine["machine"], machine["cpu"], machine["system"], f"Python {machine['python']}")
    out.print(f"{', '.join(parts)}, load {machine['load_before']} before, {machine['date']}.")
    orders = ", ".join(f"{count} at {level}" for level, count in counts.items())
    out.print(f"Medians of {given.rounds} rounds; orders: {orders} at once; ", end="")
    out.print(f"Stripe takes {given.latency} ms a call.")


def _write(
    file: Path, machine: dict[str, str], given: argparse.Namespace, counts: dict[int, int],
    rows: Rows,
) -> None:  # fmt: skip
    document = {
        "machine": machine,
        "latency_ms": given.latency,
        "rounds": given.rounds,
        "orders": {str(level): count for level, count in counts.items()},
        "rows": [{"system": n, "at_once": lv, **figures} for (n, lv), figures in rows.items()],
    }
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
