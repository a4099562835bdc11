"""The basket: the cart in the visitor's own browser, by reference; prices are the database's.

A plain cookie, not signed: whoever changes it only changes what they ask for.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

import orjson

from commande.core.cart import MAX_LINES, MAX_QUANTITY, CartLine
from commande.core.pricing import PricedLine, Quote, quote
from commande.core.product import Product
from commande.errors import TotalOutOfRange
from commande.ids import is_object_id
from commande.stationery import Visit

COOKIE: Final = "panier"
# Browsers keep 4096 bytes a cookie, name and attributes included.
_LARGEST: Final = 3800
_KEPT: Final = 30 * 24 * 3600


def read_basket(visit: Visit) -> list[CartLine]:
    """The lines in the cookie; anything that is none of ours is an empty basket."""
    text = visit.cookie(COOKIE)
    try:
        rows = orjson.loads(urlsafe_b64decode(text.encode("ascii")))
        lines = [CartLine(str(i), q, str(t)) for i, t, q in rows if type(q) is int]
    except (ValueError, TypeError):
        return []
    return [line for line in lines[:MAX_LINES] if _possible(line)]


def _possible(line: CartLine) -> bool:
    named = is_object_id(line.product_id) and line.type is not None and len(line.type) <= 80
    return named and 1 <= line.quantity <= MAX_QUANTITY


def count_pieces(visit: Visit) -> int:
    """How many things the basket holds, on sale or not."""
    return sum(line.quantity for line in read_basket(visit))


def keep_basket(visit: Visit, lines: list[CartLine]) -> bool:
    """Give the browser its basket back; False (and nothing done) when it holds too many lines."""
    rows = [[line.product_id, line.type, line.quantity] for line in lines]
    text = urlsafe_b64encode(orjson.dumps(rows)).decode() if rows else ""
    if len(text) > _LARGEST or len(lines) > MAX_LINES:
        return False
    visit.keep(COOKIE, text, _KEPT if text else 0)
    return True


def add_line(lines: list[CartLine], product_id: str, kind: str, quantity: int) -> list[CartLine]:
    """The basket with so many more of it, at most 999."""
    for index, line in enumerate(lines):
        if line.product_id == product_id and line.type == kind:
            more = min(line.quantity + quantity, MAX_QUANTITY)
            return [*lines[:index], CartLine(product_id, more, kind), *lines[index + 1 :]]
    return [*lines, CartLine(product_id, quantity, kind)]


@dataclass(frozen=True, slots=True)
class BasketLine:
    """A line as shown: priced, or no longer for sale."""

    line: CartLine
    product: Product | None
    priced: PricedLine | None

    @property
    def title(self) -> str:
        """The product's name, or the reference if even that is gone."""
        return self.product.title if self.product else self.line.product_id


@dataclass(frozen=True, slots=True)
class Basket:
    """The basket with today's prices."""

    lines: list[BasketLine]
    quote: Quote
    problem: str
    """Why it cannot be ordered: ``empty``, ``gone``, ``range``; nothing when it can."""

    @property
    def pieces(self) -> int:
        """How many things it holds."""
        return sum(line.line.quantity for line in self.lines)


def price_basket(
    lines: list[CartLine], products: list[Product], currency: str, country: str
) -> Basket:
    """The basket priced as an order would be; lines that cannot be sold stay, without a price."""
    known = {product.id: product for product in products}
    shown = [_price(line, known.get(line.product_id), currency, country) for line in lines]
    priced = [line.priced for line in shown if line.priced]
    if not priced:
        return Basket(shown, Quote(currency, ()), "gone" if shown else "empty")
    problem = "gone" if len(priced) < len(shown) else ""
    try:
        return Basket(shown, quote(priced, currency), problem)
    except TotalOutOfRange:
        return Basket(shown, Quote(currency, tuple(priced)), problem or "range")


def _price(line: CartLine, product: Product | None, currency: str, country: str) -> BasketLine:
    price = product.price_of(line.type) if product and is_for_sale(product) else None
    if product is None or price is None or price.currency != currency:
        return BasketLine(line, product, None)
    priced = PricedLine(
        product.id, product.title, price.type, line.quantity, price.amount_minor,
        product.rate(country),
    )  # fmt: skip
    return BasketLine(line, product, priced)


def is_for_sale(product: Product) -> bool:
    """Whether the storefront offers it: active, and not sold out."""
    return product.active and product.stock != 0
