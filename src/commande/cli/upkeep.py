"""``cleanup`` and ``reconcile``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import Exit, JsonOption, fail, out, print_json, progress, table
from commande.core.document import instant
from commande.core.money import to_major
from commande.db.upkeep import list_overdue
from commande.flows.reconcile import ReconcileReport
from commande.flows.reconcile import reconcile as reconcile_all
from commande.flows.upkeep import expire_overdue
from commande.settings import parse_duration
from commande.shop import Shop


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _moment(text: str) -> datetime:
    """An age (24h) or a moment (2026-11-23T10:00:00Z)."""
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("Give an age such as 24h, or a time such as 2026-11-23.") from None
    return at if at.tzinfo else at.astimezone()


def cleanup(
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=_duration, metavar="AGE", help="Such as 24h (default: the setting)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Close unpaid commands of that age: expired at Stripe first, then settled or erased."""
    settings = read_settings()
    age = settings.cleanup_after if older_than is None else older_than

    async def list_only(shop: Shop) -> list[str]:
        return await shop.db.read(list_overdue, shop.clock.now() - age)

    if dry_run:
        ids = with_shop(list_only, settings)
        if as_json:
            print_json({"overdue": ids})
        else:
            out.print(f"{len(ids)} would be closed.")
        return
    with progress("Closing", quiet=as_json) as bar:
        report = with_shop(lambda shop: expire_overdue(shop, age, bar, "person"), settings)
    if as_json:
        print_json(
            {"expired": report.expired, "settled": report.settled, "waiting": report.waiting}
        )
    else:
        out.print(f"{len(report.expired)} closed, {len(report.settled)} found paid or under way.")
    if report.waiting:
        raise fail(
            f"{len(report.waiting)} wait for Stripe; run it again, or leave it to the worker.",
            Exit.ATTENTION,
        )


def reconcile(
    since: Annotated[
        datetime | None,
        typer.Option(parser=_moment, metavar="AGE|TIME", help="Read Stripe's events from then on."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask Stripe what we never heard. Exit code 1 while something is unaccounted for."""
    with progress("Asking Stripe", quiet=as_json) as bar:
        report = with_shop(lambda shop: reconcile_all(shop, since, bar))
    if as_json:
        print_json(_document(report))
    else:
        _tell(report)
    if not report.complete:
        raise typer.Exit(Exit.ATTENTION)


def _document(report: ReconcileReport) -> dict[str, object]:
    return {
        "eventsRead": report.events_read,
        "eventsNew": report.events_new,
        "asked": report.asked,
        "settled": report.settled,
        "unanswered": report.unanswered,
        "eventsUnavailable": report.events_unavailable,
        "charges": report.charges,
        "differing": report.differing,
        "chargesUnavailable": report.charges_unavailable,
        "unaccountedMinor": report.unaccounted_minor,
        "open": [
            {
                "kind": found.kind,
                "amountMinor": found.amount_minor,
                "currency": found.currency,
                "paymentIntent": found.stripe_payment_intent_id,
                "commandId": found.command_id,
                "foundAt": instant(found.found_at),
            }
            for found in report.open
        ],
        "attention": report.attention,
        "complete": report.complete,
        "at": instant(datetime.now(UTC)),
    }


def _tell(report: ReconcileReport) -> None:
    out.print(
        f"{report.events_read} events read, {report.events_new} of them new. "
        f"{report.asked} sessions asked about, {report.settled} found paid."
    )
    if report.events_unavailable:
        out.print(f"Stripe's events could not be listed: {report.events_unavailable}")
    if report.charges_unavailable:
        out.print(f"Stripe's charges could not be listed: {report.charges_unavailable}")
    else:
        out.print(f"{report.charges} charges compared, {report.differing} differed from our books.")
    if report.open:
        shown = table("found", "difference", "amount", "payment", "command", right=("amount",))
        for found in report.open:
            amount = f"{to_major(found.amount_minor, found.currency)} {found.currency.upper()}"
            at = instant(found.found_at) or ""
            payment, command = found.stripe_payment_intent_id or "", found.command_id or ""
            shown.add_row(at, found.kind, amount, payment, command)
        out.print(shown)
    for currency, minor in report.unaccounted_minor.items():
        out.print(f"{to_major(minor, currency)} {currency.upper()} unaccounted for.")
    if report.unanswered:
        out.print(f"{report.unanswered} sessions could not be asked about.")
    if report.attention:
        out.print(f"{report.attention} commands need a person: commande commands list --attention")
