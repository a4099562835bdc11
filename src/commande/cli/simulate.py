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
    mutant: Annotated[
        str, typer.Option(help="With --mutants: only these seeded bugs, comma separated.")
    ] = "",
    budget: Annotated[int, typer.Option(min=1, help="Most worlds of a search for one.")] = 60,
    trials: Annotated[int, typer.Option(min=1, help="Searches for each seeded bug.")] = 3,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="With --mutants: print the table for a document.")
    ] = False,
) -> None:
    """Simulate checkouts with random faults; exit code 1 when an invariant breaks."""
    # Imported late: it brings the stand-in and every other room with it.
    from commande.cli import worlds

    if world is not None:
        worlds.tell_world(world, _names(without))
    elif mutants:
        chosen = worlds.chosen(_names(mutant))
        worlds.hunt(seed, chosen, trials, budget, report, markdown=markdown)
    else:
        worlds.campaign(checkouts, seed, jobs, report)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) - {""}
