"""Personal data: what masking leaves."""

from dataclasses import fields

from hypothesis import strategies as st

from commande.core.customer import KEYS, LENGTHS, Customer, mask
from tests.support.properties import catches, forall

TEXTS = st.text(min_size=2, max_size=40)
CUSTOMERS = st.fixed_dictionaries(
    {key: TEXTS for key in KEYS if key not in ("country", "fax")}
    | {"country": st.sampled_from(["FR", "DE"]), "fax": TEXTS | st.none()}
)


def reveals_first_letters_only(masking: object) -> None:
    assert callable(masking)

    @forall(CUSTOMERS)
    def _(customer: dict[str, str | None]) -> None:
        masked = masking(customer)
        assert set(masked) == set(KEYS)
        assert masked["country"] == customer["country"]
        for key in set(KEYS) - {"country"}:
            text = customer[key]
            assert masked[key] == (None if text is None else text[0] + "•••")


def test_a_mask_reveals_nothing_but_first_letters() -> None:
    reveals_first_letters_only(mask)


def test_control_a_mask_that_shows_a_length_or_a_field_would_be_caught() -> None:
    def shows_the_length(customer: dict[str, str]) -> dict[str, str | None]:
        return {k: v if k == "country" or v is None else v[0] + "•" * (len(v) - 1)
                for k, v in customer.items()}  # fmt: skip

    catches(reveals_first_letters_only, shows_the_length)
    catches(
        reveals_first_letters_only, lambda customer: {**(mask(customer) or {}), "city": "Paris"}
    )


def test_the_same_mask_hides_texts_of_any_length() -> None:
    short, long = (mask({"lastName": "D" + "x" * n}) for n in (1, 150))
    assert short == long


def test_what_is_absent_or_erased_stays_absent() -> None:
    assert mask(None) is None
    assert mask({}) == dict.fromkeys(KEYS)


def test_unknown_keys_do_not_pass_a_mask() -> None:
    masked = mask({"firstName": "Jeanne", "iban": "FR76 3000"})
    assert masked is not None
    assert "iban" not in masked


def test_every_field_but_the_country_has_its_lengths() -> None:
    assert set(LENGTHS) | {"country"} == {field.name for field in fields(Customer)} == set(KEYS)
