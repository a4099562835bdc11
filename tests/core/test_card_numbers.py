"""S-30: a card number typed into a free text is found, and little else is taken for one."""

import time
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from commande.core.customer import looks_like_card_number
from tests.support.properties import catches, forall

Detector = Callable[[str], bool]
# Stripe's test cards, one of each brand and length.
CARDS = [
    "4242424242424242", "4000056655665556", "5555555555554444", "2223003122003222",
    "5200828282828210", "378282246310005", "371449635398431", "6011111111111117",
    "3056930009020004", "36227206271667", "30569309025904", "6555900000604105",
    "3566002020360505", "6200000000000005", "6205500000000000004", "4222222222222",
]  # fmt: skip
SEPARATORS = ["", " ", "-", ".", "\u00a0", "\u202f", "\u2011", " - "]


def with_checksum(digits: str) -> str:
    """The digits with the last one that makes their sum valid (written unlike the code)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return digits + str(-total % 10)


CARD_NUMBERS = (
    st.from_regex(r"[1-9][0-9]{11,17}", fullmatch=True)
    .map(with_checksum)
    .filter(lambda digits: len(digits) != 14)  # the length of a SIRET: see below
)
WORDS = st.text(st.characters(categories=["L", "P"], exclude_characters="+-.‐‑‒–—―"), max_size=20)


def finds_every_card(detect: Detector) -> None:
    @forall(CARD_NUMBERS, st.sampled_from(SEPARATORS), WORDS, WORDS, examples=400)
    def _(digits: str, separator: str, before: str, after: str) -> None:
        grouped = separator.join(digits[i : i + 4] for i in range(0, len(digits), 4))
        assert detect(f"{before} | {grouped} | {after}")


def test_s30_every_number_with_a_valid_sum_is_found_however_it_is_grouped() -> None:
    finds_every_card(looks_like_card_number)


def test_control_a_search_for_sixteen_digits_in_a_row_would_be_caught() -> None:
    def sixteen_in_a_row(text: str) -> bool:
        return any(word.isdecimal() and len(word) == 16 for word in text.split())

    catches(finds_every_card, sixteen_in_a_row)


@pytest.mark.parametrize("card", CARDS)
def test_s30_known_cards_are_found(card: str) -> None:
    assert looks_like_card_number(card)
    assert looks_like_card_number(f"carte:{card}, merci")


@pytest.mark.parametrize(
    "text",
    ["4242 4242 4242 4242 12/26 123", "4242424242424242 12 26 123", "CB4242424242424242",
     "06 12 34 56 78 4242424242424242", "3782 822463 10005 0612345678", "12 4242 4242 4242 4242",
     "42 42 42 42 42 42 42 42", "４２４２ ４２４２ ４２４２ ４２４２", "4242\n4242\n4242\n4242",
     "FR76 3000 6000 0112 3456 7890 189 4242 4242 4242 4242"],
)  # fmt: skip
def test_s30_a_card_is_found_among_other_digits(text: str) -> None:
    assert looks_like_card_number(text)


def lets_ordinary_numbers_pass(detect: Detector) -> None:
    national = st.from_regex(r"0[1-9]( [0-9]{2}){4}", fullmatch=True)
    solid = st.from_regex(r"0[1-9][0-9]{8}", fullmatch=True)
    foreign = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True)
    spaced = st.from_regex(r"\+[1-9][0-9] [0-9]{3,4} [0-9]{4,7}", fullmatch=True)
    dialled = st.from_regex(r"00[1-9][0-9]{8,12}", fullmatch=True)
    postal = st.from_regex(r"[0-9]{5}", fullmatch=True)

    @forall(national | solid | foreign | spaced | dialled, postal, national, examples=600)
    def _(phone: str, postal_code: str, second: str) -> None:
        assert not detect(phone)
        assert not detect(f"Tél. {phone}, {postal_code} Paris")
        assert not detect(f"12 bis, rue de la Paix, {postal_code} Paris, {phone} / {second}")


def test_phone_numbers_and_addresses_are_no_cards() -> None:
    lets_ordinary_numbers_pass(looks_like_card_number)


def test_control_a_detector_without_forms_would_refuse_phones() -> None:
    def any_digits(text: str) -> bool:
        digits = "".join(character for character in text if character.isdigit())
        return 13 <= len(digits) <= 19 and with_checksum(digits[:-1]) == digits

    catches(lets_ordinary_numbers_pass, any_digits)


@st.composite
def ibans(draw: st.DrawFn) -> str:
    """French, Belgian, German and British accounts with a valid check, in groups or solid."""
    country, form = draw(
        st.sampled_from(
            [("FR", r"[0-9]{10}[0-9A-Z]{11}[0-9]{2}"), ("BE", r"[0-9]{12}"), ("DE", r"[0-9]{18}"),
             ("GB", r"[A-Z]{4}[0-9]{14}")]
        )
    )  # fmt: skip
    account = draw(st.from_regex(form, fullmatch=True))
    turned = "".join(str(int(character, 36)) for character in account + country + "00")
    solid = f"{country}{98 - int(turned) % 97:02}{account}"
    return draw(st.sampled_from([solid, " ".join(solid[i : i + 4] for i in range(0, 35, 4))]))


def test_ibans_are_no_cards() -> None:
    @forall(ibans(), examples=600)
    def _(iban: str) -> None:
        assert not looks_like_card_number(f"Mon IBAN : {iban}. Merci")
        assert not looks_like_card_number(f"{iban} MERCI")


def test_the_siret_of_a_firm_is_no_card_although_its_sum_is_valid() -> None:
    sirens = st.from_regex(r"[1-9][0-9]{7}", fullmatch=True).map(with_checksum)

    @forall(sirens, st.from_regex(r"[0-9]{4}", fullmatch=True))
    def _(siren: str, establishment: str) -> None:
        siret = with_checksum(siren + establishment)
        assert not looks_like_card_number(f"SIRET {siret}")
        grouped = f"{siret[:3]} {siret[3:6]} {siret[6:9]} {siret[9:]}"
        assert not looks_like_card_number(f"SIRET {grouped}")


ADVERSARIAL = {
    "one_long_number": "1",
    "single_digits": "1 ",
    "groups_of_four": "1234 ",
    "long_blocks": "1111111111111 ",
    "wide_gaps": "1   ",
    "no_digits": "- ",
    "pluses": "+1",
    "half_an_iban": "AA11 ",
    "many_ibans": "AA1111111111111",
    "the_shape_of_a_card": "4242 424242 42421 ",
}


def seconds(text: str) -> float:
    """Processor time, the best of three: a busy machine is no bug."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        looks_like_card_number(text)
        times.append(time.thread_time() - begun)
    return min(times)


@pytest.mark.parametrize("pattern", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_s44_fifty_kilobytes_take_time_in_proportion(pattern: str) -> None:
    whole = (pattern * 50_000)[:50_000]
    assert seconds(whole) < 0.5
    # Four times the text: four times the time if it is linear, sixteen times if it is a square.
    assert seconds(whole) < max(0.01, 8 * seconds(whole[:12_500]))
