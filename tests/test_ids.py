"""Identifiers: unguessable, evenly drawn, and only the shop can make what opens something."""

import ast
import inspect
import secrets
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st

from commande import ids
from commande.ids import REF_ALPHABET, Ids, Seal, is_object_id
from tests.support.properties import catches, forall

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MANY = 100_000
SEAL = Seal("a long random text")
TOTAL = {"command_id": "507f1f77bcf86cd799439011", "attempt_id": "507f1f77bcf86cd799439012",
         "total": "5998", "currency": "eur"}  # fmt: skip
SEALED = TOTAL | {"mac": SEAL.mark(TOTAL["command_id"], TOTAL["attempt_id"], 5998, "eur")}


# Ids and references


def test_s22_an_id_has_the_form_of_an_object_id_and_the_hour_of_its_birth() -> None:
    made = Ids().object_id(NOW)
    assert is_object_id(made)
    assert int(made[:8], 16) == int(NOW.timestamp())


def test_s22_all_sixty_four_bits_of_the_tail_are_random() -> None:
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return bytes(range(0xF8, 0x100))[:count]

    assert Ids(source).object_id(NOW)[8:] == "f8f9fafbfcfdfeff"
    assert asked == [8]


def test_s22_two_of_many_ids_are_never_the_same() -> None:
    made = {Ids().object_id(NOW) for _ in range(MANY)}
    assert len(made) == MANY


def evenly_drawn(texts: Iterable[str], alphabet: str) -> None:
    """χ² per place, at six standard deviations: one false alarm in a hundred million runs."""
    places = [Counter(place) for place in zip(*texts, strict=True)]
    freedom = len(alphabet) - 1
    # Wilson and Hilferty's approximation of the χ² quantile.
    limit = freedom * (1 - 2 / (9 * freedom) + 6 * (2 / (9 * freedom)) ** 0.5) ** 3
    for counts in places:
        assert set(counts) <= set(alphabet)
        expected = counts.total() / len(alphabet)
        assert sum((counts[c] - expected) ** 2 for c in alphabet) / expected < limit


def test_s22_every_hex_digit_is_as_likely_as_any_other() -> None:
    maker = Ids()
    evenly_drawn((maker.object_id(NOW)[8:] for _ in range(MANY)), "0123456789abcdef")


def test_s22_every_letter_of_a_reference_is_as_likely_as_any_other() -> None:
    maker = Ids()
    evenly_drawn((maker.ref()[1:] for _ in range(MANY)), REF_ALPHABET)


def test_control_letters_by_remainder_alone_would_be_caught() -> None:
    with pytest.raises(AssertionError):
        evenly_drawn(
            ("".join(REF_ALPHABET[b % 36] for b in secrets.token_bytes(8)) for _ in range(MANY)),
            REF_ALPHABET,
        )


def test_control_a_counter_would_be_caught() -> None:
    with pytest.raises(AssertionError):
        evenly_drawn((f"{serial:016x}" for serial in range(MANY)), "0123456789abcdef")


def test_a_reference_is_a_hash_and_eight_letters_whatever_the_bytes() -> None:
    @forall(st.binary(max_size=64))
    def _(begin: bytes) -> None:
        stream = iter(begin)
        made = Ids(lambda n: bytes(next(stream, 7 * i) for i in range(n))).ref()
        assert len(made) == 9
        assert made[0] == "#"
        assert set(made[1:]) <= set(REF_ALPHABET)


@pytest.mark.parametrize(
    "text",
    ["", "507f1f77bcf86cd79943901", "507f1f77bcf86cd7994390111", "507F1F77BCF86CD799439011",
     "507f1f77bcf86cd79943901g", " 507f1f77bcf86cd799439011", "507f1f77bcf86cd799439011\n",
     "５07f1f77bcf86cd799439011", "' or 1=1 --", "#ABC12345"],
)  # fmt: skip
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    assert not is_object_id(text)


# Tokens and marks

TEXTS = st.text(st.characters(), max_size=30)


def opens_its_own_command_only(opens: Callable[[str | None, str], bool]) -> None:
    made = st.builds(lambda tail: "6ab2c3d4" + tail.hex(), st.binary(min_size=8, max_size=8))

    @forall(made, made, TEXTS | st.none())
    def _(mine: str, other: str, guess: str | None) -> None:
        token = SEAL.token(mine)
        assert opens(token, mine)
        assert opens(token, other) == (mine == other)
        assert not opens(guess, mine)
        for wrong in ("", None, token[:-1], token + "A", token.swapcase(), mine, f"{token}\ud800"):
            assert not opens(wrong, mine)


