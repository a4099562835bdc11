"""The catalogue's journeys: what an import and a price change mean for those who buy meanwhile."""

from dataclasses import replace

import pytest

from commande.core.product import Price, Product
from commande.db.catalogue import read_products
from commande.errors import CatalogueInvalid, InputInvalid
from commande.flows.catalogue import BATCH, change_price, import_products
from tests.support.stage import BOUQUET, BREAD, CATALOGUE, Stage

BOUQUETS, BREADS, _ = CATALOGUE


def _product(title: str, minor: int = 500) -> Product:
    return Product(None, title, prices=(Price("standard", minor, "eur", is_default=True),))


async def test_an_import_finds_products_by_id_or_title_and_says_how_many(stage: Stage) -> None:
    seen: list[tuple[int, int]] = []
    wares = [replace(BREADS, title="Pain de seigle"), replace(BOUQUETS, id=None), _product("Vase")]
    counted = await import_products(stage.shop, wares, lambda *done: seen.append(done))
    assert (counted, seen) == ((1, 2), [(3, 3)])
    assert await import_products(stage.shop, [_product("Vase", 700)]) == (0, 1)
    found = {p.title: p for p in await stage.shop.db.read(read_products)}
    assert found["Pain de seigle"].id == BREAD
    assert found["Bouquet de saison"].id == BOUQUET
    assert found["Vase"].prices[0].amount_minor == 700


async def test_a_long_import_goes_in_batches(stage: Stage) -> None:
    seen: list[tuple[int, int]] = []
    wares = [_product(f"Article {n}") for n in range(BATCH + 1)]
    await import_products(stage.shop, wares, lambda *done: seen.append(done))
    assert seen == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]


async def test_a_running_server_sells_at_the_new_price_at_once(stage: Stage) -> None:
    running = stage.another_process()
    await running.db.read(read_products)
    await change_price(stage.shop, BREAD, "entier", 720)
    opened = await stage.open((BREAD, 1))
    assert (await stage.session(opened))["amount_total"] == 720


async def test_s13_an_inactive_product_is_no_longer_sold(stage: Stage) -> None:
    await import_products(stage.shop, [replace(BREADS, active=False)])
    with pytest.raises(InputInvalid) as refused:
        await stage.open((BOUQUET, 1), (BREAD, 1))
    assert refused.value.errors[0].field.startswith("items.1")


async def test_a_price_of_nothing_we_sell_cannot_be_changed(stage: Stage) -> None:
    with pytest.raises(CatalogueInvalid):
        await change_price(stage.shop, BOUQUET, "géant", 1)
    with pytest.raises(CatalogueInvalid):
        await change_price(stage.shop, "f" * 24, "standard", 1)
