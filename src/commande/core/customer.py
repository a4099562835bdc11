"""The customer's fields, as the reference names them."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

# Characters (min, max) after trimming; contract section 2.
LENGTHS: Final = {
    "firstName": (1, 200),
    "lastName": (1, 200),
    "email": (3, 200),
    "phone": (3, 40),
    "address": (1, 200),
    "postalCode": (1, 20),
    "city": (1, 200),
    "fax": (3, 40),
}


@dataclass(frozen=True, slots=True)
class Customer:
    """Who orders. Field names are those of the API, so that what is stored is what is shown."""

    firstName: str  # noqa: N815
    lastName: str  # noqa: N815
    email: str
    phone: str
    address: str
    postalCode: str  # noqa: N815
    city: str
    country: str
    fax: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """The customer as stored and answered."""
        return asdict(self)


KEYS: Final = tuple(field.name for field in fields(Customer))


def mask(customer: dict[str, Any] | None) -> dict[str, Any] | None:
    """Personal data with all but first letters hidden; country stays, absent stays absent."""
    if customer is None:
        return None
    masked = {key: _mask_text(customer.get(key)) for key in KEYS}
    return masked | {"country": customer.get("country")}


def _mask_text(text: str | None) -> str | None:
    return None if text is None else text[:1] + "•••"


# Groups of digits as people write them, up to three blanks, dots or dashes apart. Possessive
# quantifiers leave nothing to backtrack into, so the time is linear.
_RUN: Final = re.compile(r"\+?\d++(?:[\s.\-\u2010-\u2015]{1,3}+\d++)*+")
_GROUP: Final = re.compile(r"\d+")
# How long the groups of a printed card number are; a lone block may have any length of 13–19.
_SHAPES: Final = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
_IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?:[ \u00a0]?[0-9A-Z]){11,30}", re.ASCII)


def looks_like_card_number(text: str) -> bool:
    """Whether a free text hides a payment card number: 13–19 digits with a valid Luhn sum.

    Card numbers belong on Stripe's page alone; storing one would drag the shop into PCI scope.
    One is also found beside other digits (``4242 4242 4242 4242 12 26``). Every tenth number has a
    valid sum by chance, so international phone numbers, IBANs and the SIRET of French firms (made
    with the same sum) are told apart by their form. Takes time in proportion to the text.
    """
    runs = _RUN.finditer(_IBAN.sub(_after_iban, text))
    return any(_is_card(digits) for run in runs for digits in _candidates(run[0]))


def _after_iban(match: re.Match[str]) -> str:
    """What follows the IBAN at the beginning of the match; all of it if there is none."""
    account = re.sub(r"\s", "", match[0])
    for length in range(len(account), 14, -1):
        turned = account[4:length] + account[:4]
        if int("".join(str(int(character, 36)) for character in turned)) % 97 == 1:
            return " " + account[length:]
    return match[0]


def _candidates(run: str) -> Iterator[str]:
    """The whole run, each long block in it, and each stretch that is grouped like a card."""
    groups = _GROUP.findall(run)
    phone = run[0] == "+"
    if not phone:
        yield "".join(groups)
    lengths = tuple(len(group) for group in groups)
    for start in range(phone, len(groups)):
        if lengths[start] == 4:
            for shape in _SHAPES:
                if lengths[start : start + len(shape)] == shape:
                    yield "".join(groups[start : start + len(shape)])
        elif lengths[start] > 12:
            yield groups[start]


def _is_card(digits: str) -> bool:
    # No card begins with 0, as national phone numbers do. The first nine digits of a SIRET (14)
    # are a SIREN, which has a valid sum of its own.
    if not 13 <= len(digits) <= 19 or int(digits[0]) == 0 or not _luhn(digits):
        return False
    return not (len(digits) == 14 and _luhn(digits[:9]))


def _luhn(digits: str) -> bool:
    doubled = (int(d) * 2 for d in digits[-2::-2])
    return (sum(int(d) for d in digits[-1::-2]) + sum(d - 9 * (d > 9) for d in doubled)) % 10 == 0
