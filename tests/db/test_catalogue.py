"""The catalogue: the only place where a price comes from."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import Connection, select

from commande.core.cart import CartLine
from commande.core.product import Price, Product
from commande.db import Database
from commande.db.catalogue import (
    find_products,
    forget_tax_rates,
    known_tax_rates,
    price_cart,
    read_products,
    remember_tax_rates,
    set_price,
    upsert_products,
)
from commande.db.tables import prices, products
from commande.errors import InputInvalid
from tests.support.counter import BREAD, CAKE, NOW, later

UNKNOWN = "f" * 24
INACTIVE = Product("1" * 24, "Old", active=False, prices=(Price("standard", 100, "eur"),))
UNPRICED = Product("2" * 24, "Free?")
DOLLARS = Product("3" * 24, "Bagel", prices=(Price("standard", 300, "usd"),))
CHOICE = Product("4" * 24, "Tea", prices=(Price("hot", 300, "eur"), Price("cold", 350, "eur")))


async def problems(db: Database, *lines: CartLine) -> list[tuple[str, str]]:
    with pytest.raises(InputInvalid) as refusal:
        await db.read(price_cart, list(lines), "eur", "FR")
    return [(error.field, error.code) for error in refusal.value.errors]


async def test_a_catalogue_comes_back_as_it_was_given(shop_db: Database) -> None:
    assert await shop_db.read(read_products) == [BREAD, CAKE]
    assert await shop_db.read(find_products, [CAKE.id, UNKNOWN]) == {CAKE.id: CAKE}
    assert await shop_db.read(find_products, []) == {}


async def test_a_cart_is_priced_from_the_database(shop_db: Database) -> None:
    cart = [CartLine(BREAD.id, 2), CartLine(BREAD.id, 1, "half"), CartLine(CAKE.id, 1)]
    lines = await shop_db.read(price_cart, cart, "eur", "FR")
    assert [(line.title, line.type, line.quantity, line.unit_minor) for line in lines] == [
        ("Pain de campagne", "standard", 2, 450),
        ("Pain de campagne", "half", 1, 250),
        ("Gâteau", "six", 1, 2999),
    ]
    assert [str(line.rate.percentage) for line in lines if line.rate] == ["5.5", "5.5", "20"]


async def test_s12_the_default_and_its_name_are_one_line(shop_db: Database) -> None:
    cart = [CartLine(BREAD.id, 2), CartLine(CAKE.id, 1), CartLine(BREAD.id, 3, "standard")]
    lines = await shop_db.read(price_cart, cart, "eur", "FR")
    assert [(line.product_id, line.quantity) for line in lines] == [(BREAD.id, 5), (CAKE.id, 1)]


async def test_s12_merged_lines_keep_to_the_limit(shop_db: Database) -> None:
    cart = [CartLine(BREAD.id, 999), CartLine(BREAD.id, 1, "standard")]
    assert await problems(shop_db, *cart) == [("items.1.quantity", "out_of_range")]


async def test_s13_every_wrong_line_is_named(shop_db: Database) -> None:
    await shop_db.transaction(upsert_products, [INACTIVE, UNPRICED, DOLLARS, CHOICE], NOW)
    assert await problems(
        shop_db,
        CartLine(BREAD.id, 1),
        CartLine(UNKNOWN, 1),
        CartLine(INACTIVE.id, 1),
        CartLine(UNPRICED.id, 1),
        CartLine(DOLLARS.id, 1),
        CartLine(CHOICE.id, 1),
        CartLine(BREAD.id, 1, "six"),
    ) == [
        ("items.1.product_id", "product_unknown"),
        ("items.2.product_id", "product_inactive"),
        ("items.3.product_id", "product_unpriced"),
        ("items.4.product_id", "price_currency"),
        ("items.5.type", "type_missing"),
        ("items.6.type", "type_unknown"),
    ]


async def test_an_import_adds_and_replaces_and_may_be_repeated(shop_db: Database) -> None:
    moment = later(hours=1)
    cheaper = replace(BREAD, title="Pain", prices=(Price("standard", 400, "eur", is_default=True),))
    assert await shop_db.transaction(upsert_products, [cheaper, CHOICE], moment) == (1, 1)
    assert await shop_db.read(read_products) == [cheaper, CAKE, CHOICE]
    assert await shop_db.transaction(upsert_products, [cheaper, CHOICE], moment) == (0, 2)
    assert await shop_db.read(read_products) == [cheaper, CAKE, CHOICE]


async def test_an_import_keeps_when_a_product_came(shop_db: Database) -> None:
    await shop_db.transaction(upsert_products, [BREAD], later(hours=1))

    def times(conn: Connection) -> list[object]:
        query = select(products.c.created_at, products.c.updated_at)
        return list(conn.execute(query.where(products.c.id == BREAD.id)).one())

    assert await shop_db.read(times) == [NOW, later(hours=1)]


async def test_two_imports_at_once_leave_one_whole_catalogue(shop_db: Database) -> None:
    versions = [
        [replace(product, title=f"v{n}", prices=(Price("standard", 100 + n, "eur"),))
         for product in (BREAD, CAKE, CHOICE)]
        for n in range(6)
    ]  # fmt: skip
    await asyncio.gather(
        *(shop_db.transaction(upsert_products, version, NOW) for version in versions)
    )
    found = await shop_db.read(read_products)
    assert found in [sorted(version, key=found.index) for version in versions
                     if all(p in found for p in version)]  # fmt: skip


async def test_only_what_is_on_sale_is_public(shop_db: Database) -> None:
    await shop_db.transaction(upsert_products, [INACTIVE], NOW)
    assert await shop_db.read(read_products, active_only=True) == [BREAD, CAKE]


async def test_a_price_is_changed_alone(shop_db: Database) -> None:
    assert await shop_db.transaction(set_price, BREAD.id, "half", 260, NOW)
    assert not await shop_db.transaction(set_price, BREAD.id, "six", 1, NOW)
    assert not await shop_db.transaction(set_price, UNKNOWN, "half", 1, NOW)

    def read(conn: Connection) -> dict[tuple[str, str], int]:
        query = select(prices.c.product_id, prices.c.type, prices.c.amount_minor)
        return {(row[0], row[1]): row[2] for row in conn.execute(query)}

    assert await shop_db.read(read) == {
        (BREAD.id, "standard"): 450, (BREAD.id, "half"): 260, (CAKE.id, "six"): 2999,
    }  # fmt: skip


async def test_percentages_come_back_exactly(shop_db: Database) -> None:
    rates = [Decimal(text) for text in ("0", "2.1", "5.5", "20", "8.375", "19.0001")]
    given = [
        Product(f"{n:024x}", f"P{n}", tax_percentage=rate, tax_inclusive=bool(n % 2))
        for n, rate in enumerate(rates)
    ]
    await shop_db.transaction(upsert_products, given, NOW)
    found = {product.id: product for product in await shop_db.read(read_products)}
    assert [found[product.id] for product in given] == given


async def test_a_tax_rate_made_twice_is_one_rate_for_both(shop_db: Database) -> None:
    made = await asyncio.gather(
        *(
            shop_db.transaction(remember_tax_rates, {"FR:20:incl": f"txr_{n}"}, False, NOW)
            for n in range(6)
        )
    )
    assert len({answer["FR:20:incl"] for answer in made}) == 1
    assert await shop_db.read(known_tax_rates, ["FR:20:incl", "FR:5:incl"], False) == made[0]


async def test_s05_test_and_live_rates_are_two(shop_db: Database) -> None:
    await shop_db.transaction(remember_tax_rates, {"FR:20:incl": "txr_test"}, False, NOW)
    assert await shop_db.read(known_tax_rates, ["FR:20:incl"], True) == {}
    await shop_db.transaction(remember_tax_rates, {"FR:20:incl": "txr_live"}, True, NOW)
    await shop_db.transaction(forget_tax_rates, ["FR:20:incl"], False)
    assert await shop_db.read(known_tax_rates, ["FR:20:incl"], False) == {}
    assert await shop_db.read(known_tax_rates, ["FR:20:incl"], True) == {"FR:20:incl": "txr_live"}
    assert await shop_db.read(known_tax_rates, [], True) == {}
