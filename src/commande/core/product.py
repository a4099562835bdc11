"""Products and their prices, and the reading of catalogue files."""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from commande.core import money
from commande.core.tax import TaxRate
from commande.errors import CatalogueInvalid
from commande.ids import is_object_id

_TYPE: Final = re.compile(r"[^\x00-\x1f]{1,80}")
_YES: Final = {"true": True, "1": True, "yes": True, "oui": True}
_NO: Final = {"false": False, "0": False, "no": False, "non": False}


@dataclass(frozen=True, slots=True)
class Price:
    """What one type of a product costs, in minor units."""

    type: str
    amount_minor: int
    currency: str
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its prices in the catalogue's order. An empty id: find it by its title."""

    id: str
    title: str
    description: str = ""
    image: str | None = None
    active: bool = True
    tax_percentage: Decimal | None = None
    tax_inclusive: bool = True
    stock: int | None = None
    prices: tuple[Price, ...] = ()

    def price_of(self, price_type: str | None) -> Price | None:
        """The price of that type; without one the default, or the only price."""
        if price_type is not None:
            return next((p for p in self.prices if p.type == price_type), None)
        default = next((p for p in self.prices if p.is_default), None)
        return default or (self.prices[0] if len(self.prices) == 1 else None)

    def rate(self, country: str) -> TaxRate | None:
        """Its tax rate in the shop's country, if it is taxed."""
        if self.tax_percentage is None:
            return None
        return TaxRate(country, self.tax_percentage, self.tax_inclusive)


def read_catalogue(text: str, currency: str, *, is_csv: bool) -> list[Product]:
    """The products of a catalogue file (docs/settings.md shows both forms), checked.

    JSON: a list of products. CSV: a line per price, lines of one product under each other. Raises
    CatalogueInvalid, which names the product's number, the field and the mend.
    """
    rows = _from_csv(text) if is_csv else _from_json(text)
    products = [_product(row, number, currency) for number, row in enumerate(rows, start=1)]
    seen: dict[str, int] = {}
    for number, product in enumerate(products, start=1):
        key = product.id or product.title
        if key in seen:
            raise _wrong(number, "_id", f"is the same product as number {seen[key]}")
        seen[key] = number
    return products


def _wrong(number: int, field: str, problem: str) -> CatalogueInvalid:
    return CatalogueInvalid(f"Product {number}, {field}: {problem}.")


