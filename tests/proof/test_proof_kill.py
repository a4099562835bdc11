"""I11, I12: kill -9 at any moment. The full figures come from `scripts/proof kill`.

The plan of a failure is repeated by its seed, its timing is not: `scripts/proof kill --seed N`.
"""

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proof.board import Board, new_board
from proof.ledger import Ledger, Opening, Paid
from proof.premises import ROOT, Premises
from proof.world import Plan, World

DIE = """
import sys, time
from pathlib import Path
from proof.board import Board
board = Board(Path(sys.argv[1]), 1)
board.ready()
for _ in range(5):
    board.reach("commit")
board.reach("committed")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "kills"),
    [("sqlite", 12), pytest.param("postgresql", 6, marks=pytest.mark.postgres)],
)
def test_i11_i12_a_shop_that_is_killed_again_and_again_loses_nothing(
    premises: Callable[[str], Premises],
    database: str,
    kills: int,
) -> None:
    place = premises(database)
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    world = World(place, Plan(f"{seed}-0", kills))
    assert asyncio.run(world.run()) == []
    assert world.counts["kills"] == kills
    assert world.counts["facts looked up"] > 0


@pytest.mark.slow
def test_i11_control_a_shop_that_answers_before_its_commit_is_caught(
    premises: Callable[[str], Premises],
) -> None:
    place = premises("sqlite")
    for number in range(40):  # a death must come between an answer and its commit
        plan = Plan(f"control-{number}", 8, broken="early-answer", aim=("answering", 3, 0.01))
        world = World(place, plan)
        found = asyncio.run(world.run())
        if any(finding.startswith("I11") for finding in found):
            return
        place.clear(world.url, world.folder)
    pytest.fail("three hundred deaths, and nothing was lost")


def test_a_process_dies_at_the_point_it_was_told(tmp_path: Path) -> None:
    board = new_board(tmp_path / "board", 2)[1]
    board.arm("commit", 3, 0.0)
    command = [sys.executable, "-c", DIE, str(tmp_path / "board")]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=180)
    assert ended.returncode == -signal.SIGKILL
    assert board.last == "commit"
    assert board.ready_at > 0


def test_a_process_that_was_told_nothing_lives(tmp_path: Path) -> None:
    board: Board = new_board(tmp_path / "board", 2)[1]
    command = [sys.executable, "-c", DIE, str(tmp_path / "board")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=180)
    assert board.last == "committed"


def test_a_ledger_hears_two_answers_to_one_question(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for command in ("a", "a", "b"):
        ledger.open("key", Opening(command, "cs", "#", "t"))
    ledger.pay("a", Paid("cs", 100, "2026-01-05T08:00:00.000Z"))
    ledger.pay("a", Paid("cs", 100, "2026-01-05T08:00:00.001Z"))
    ledger.close()
    assert len(ledger.wrong) == 2
    assert ledger.facts().count == 2
    assert len((tmp_path / "ledger").read_bytes().splitlines()) == 7
