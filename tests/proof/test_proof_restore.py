"""C45: an old copy is put back. The full figures come from `scripts/proof restore`."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from commande.core.letter import Letter
from proof.comeback import Comeback
from proof.effects import Postbox, sent_letters
from proof.premises import Premises


@pytest.mark.slow
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_c45_after_a_restore_every_payment_is_found_and_no_letter_leaves_twice(
    premises: Callable[[str], Premises], database: str
) -> None:
    place = premises(database)
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    comeback = Comeback(place, f"{seed}-0", minutes=40)
    assert asyncio.run(comeback.run()) == []
    counts = comeback.counts
    assert counts["paid orders that the copy did not have"] > 0
    assert counts["letters held"] > 0
    assert counts["letters sent"] > counts["of them afterwards"]


@pytest.mark.slow
def test_c45_control_without_reconcile_letters_leave_again(
    premises: Callable[[str], Premises],
) -> None:
    place = premises("sqlite")
    for number in range(20):  # a letter must be on its way in the moment of the copy
        comeback = Comeback(place, f"control-{number}", 40, unasked=True)
        found = asyncio.run(comeback.run())
        if any("was sent 2 times" in finding for finding in found):
            return
        place.clear(comeback.url, comeback.folder)
    pytest.fail("in twenty comebacks no letter left again")


async def test_a_postbox_knows_each_letter_as_often_as_it_left(tmp_path: Path) -> None:
    box = Postbox(tmp_path / "letters", 0.0)
    assert sent_letters(tmp_path / "letters") == []
    for key in ("a", "b", "a"):
        await box.send(Letter(key, "x@example.com", "", "", ""))
    assert sent_letters(tmp_path / "letters") == ["a", "b", "a"]
