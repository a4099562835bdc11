"""The shop as a verb opens it: its settings, its rows, and closed again afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from commande.cli.terminal import fail
from commande.db.schema import pending_migrations
from commande.errors import DatabaseBusy, SettingInvalid
from commande.logs import configure_logs
from commande.settings import Settings, load_settings
from commande.shop import Shop, close_shop, open_shop

R = TypeVar("R")

NO_KEY: Final = {"stripe_secret_key": "sk_test_none"}
"""Stands in for the Stripe key where nothing is asked of Stripe."""


def read_settings(*, stripe: bool = True) -> Settings:
    """Settings for a verb; logs stay quiet so that the output is the answer.

    Without ``stripe`` the verb asks Stripe nothing, and works before there is a key.
    """
    try:
        settings = load_settings()
    except SettingInvalid as error:
        if stripe or error.variable != "STRIPE_SECRET_KEY":
            raise
        settings = load_settings(**NO_KEY)
    configure_logs(settings.log_format, "error")
    return settings


async def find_pending(shop: Shop) -> tuple[str, ...]:
    """The migrations that wait: a verb's first word with the database.

    Raises SettingInvalid where nothing answers: before the first word an address is more often
    wrong than its database busy.
    """
    try:
        return tuple(await shop.db.read(pending_migrations))
    except DatabaseBusy as error:
        raise SettingInvalid(
            "COMMANDE_DATABASE_URL",
            "The database does not answer.",
            "Start it, or correct host, port and password.",
        ) from error


def with_shop(
    work: Callable[[Shop], Awaitable[R]],
    settings: Settings | None = None,
    *,
    migrated: bool = True,
) -> R:
    """Open the shop, run the work, close it; ``migrated`` wants the tables up to date first.

    Raises SettingInvalid and what the work raises.
    """

    async def run() -> R:
        shop = open_shop(settings or read_settings())
        try:
            if await find_pending(shop) and migrated:
                raise fail("The database is not up to date. Run “commande migrate” first.")
            return await work(shop)
        finally:
            await close_shop(shop)

    return asyncio.run(run())
