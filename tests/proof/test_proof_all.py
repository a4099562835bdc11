"""`scripts/proof all`: every figure of a release, resumable, and nothing left out in silence."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from commande.simulation.mutations import MUTANTS
from proof.figures import FIGURES, Figure, Reached, read_state
from proof.premises import ROOT

# These have tests of their own beside this one; here the smallest share of them would take minutes.
TRIED_ELSEWHERE = (
    "kill sqlite", "kill postgresql", "hammer postgresql", "restore sqlite", "restore postgresql",
    "fuzz http",
)  # fmt: skip
FAILOVER = "failover"  # needs root and packages of Debian's


def prove(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """``scripts/proof all`` in this Python."""
    command = [sys.executable, "-m", "proof.all", "--folder", str(folder), *words]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=800
    )


def rows(table: str) -> dict[str, list[str]]:
    """The closing table: the cells behind each figure's name."""
    lines = [line for line in table.splitlines() if ", " in line.strip()]
    return {line.partition(",")[0]: line.partition(",")[2].split()[1:] for line in lines}


@pytest.mark.slow
def test_a_tiny_share_of_the_release_runs_and_what_was_skipped_is_named(tmp_path: Path) -> None:
    skipped = (*TRIED_ELSEWHERE, FAILOVER)
    skip = [word for name in skipped for word in ("--skip", name)]
    done = prove(tmp_path, "--share", "0.0001", *skip)
    assert done.returncode == 0, done.stderr
    shown = rows(done.stdout.partition("figure")[2])
    assert shown.keys() == {figure.name for figure in FIGURES}
    for figure in FIGURES:
        count, goal, failures, *words = shown[figure.name]
        if figure.name in skipped:
            assert words == ["skipped"]
        else:
            assert int(count) >= int(goal) == figure.scaled(0.0001)
            assert (failures, words) == ("0", [])
    again = prove(tmp_path, "--share", "0.0001", *skip)
    assert rows(again.stdout.partition("figure")[2]) == shown, "nothing was missing any more"


def test_a_failure_of_an_earlier_run_is_not_forgotten(tmp_path: Path) -> None:
    kept = {"about": {}, "counts": {"cuts": 100_000, "losing images": 1}, "figures": {},
            "findings": ["cut at 7"]}  # fmt: skip
    (tmp_path / "power.json").write_bytes(orjson.dumps(kept))
    done = prove(tmp_path, "--only", "power")
    assert done.returncode == 1
    assert rows(done.stdout)["power"] == ["100,000", "100,000", "1", "FAILED"]


def test_a_proof_that_cannot_run_here_says_so_and_is_no_success(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proof.all", "--folder", str(tmp_path), "--only", FAILOVER]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=180,
        env={"PATH": "/nowhere", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Failover was not proved here" in done.stderr
    assert rows(done.stdout)[FAILOVER] == ["0", "50", "0", "cannot", "run", "here"]


def test_a_proof_that_comes_no_further_ends(tmp_path: Path) -> None:
    # Caught, as it remembers, and yet not counted: there is nothing left that it could do.
    kept = {"about": {"proof": "mutants", "seed": 1}, "figures": {}, "findings": [],
            "counts": {f"caught: {mutant.name}": 1 for mutant in MUTANTS}}  # fmt: skip
    (tmp_path / "mutants.json").write_bytes(orjson.dumps(kept))
    done = prove(tmp_path, "--only", "mutants", "--share", "0.0001")
    assert done.returncode == 1
    assert rows(done.stdout)["mutants"][-4:] == ["0", "came", "no", "further"]


def test_a_proof_that_refuses_what_it_finds_is_named(tmp_path: Path) -> None:
    kept = {"about": {"proof": "something else"}, "counts": {}, "figures": {}, "findings": []}
    (tmp_path / "simulate.json").write_bytes(orjson.dumps(kept))
    done = prove(tmp_path, "--only", "simulate", "--share", "0.0001")
    assert done.returncode == 1
    assert rows(done.stdout)["simulate"][-4:] == ["0", "ended", "with", "2"]


def test_each_figure_is_told_how_much_is_missing(tmp_path: Path) -> None:
    figure = Figure("failover", 50, "rounds", ("failover", "--rounds", "{more}"), batch=6)
    words = figure.command(50, 47, tmp_path / "state")
    assert words[:3] == ["failover", "--rounds", "3"]
    assert figure.command(50, 0, tmp_path / "state")[2] == "6"
    assert figure.scaled(0.01) == 1
    assert read_state(figure, tmp_path / "state") == Reached(0, 0)
