"""``products import|list|set-price``."""

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import JsonOption, fail, out, print_json, progress, table
from commande.core.money import to_major, to_minor, to_number
from commande.core.product import Product, read_catalogue
from commande.core.tax import canonical
from commande.db.catalogue import read_products
from commande.flows.catalogue import change_price, import_products

app = typer.Typer(no_args_is_help=True, help="The catalogue: products, and prices per type.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="JSON or CSV; - reads JSON from standard input.")],
) -> None:
    """Add or replace products by _id. Running servers see them at once; frozen quotes stay."""
    settings = read_settings(stripe=False)
    products = read_catalogue(_read(file), settings.currency, is_csv=file.suffix.lower() == ".csv")
    with progress("Importing") as bar:
        added, replaced = with_shop(lambda shop: import_products(shop, products, bar), settings)
    out.print(f"{added} added, {replaced} replaced.")


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise fail(f"Cannot read {file}: {error.strerror}.") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise fail(f"{file} is not UTF-8 text. Save it as UTF-8.") from None


@app.command("list")
def list_products(as_json: JsonOption = False) -> None:
    """List the catalogue with all prices."""
    products = with_shop(lambda shop: shop.db.read(read_products), read_settings(stripe=False))
    if as_json:
        print_json([_document(product) for product in products])
    elif not products:
        out.print("The catalogue is empty. “commande products import FILE” fills it.")
    else:
        shown = table("id", "title", "type", "price", "tax", "on sale", right=("price",))
        for product in products:
            _add_rows(shown, product)
        out.print(shown)


def _add_rows(shown: object, product: Product) -> None:
    add_row = shown.add_row  # type: ignore[attr-defined]
    tax = "" if product.tax_percentage is None else f"{canonical(product.tax_percentage)} %"
    on_sale = "yes" if product.active else "no"
    first = (product.id, product.title)
    if not product.prices:
        add_row(*first, "", "no price", tax, on_sale)
    for price in product.prices:
        amount = f"{to_major(price.amount_minor, price.currency)} {price.currency.upper()}"
        name = f"{price.type} (default)" if price.is_default else price.type
        add_row(*first, name, amount, tax, on_sale)
        first, tax, on_sale = ("", ""), "", ""


@app.command("set-price")
def set_price(
    product_id: Annotated[str, typer.Argument(metavar="ID")],
    price_type: Annotated[str, typer.Argument(metavar="TYPE")],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Such as 29.99.")],
) -> None:
    """Change one price. Sessions that are open, and snapshots, keep the price they froze."""
    settings = read_settings(stripe=False)
    try:
        minor = to_minor(Decimal(price.replace(",", ".")), settings.currency)
    except (ValueError, InvalidOperation):
        raise fail(f"“{price}” is no price in {settings.currency.upper()}.") from None
    if minor < 0:
        raise fail("A price is not negative.")
    with_shop(lambda shop: change_price(shop, product_id.lower(), price_type, minor), settings)
    out.print("Price changed.")


def _document(product: Product) -> dict[str, object]:
    """A product in the form that ``products import`` reads."""
    percentage = product.tax_percentage
    return {
        "_id": product.id,
        "title": product.title,
        "description": product.description,
        "image": product.image,
        "active": product.active,
        "taxRate": None if percentage is None else float(percentage),
        "taxInclusive": product.tax_inclusive,
        "stock": product.stock,
        "prices": [
            {
                "type": price.type,
                "price": to_number(price.amount_minor, price.currency),
                "currency": price.currency,
                "default": price.is_default,
            }
            for price in product.prices
        ],
    }
