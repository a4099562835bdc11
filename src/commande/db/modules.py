"""Modules: what the shop is made of. The one with type ``commands`` must exist to sell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from commande.db.sql import insert_once
from commande.db.tables import modules

COMMANDS: Final = "commands"

# Built once: asked for with every order, and building a statement costs more than running it.
_BY_TYPE: Final = select(modules).where(modules.c.type == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Module:
    """One module and its settings."""

    id: str
    type: str
    settings: dict[str, Any]
    created_at: datetime
    updated_at: datetime


def add_module(conn: Connection, module_id: str, module_type: str, now: datetime) -> bool:
    """Add a module of that type; False when there is one already."""
    row = {"id": module_id, "type": module_type, "settings": {}}
    return insert_once(conn, modules, row | {"created_at": now, "updated_at": now})


def find_module(conn: Connection, module_type: str) -> Module | None:
    """The module of that type, if any."""
    row = conn.execute(_BY_TYPE, {"wanted": module_type}).first()
    return Module(*row) if row else None


def list_modules(conn: Connection) -> list[Module]:
    """All modules, by type."""
    return [Module(*row) for row in conn.execute(select(modules).order_by(modules.c.type))]


def set_module(conn: Connection, module_type: str, change: dict[str, Any], now: datetime) -> bool:
    """Merge settings into a module (``None`` removes a key); False when there is no such module."""
    row = conn.execute(_BY_TYPE.with_for_update(), {"wanted": module_type}).first()
    if row is None:
        return False
    merged = {k: v for k, v in (row.settings | change).items() if v is not None}
    values = {"settings": merged, "updated_at": now}
    conn.execute(update(modules).where(modules.c.id == row.id).values(values))
    return True