def _from_json(text: str) -> list[Any]:
    try:
        rows = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CatalogueInvalid(f"The file is no JSON: {error}.") from error
    if not isinstance(rows, list):
        raise CatalogueInvalid("The file must hold a list of products: [{…}, {…}].")
    return rows


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _from_csv(text: str) -> list[dict[str, Any]]:
    written = text.removeprefix("\ufeff").splitlines(keepends=True)
    # Where prices have a comma, spreadsheets put semicolons between the columns.
    separator = max(",;\t", key="".join(written[:1]).count)
    reader = csv.DictReader(written, delimiter=separator)
    try:
        columns, lines = set(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise CatalogueInvalid(f"The file is no CSV: {error}.") from error
    if not {"title", "price"} <= columns:
        raise CatalogueInvalid("The first line must name the columns, at least title and price.")
    rows: list[dict[str, Any]] = []
    for line in lines:
        given = {key: value for key, value in line.items() if key and value not in (None, "")}
        price = {key: given.pop(key) for key in ("type", "price", "default") if key in given}
        name = given.get("_id") or given.get("title")
        if rows and name == (rows[-1].get("_id") or rows[-1].get("title")):
            rows[-1]["prices"].append(price)
        else:
            rows.append(given | {"prices": [price] if price else []})
    return rows


def _product(row: Any, number: int, currency: str) -> Product:
    if not isinstance(row, dict):
        raise _wrong(number, "product", "must be an object")
    product_id = row.get("_id") or ""
    if isinstance(product_id, dict):
        product_id = product_id.get("$oid") or ""
    product_id = str(product_id).lower()
    if product_id and not is_object_id(product_id):
        raise _wrong(number, "_id", "must be 24 hex digits, or left out")
    title = row.get("title")
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= 200:
        raise _wrong(number, "title", "must be a text of 1 to 200 characters")
    return Product(
        id=product_id,
        title=title.strip(),
        description=str(row.get("description") or ""),
        image=str(row["image"])[:500] if row.get("image") else None,
        active=_flag(row.get("active", True), number, "active"),
        tax_percentage=_percentage(row.get("taxRate"), number),
        tax_inclusive=_flag(row.get("taxInclusive", True), number, "taxInclusive"),
        stock=_stock(row.get("stock"), number),
        prices=_prices(row.get("prices"), number, currency),
    )


def _prices(rows: Any, number: int, currency: str) -> tuple[Price, ...]:
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise _wrong(number, "prices", "must be a list")
    prices = tuple(_price(row, number, f"prices.{n}", currency) for n, row in enumerate(rows))
    if len({price.type for price in prices}) < len(prices):
        raise _wrong(number, "prices", "name the same type twice")
    if sum(price.is_default for price in prices) > 1:
        raise _wrong(number, "prices", "have more than one default")
    return prices


def _price(row: Any, number: int, field: str, currency: str) -> Price:
    if not isinstance(row, dict):
        raise _wrong(number, field, "must be an object")
    price_type = row.get("type", "standard")
    if not isinstance(price_type, str) or not _TYPE.fullmatch(price_type):
        raise _wrong(number, f"{field}.type", "must be a text of 1 to 80 characters")
    own = str(row.get("currency") or currency).lower()
    if not money.is_currency(own):
        raise _wrong(number, f"{field}.currency", "must be an ISO 4217 code such as eur")
    amount = _decimal(row.get("price"), number, f"{field}.price")
    try:
        minor = money.to_minor(amount, own)
    except ValueError as error:
        raise _wrong(number, f"{field}.price", f"is wrong: {error}") from error
    if not 0 <= minor <= money.MAXIMUM:
        raise _wrong(number, f"{field}.price", "must lie between 0 and Stripe's maximum")
    is_default = _flag(row.get("default", False), number, f"{field}.default")
    return Price(price_type, minor, own, is_default)


def _decimal(value: Any, number: int, field: str) -> Decimal:
    # Spreadsheets in France write 29,99.
    text = value.strip().replace(",", ".") if isinstance(value, str) else value
    if isinstance(text, bool) or not isinstance(text, (str, int, Decimal)):
        raise _wrong(number, field, "must be a number")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise _wrong(number, field, "must be a number") from None
    if not amount.is_finite():
        raise _wrong(number, field, "must be a number")
    return amount


def _percentage(value: Any, number: int) -> Decimal | None:
    if value is None:
        return None
    rate = _decimal(value, number, "taxRate")
    if not 0 <= rate <= 100 or rate != round(rate, 4):
        raise _wrong(number, "taxRate", "must lie between 0 and 100, with at most 4 decimals")
    return rate


def _stock(value: Any, number: int) -> int | None:
    if value is None:
        return None
    stock = _decimal(value, number, "stock")
    if not 0 <= stock < 2**31 or stock != int(stock):
        raise _wrong(number, "stock", "must be a whole number, or left out")
    return int(stock)


def _flag(value: Any, number: int, field: str) -> bool:
    if isinstance(value, bool):
        return value
    known = (_YES | _NO).get(str(value).strip().lower())
    if known is None:
        raise _wrong(number, field, "must be true or false")
    return known


def name_products(products: Iterable[Product]) -> dict[str, str]:
    """Ids by title, for those titles that only one product has."""
    found: dict[str, str | None] = {}
    for product in products:
        found[product.title] = None if product.title in found else product.id
    return {title: product_id for title, product_id in found.items() if product_id}
