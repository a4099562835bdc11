"""Health: whether the process lives, and whether the shop can sell."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import structlog

from commande.db.modules import COMMANDS, find_module
from commande.db.schema import pending_migrations
from commande.shop import Shop

# Probes give up after a few seconds; a database that answers later than this is not there.
PATIENCE: Final = 3.0

log = structlog.get_logger("commande.web")


class Check(NamedTuple):
    """One condition of selling: whether it holds, and the mend if it does not."""

    ok: bool
    detail: str | None = None


async def check_readiness(shop: Shop) -> dict[str, Check]:
    """Database, migrations, module and webhook secret. What cannot be looked at does not hold."""
    secret = bool(shop.settings.stripe_webhook_secrets)
    return {
        **await _check_database(shop),
        "webhook_secret": Check(secret, None if secret else "Set STRIPE_WEBHOOK_SECRET."),
    }


async def _check_database(shop: Shop) -> dict[str, Check]:
    unknown = Check(ok=False, detail="Not known while the database cannot be read.")
    pending: list[str] | None = await _look(lambda: shop.db.read(pending_migrations))
    if pending is None:
        away = Check(ok=False, detail="The database cannot be read; see the log.")
        return {"database": away, "migrations": unknown, "module": unknown}
    if pending:
        behind = Check(ok=False, detail="Run `commande migrate`.")
        return {"database": Check(ok=True), "migrations": behind, "module": unknown}
    found = await _look(lambda: shop.db.read(_module_exists))
    module = Check(ok=True) if found else Check(ok=False, detail="Run `commande init`.")
    return {"database": Check(ok=True), "migrations": Check(ok=True), "module": module}


def _module_exists(conn: Any) -> bool:
    return find_module(conn, COMMANDS) is not None


async def _look(read: Callable[[], Awaitable[Any]]) -> Any:
    """What was read, or None: a readiness probe reports trouble and never is one."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await read()
    except Exception as error:  # noqa: BLE001 – whatever it is, the shop is not ready
        log.warning("not_ready", reason=getattr(error, "code", type(error).__name__))
        return None


def as_document(checks: dict[str, Check]) -> dict[str, Any]:
    """The answer of /readyz."""
    ready = all(check.ok for check in checks.values())
    return {
        "status": "ready" if ready else "not_ready",
        "checks": {name: check._asdict() for name, check in checks.items()},
    }
