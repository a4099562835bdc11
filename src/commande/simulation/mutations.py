"""The seeded bugs: each is one that shops really had, or that one careless line would bring back.

A simulation is worth what it catches: ``mutants.py`` counts the worlds until each is.
"""

from typing import Final

from commande.simulation import (
    mutations_belief,
    mutations_clean_up,
    mutations_opening,
    mutations_settling,
)
from commande.simulation.bench import Mutant

MUTANTS: Final = tuple(
    mutant
    for file in (mutations_belief, mutations_opening, mutations_settling, mutations_clean_up)
    for mutant in vars(file).values()
    # Some stand on another file's: each counts where it is written.
    if isinstance(mutant, Mutant) and mutant.make.__module__ == file.__name__
)
