"""What ``simulate`` does: worlds run, seeded bugs hunted, stories told."""

import time
from pathlib import Path

import typer
from rich.text import Text

from commande.cli.terminal import Exit, err, fail, out, progress, table
from commande.simulation.bench import Mutant
from commande.simulation.campaign import Totals, run_campaign
from commande.simulation.ground import Ground
from commande.simulation.mutants import Catch, catch_all
from commande.simulation.mutations import MUTANTS
from commande.simulation.points import POINTS
from commande.simulation.profile import draw_profile
from commande.simulation.report import mutant_markdown, write_report
from commande.simulation.run import Outcome, run_world, silence
from commande.simulation.shrink import Shrunk, shrink

# More stories than that nobody reads; the seeds of all are listed.
_STORIES = 3
_LINES = 80
BROKEN = ("broken", "red")


def tell_world(seed: int, without: frozenset[str]) -> None:
    """Run one world and print everything that happened in it."""
    silence()
    outcome = run_world(draw_profile(seed, without=without), Ground(), timeline=True)
    for line in outcome.timeline:
        out.print(line, soft_wrap=True)
    out.print(
        f"Seed {seed}: {outcome.checkouts} checkouts, {outcome.steps:,} steps, "
        f"trace {outcome.fingerprint}."
    )
    _end(outcome)


def _end(outcome: Outcome) -> None:
    for violation in outcome.violations:
        err.print(Text.assemble(BROKEN, f" {violation}"), soft_wrap=True)
    if outcome.violations:
        raise typer.Exit(Exit.ATTENTION)
    out.print("No invariant broke.")


def campaign(checkouts: int, seed: int, jobs: int, report: Path | None) -> None:
    """Run worlds, print what they came to, make the failures small."""
    _make_room(report)
    with progress("Simulating") as bar:
        totals = run_campaign(checkouts, seed, jobs, bar)
    _print_totals(totals)
    shrunk = _shrink(totals)
    if report is not None:
        report.write_text(write_report(totals, shrunk), encoding="utf-8")
        out.print(f"Report: {report}")
    if totals.failures:
        raise typer.Exit(Exit.ATTENTION)


def _make_room(report: Path | None) -> None:
    """Know that the report can be written before the hours that it takes to have one."""
    if report is None:
        return
    try:
        report.open("a").close()
    except OSError as error:
        raise fail(f"Cannot write {report}: {error.strerror}.") from None


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
        what = f" seed {failure.seed}: {failure.violations[0]}"
        err.print(Text.assemble(BROKEN, what), soft_wrap=True)


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
            err.print(line, soft_wrap=True)
        err.print(f"See it again: {found.command}", soft_wrap=True)
    return shrunk


def chosen(names: frozenset[str]) -> list[Mutant]:
    """The seeded bugs of those names, or all. Exits when there is no such bug."""
    for name in sorted(names - {mutant.name for mutant in MUTANTS}):
        raise fail(f"There is no seeded bug “{name}”.")
    return [mutant for mutant in MUTANTS if not names or mutant.name in names]


def hunt(
    seed: int, chosen: list[Mutant], trials: int, budget: int, report: Path | None, *,
    markdown: bool,
) -> None:  # fmt: skip
    """Hunt seeded bugs and print how soon each was caught."""
    _make_room(report)
    silence()
    began = time.process_time()
    with progress("Hunting") as bar:
        caught = catch_all(
            Ground(), seed=seed, trials=trials, budget=budget, mutants=chosen, progress=bar
        )
    if markdown:
        out.print(mutant_markdown(caught), soft_wrap=True)
    else:
        _print_catches(caught)
    hunts = [one for catch in caught for one in catch.hunts]
    out.print(
        f"\n{sum(one.caught for one in caught)} of {len(caught)} caught in each of {trials} "
        f"searches of at most {budget} worlds. {sum(one.worlds for one in hunts):,} worlds, "
        f"{sum(one.checkouts for one in hunts):,} checkouts, "
        f"{time.process_time() - began:,.0f} s of one core. First seed {seed}.", soft_wrap=True
    )  # fmt: skip
    if report is not None:
        page = write_report(Totals(seed), caught=caught, title="Seeded bugs")
        report.write_text(page, encoding="utf-8")
        out.print(f"Report: {report}")
    if not all(one.caught for one in caught):
        raise typer.Exit(Exit.ATTENTION)


def _print_catches(caught: list[Catch]) -> None:
    right = ("Layers", "Caught", "Worlds", "Checkouts")
    shown = table("Bug", "What it does", *right, right=right)
    for one in caught:
        found = f"{one.found} of {len(one.hunts)}"
        worlds = "" if one.median is None else f"{one.median:g}"
        checkouts = "" if one.median_checkouts is None else f"{one.median_checkouts:g}"
        word = Text(found, "" if one.caught else "red")
        shown.add_row(one.mutant.name, one.mutant.breaks, str(one.mutant.layers), word, worlds,
                      checkouts)  # fmt: skip
    out.print(shown)
