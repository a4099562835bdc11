"""The catalogue: products, their prices per type, and the tax rates known at Stripe."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from commande.core.cart import CartLine, merge_lines
from commande.core.pricing import PricedLine
from commande.core.product import Price, Product
from commande.core.tax import canonical
from commande.db.sql import insert_once
from commande.db.tables import prices, products, tax_rates
from commande.errors import FieldError, InputInvalid

# Built once, with bound parameters: building one costs several times as much as running it.
_PRODUCTS: Final = (
    select(
        products.c.id, products.c.title, products.c.description, products.c.image,
        products.c.active, products.c.tax_percentage, products.c.tax_inclusive, products.c.stock,
        prices.c.type, prices.c.amount_minor, prices.c.currency, prices.c.is_default,
    )
    .join_from(products, prices, isouter=True)
    .order_by(products.c.position, products.c.title, products.c.id, prices.c.position)
)  # fmt: skip
_ON_SALE: Final = _PRODUCTS.where(products.c.active)
_SOME: Final = _PRODUCTS.where(products.c.id.in_(bindparam("wanted", expanding=True)))
_RATES: Final = select(tax_rates.c.key, tax_rates.c.stripe_tax_rate_id).where(
    tax_rates.c.key.in_(bindparam("wanted", expanding=True)),
    tax_rates.c.livemode == bindparam("live"),
)
_PERCENTAGE, _PRODUCT = 5, 8


def read_products(conn: Connection, *, active_only: bool = False) -> list[Product]:
    """Products with their prices, in the catalogue's order."""
    return _gather(conn.execute(_ON_SALE if active_only else _PRODUCTS))


def find_products(conn: Connection, ids: Iterable[str]) -> dict[str, Product]:
    """These products by id, as far as they are in the catalogue, on sale or not."""
    found = _gather(conn.execute(_SOME, {"wanted": sorted(set(ids))}))
    return {product.id: product for product in found}


def _gather(rows: Iterable[Row[Any]]) -> list[Product]:
    """One row per price (or one without any) as products, in the rows' order."""
    gathered: list[Product] = []
    for _, each in groupby(rows, itemgetter(0)):
        with_prices = list(each)
        values: list[Any] = list(with_prices[0][:_PRODUCT])
        values[_PERCENTAGE] = None if values[_PERCENTAGE] is None else Decimal(values[_PERCENTAGE])
        priced = (row[_PRODUCT:] for row in with_prices)
        values.append(tuple(Price(*price) for price in priced if price[0] is not None))
        gathered.append(Product(*values))
    return gathered


def price_cart(
    conn: Connection, cart: list[CartLine], currency: str, country: str
) -> list[PricedLine]:
    """Price a cart from the database alone, merged by product and type.

    Raises InputInvalid with each wrong line's path: unknown, inactive or unpriced product, unknown
    type, price in another currency.
    """
    known = find_products(conn, (line.product_id for line in cart))
    errors: list[FieldError] = []
    resolved: list[tuple[int, CartLine]] = []
    for index, line in enumerate(cart):
        product = known.get(line.product_id)
        price = product.price_of(line.type) if product and product.active else None
        if price is None or price.currency != currency:
            errors.append(_line_error(index, line, product, price))
        else:
            resolved.append((index, CartLine(line.product_id, line.quantity, price.type)))
    if errors:
        raise InputInvalid(*errors)
    lines = []
    for _, line in merge_lines(resolved):
        product = known[line.product_id]
        price = product.price_of(line.type)
        assert price is not None and line.type is not None  # noqa: S101 – resolved above
        lines.append(
            PricedLine(
                line.product_id, product.title, line.type, line.quantity,
                price.amount_minor, product.rate(country),
            )
        )  # fmt: skip
    return lines


def _line_error(
    index: int, line: CartLine, product: Product | None, price: Price | None
) -> FieldError:
    at = f"items.{index}"
    if product is None:
        return FieldError(f"{at}.product_id", "product_unknown", "There is no such product.")
    if not product.active:
        return FieldError(f"{at}.product_id", "product_inactive", "This product is not on sale.")
    if price is not None:
        detail = "This product is priced in another currency."
        return FieldError(f"{at}.product_id", "price_currency", detail)
    if not product.prices:
        return FieldError(f"{at}.product_id", "product_unpriced", "This product has no price.")
    types = ", ".join(p.type for p in product.prices)
    if line.type is None:
        detail = f"Say which: this product has several prices ({types})."
        return FieldError(f"{at}.type", "type_missing", detail)
    return FieldError(f"{at}.type", "type_unknown", f"This product has the types {types}.")


def upsert_products(conn: Connection, incoming: list[Product], now: datetime) -> tuple[int, int]:
    """Add or replace products with all their prices; (added, replaced). Repeat-safe.

    New ones go to the end of the catalogue's order.
    """
    position = conn.execute(select(func.coalesce(func.max(products.c.position), 0))).scalar_one()
    added = 0
    for product in incoming:
        percentage = product.tax_percentage
        values = {
            "title": product.title,
            "description": product.description,
            "image": product.image,
            "active": product.active,
            "tax_percentage": None if percentage is None else canonical(percentage),
            "tax_inclusive": product.tax_inclusive,
            "stock": product.stock,
            "updated_at": now,
        }
        position += 1
        row = values | {"id": product.id, "position": position, "created_at": now}
        if insert_once(conn, products, row):
            added += 1
        else:
            conn.execute(update(products).where(products.c.id == product.id).values(values))
        conn.execute(delete(prices).where(prices.c.product_id == product.id))
        _insert_prices(conn, product)
    return added, len(incoming) - added


def _insert_prices(conn: Connection, product: Product) -> None:
    for number, price in enumerate(product.prices):
        insert_once(
            conn,
            prices,
            {
                "product_id": product.id,
                "type": price.type,
                "amount_minor": price.amount_minor,
                "currency": price.currency,
                "is_default": price.is_default,
                "position": number,
            },
        )


def set_price(
    conn: Connection, product_id: str, price_type: str, amount_minor: int, now: datetime
) -> bool:
    """Change one price; False when there is no such product or type."""
    match = (prices.c.product_id == product_id) & (prices.c.type == price_type)
    changed = conn.execute(update(prices).where(match).values(amount_minor=amount_minor)).rowcount
    if changed:
        conn.execute(update(products).where(products.c.id == product_id).values(updated_at=now))
    return changed == 1


def known_tax_rates(conn: Connection, keys: list[str], livemode: bool) -> dict[str, str]:
    """Stripe's ids of those rates that were made already, by our key."""
    if not keys:
        return {}
    found = conn.execute(_RATES, {"wanted": keys, "live": livemode})
    return {row.key: row.stripe_tax_rate_id for row in found}


def remember_tax_rates(
    conn: Connection, made: dict[str, str], livemode: bool, now: datetime
) -> dict[str, str]:
    """Keep new rates; where two processes made one at once, the first stands for both."""
    for key, stripe_id in made.items():
        row = {"key": key, "livemode": livemode, "stripe_tax_rate_id": stripe_id}
        insert_once(conn, tax_rates, row | {"created_at": now})
    return known_tax_rates(conn, list(made), livemode)


def forget_tax_rates(conn: Connection, keys: list[str], livemode: bool) -> None:
    """Drop rates that Stripe no longer knows (another account, a stand-in that began again)."""
    match = tax_rates.c.key.in_(keys) & (tax_rates.c.livemode == livemode)
    conn.execute(delete(tax_rates).where(match))
