"""The simulation's negative control: seeded bugs must be caught, and are gone afterwards."""

import sys
from dataclasses import replace
from typing import Any

import pytest

from commande.flows import checkout, inbox
from commande.ids import Seal
from commande.simulation.bench import Bench, Mutant
from commande.simulation.ground import Ground
from commande.simulation.mutants import hunt
from commande.simulation.mutations import MUTANTS
from commande.simulation.profile import draw_profile
from commande.simulation.run import run_world
from commande.simulation.shrink import shrink

# Where to begin so that it takes few worlds; docs/simulation.md tells how many it takes otherwise.
FIRST = {
    "retry_replaces_complete": 26,
    "bury_without_reading": 13,
    "bury_with_live_attempts": 11,
    "done_before_the_effect": 8,
    "double_refund": 4,
    "given_up_at_once": 11,
}
BUDGET = 40
FEW = 12


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_seeded_bug_is_caught_by_an_invariant(mutant: Mutant, ground: Ground) -> None:
    found = hunt(mutant, ground, FIRST.get(mutant.name, 1), BUDGET)
    assert found.caught, f"not in {BUDGET} worlds"
    assert found.violation.startswith("I")


# The weathers that bugs are hunted in, each once.
WEATHERS = {(*mutant.faults.items(), *mutant.seconds.items()): mutant for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", WEATHERS.values(), ids=lambda mutant: mutant.name)
def test_control_the_weather_alone_breaks_nothing(mutant: Mutant, ground: Ground) -> None:
    profile = mutant.profile(draw_profile(FIRST.get(mutant.name, 1), checkouts=FEW))
    profile.tolerates = frozenset()
    assert run_world(profile, ground).violations == []


LAYERED = [mutant for mutant in MUTANTS if mutant.without]


@pytest.mark.parametrize("mutant", LAYERED, ids=lambda mutant: mutant.name)
def test_control_the_outer_layers_alone_give_nothing_away(mutant: Mutant, ground: Ground) -> None:
    layers = replace(mutant, make=lambda _bench: None)
    assert not hunt(layers, ground, FIRST.get(mutant.name, 1), 1).caught


def test_a_world_in_which_code_only_fell_over_does_not_count(ground: Ground) -> None:
    def fall(_real: Any) -> Any:
        def take_snapshot(_quote: Any) -> Any:
            raise ZeroDivisionError

        return take_snapshot

    crash = Mutant(
        "crash", "falls", lambda b: b.function("commande.core.command", "take_snapshot", fall)
    )
    assert not hunt(crash, ground, 1, 1).caught


def test_there_are_at_least_twenty_five_seeded_bugs_of_different_names() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


def test_the_bench_puts_everything_back() -> None:
    before = (checkout._make_session, inbox.receive_event, Seal.opens, checkout.tax_rate_keys)
    machinery = sys.modules["commande.simulation.machinery"]
    received = vars(machinery)["receive_event"]
    for mutant in MUTANTS:
        with mutant.at_work():
            pass
    assert before == (
        checkout._make_session, inbox.receive_event, Seal.opens, checkout.tax_rate_keys,
    )  # fmt: skip
    assert vars(machinery)["receive_event"] is received


def test_a_function_is_swapped_wherever_it_was_imported() -> None:
    bench = Bench()
    bench.function("commande.core.session", "tax_rate_keys", lambda _: lambda _parameters: ["x"])
    try:
        assert checkout.tax_rate_keys({}) == ["x"]
    finally:
        bench.put_back()
    assert checkout.tax_rate_keys({"line_items": []}) == []


def test_a_failing_world_is_made_small_and_fails_in_the_same_way(ground: Ground) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "mail_before_commit")
    with mutant.at_work() as sql:
        shrunk = shrink(1000, ground, sql=sql)
        assert shrunk is not None
        customers = [name for name in shrunk.without if name.startswith("customer-")]
        assert len(customers) >= shrunk.outcome.checkouts - 2
        assert shrunk.outcome.violations[0].invariant == "I6"
        assert "--world 1000 --without" in shrunk.command
        assert shrunk.outcome.timeline
    assert shrink(9, ground) is None