def test_a_token_opens_its_own_command_only() -> None:
    opens_its_own_command_only(SEAL.opens)


def test_control_a_careless_door_would_be_caught() -> None:
    catches(
        opens_its_own_command_only, lambda given, mine: SEAL.token(mine).startswith(given or "")
    )
    catches(opens_its_own_command_only, lambda given, mine: bool(given))


def test_a_token_is_thirty_two_characters_that_fit_in_an_address() -> None:
    token = SEAL.token(TOTAL["command_id"])
    assert len(token) == 32
    assert len(urlsafe_b64decode(token)) == 24
    assert token == Seal("a long random text").token(TOTAL["command_id"])


def test_another_shops_secret_opens_and_marks_nothing_here() -> None:
    other = Seal("another long random text")
    assert not SEAL.opens(other.token(TOTAL["command_id"]), TOTAL["command_id"])
    assert not other.made(SEALED)


def no_forgery_passes(made: Callable[[dict[str, str]], bool]) -> None:
    assert made(SEALED)
    assert made(SEALED | {"ref": "#ABC12345", "app": "commande"})
    moved = ["command_id", "attempt_id", "total", "currency", "mac"]

    @forall(st.sampled_from(moved), TEXTS)
    def _(key: str, text: str) -> None:
        assert made(SEALED | {key: text}) == (text == SEALED[key])
        assert not made({k: v for k, v in SEALED.items() if k != key})

    @forall(st.dictionaries(st.sampled_from(moved), TEXTS))
    def _(forged: dict[str, str]) -> None:
        assert not made(forged)

    for key, text in [
        ("total", "05998"), ("total", "5998 "), ("total", "5_998"), ("total", "５９９８"),
        ("total", "-5998"), ("total", "9" * 5000), ("currency", "EUR"),
        ("command_id", SEALED["attempt_id"]), ("mac", SEALED["mac"].upper()), ("mac", ""),
        ("mac", SEALED["mac"][:-1]), ("mac", SEAL.token(TOTAL["command_id"])),
    ]:  # fmt: skip
        assert not made(SEALED | {key: text}), (key, text)
    swapped = {"command_id": SEALED["attempt_id"], "attempt_id": SEALED["command_id"]}
    assert not made(SEALED | swapped)


def test_s03_forged_metadata_is_never_ours() -> None:
    no_forgery_passes(SEAL.made)


def believes_the_ids(metadata: dict[str, str]) -> bool:
    return {"command_id", "mac"} <= set(metadata)


def forgets_the_total(metadata: dict[str, str]) -> bool:
    return SEAL.made(metadata | {"total": "5998"})


def reads_the_total_as_a_number(metadata: dict[str, str]) -> bool:
    try:
        return SEAL.made(metadata | {"total": str(int(metadata.get("total", "")))})
    except ValueError:
        return False


@pytest.mark.parametrize(
    "bug",
    [believes_the_ids, forgets_the_total, reads_the_total_as_a_number],
    ids=lambda bug: bug.__name__,
)
def test_control_a_careless_seal_would_be_caught(bug: Callable[[dict[str, str]], bool]) -> None:
    catches(no_forgery_passes, bug)


def test_a_label_opens_nothing_and_is_made_by_this_shop_alone() -> None:
    label = SEAL.label("cursor", "events")
    assert len(label) == 16
    others = [SEAL.label("cursorevents"), SEAL.label("events", "cursor"),
              Seal("another long random text").label("cursor", "events")]  # fmt: skip
    assert label not in others
    assert not SEALED["mac"].startswith(SEAL.label(*TOTAL.values()))
    assert not SEAL.opens(SEAL.label(TOTAL["command_id"]), TOTAL["command_id"])


@pytest.mark.parametrize("value", [None, 5998, ["5998"], {}])
def test_metadata_of_another_kind_is_not_ours(value: object) -> None:
    for key in SEALED:
        assert not SEAL.made({**SEALED, key: value})  # type: ignore[dict-item]


def test_s23_secrets_are_compared_in_constant_time_only() -> None:
    tree = ast.parse(inspect.getsource(ids))
    (seal,) = (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Seal")
    doors = {n.name: n for n in ast.walk(seal) if isinstance(n, ast.FunctionDef)}
    for name in ("opens", "made"):
        calls = [n.func for n in ast.walk(doors[name]) if isinstance(n, ast.Call)]
        assert "hmac.compare_digest" in map(ast.unparse, calls)
        compared = [op for n in ast.walk(doors[name]) if isinstance(n, ast.Compare) for op in n.ops]
        assert not [op for op in compared if isinstance(op, ast.Eq | ast.NotEq | ast.In)]
