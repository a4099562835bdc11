"""What ``simulate`` does: worlds run, seeded bugs hunted, stories told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from commande.cli.terminal import Exit, err, fail, out, table
from commande.simulation.bench import Mutant
from commande.simulation.campaign import Totals, run_campaign
from commande.simulation.ground import Ground
from commande.simulation.mutants import Catch, catch_all
from commande.simulation.mutations import MUTANTS
from commande.simulation.points import POINTS
from commande.simulation.profile import draw_profile
from commande.simulation.report import write_report
from commande.simulation.run import Outcome, run_world, silence
from commande.simulation.shrink import Shrunk, shrink

# More stories than that nobody reads; the seeds of all are listed.
_STORIES = 3
_LINES = 80


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Nothing until there is something to count."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def tell_world(seed: int, without: frozenset[str]) -> None:
    """Run one world and print everything that happened in it."""
    silence()
    outcome = run_world(draw_profile(seed, without=without), Ground(), timeline=True)
    for line in outcome.timeline:
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        f"Seed {seed}: {outcome.checkouts} checkouts, {outcome.steps:,} steps, "
        f"trace {outcome.fingerprint}."
    )
    _end(outcome)


def _end(outcome: Outcome) -> None:
    for violation in outcome.violations:
        err.print(f"[red]broken[/red] {violation}", soft_wrap=True)
    if outcome.violations:
        raise typer.Exit(Exit.ATTENTION)
    out.print("No invariant broke.")


def campaign(checkouts: int, seed: int, jobs: int, report: Path | None) -> None:
    """Run worlds, print what they came to, make the failures small."""
    with _bar("Simulating") as bar:
        totals = run_campaign(checkouts, seed, jobs, bar)
    _print_totals(totals)
    shrunk = _shrink(totals)
    if report is not None:
        report.write_text(write_report(totals, shrunk), encoding="utf-8")
        out.print(f"Report: {report}")
    if totals.failures:
        raise typer.Exit(Exit.ATTENTION)


def _print_totals(totals: Totals) -> None:
    reached = sum(1 for point in POINTS if totals.reached.get(point))
    out.print(
        f"{totals.checkouts:,} checkouts in {totals.worlds:,} worlds, {totals.struck.total():,} "
        f"faults, {totals.steps:,} steps, {totals.seconds:.0f} s ({totals.rate:,.0f} checkouts/s). "
        f"{reached} of {len(POINTS)} crash and interleaving points reached."
    )
    if not totals.failures:
        out.print("No invariant broke.")
    for failure in totals.failures:
        err.print(f"[red]broken[/red] seed {failure.seed}: {failure.violations[0]}", soft_wrap=True)


def _shrink(totals: Totals) -> list[Shrunk]:
    """Make the first failures small, and tell them."""
    shrunk = []
    silence()
    ground = Ground() if totals.failures else None
    for failure in totals.failures[:_STORIES]:
        assert ground is not None  # noqa: S101 – there is a failure
        found = shrink(failure.seed, ground)
        if found is None:
            err.print(f"Seed {failure.seed} does not fail again: that is a defect of its own.")
            continue
        shrunk.append(found)
        for line in found.outcome.timeline[-_LINES:]:
            err.print(line, markup=False, soft_wrap=True)
        err.print(f"See it again: {found.command}", soft_wrap=True)
    return shrunk


def chosen(name: str) -> list[Mutant]:
    """The seeded bug of that name, or all. Exits when there is none."""
    chosen = [mutant for mutant in MUTANTS if name in ("", mutant.name)]
    if not chosen:
        raise fail(f"There is no seeded bug “{name}”.")
    return chosen


def hunt(seed: int, chosen: list[Mutant], trials: int, budget: int, report: Path | None) -> None:
    """Hunt seeded bugs and print how soon each was caught."""
    silence()
    with _bar("Hunting") as bar:
        caught = catch_all(
            Ground(), seed=seed, trials=trials, budget=budget, mutants=chosen, progress=bar
        )
    _print_catches(caught)
    if report is not None:
        page = write_report(Totals(seed), caught=caught, title="Seeded bugs")
        report.write_text(page, encoding="utf-8")
        out.print(f"Report: {report}")
    if not all(one.caught for one in caught):
        raise typer.Exit(Exit.ATTENTION)


def _print_catches(caught: list[Catch]) -> None:
    shown = table("Bug", "What it does", "Layers", "Caught", "Worlds", right=("Layers", "Worlds"))
    for one in caught:
        worlds = "" if one.median is None else f"{one.median:g}"
        word = "yes" if one.caught else "[red]no[/red]"
        shown.add_row(one.mutant.name, one.mutant.breaks, str(one.mutant.layers), word, worlds)
    out.print(shown)
    out.print(f"{sum(one.caught for one in caught)} of {len(caught)} caught.")
