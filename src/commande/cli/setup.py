"""``init`` and ``migrate``: from an empty folder to a shop that can start."""

import os
import secrets
from pathlib import Path
from typing import Final

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import fail, out
from commande.db.modules import COMMANDS, add_module
from commande.db.schema import migrate as migrate_database
from commande.shop import Shop

ENV_FILE: Final = Path(".env")
_ENV: Final = """\
# Settings of commande. Every one is explained in docs/settings.md.

# From https://dashboard.stripe.com/test/apikeys. The server does not start without it.
STRIPE_SECRET_KEY=
# From your webhook endpoint (address: COMMANDE_SITE_URL + /api/checkout/webhook), whsec_…
# Several, comma separated, while a secret is rolled.
STRIPE_WEBHOOK_SECRET=

# Where customers come back to after paying. Must be https:// with a live key.
COMMANDE_SITE_URL=http://localhost:8000
# sqlite:///relative, sqlite:////absolute or postgresql://user:password@host/database
COMMANDE_DATABASE_URL=sqlite:///commande.sqlite
# Generated once. Links in mails stop working when it changes.
COMMANDE_SECRET_KEY={secret}

COMMANDE_SHOP_NAME=commande
COMMANDE_TIMEZONE=Europe/Paris
COMMANDE_CURRENCY=eur
COMMANDE_LOCALE=fr
# A password opens the merchant's view at /marchand.
#COMMANDE_ADMIN_PASSWORD=
# smtp://user:password@host:587 sends the confirmation mails.
#COMMANDE_MAIL_URL=
"""


def init() -> None:
    """Prepare a shop here: a commented .env, the database, the commands module. May be repeated."""
    if ENV_FILE.exists():
        out.print(".env is there already; it was left as it is.")
    else:
        _write_env()
        out.print(".env written: fill in STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET.")
    _migrate_and_tell(_database_url())
    if with_shop(_add_commands_module, read_settings(stripe=False)):
        out.print("Module “commands” added.")
    else:
        out.print("Module “commands” is there already.")
    out.print("Next: commande doctor says what is missing, commande serve starts the server.")


def migrate() -> None:
    """Bring the database's tables up to this version. May be repeated, also by two at once."""
    _migrate_and_tell(_database_url())


def _write_env() -> None:
    text = _ENV.format(secret=secrets.token_urlsafe(32))
    try:
        # It holds secrets: nobody else reads it.
        descriptor = os.open(ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise fail(f"Cannot write {ENV_FILE.absolute()}: {error.strerror}.") from error


def _database_url() -> str:
    return read_settings(stripe=False).database_url


def _migrate_and_tell(url: str) -> None:
    applied = migrate_database(url)
    if applied:
        out.print(f"Database migrated: {', '.join(applied)}.")
    else:
        out.print("Database is up to date.")


async def _add_commands_module(shop: Shop) -> bool:
    now = shop.clock.now()
    return await shop.db.transaction(add_module, shop.ids.object_id(now), COMMANDS, now)
