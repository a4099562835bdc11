"""What requests look like, and how one becomes an order in the core's words."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from commande.core.cart import MAX_LINES, CartLine
from commande.core.customer import Customer
from commande.core.money import to_minor
from commande.core.order import Order
from commande.errors import FieldError, InputInvalid
from commande.settings import Settings
from commande.web import fields
from commande.web.fields import Terms, Text

# An id of Stripe's is at most 255 characters; ours are shorter.
Id = Annotated[str, Text(1, 255, free=False)]


class Request(BaseModel):
    """Unknown fields are ignored and never stored; a price in the body is one of them."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class Item(Request):
    """One line of the cart."""

    product_id: fields.ProductId = Field(alias="product_id")
    quantity: fields.Quantity
    type: fields.PriceType | None = Field(
        default=None, description="One of the product's price types; else its default or only one."
    )


class Buyer(Request):
    """Who orders."""

    # The country comes first: the phone number is read as one of it.
    country: fields.Country = Field(
        default=None,  # the validator puts the shop's in its place
        validate_default=True,
        description="ISO 3166-1 alpha-2; the shop's own by default.",
    )
    first_name: fields.Name
    last_name: fields.Name
    email: fields.Email = Field(description="Checked by syntax. Its domain is kept in lower case.")
    phone: fields.Phone = Field(
        description="As people write it; kept in E.164, such as +33612345678."
    )
    address: fields.Address
    postal_code: fields.PostalCode
    city: fields.City
    fax: fields.Fax = None


class CheckoutRequest(Request):
    """The body of create-stripe-checkout-session."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_LINES)]
    customer: Buyer
    appointment: fields.Appointment = Field(
        description="ISO 8601 with date and time; without an offset in the shop's time zone."
    )
    note: fields.Note = Field(default=None, description="Whatever the shop should know.")
    locale: fields.Locale = Field(
        default=None,  # the validator puts the shop's in its place
        validate_default=True,
        description="fr or en (fr-FR works too); anything else is the shop's own.",
    )


class ConfirmRequest(Request):
    """The body of confirm-payment."""

    session_id: Id
    command_id: Id


class RetryRequest(Request):
    """The body of retry-payment."""

    command_id: Id
    token: str | None = Field(default=None, description="The one that create answered.")
    accept_total: Annotated[Any, WithJsonSchema({"type": ["number", "null"]})] = Field(
        default=None, description="The newTotal of a 409 price_changed."
    )


def terms_of(settings: Settings, now: datetime) -> Terms:
    """What of the shop decides how a request is read at this moment."""
    return Terms(now, settings.country, settings.zone, settings.locale)


def read_order(document: dict[str, Any], terms: Terms) -> Order:
    """The order in a create body. Raises InputInvalid with every wrong field."""
    asked = _read(CheckoutRequest, document, terms)
    buyer = asked.customer
    return Order(
        cart=tuple(CartLine(item.product_id, item.quantity, item.type) for item in asked.items),
        customer=Customer(
            firstName=buyer.first_name,
            lastName=buyer.last_name,
            email=buyer.email,
            phone=buyer.phone,
            address=buyer.address,
            postalCode=buyer.postal_code,
            city=buyer.city,
            country=buyer.country,
            fax=buyer.fax,
        ),
        appointment_at=asked.appointment,
        note=asked.note,
        locale=asked.locale,
    )


def read_confirmation(document: dict[str, Any]) -> ConfirmRequest:
    """The pair in a confirm body. Raises InputInvalid."""
    return _read(ConfirmRequest, document)


def read_retry(
    document: dict[str, Any], raw: bytes, currency: str
) -> tuple[RetryRequest, int | None]:
    """A retry body and the accepted total in minor units. Raises InputInvalid."""
    asked = _read(RetryRequest, document)
    accepted = asked.accept_total
    if accepted is None:
        return asked, None
    if isinstance(accepted, float):
        # From the digits that were sent: a float would have rounded the cents already.
        accepted = json.loads(raw, parse_float=Decimal, parse_int=Decimal)["acceptTotal"]
    detail = f"Give newTotal as it was answered: an amount in {currency.upper()} as a number."
    if isinstance(accepted, bool) or not isinstance(accepted, int | Decimal):
        raise InputInvalid(FieldError("acceptTotal", "invalid_amount", detail))
    try:
        return asked, to_minor(accepted, currency)
    except ValueError:
        raise InputInvalid(FieldError("acceptTotal", "invalid_amount", detail)) from None


Asked = TypeVar("Asked", bound=Request)


def _read(model: type[Asked], document: dict[str, Any], terms: Terms | None = None) -> Asked:
    try:
        return model.model_validate(document, context=terms)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InputInvalid(*map(_field_error, found)) from None


# Our words for what pydantic finds by itself; whatever has another code was refused by ``fields``.
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("missing", "This field is required."),
    "string_type": ("invalid_type", "Give a text."),
    "list_type": ("invalid_type", "Give a list."),
    "model_type": ("invalid_type", "Give an object."),
    "too_short": ("too_short", "Give at least one."),
    "too_long": ("too_long", f"Give at most {MAX_LINES}."),
}


def _field_error(found: ErrorDetails) -> FieldError:
    path = ".".join(str(part) for part in found["loc"])
    # Lists and texts share pydantic's words for their length; ours for texts name the figure.
    ours = found["type"] in ("too_short", "too_long") and "ctx" not in found
    code, detail = (
        (found["type"], found["msg"])
        if ours
        else _WORDS.get(found["type"], (found["type"], found["msg"]))
    )
    return FieldError(path, code, detail)
