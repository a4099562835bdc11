"""Fields of a request: how each text, number and time that a customer sends is read and checked.

Every refusal has a stable code (docs/api.md) and a sentence that says what to give instead; none
repeats what was sent.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NoReturn
from zoneinfo import ZoneInfo

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from commande.core.cart import MAX_QUANTITY
from commande.core.country import is_country
from commande.core.customer import LENGTHS, looks_like_card_number
from commande.ids import is_object_id

# No rule of the shop, those are the module's: only what every calendar and zone can still show.
FARTHEST: Final = timedelta(days=100 * 366)

_BREAKS: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# Control characters, and marks that turn the direction of what stands after them: nobody types
# them into a form, and in a list they make one order look like another.
_FORBIDDEN: Final = re.compile(
    r"[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d(:?\d\d)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What of the shop decides how a request is read."""

    now: datetime
    country: str
    zone: ZoneInfo
    locale: str


def refuse(code: str, detail: str) -> NoReturn:
    """Refuse a field with a stable code and a sentence."""
    raise PydanticCustomError(code, detail)


def _terms(info: ValidationInfo) -> Terms:
    terms = info.context
    assert isinstance(terms, Terms)  # noqa: S101 – read_order always gives them
    return terms


@dataclass(frozen=True, slots=True)
class Text:
    """A trimmed text of so many characters; line breaks become blanks unless ``lines``."""

    least: int
    most: int
    lines: bool = False
    free: bool = True
    """Whether anything may stand in it, so that a card number could."""

    def __call__(self, given: str) -> str:
        """The text as it is kept."""
        text = given.strip() if self.lines else _BREAKS.sub(" ", given).strip()
        if len(text) > self.most:
            refuse("too_long", f"Give at most {self.most} characters.")
        if _FORBIDDEN.search(text):
            refuse("forbidden_character", "The text holds a character that nobody types.")
        if len(text) < self.least or not _has_ink(text):
            required = self.least < 2
            words = "Fill this in." if required else f"Give at least {self.least} characters."
            refuse("too_short", words)
        if self.free and len(text) >= 13 and looks_like_card_number(text):
            refuse("card_number", "Never write a card number here: you pay on Stripe's page.")
        return text

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """A text and nothing else: no number is turned into one."""
        return core_schema.no_info_after_validator_function(self, core_schema.str_schema())

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Lengths count after trimming."""
        return {"type": "string", "minLength": self.least, "maxLength": self.most}


def _has_ink(text: str) -> bool:
    """Whether anything can be seen: zero-width and blank characters alone are no name."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def _or_nothing(value: object) -> object:
    """An optional field that a form sends empty was not filled in."""
    return None if isinstance(value, str) and not value.strip() else value


def _check_quantity(value: object) -> object:
    # bool is an int in Python, and 1.0 would pass as one: a cart counts in plain integers.
    if type(value) is not int:
        refuse("not_an_integer", f"Give a whole number from 1 to {MAX_QUANTITY}.")
    if not 1 <= value <= MAX_QUANTITY:
        refuse("out_of_range", f"Give a whole number from 1 to {MAX_QUANTITY}.")
    return value


def _check_product_id(value: str) -> str:
    lowered = value.lower()
    if not is_object_id(lowered):
        refuse("invalid_id", "Give the product's 24 hexadecimal digits.")
    return lowered


def _check_email(value: str) -> str:
    try:
        # By syntax, without DNS. Reserved names such as .test are somebody's test shop.
        found = validate_email(
            value, check_deliverability=False, test_environment=True, allow_smtputf8=False
        )
    except EmailNotValidError:
        refuse("invalid_email", "Give an e-mail address such as ada@example.com.")
    return found.normalized


def _read_country(value: object, info: ValidationInfo) -> object:
    if value is None:
        return _terms(info).country
    if not isinstance(value, str):
        return value
    country = value.strip().upper()
    if not is_country(country):
        refuse("unknown_country", "Give an ISO 3166-1 alpha-2 code such as FR.")
    return country


def _read_phone(value: str, info: ValidationInfo) -> str:
    region = info.data.get("country") or _terms(info).country
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        number = None
    # Possible, not "valid": ranges are opened every month, and a customer is never turned away for
    # a number that a table does not know yet.
    if number is None or not phonenumbers.is_possible_number(number):
        refuse("invalid_phone", "Give a phone number, from abroad with + and the country code.")
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{written};ext={number.extension}" if number.extension else written


def _read_locale(value: object, info: ValidationInfo) -> object:
    if value is not None and not isinstance(value, str):
        return value
    language = re.split(r"[-_]", value.strip().lower(), maxsplit=1)[0] if value else ""
    return language if language in ("fr", "en") else _terms(info).locale


def _read_appointment(value: object, info: ValidationInfo) -> datetime:
    """An instant; of an hour that strikes twice on the shop's clock the first one is meant."""
    if not isinstance(value, str):
        refuse("invalid_type", "Give a text.")
    text, terms = value.strip(), _terms(info)
    if len(text) > 40 or not _INSTANT.fullmatch(text):
        refuse("invalid_date", "Give date and time as in 2026-12-15T14:00:00+01:00.")
    try:
        at = datetime.fromisoformat(text.upper().replace(",", "."))
        local = at.replace(tzinfo=terms.zone) if at.tzinfo is None else at
        at = local.astimezone(UTC)
        skipped = at.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None)
    except (ValueError, OverflowError):
        refuse("invalid_date", "Give a day and an hour that exist.")
    if skipped:
        refuse("nonexistent_time", "The clocks are put forward over this hour: it does not exist.")
    if at <= terms.now:
        refuse("in_the_past", "The appointment must lie in the future.")
    if at > terms.now + FARTHEST:
        refuse("too_far", "The appointment must lie within the next hundred years.")
    return at


Quantity = Annotated[
    int,
    BeforeValidator(_check_quantity),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY}),
]
ProductId = Annotated[
    str,
    Field(strict=True),
    AfterValidator(_check_product_id),
    WithJsonSchema({"type": "string", "pattern": "^[0-9A-Fa-f]{24}$"}),
]
PriceType = Annotated[str, Text(1, 80, free=False)]
Name = Annotated[str, Text(*LENGTHS["firstName"])]
Address = Annotated[str, Text(*LENGTHS["address"])]
PostalCode = Annotated[str, Text(*LENGTHS["postalCode"])]
City = Annotated[str, Text(*LENGTHS["city"])]
Fax = Annotated[Annotated[str, Text(*LENGTHS["fax"])] | None, BeforeValidator(_or_nothing)]
Note = Annotated[Annotated[str, Text(1, 1000, lines=True)] | None, BeforeValidator(_or_nothing)]
Email = Annotated[
    str,
    Text(*LENGTHS["email"], free=False),
    AfterValidator(_check_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": LENGTHS["email"][1]}),
]
Phone = Annotated[str, Text(*LENGTHS["phone"], free=False), AfterValidator(_read_phone)]
Country = Annotated[
    str,
    BeforeValidator(_read_country),
    WithJsonSchema({"type": ["string", "null"], "pattern": "^[A-Za-z]{2}$"}),
]
Locale = Annotated[str, BeforeValidator(_read_locale), WithJsonSchema({"type": ["string", "null"]})]
Appointment = Annotated[
    datetime,
    PlainValidator(_read_appointment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
