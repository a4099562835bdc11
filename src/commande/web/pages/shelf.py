"""The shelf: what the shop sells, with prices from the database, and the basket below."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from commande.core.product import Price, Product
from commande.db.views import read_front
from commande.shop import Shop
from commande.stationery import Visit, Voice
from commande.stationery.drawer import SHEETS, static_path
from commande.web.pages.basket import is_for_sale, price_basket, read_basket
from commande.web.pages.front import front_context

# "Only 3 left" helps a customer decide; from six on it is no news.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class ShelfPrice:
    """One type of a product, as chosen on the shelf."""

    type: str
    label: str
    amount: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ShelfItem:
    """One product, as shown."""

    id: str
    title: str
    description: str
    image: str | None
    alt: str
    prices: list[ShelfPrice]
    left: int | None
    sold_out: bool


async def show_shelf(shop: Shop, visit: Visit) -> Response:
    """Everything on sale. What is sold out stays in its place, with the word."""
    found = await shop.db.read(read_front)
    settings, voice = shop.settings, visit.voice
    items = [
        _item(product, prices, visit)
        for product in found.products
        if (prices := [p for p in product.prices if p.currency == settings.currency])
    ]
    basket = price_basket(read_basket(visit), found.products, settings.currency, settings.country)
    context = front_context(found.module, voice, settings.shop_name, basket.pieces)
    return visit.print("shelf.html", **context, products=items, basket=basket)


def _item(product: Product, prices: list[Price], visit: Visit) -> ShelfItem:
    chosen = product.price_of(None) or prices[0]
    few = product.stock is not None and 0 < product.stock <= _FEW
    voice = visit.voice
    drawing = f"drawing.{product.image}"
    return ShelfItem(
        id=product.id,
        title=product.title,
        description=product.description,
        image=_picture(product.image, visit),
        alt=voice.say(drawing) if voice.knows(drawing) else "",
        prices=[
            ShelfPrice(
                price.type,
                _label(price.type, voice, alone=len(prices) == 1),
                voice.money(price.amount_minor, price.currency),
                price.type == chosen.type,
            )
            for price in prices
        ],
        left=product.stock if few else None,
        sold_out=not is_for_sale(product),
    )


def _label(kind: str, voice: Voice, *, alone: bool) -> str:
    if alone and kind == "standard":
        return voice.say("shelf.each")
    return kind[:1].upper() + kind[1:]


def _picture(image: str | None, visit: Visit) -> str | None:
    """One of our own drawings by name, or a path on the shop's own site; nothing from outside."""
    if image and f"img/{image}" in SHEETS:
        return visit.link(visit.room.static + static_path(f"img/{image}"))
    return image if image and image.startswith("/") and not image.startswith("//") else None
