"""C46: what a power loss leaves of a SQLite shop. The full figure comes from `scripts/proof power`.

A failure is repeated by its seed: `scripts/proof power --seed N --cuts 1000`.
"""

import secrets
from pathlib import Path
from random import Random

import pytest

from proof.disk import MANNERS, SECTOR, Disk
from proof.power import lost, prove, record
from proof.recorder import Acknowledged, Delete, Event, Sync, Truncate, Write
from proof.tally import Tally
from proof.till import NAME, Level, make_shop

LOG = f"{NAME}-wal"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a shop that is ready to sell."""
    return make_shop(tmp_path_factory.mktemp("shop"))


def unsynced_answers(events: list[Event]) -> int:
    """How many acknowledgements came before the log they stand in was synced."""
    waiting, early = False, 0
    for event in events:
        if isinstance(event, Acknowledged):
            early += waiting
        elif event.file == LOG:
            waiting = not isinstance(event, Sync)
    return early


@pytest.mark.slow
def test_c46_no_power_cut_loses_what_was_acknowledged() -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    tally = Tally(None, {})
    prove(tally, 1500, seed)
    assert lost(tally) == 0, tally.findings
    assert tally.counts["facts compared"] > 50_000
    assert all(tally.counts[f"manner: {manner}"] > 100 for manner in MANNERS)
    # Cuts that find nothing unsynced would prove little.
    assert tally.counts["cuts with unsynced writes"] > 400


@pytest.mark.slow
def test_c46_control_without_the_sync_at_each_commit_most_cuts_lose() -> None:
    tally = Tally(None, {})
    prove(tally, 200, 1, "normal")
    assert tally.counts["losing images"] > 50
    assert tally.counts["corrupt images"] == tally.counts["half-made images"] == 0


@pytest.mark.parametrize(("level", "early"), [("full", False), ("normal", True)])
def test_c46_nothing_is_acknowledged_before_its_sync(
    tmp_path: Path, shop: bytes, level: Level, early: bool
) -> None:
    events = record(tmp_path, shop, level, "7")
    assert sum(isinstance(event, Acknowledged) for event in events) > 150
    assert (unsynced_answers(events) > 0) is early


def test_c46_a_recording_holds_checkpoints_and_the_end_of_the_log(
    tmp_path: Path, shop: bytes
) -> None:
    events = record(tmp_path, shop, "full", "7")
    assert any(isinstance(event, Write) and event.file == NAME for event in events)
    assert any(isinstance(event, Delete) and event.file == LOG for event in events)


def test_c46_the_recording_replayed_is_the_file(tmp_path: Path, shop: bytes) -> None:
    events = record(tmp_path, shop, "full", "7")
    disk = Disk({NAME: shop})
    for event in events:
        disk.follow(event)
    left = disk.cut(Random(1), "everything kept")
    assert left == {NAME: (tmp_path / NAME).read_bytes()}


@pytest.mark.parametrize("manner", MANNERS)
def test_what_was_synced_outlives_every_cut(manner: str) -> None:
    disk = Disk({})
    for event in (Write("a", 0, b"x" * 700), Truncate("a", 600), Sync("a")):
        disk.follow(event)
    disk.follow(Write("b", 0, b"never synced"))
    for seed in range(50):
        assert disk.cut(Random(seed), manner)["a"] == b"x" * 600


def test_each_sector_has_its_own_fate_and_harms_no_byte_that_was_not_written() -> None:
    disk = Disk({"a": bytes(4 * SECTOR)})
    disk.follow(Write("a", 100, b"y" * (3 * SECTOR)))
    seen = set()
    for seed in range(300):
        left = disk.cut(Random(seed), "half kept, some damaged")["a"]
        assert left[:100] == bytes(100)
        assert left[100 + 3 * SECTOR :] == bytes(SECTOR - 100)
        seen.add(tuple(left[n * SECTOR + 200] for n in range(3)))
    assert {(a, b, c) for a in (0, 121) for b in (0, 121) for c in (0, 121)} <= seen


def test_a_file_that_was_never_synced_may_be_missing() -> None:
    disk = Disk({})
    disk.follow(Write("a", 0, b"z"))
    assert disk.unsynced == 1
    found = {"a" in disk.cut(Random(seed), "half kept") for seed in range(20)}
    assert found == {True, False}


def test_a_tally_adds_up_and_is_about_one_thing(tmp_path: Path) -> None:
    file = tmp_path / "state"
    for _ in range(2):
        tally = Tally(file, {"proof": "x"})
        tally.counts["cuts"] += 3
        tally.note("seconds", 1.5)
        tally.save()
    assert (tally.counts["cuts"], tally.figures) == (6, {"seconds": [1.5, 1.5]})
    assert tally.quantile("seconds", 95) == 1.5
    with pytest.raises(ValueError, match="is about"):
        Tally(file, {"proof": "y"})
