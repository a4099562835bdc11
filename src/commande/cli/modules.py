"""``module add|show|set``."""

from typing import Annotated

import orjson
import typer

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import JsonOption, fail, out, print_json, table
from commande.core.document import instant
from commande.db.modules import Module, add_module, list_modules, set_module
from commande.shop import Shop

app = typer.Typer(no_args_is_help=True, help="The shop's modules and their settings.")


@app.command()
def add(module_type: Annotated[str, typer.Argument(metavar="TYPE")]) -> None:
    """Add a module, such as the one with type “commands”. May be repeated."""

    async def work(shop: Shop) -> bool:
        now = shop.clock.now()
        return await shop.db.transaction(add_module, shop.ids.object_id(now), module_type, now)

    if not 1 <= len(module_type) <= 40:
        raise fail("A module's type has 1 to 40 characters.")
    added = with_shop(work, read_settings(stripe=False))
    out.print(f"Module “{module_type}” " + ("added." if added else "is there already."))


@app.command()
def show(
    module_type: Annotated[str | None, typer.Argument(metavar="[TYPE]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show all modules with their settings, or only those of one type."""
    modules = with_shop(lambda shop: shop.db.read(list_modules), read_settings(stripe=False))
    if module_type is not None:
        modules = [module for module in modules if module.type == module_type]
        if not modules:
            raise _unknown(module_type)
    if as_json:
        print_json([_document(module) for module in modules])
    elif not modules:
        out.print("No module yet. “commande module add commands” adds the one that sells.")
    else:
        shown = table("type", "id", "settings")
        for module in modules:
            shown.add_row(module.type, module.id, orjson.dumps(module.settings).decode())
        out.print(shown)


@app.command("set")
def set_settings(
    module_type: Annotated[str, typer.Argument(metavar="TYPE")],
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…")],
) -> None:
    """Change a module's settings: KEY=VALUE (JSON, or else text), KEY= removes."""
    change = dict(_assignment(text) for text in assignments)

    async def work(shop: Shop) -> bool:
        return await shop.db.transaction(set_module, module_type, change, shop.clock.now())

    if not with_shop(work, read_settings(stripe=False)):
        raise _unknown(module_type)
    out.print(f"Module “{module_type}” changed.")


def _unknown(module_type: str) -> typer.Exit:
    return fail(f"No module “{module_type}”. “commande module add {module_type}” adds it.")


def _assignment(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise fail(f"“{text}” is no KEY=VALUE.")
    if not value:
        return key, None
    try:
        return key, orjson.loads(value)
    except orjson.JSONDecodeError:
        return key, value


def _document(module: Module) -> dict[str, object]:
    return {
        "_id": module.id,
        "type": module.type,
        "settings": module.settings,
        "createdAt": instant(module.created_at),
        "updatedAt": instant(module.updated_at),
    }
