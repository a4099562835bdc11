"""``doctor``: what is missing or wrong, and the mend."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from rich.text import Text

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import Exit, JsonOption, out, print_json
from commande.core.money import to_major
from commande.db.catalogue import read_products
from commande.db.commands import count_commands
from commande.db.discrepancies import money_unaccounted
from commande.db.inbox import count_events, last_webhook_at
from commande.db.modules import COMMANDS, find_module
from commande.db.outbox import count_messages
from commande.db.schema import pending_migrations
from commande.db.upkeep import last_beat_at
from commande.errors import CommandeError, SettingInvalid
from commande.settings import Settings
from commande.shop import Shop

# A worker beats every 5 s; a minute of silence is no hiccup.
SILENCE: Final = timedelta(minutes=1)
_COLOURS: Final = {"ok": "green", "warn": "yellow", "bad": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: str
    """``ok``, ``warn`` (works, but) or ``bad`` (does not work)."""
    detail: str


def doctor(as_json: JsonOption = False) -> None:
    """Look at keys, database, module, webhook, worker and Stripe; say the mend of what is wrong."""
    try:
        settings, key = _read_settings()
        findings = with_shop(lambda shop: _examine(shop, key), settings, migrated=False)
    except SettingInvalid as error:
        findings = [Finding("settings", "bad", error.detail)]
    if as_json:
        print_json([{"name": f.name, "level": f.level, "detail": f.detail} for f in findings])
    else:
        for finding in findings:
            sign = (f"{finding.level:4}", _COLOURS[finding.level])
            line = Text.assemble(sign, f" {finding.name}: {finding.detail}")
            out.print(line, soft_wrap=True)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(Exit.ATTENTION)


def _read_settings() -> tuple[Settings, Finding]:
    """The settings, also without a key: all the rest is looked at, not one thing at a time."""
    try:
        settings = read_settings()
    except SettingInvalid as error:
        return read_settings(stripe=False), Finding("Stripe key", "bad", error.detail)
    mode = "live" if settings.livemode else "test"
    return settings, Finding("Stripe key", "ok", f"a {mode} key.")


async def _examine(shop: Shop, key: Finding) -> list[Finding]:
    findings = [key, *_judge_settings(shop.settings)]
    try:
        findings += [finding async for finding in _examine_database(shop)]
    except CommandeError as error:
        findings.append(Finding("database", "bad", error.detail))
    if key.level == "ok":
        findings.append(await _ask_stripe(shop))
    return findings


def _judge_settings(settings: Settings) -> list[Finding]:
    hook, found = _webhook_address(settings), []
    if settings.stripe_webhook_secrets:
        count = len(settings.stripe_webhook_secrets)
        found.append(Finding("webhook secret", "ok", f"{count} set; the endpoint is {hook}."))
    else:
        mend = f"Create an endpoint for {hook} in Stripe and set STRIPE_WEBHOOK_SECRET."
        found.append(Finding("webhook secret", "bad", f"not set: webhooks answer 503. {mend}"))
    if settings.stripe_api_base:
        found.append(Finding("Stripe address", "warn", "STRIPE_API_BASE names a stand-in."))
    host = urlsplit(settings.site_url).hostname
    if host in ("localhost", "127.0.0.1"):
        detail = "COMMANDE_SITE_URL is this machine: Stripe cannot send webhooks here."
        found.append(Finding("site", "ok" if settings.stripe_api_base else "warn", detail))
    else:
        found.append(Finding("site", "ok", settings.site_url))
    if settings.secret_key is None:
        detail = "COMMANDE_SECRET_KEY is not set: links in mails die when the Stripe key changes."
        found.append(Finding("secret key", "warn", f"{detail} “commande init” writes one."))
    elif len(settings.secret_key.get_secret_value()) < 20:
        detail = "COMMANDE_SECRET_KEY is short. Use 32 random characters."
        found.append(Finding("secret key", "warn", detail))
    else:
        found.append(Finding("secret key", "ok", "set."))
    local = datetime.now(UTC).astimezone(settings.zone).strftime("%H:%M")
    found.append(Finding("time zone", "ok", f"{settings.timezone}, where it is {local}."))
    if settings.mail_url is None:
        detail = "COMMANDE_MAIL_URL is not set: confirmation mails are skipped."
        found.append(Finding("mail", "warn", detail))
    else:
        found.append(Finding("mail", "ok", "set."))
    return found


def _webhook_address(settings: Settings) -> str:
    return f"{settings.site_url}/api/checkout/webhook"


async def _examine_database(shop: Shop) -> AsyncIterator[Finding]:
    pending = await shop.db.read(pending_migrations)
    if pending:
        yield Finding("database", "bad", "is not up to date. Run “commande migrate”.")
        return
    yield Finding("database", "ok", f"{shop.db.dialect}, up to date.{_disk(shop.settings)}")
    if await shop.db.read(find_module, COMMANDS) is None:
        mend = "Run “commande module add commands”."
        yield Finding("module", "bad", f"no module has type “commands”. {mend}")
    else:
        yield Finding("module", "ok", "“commands” is there.")
    products = await shop.db.read(read_products)
    on_sale = sum(1 for p in products if p.active and p.prices)
    if on_sale:
        yield Finding("catalogue", "ok", f"{on_sale} of {len(products)} products on sale.")
    else:
        mend = "“commande products import FILE” fills it."
        yield Finding("catalogue", "warn", f"nothing is on sale. {mend}")
    yield _judge_worker(await shop.db.read(last_beat_at), shop.clock.now())
    events, letters = await shop.db.read(count_events), await shop.db.read(count_messages)
    mends = ("“commande reconcile” tries again now.", "“commande commands list --attention”.")
    for name, counts, mend in zip(("events", "mails"), (events, letters), mends, strict=True):
        dead, waiting = counts.get("dead", 0), counts.get("pending", 0)
        told = f"{waiting} waiting, {dead} failed to the last try."
        yield Finding(name, "warn", f"{told} {mend}") if dead else Finding(name, "ok", told)
    heard = await shop.db.read(last_webhook_at)
    if heard is None:
        mend = f"Stripe must reach {_webhook_address(shop.settings)}."
        yield Finding("webhooks", "warn", f"none has arrived yet. {mend}")
    else:
        yield Finding("webhooks", "ok", f"the last one arrived at {heard:%Y-%m-%d %H:%M} UTC.")
    attention = (await shop.db.read(count_commands))["attention"]
    if attention:
        mend = "See “commande commands list --attention”."
        yield Finding("commands", "warn", f"{attention} need a person. {mend}")
    else:
        yield Finding("commands", "ok", "none needs a person.")
    yield _judge_money(await shop.db.read(money_unaccounted))


def _disk(settings: Settings) -> str:
    """How much room a SQLite file has."""
    path = settings.database_url.removeprefix("sqlite:///")
    if path == settings.database_url:
        return ""
    folder = Path(path).absolute().parent
    return f" {shutil.disk_usage(folder).free / 1e9:.1f} GB free."


def _judge_worker(beat: datetime | None, now: datetime) -> Finding:
    mend = "“commande serve” runs one inside; else start “commande worker”."
    if beat is None:
        return Finding("worker", "bad", f"none is running. {mend}")
    if now - beat > SILENCE:
        return Finding("worker", "bad", f"silent since {beat:%Y-%m-%d %H:%M} UTC. {mend}")
    return Finding("worker", "ok", "running.")


def _judge_money(unaccounted: dict[str, int]) -> Finding:
    open_ = [f"{to_major(minor, name)} {name.upper()}" for name, minor in unaccounted.items()]
    if not open_:
        return Finding(
            "money", "ok", "Stripe's books and ours agree, as far as they were compared."
        )
    return Finding("money", "warn", f"{', '.join(open_)} unaccounted for: “commande reconcile”.")


async def _ask_stripe(shop: Shop) -> Finding:
    """One harmless question: does the key open Stripe?"""
    now = shop.clock.now()
    try:
        await shop.stripe.list_charges(now - timedelta(minutes=1), now)
    except CommandeError as error:
        return Finding("Stripe", "bad", error.detail)
    return Finding("Stripe", "ok", "answers, and accepts the key.")
