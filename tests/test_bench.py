"""The benchmark runs, and what it says about calls to Stripe is true; no times are judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], dict[str, Any]]:
    """One short run on both databases: its figures by system and customers at once."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, "-m", "bench.orders", "--orders", "20", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(file)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=800,
    )
    print(done.stderr)  # why orders failed, if some did
    assert done.returncode == 0, done.stderr
    assert "commande, PostgreSQL" in done.stdout
    return {(r["system"], r["at_once"]): r for r in json.loads(file.read_text())["rows"]}


@pytest.mark.parametrize("at_once", [1, 16, 64])
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_an_order_costs_one_call_to_open_and_at_most_one_to_settle(
    rows: dict[tuple[str, int], dict[str, Any]], database: str, at_once: int
) -> None:
    row = rows[f"commande, {database}", at_once]
    assert row["failed"] == 0
    assert row["calls_to_open"] == 1
    assert row["calls_to_settle"] <= 1


def test_the_counter_sees_the_calls_of_a_naive_design(
    rows: dict[tuple[str, int], dict[str, Any]],
) -> None:
    row = rows["naive, SQLite", 16]
    assert (row["failed"], row["calls_to_open"], row["calls_to_settle"]) == (0, 3, 1)


def test_the_floor_is_a_floor(rows: dict[tuple[str, int], dict[str, Any]]) -> None:
    row = rows["floor, SQLite", 16]
    assert (row["failed"], row["calls_to_open"], row["calls_to_settle"]) == (0, 1, 0)
    assert row["times_floor"] == 1
