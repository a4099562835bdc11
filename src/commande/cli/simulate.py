"""``simulate``: the real flows under a seeded scheduler, with everything that can break."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    checkouts: Annotated[int, typer.Option(min=1, help="How many checkouts, at least.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The first world's seed.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report there.")] = None,
    world: Annotated[
        int | None, typer.Option(help="Run that one world and tell its story.")
    ] = None,
    without: Annotated[
        str, typer.Option(help="With --world: actors and faults to leave out, comma separated.")
    ] = "",
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Seed bugs and count the worlds until each is caught.")
    ] = False,
    mutant: Annotated[str, typer.Option(help="Only this seeded bug, with --mutants.")] = "",
    budget: Annotated[int, typer.Option(min=1, help="Worlds for a seeded bug.")] = 200,
    trials: Annotated[int, typer.Option(min=1, help="Searches for each seeded bug.")] = 3,
) -> None:
    """Simulate checkouts with random faults; exit code 1 when an invariant breaks."""
    # Imported late: it brings the stand-in and every other room with it.
    from commande.cli import worlds

    if world is not None:
        worlds.tell_world(world, frozenset(without.split(",")) - {""})
    elif mutants:
        worlds.hunt(seed, worlds.chosen(mutant), trials, budget, report)
    else:
        worlds.campaign(checkouts, seed, jobs, report)
