"""Whole worlds: the same seed is the same world, and no invariant breaks."""

import os
import subprocess
import sys

import pytest

from commande.simulation.campaign import choose_seeds, run_campaign
from commande.simulation.ground import Ground
from commande.simulation.points import ELSEWHERE, POINTS
from commande.simulation.profile import draw_profile
from commande.simulation.run import Outcome, run_world

# Seeds with many kinds of faults at once.
HARD = (12, 15, 16)
FEW = 8


def _run(seed: int, ground: Ground, checkouts: int = FEW) -> Outcome:
    return run_world(draw_profile(seed, checkouts=checkouts), ground)


def test_the_same_seed_leaves_the_same_trace(ground: Ground) -> None:
    first, second, other = _run(12, ground), _run(12, ground), _run(13, ground)
    assert first.fingerprint == second.fingerprint
    assert first.steps == second.steps
    assert first.fingerprint != other.fingerprint


def test_the_same_seed_leaves_the_same_trace_in_another_process(ground: Ground) -> None:
    program = (
        "from commande.simulation.ground import Ground\n"
        "from commande.simulation.profile import draw_profile\n"
        "from commande.simulation.run import run_world, silence\n"
        "silence()\n"
        f"print(run_world(draw_profile(12, checkouts={FEW}), Ground()).fingerprint)\n"
    )
    # Another order of every set of texts: nothing may hang on it.
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == _run(12, ground).fingerprint


@pytest.mark.parametrize("seed", HARD)
def test_no_invariant_breaks(seed: int, ground: Ground) -> None:
    outcome = _run(seed, ground, 15)
    assert outcome.violations == []
    assert outcome.struck.total() > 20


def test_everybody_is_dealt_with_when_the_faults_have_stopped(ground: Ground) -> None:
    outcome = _run(9, ground, 15)
    ends = {name for name in outcome.outcomes if name.startswith("= ")}
    assert ends <= {"= paid", "= expired", "= refunded", "= partially_refunded"}
    assert outcome.outcomes["= paid"] > 3


def test_taking_an_actor_away_leaves_the_others_their_dice() -> None:
    whole, less = draw_profile(12), draw_profile(12, without=frozenset({"crash", "keeper"}))
    assert whole.faults.keys() - less.faults.keys() == {"crash"}
    assert whole.rng("customer-1").random() == less.rng("customer-1").random()


def test_seeds_are_chosen_by_checkouts_alone() -> None:
    seeds, total = choose_seeds(100, 7)
    assert seeds[0] == 7
    assert total >= 100
    assert total - draw_profile(seeds[-1]).checkouts < 100


def test_a_campaign_counts_what_happened() -> None:
    told: list[tuple[int, int]] = []
    totals = run_campaign(20, seed=8, progress=lambda done, total: told.append((done, total)))
    assert totals.failures == []
    assert totals.checkouts >= 20
    assert told[-1] == (totals.checkouts, totals.checkouts)
    assert totals.outcomes["= paid"] > 0


def test_two_processes_come_to_the_same_as_one() -> None:
    one, two = (run_campaign(70, seed=8, jobs=jobs) for jobs in (1, 2))
    assert two.worlds == one.worlds > 1
    assert (two.checkouts, two.steps) == (one.checkouts, one.steps)
    assert (two.struck, two.outcomes, two.reached) == (one.struck, one.outcomes, one.reached)
    assert one.failures == two.failures == []


def test_every_known_point_is_either_counted_or_said_to_be_tested_elsewhere() -> None:
    assert sorted((*POINTS, *ELSEWHERE), key=lambda point: int(point[1:])) == [
        f"C{number}" for number in range(1, 53)
    ]


def test_the_short_way_to_the_rows_leaves_the_trace_of_the_long_one(ground: Ground) -> None:
    long_way = Ground(short=False)
    for seed in (3, 4):
        short = run_world(draw_profile(seed), ground)
        assert run_world(draw_profile(seed), long_way).fingerprint == short.fingerprint
        assert short.checkouts > 0
