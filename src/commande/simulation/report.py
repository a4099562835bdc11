"""The report of a campaign: one HTML file that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from commande.simulation.campaign import Totals
from commande.simulation.mutants import Catch
from commande.simulation.points import ELSEWHERE, POINTS
from commande.simulation.shrink import Shrunk

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #faf8f4; --ink: #1f2421; --muted: #666c68;
  --line: #e4dfd6; --accent: #1f5c4a; --danger: #9f2d20; --good: #1f6b3a; --warning: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --paper: #161a18; --ink: #ecebe4; --muted: #a2aaa4;
  --line: #323935; --accent: #86c7ab; --danger: #f09b8b; --good: #8bd0a0; --warning: #e2b866 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 ui-sans-serif,
  system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 1040px; margin: 0 auto; padding: 32px 16px 64px }
h1, h2 { font-family: ui-serif, "Iowan Old Style", Georgia, serif; font-weight: 400;
  line-height: 1.2 }
h1 { font-size: 35px; margin: 0 0 8px } h2 { font-size: 21px; margin: 48px 0 12px }
p { max-width: 66ch; margin: 0 0 12px } .muted { color: var(--muted) }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 16px;
  margin: 24px 0; border-top: 1px solid var(--line); padding-top: 16px }
dt { color: var(--muted); font-size: 13px } dd { margin: 0; font-size: 21px;
  font-variant-numeric: tabular-nums; font-family: ui-serif, Georgia, serif }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 400; color: var(--muted); font-size: 13px }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top }
.n { text-align: right } .good { color: var(--good) } .bad { color: var(--danger) }
.never { color: var(--warning) }
svg { display: block; width: 100%; height: auto } .plot svg { min-width: 700px }
svg text { fill: var(--ink); font-size: 13px }
svg .figure { fill: var(--muted) } svg rect { fill: var(--accent) }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace;
  border-left: 2px solid var(--danger); padding-left: 12px }
details summary { cursor: pointer; color: var(--accent) } .wide { overflow-x: auto }
"""
_LONGEST_STORY: Final = 200


def write_report(
    totals: Totals, shrunk: Sequence[Shrunk] = (), caught: Sequence[Catch] = (), title: str = ""
) -> str:
    """The page, as text."""
    parts = [_head(totals, title), _violations(totals, shrunk), _points(totals)]
    if totals.struck:
        parts.append(_plot("Faults that struck", totals.struck))
    ends, habits = _split(totals.outcomes)
    if ends:
        parts.append(_plot("Where commands ended", ends))
    if habits:
        parts.append(_plot("What customers did", habits))
    if caught:
        parts.append(mutant_table(caught))
    body = "\n".join(parts)
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>Simulation</title><style>{_STYLE}</style>\n<main>\n{body}\n</main></html>\n"
    )


def _head(totals: Totals, title: str) -> str:
    broken = len(totals.failures)
    verdict = (
        "<p class=good>No invariant broke.</p>"
        if not broken
        else f"<p class=bad>{broken} of {totals.worlds} worlds broke an invariant.</p>"
    )
    figures = {
        "checkouts": f"{totals.checkouts:,}",
        "worlds": f"{totals.worlds:,}",
        "steps": f"{totals.steps:,}",
        "faults": f"{totals.struck.total():,}",
        "checkouts a second": f"{totals.rate:,.0f} with {totals.jobs} "
        + ("process" if totals.jobs == 1 else "processes"),
        "seeds": f"{totals.first_seed:,} – {totals.first_seed + max(totals.worlds - 1, 0):,}",
    }
    cells = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in figures.items())
    heading = escape(title or "Simulated checkouts")
    return f"<h1>{heading}</h1>{verdict}<dl>{cells}</dl>"


def _violations(totals: Totals, shrunk: Iterable[Shrunk]) -> str:
    if not totals.failures:
        return ""
    rows = "".join(
        f"<tr><td class=n>{failure.seed}<td>{escape(str(failure.violations[0]))}"
        f"<td><code>commande simulate --world {failure.seed}</code>"
        for failure in totals.failures
    )
    stories = "".join(_story(one) for one in shrunk)
    return (
        "<h2>Broken invariants</h2><div class=wide><table><tr><th class=n>Seed<th>What"
        f"<th>See it again{rows}</table></div>{stories}"
    )


def _story(one: Shrunk) -> str:
    lines = "\n".join(escape(line) for line in one.outcome.timeline[-_LONGEST_STORY:])
    what = escape("; ".join(str(violation) for violation in one.outcome.violations))
    return (
        f"<h2>Seed {one.seed}, made small</h2><p>{what}</p><p><code>{escape(one.command)}</code>"
        f"</p><pre>{lines}</pre>"
    )


