"""Back from Stripe without paying: nothing was taken, and the command can be paid or cancelled.

A GET or HEAD writes nothing (S-17). Whatever changes something is a POST with the token.
"""

from typing import Any

from starlette.responses import Response

from commande.core.command import SETTLED, Status
from commande.db.modules import COMMANDS, find_module
from commande.db.views import Dossier, read_dossier
from commande.errors import (
    AlreadyPaid,
    CommandExpired,
    CommandNotFound,
    DatabaseBusy,
    InputInvalid,
    PaymentProcessing,
    PriceChanged,
    QuoteMismatch,
    StripeRefused,
    StripeUnavailable,
)
from commande.flows.checkout import retry_payment
from commande.flows.upkeep import cancel_command
from commande.shop import Shop
from commande.stationery import Visit, write_receipt
from commande.web.pages.access import admit, came_too_late
from commande.web.pages.basket import count_pieces
from commande.web.pages.checkout import leave, read_minor
from commande.web.pages.finished import print_unknown
from commande.web.pages.front import front_context
from commande.web.running import run_to_end


async def show_cancelled(shop: Shop, visit: Visit) -> Response:
    """The command as it stands, and the way back to paying it."""
    dossier = await admit(shop, visit)
    if dossier is None:
        return await print_unknown(shop, visit)
    return await _print(shop, visit, dossier)


async def resume_or_cancel(shop: Shop, visit: Visit) -> Response:
    """Pay after all, accept a new price, or cancel for good."""
    form = await visit.read_form()
    dossier = await admit(shop, visit, form)
    if dossier is None:
        return await print_unknown(shop, visit)
    if form.get("action") == "cancel":
        return await _cancel(shop, visit, dossier)
    accepted = read_minor(form.get("acceptTotal"))
    command_id = dossier.command.id
    flow = retry_payment(shop, command_id, shop.seal.token(command_id), accepted)
    try:
        opened = await run_to_end(visit.request, flow)
    except PriceChanged as error:
        return await _print(shop, visit, dossier, "price", 409, moved=error)
    except (AlreadyPaid, PaymentProcessing, CommandExpired, CommandNotFound):
        return await _print_again(shop, visit, dossier)
    except InputInvalid:
        return await _print(shop, visit, dossier, "gone", 409)
    except (StripeUnavailable, StripeRefused, QuoteMismatch, DatabaseBusy):
        return await _print(shop, visit, dossier, status=503, stripe_down=True)
    return leave(visit, opened.url)


async def _cancel(shop: Shop, visit: Visit, dossier: Dossier) -> Response:
    """Expire at Stripe, re-read, and settle if it was paid in the last second."""
    try:
        status = await run_to_end(
            visit.request, cancel_command(shop, dossier.command.id, "browser")
        )
    except (AlreadyPaid, PaymentProcessing, CommandNotFound):
        return await _print_again(shop, visit, dossier)
    down = status is Status.EXPIRING
    return await _print_again(shop, visit, dossier, 503 if down else 200, stripe_down=down)


async def _print_again(
    shop: Shop, visit: Visit, dossier: Dossier, status: int = 200, *, stripe_down: bool = False
) -> Response:
    """The command as it stands now that something moved."""
    again = await shop.db.read(read_dossier, dossier.command.id)
    return await _print(shop, visit, again or dossier, status=status, stripe_down=stripe_down)


async def _print(
    shop: Shop,
    visit: Visit,
    dossier: Dossier,
    state: str = "",
    status: int = 200,
    *,
    moved: PriceChanged | None = None,
    stripe_down: bool = False,
) -> Response:
    command, voice, settings = dossier.command, visit.voice, shop.settings
    module = await shop.db.read(find_module, COMMANDS)
    prices: dict[str, Any] = {"old": "", "new": "", "new_minor": 0}
    if moved is not None:
        prices["old"] = voice.money(moved.old_minor, moved.currency)
        prices["new"] = voice.money(moved.new_minor, moved.currency)
        prices["new_minor"] = moved.new_minor
    return visit.print(
        "cancelled.html",
        status,
        secret=True,
        **front_context(module, voice, settings.shop_name, count_pieces(visit)),
        **prices,
        state=state or _state(dossier),
        command=command,
        token=shop.seal.token(command.id),
        receipt=write_receipt(command.snapshot or dossier.attempts[0].quote, voice),
        kept_until=voice.moment(command.created_at + settings.cleanup_after, year=False),
        stripe_down=stripe_down,
        address=visit.link(f"/commande/annulee?command_id={command.id}"),
    )


def _state(dossier: Dossier) -> str:
    command = dossier.command
    if command.status in SETTLED:
        return "paid"
    if command.status is Status.EXPIRED and came_too_late(dossier):
        return "late"
    # Behind clean-up's fence nothing can be paid any more.
    return "expired" if command.status is Status.EXPIRING else command.status.value
