"""How every proof begins: its help, and a state file that is not its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from proof.premises import ROOT
from proof.tally import Tally

PROOFS = ("all", "simulate", "kill", "power", "failover", "hammer", "restore", "fuzz")


def prove(*words: str) -> "subprocess.CompletedProcess[str]":
    """``scripts/proof`` in this Python."""
    command = [sys.executable, "-m", f"proof.{words[0]}", *words[1:]]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize("proof", PROOFS)
def test_every_proof_tells_what_it_takes(proof: str) -> None:
    done = prove(proof, "--help")
    assert done.returncode == 0, done.stderr
    assert f"scripts/proof {proof}" in done.stdout
    assert ("--folder" if proof == "all" else "--state") in done.stdout


def test_the_results_of_another_proof_are_refused_in_one_line(tmp_path: Path) -> None:
    state = tmp_path / "other.json"
    Tally(state, {"proof": "another"}).save()
    (tmp_path / "cut.json").write_text('{"about"')
    for file in (state, tmp_path / "cut.json"):
        before = file.read_bytes()
        done = prove("kill", "--state", str(file))
        assert done.returncode == 2
        assert done.stderr.startswith(f"commande: {file} holds no results of this proof")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert file.read_bytes() == before


def test_what_was_found_counts_also_when_an_older_file_counted_it_not(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = Tally(file, {})
    first.findings += ["seed 1: lost"]
    first.save()
    again = Tally(file, {})
    assert again.counts["findings"] == 1
    again.blame("seed 2", ["lost too"])
    assert (again.counts["findings"], len(again.findings)) == (2, 2)