def _points(totals: Totals) -> str:
    most = max(totals.reached.values(), default=1)
    rows = []
    for point in sorted({*POINTS, *ELSEWHERE}, key=lambda name: int(name[1:])):
        times = totals.reached.get(point, 0)
        if point in ELSEWHERE:
            note = f"<td class=muted>{escape(ELSEWHERE[point])}<td><td class=n>–<td>"
        else:
            word = f"{times:,}" if times else "<span class=never>not reached</span>"
            known = POINTS[point]
            note = (
                f"<td>{escape(known.name)}<td class=muted>{escape(known.counted)}"
                f"<td class=n>{word}<td>{_bar(times, most)}"
            )
        rows.append(f"<tr><td>{point}{note}")
    reached = sum(1 for point in POINTS if totals.reached.get(point))
    return (
        f"<h2>Crash and interleaving points</h2><p class=muted>{reached} of the {len(POINTS)} that "
        "can be reached here were. A point is counted when it was gone through, not when it was "
        "tried; the third column says what exactly is counted. The bars are logarithmic.</p>"
        "<div class=wide><table><tr><th><th>Point<th>Counted<th class=n>Times"
        f"<th style='width:20%'>{''.join(rows)}</table></div>"
    )


def _bar(times: int, most: int) -> str:
    share = (len(bin(times)) - 2) / (len(bin(most)) - 2) * 100 if times else 0
    return (
        "<svg viewBox='0 0 100 4' preserveAspectRatio=none style='height:8px;margin-top:7px' "
        f"aria-hidden=true><rect width={share:.0f} height=4></rect></svg>"
    )


def _split(outcomes: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    ends = {k.removeprefix("= "): n for k, n in outcomes.items() if k.startswith("= ")}
    habits = {k: n for k, n in outcomes.items() if not k.startswith(("= ", "dead", "duty"))}
    return ends, habits


def _plot(title: str, counts: Mapping[str, int]) -> str:
    """Horizontal bars from zero, each labelled; the figures stand in a table behind a click."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most, height = ranked[0][1] or 1, 22
    bars = "".join(
        f"<text x=0 y={at * height + 15}>{escape(name)}</text>"
        f"<rect x=200 y={at * height + 5} width={times / most * 640:.1f} height=12 rx=1></rect>"
        f"<text class=figure x={208 + times / most * 640:.1f} y={at * height + 15}>{times:,}</text>"
        for at, (name, times) in enumerate(ranked)
    )
    rows = "".join(f"<tr><td>{escape(name)}<td class=n>{times:,}" for name, times in ranked)
    return (
        f"<h2>{escape(title)}</h2><div class='wide plot'>"
        f"<svg viewBox='0 0 940 {len(ranked) * height + 4}' role=img "
        f"aria-label='{escape(title)}'>{bars}</svg></div>"
        f"<details><summary>As a table</summary><table>{rows}</table></details>"
    )


def mutant_table(caught: Sequence[Catch]) -> str:
    """Every seeded bug and how soon it was found."""
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{escape(one.mutant.breaks)}<td class=n>{layers}"
        f"<td>{escape(weather)}<td class='n {'good' if one.caught else 'bad'}'>{escape(found)}"
        f"<td class=n>{worlds}<td class=n>{checkouts}<td class=n>{seed}<td>{escape(by)}"
        for one in caught
        for name, _, layers, weather, found, worlds, checkouts, seed, by in [_cells(one)]
    )
    found = sum(one.caught for one in caught)
    return (
        f"<h2>Seeded bugs</h2><p>{found} of {len(caught)} were caught.</p><div class=wide><table>"
        "<tr><th>Bug<th>What it does<th class=n>Layers off<th>Weather<th class=n>Caught"
        "<th class=n>Worlds<th class=n>Checkouts<th class=n>Seed<th>Given away by"
        f"{rows}</table></div>"
    )


def mutant_markdown(caught: Sequence[Catch]) -> str:
    """The same table as docs/simulation.md holds it."""
    head = ("bug", "what it does", "layers off", "weather", "caught in", "worlds", "checkouts",
            "seed", "given away by")  # fmt: skip
    rules = ("---", "---", "---:", "---", "---:", "---:", "---:", "---:", "---")
    rows = [head, rules, *map(_cells, caught)]
    # A pattern's asterisks are no emphasis.
    return "\n".join(f"| {' | '.join(cells)} |".replace("*", "\\*") for cells in rows)


def _cells(one: Catch) -> tuple[str, ...]:
    worlds = "–" if one.median is None else f"{one.median:g}"
    checkouts = "–" if one.median_checkouts is None else f"{one.median_checkouts:g}"
    weather = ", ".join(
        f"{kind.replace(':', ' ')} {share:.0%}" for kind, share in one.mutant.faults.items()
    )
    return (
        one.mutant.name.replace("_", " "), one.mutant.breaks, str(one.mutant.layers),
        weather or "as drawn", f"{one.found} of {len(one.hunts)}", worlds, checkouts,
        "–" if one.seed is None else str(one.seed), one.violation,
    )  # fmt: skip
