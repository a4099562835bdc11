"""The catalogue's journeys: import and price changes. Running servers see them at once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from commande.core.product import Product, name_products
from commande.db.catalogue import read_products, set_price, upsert_products
from commande.errors import CatalogueInvalid
from commande.shop import Shop

# A transaction of 500 products stays under a tenth of a second: other writers do not notice.
BATCH: Final = 500


async def import_products(
    shop: Shop, products: list[Product], progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Add or replace products by id (or, without one, by title); (added, replaced). Repeat-safe."""
    known = name_products(await shop.db.read(read_products))
    now = shop.clock.now()
    named = [
        p if p.id else replace(p, id=known.get(p.title) or shop.ids.object_id(now))
        for p in products
    ]
    added = replaced = 0
    for start in range(0, len(named), BATCH):
        batch = named[start : start + BATCH]
        new, old = await shop.db.transaction(upsert_products, batch, now)
        added, replaced = added + new, replaced + old
        if progress is not None:
            progress(start + len(batch), len(named))
    return added, replaced


async def change_price(shop: Shop, product_id: str, price_type: str, amount_minor: int) -> None:
    """Change one price (minor units). Frozen quotes and snapshots keep theirs.

    Raises CatalogueInvalid when there is no such product or type.
    """
    now = shop.clock.now()
    if not await shop.db.transaction(set_price, product_id, price_type, amount_minor, now):
        raise CatalogueInvalid(f"There is no product {product_id} with a price “{price_type}”.")
