"""What answers look like, for the API's description; flows and the core build the real ones.

A test holds real answers against these models, so that the description cannot drift.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from commande.core.command import Status

Money = Annotated[float, Field(description="An exact amount in the currency's major unit.")]
Minor = Annotated[int, Field(description="The same amount in minor units.")]
Instant = Annotated[datetime, Field(description="ISO 8601 in UTC, with Z.")]
ObjectId = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
ProductId = Annotated[ObjectId, Field(alias="product_id")]


class Answer(BaseModel):
    """All keys are always there, null when empty."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class OpenedAnswer(Answer):
    """A command that can be paid."""

    url: str = Field(description="Where the customer pays, at Stripe.")
    command_id: ObjectId
    ref: str = Field(pattern="^#[A-Z0-9]{8}$", description="For people. Opens nothing.")
    token: str = Field(description="Opens this command's own data. Treat it as a secret.")
    expires_at: Instant = Field(description="Until when the url can be paid.")


class CartProduct(Answer):
    """A line by reference."""

    product_id: ProductId
    quantity: int
    type: str


class Cart(Answer):
    """What was asked for, by reference."""

    products: list[CartProduct]


class SnapshotProduct(Answer):
    """A line as it was charged."""

    product_id: ProductId
    title: str
    type: str
    price: Money
    price_minor: Minor
    quantity: int
    total: Money
    total_minor: Minor
    tax: Money
    tax_minor: Minor
    tax_rate: float | None = Field(description="Per cent.")
    tax_inclusive: bool | None


class SnapshotTax(Answer):
    """What one tax rate came to."""

    rate: float
    country: str
    inclusive: bool
    base: Money
    base_minor: Minor
    amount: Money
    amount_minor: Minor


class Snapshot(Answer):
    """What was charged, to the cent; written once, never changed."""

    products: list[SnapshotProduct]
    total_price: Money
    total_price_minor: Minor
    currency: str
    taxes: list[SnapshotTax]
    discounts: list[Any]


class Customer(Answer):
    """Who ordered; masked behind first letters once confirm may no longer show it."""

    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    address: str | None
    postal_code: str | None
    city: str | None
    country: str | None
    fax: str | None


class Command(Answer):
    """A command."""

    id: ObjectId = Field(alias="_id")
    ref: str
    status: Status
    paid: bool = Field(description="True from the payment on, also after refunds.")
    paid_at: Instant | None
    module: ObjectId
    cart: Cart
    customer: Customer | None = Field(description="null once erased.")
    appointment: Instant
    note: str | None
    cart_snapshot: Snapshot | None = Field(description="null until paid.")
    refunded: Money
    refunded_minor: Minor
    currency: str
    created_at: Instant
    updated_at: Instant


class CommandAnswer(Answer):
    """The answer of confirm and status."""

    command: Command


class Received(Answer):
    """The event is stored; handling comes after."""

    received: Literal[True]


class Price(Answer):
    """What one type of a product costs."""

    type: str
    price: Money
    price_minor: Minor
    currency: str
    default: bool = Field(description="Taken when the cart names no type.")


class Product(Answer):
    """A product on sale."""

    id: ObjectId = Field(alias="_id")
    title: str
    description: str
    image: str | None
    prices: list[Price]
    tax_rate: float | None = Field(description="Per cent; null when it is not taxed.")
    tax_inclusive: bool


class Products(Answer):
    """The public catalogue, in its order."""

    products: list[Product]


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"]


class Check(Answer):
    """One condition of selling."""

    ok: bool
    detail: str | None = Field(description="The mend, when it is not ok.")


class Readiness(Answer):
    """Whether the shop can sell."""

    status: Literal["ready", "not_ready"]
    checks: dict[Literal["database", "migrations", "module", "webhook_secret"], Check]


class WrongField(Answer):
    """One wrong field."""

    field: str = Field(description="Its path in the body: items.0.quantity")
    code: str
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document (application/problem+json)."""

    model_config = ConfigDict(extra="allow")

    title: str
    status: int
    code: str = Field(description="Stable; see docs/api.md.")
    detail: str = Field(description="For a person. Its wording may change.")
    errors: list[WrongField] | None = Field(default=None, description="With invalid_input.")
