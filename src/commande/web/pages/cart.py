"""The cart's page: quantities, removal, and what stands in the way of ordering."""

from starlette.responses import Response

from commande.core.cart import MAX_QUANTITY, CartLine
from commande.db.views import read_front
from commande.ids import is_object_id
from commande.shop import Shop
from commande.stationery import Form, Visit, write_receipt
from commande.web.pages.basket import (
    add_line,
    is_for_sale,
    keep_basket,
    price_basket,
    read_basket,
)
from commande.web.pages.front import front_context


async def show_cart(shop: Shop, visit: Visit) -> Response:
    """The basket with today's prices."""
    return await _show(shop, visit, read_basket(visit))


async def _show(
    shop: Shop, visit: Visit, lines: list[CartLine], note: str = "", status: int = 200
) -> Response:
    settings = shop.settings
    found = await shop.db.read(read_front, [line.product_id for line in lines])
    basket = price_basket(lines, found.products, settings.currency, settings.country)
    context = front_context(found.module, visit.voice, settings.shop_name, basket.pieces)
    return visit.print(
        "cart.html",
        status,
        **context,
        basket=basket,
        receipt=write_receipt(basket.quote, visit.voice),
        note=note or (basket.problem if basket.lines else ""),
    )


async def change_cart(shop: Shop, visit: Visit) -> Response:
    """Add from the shelf, change quantities, or remove; then show the result."""
    form = await visit.read_form()
    lines = read_basket(visit)
    if form.get("action") == "add":
        return await _add(shop, visit, form, lines)
    changed = _changed(form)
    if not keep_basket(visit, changed):
        return await _show(shop, visit, lines, "full", 400)
    # Whoever goes on has not lost a quantity that they had just typed.
    onward = form.get("action") == "next" and not form.get("remove")
    return visit.go(visit.link("/commande" if onward else "/panier"))


async def _add(shop: Shop, visit: Visit, form: Form, lines: list[CartLine]) -> Response:
    product_id, kind = form.get("product_id"), form.get("type")
    found = await shop.db.read(read_front, [product_id] if is_object_id(product_id) else [])
    product = next(iter(found.products), None)
    price = product.price_of(kind or None) if product and is_for_sale(product) else None
    if product is None or price is None or price.currency != shop.settings.currency:
        return await _show(shop, visit, lines, "gone", 400)
    more = add_line(lines, product.id, price.type, 1)
    if not keep_basket(visit, more):
        return await _show(shop, visit, lines, "full", 400)
    return visit.go(visit.link(f"/#p-{product.id}"))


def _changed(form: Form) -> list[CartLine]:
    """The lines of the submitted page; a quantity of 0 or the button removes one."""
    removed = form.get("remove")
    rows = zip(form.all("product_id"), form.all("type"), form.all("quantity"), strict=False)
    lines: list[CartLine] = []
    for index, (product_id, kind, quantity) in enumerate(rows):
        count = _count(quantity)
        if str(index) != removed and count > 0 and is_object_id(product_id) and len(kind) <= 80:
            lines = add_line(lines, product_id, kind, count)
    return lines


def _count(text: str) -> int:
    """A quantity as typed, at most 999; what is no number removes nothing by accident: 1."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return 1
    return min(int(text[:9]), MAX_QUANTITY)
