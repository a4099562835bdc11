"""Modules: what the shop is made of."""

import asyncio

from commande.db import Database
from commande.db.modules import add_module, find_module, list_modules, set_module
from tests.support.counter import NOW, later


async def test_a_module_of_a_type_is_added_once(shop_db: Database) -> None:
    assert not await shop_db.transaction(add_module, "d" * 24, "commands", later(days=1))
    assert await shop_db.transaction(add_module, "e" * 24, "agenda", NOW)
    found = await shop_db.read(list_modules)
    assert [(module.type, module.id) for module in found] == [
        ("agenda", "e" * 24), ("commands", "a" * 24),
    ]  # fmt: skip


async def test_two_inits_at_once_add_one_module(shop_db: Database) -> None:
    ids = [f"{number:024x}" for number in range(8)]
    added = await asyncio.gather(
        *(shop_db.transaction(add_module, module_id, "agenda", NOW) for module_id in ids)
    )
    assert added.count(True) == 1
    found = await shop_db.read(find_module, "agenda")
    assert found is not None
    assert found.id == ids[added.index(True)]


async def test_a_missing_module_is_not_found(shop_db: Database) -> None:
    assert await shop_db.read(find_module, "agenda") is None
    assert not await shop_db.transaction(set_module, "agenda", {"notice": "24h"}, NOW)


async def test_settings_are_merged_and_none_removes_one(shop_db: Database) -> None:
    await shop_db.transaction(set_module, "commands", {"notice": "24h", "days": [1, 2]}, NOW)
    moment = later(hours=1)
    assert await shop_db.transaction(set_module, "commands", {"notice": None, "cap": 3}, moment)
    found = await shop_db.read(find_module, "commands")
    assert found is not None
    assert found.settings == {"days": [1, 2], "cap": 3}
    assert (found.created_at, found.updated_at) == (NOW, moment)


async def test_two_people_who_change_different_settings_both_keep_theirs(shop_db: Database) -> None:
    changes = [{f"setting_{number}": number} for number in range(10)]
    await asyncio.gather(
        *(shop_db.transaction(set_module, "commands", change, NOW) for change in changes)
    )
    found = await shop_db.read(find_module, "commands")
    assert found is not None
    assert found.settings == {f"setting_{number}": number for number in range(10)}
