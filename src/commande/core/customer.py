"""The customer's fields, as the reference names them."""

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


def looks_like_card_number(text: str) -> bool:
    """Whether a free text hides a payment card number (13–19 digits with a valid Luhn sum).

    Card numbers belong on Stripe's page alone; storing one would drag the shop into PCI scope.
    """
    run = ""
    for character in text + "\n":
        if character.isascii() and character.isdigit():
            run += character
        elif character not in " -." or not run:
            if 13 <= len(run) <= 19 and _luhn(run):
                return True
            run = ""
    return False


def _luhn(digits: str) -> bool:
    doubled = (int(d) * 2 for d in digits[-2::-2])
    return (sum(int(d) for d in digits[-1::-2]) + sum(d - 9 * (d > 9) for d in doubled)) % 10 == 0
