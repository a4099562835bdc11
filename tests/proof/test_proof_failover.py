"""`scripts/proof failover`: what of it can be tried in a second. The failovers take minutes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from proof.failover import __main__ as program
from proof.failover.shop import TimedLedger, unaccounted
from proof.ledger import Opening
from tests.support.stage import staged

ROOT = Path(__file__).parent.parent.parent
# Two machines as the proof makes them, and what a customer of the second one finds.
_CABLES = """
import socket, subprocess, sys
from proof.failover.machines import FOLDER, Machine, build_switches
build_switches()
first, second = Machine(1), Machine(2)
first.start(sys.executable, "-m", "http.server", "8000", "--bind", "0.0.0.0")
def reached(network):
    try:
        socket.create_connection((first.address(network), 8000), 1.0).close()
    except OSError:
        return False
    return True
def reach(*networks):  # servers and switches need a moment; subprocess.run has the last word
    while not all([reached(network) for network in networks]):
        pass
    print("reached:", *networks)
reach("peers", "shop")
first.pull("peers")
reach("shop")
print(reached("peers"))
first.plug()
reach("peers", "shop")
first.kill()
print(reached("peers"), reached("shop"))
"""


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A program of this Python, in the clone."""
    return subprocess.run(
        [*arguments], check=False, cwd=ROOT, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_its_help_says_what_it_does() -> None:
    done = run(sys.executable, "-m", "proof.failover", "--help")
    assert done.returncode == 0, done.stderr
    assert "--mode" in done.stdout


def test_a_machine_that_cannot_do_it_says_so_in_one_line() -> None:
    done = run(sys.executable, "-m", "proof.failover", PATH="/nowhere")
    assert done.returncode == program.NOT_HERE
    assert done.stderr.startswith("Failover was not proved here: ")
    assert done.stderr.count("\n") == 1


def test_a_pulled_cable_cuts_one_network_and_nothing_stays_behind() -> None:
    missing = program.what_is_missing()
    if missing:
        pytest.skip(f"not run here: {missing}")
    before = set(Path("/sys/class/net").iterdir())
    world = [*program.UNSHARE, "--mount-proc", sys.executable, "-c", _CABLES]
    done = run(*world)
    assert done.stdout.splitlines() == [
        "reached: peers shop", "reached: shop", "False", "reached: peers shop", "False False",
    ], done.stderr  # fmt: skip
    assert set(Path("/sys/class/net").iterdir()) == before


@pytest.mark.slow
def test_c41_a_primary_that_is_cut_off_loses_nothing(tmp_path: Path) -> None:
    """One failover of the harder kind, whole; minutes are left to ``scripts/proof failover``."""
    missing = program.what_is_missing()
    if missing:
        pytest.skip(f"not run here: {missing}")
    state = tmp_path / "state.json"
    words = ["--rounds", "1", "--kind", "split", "--state", str(state)]
    done = subprocess.run(
        [sys.executable, "-m", "proof.failover", *words],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    if done.returncode == program.NOT_HERE:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "; 0 acknowledged facts lost." in done.stderr
    counts = orjson.loads(state.read_bytes())["counts"]
    assert (counts["rounds: split"], counts["lost"], counts["findings"]) == (1, 0, 0)
    assert counts["facts looked up"] >= 3, "three times, and there was an order before"


def test_the_gap_is_the_longest_time_without_an_order(tmp_path: Path) -> None:
    ledger = TimedLedger(tmp_path / "ledger")
    ledger.moments = [10.0, 11.0, 12.0, 33.0, 34.0, 34.5]
    assert ledger.gap(12.2, 40.0) == 21.0
    assert ledger.gap(33.5, 40.0) == 1.0
    ledger.close()


def test_a_repeated_answer_is_no_new_order(tmp_path: Path) -> None:
    ledger = TimedLedger(tmp_path / "ledger")
    for _ in range(2):
        ledger.open("key", Opening("c", "cs", "#A", "t"))
    assert len(ledger.moments) == 1
    ledger.close()


async def test_control_a_payment_that_is_not_in_the_books_is_found(
    database_url: str, serve: Callable[..., str]
) -> None:
    async with staged(database_url, serve) as stage:
        opened = await stage.buy()
        session = await stage.session(opened)
        paid = {session["id"]: session["amount_total"]}
        assert await stage.shop.db.read(unaccounted, paid)
        await stage.come_back(opened)
        assert await stage.shop.db.read(unaccounted, paid) == []
        assert await stage.shop.db.read(unaccounted, {session["id"]: 1})
