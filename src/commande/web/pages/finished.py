"""The return from Stripe, and the command's own page that mails lead to.

A GET only reads. What Stripe says is asked for by a form that the page's script sends by itself
(docs/decisions): so a mail scanner or a prefetching browser settles nothing, and without
JavaScript one press of a button does the same.
"""

import re
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from commande.core.command import SETTLED, Status
from commande.core.customer import mask
from commande.core.document import Command
from commande.db.modules import COMMANDS, find_module
from commande.db.views import Dossier, read_dossier
from commande.errors import (
    CommandNotFound,
    DatabaseBusy,
    PaymentNotCompleted,
    SessionInvalid,
    SessionMismatch,
    StripeRefused,
    StripeUnavailable,
)
from commande.flows.settlement import confirm_payment
from commande.shop import Shop
from commande.stationery import Form, Visit, tell, tell_by_day, write_receipt
from commande.web.pages.access import admit, came_too_late, given
from commande.web.pages.basket import count_pieces, keep_basket
from commande.web.pages.front import front_context
from commande.web.running import run_to_end

TEMPLATE: Final = "finished.html"
_SESSION: Final = re.compile(r"\w{1,255}", re.ASCII)


async def show_finished(shop: Shop, visit: Visit) -> Response:
    """The command as it stands. Without the right token nothing is said, not even that it exists.

    Straight from Stripe (``session_id``) and not settled yet, the page asks Stripe through its
    form; a pair without a token gets that form too, and the answer decides.
    """
    session_id = _pair(visit, None)["session_id"]
    command_id = given(visit, None, "command_id")
    dossier = await admit(shop, visit)
    if dossier is None:
        if session_id and command_id:
            return await _print(shop, visit, "waiting", pair=_pair(visit, None))
        return await print_unknown(shop, visit)
    settled = dossier.command.status in (*SETTLED, Status.PROCESSING, Status.EXPIRED)
    if session_id and settled:
        keep_basket(visit, [])
    if session_id and not settled:
        return await _print(shop, visit, "waiting", pair=_pair(visit, None))
    pair = _pair(visit, None) if session_id else {}
    return await _print_command(shop, visit, dossier, own=True, pair=pair)


async def confirm_return(shop: Shop, visit: Visit) -> Response:
    """The page's form: ask Stripe about that very session, as the API's confirm does."""
    form = await visit.read_form()
    admitted = await admit(shop, visit, form)
    pair = _pair(visit, form)
    flow = confirm_payment(shop, pair["session_id"], pair["command_id"])
    try:
        command, masked = await run_to_end(visit.request, flow)
    except (StripeUnavailable, StripeRefused, DatabaseBusy):
        return await _print(shop, visit, "stripe_down", 503, pair=pair)
    except (SessionInvalid, CommandNotFound):
        return await print_unknown(shop, visit)
    except (PaymentNotCompleted, SessionMismatch):
        return await _print_refused(shop, visit, admitted)
    keep_basket(visit, [])
    dossier = await shop.db.read(read_dossier, command.id)
    if dossier is None:
        return await print_unknown(shop, visit)
    if admitted is None and masked:
        dossier = replace(dossier, command=_masked(dossier.command))
    return await _print_command(shop, visit, dossier, own=admitted is not None)


async def _print_refused(shop: Shop, visit: Visit, admitted: Dossier | None) -> Response:
    """Not paid, or paid on other terms: the command as it now stands, for whom may see it."""
    again = await shop.db.read(read_dossier, admitted.command.id) if admitted else None
    if again is None:
        return await print_unknown(shop, visit)
    if again.command.attention in ("payment_mismatch", "session_mismatch"):
        return await _print(shop, visit, "mismatch", ref=again.command.ref)
    return await _print_command(shop, visit, again, own=True)


def _masked(command: Command) -> Command:
    return replace(command, customer=mask(command.customer), note=None)


def _pair(visit: Visit, form: Form | None) -> dict[str, str]:
    """What Stripe's redirect carries; a text that cannot be one of its ids is none."""
    pair = {name: given(visit, form, name)[:255] for name in ("session_id", "command_id", "token")}
    return pair if _SESSION.fullmatch(pair["session_id"]) else pair | {"session_id": ""}


async def print_unknown(shop: Shop, visit: Visit) -> Response:
    """The one page for every id, token and pair that opens nothing: always the same bytes."""
    return await _print(shop, visit, "unknown", 404)


async def _print(
    shop: Shop, visit: Visit, state: str, status: int = 200, **context: Any
) -> Response:
    module = await shop.db.read(find_module, COMMANDS)
    # Whether the visitor has a basket must not tell one unknown command from another.
    pieces = 0 if state == "unknown" else count_pieces(visit)
    shown: dict[str, Any] = {"pair": {}, "ref": "", "address": "", "poll": False}
    return visit.print(
        TEMPLATE,
        status,
        secret=True,
        **front_context(module, visit.voice, shop.settings.shop_name, pieces),
        **shown | context,
        state=state,
    )


async def _print_command(
    shop: Shop, visit: Visit, dossier: Dossier, *, own: bool, pair: dict[str, str] | None = None
) -> Response:
    """The command; ``own`` says that the visitor holds its token, so that the page may use it."""
    command, voice = dossier.command, visit.voice
    state = _state(dossier)
    lines = tell(dossier.history, voice, command.currency, customer=True)
    quote = command.snapshot or dossier.attempts[0].quote
    return await _print(
        shop,
        visit,
        state,
        command=command,
        ref=command.ref,
        name=(command.customer or {}).get("firstName") or "",
        email=(command.customer or {}).get("email") or "",
        mail=_mail(shop, dossier),
        receipt=write_receipt(quote, voice),
        refunded=voice.money(command.refunded_minor, command.currency),
        story=tell_by_day(lines, voice),
        address=visit.link(f"/commande/terminee?command_id={command.id}") if own else "",
        token=shop.seal.token(command.id) if own else "",
        pair=pair or {},
        poll=state == "processing",
    )


def _state(dossier: Dossier) -> str:
    command = dossier.command
    if command.status in SETTLED:
        return "paid"
    if command.status is Status.EXPIRING:
        return "unpaid"
    if command.status is Status.EXPIRED and came_too_late(dossier):
        return "late"
    return command.status.value


def _mail(shop: Shop, dossier: Dossier) -> str:
    """Whether the confirmation went (``sent``), will go (``soon``), or neither."""
    kinds = {(fact.kind, fact.detail.get("letter")) for fact in dossier.history}
    if ("mail_sent", "paid") in kinds:
        return "sent"
    over = {("mail_skipped", "paid"), ("mail_failed", "paid")} & kinds
    return "" if over or not shop.mail.enabled else "soon"
