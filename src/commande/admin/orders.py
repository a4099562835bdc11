"""Commands as the merchant reads them: the list, one of them, and its timeline as a file."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import phonenumbers
from starlette.responses import Response

from commande.admin.desk import desk_context
from commande.admin.gate import Gate
from commande.core.command import AttemptState
from commande.core.document import Command, instant
from commande.db.attempts import Attempt
from commande.db.commands import Listed, Payment
from commande.db.views import Dossier, read_dossier, read_worklist
from commande.ids import is_object_id
from commande.settings import Settings
from commande.shop import Shop
from commande.stationery import Visit, Voice, tell, tell_by_day, write_receipt

# As many as fit on two screens of a phone's cards without getting lost.
PAGE: Final = 25
TABS: Final = ("all", "attention", "unpaid", "processing", "paid", "refunded", "expired")


@dataclass(frozen=True, slots=True)
class Row:
    """One command in the list, in words."""

    id: str
    ref: str
    name: str
    """Empty once the customer's data was erased."""
    appointment: str
    total: str
    status: str
    attention: bool
    opened: str


async def show_orders(shop: Shop, gate: Gate, visit: Visit) -> Response:
    """The list by state, searched and paged, and above it what waits for a person."""
    query = visit.request.query_params
    tab = query.get("state", "all")
    tab = tab if tab in TABS else "all"
    search = query.get("q", "").replace("\0", "").strip()[:100]
    number = query.get("page", "1")
    page = max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 6 else 1
    found = await shop.db.read(
        read_worklist, state=None if tab == "all" else tab, search=search or None,
        limit=PAGE, offset=(page - 1) * PAGE,
    )  # fmt: skip
    now, voice = shop.clock.now(), visit.voice
    base = visit.link("/marchand")

    def address(**changes: object) -> str:
        asked = {"state": tab, "q": search, "page": page} | changes
        kept = {key: value for key, value in asked.items() if value not in ("all", "", 1)}
        return f"{base}?{urlencode(kept)}" if kept else base

    total = found.counts[tab]
    return visit.print(
        "orders.html",
        secret=True,
        **await desk_context(shop, visit, gate, "orders"),
        tab=tab,
        search=search,
        tabs=[(one, address(state=one, page=1), found.counts[one]) for one in TABS],
        rows=[_row(listed, voice, now) for listed in found.listed],
        waiting=[_waiting(listed, voice) for listed in found.waiting],
        waiting_count=found.counts["attention"] if not search else len(found.waiting),
        dead_events=found.dead_events,
        total=total,
        first=min((page - 1) * PAGE + 1, total),
        last=min(page * PAGE, total),
        newer=address(page=page - 1) if page > 1 else "",
        older=address(page=page + 1) if page * PAGE < total else "",
        plain=base,
    )


def _row(listed: Listed, voice: Voice, now: datetime) -> Row:
    command = listed.command
    return Row(
        id=command.id,
        ref=command.ref,
        name=_name(command),
        appointment=f"{voice.short_day(command.appointment_at)}, "
        f"{voice.hour(command.appointment_at)}",
        total=voice.money(listed.total_minor, command.currency),
        status=command.status.value,
        attention=command.attention is not None,
        opened=voice.opened(command.created_at, now),
    )


def _name(command: Command) -> str:
    customer = command.customer or {}
    return f"{customer.get('firstName') or ''} {customer.get('lastName') or ''}".strip()


def _phone(command: Command) -> str:
    """The number as people of the customer's country write it."""
    customer = command.customer or {}
    text = str(customer.get("phone") or "")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return text
    home = phonenumbers.region_code_for_number(number) == customer.get("country")
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, form.NATIONAL if home else form.INTERNATIONAL)


def _waiting(listed: Listed, voice: Voice) -> tuple[str, str, str, str]:
    command = listed.command
    total = voice.money(listed.total_minor, command.currency)
    return command.id, command.ref, _reason(command.attention, voice), total


def _reason(code: str | None, voice: Voice, ending: str = "") -> str:
    key = f"attention.{code}{ending}"
    if voice.knows(key):
        return voice.say(key)
    return "" if ending else voice.say("attention.other", code=code or "")


async def show_order(shop: Shop, gate: Gate, visit: Visit) -> Response:
    """One command with all that is known of it."""
    context = await desk_context(shop, visit, gate, "orders")
    dossier = await _find(shop, visit)
    if dossier is None:
        return visit.print("missing.html", 404, secret=True, **context)
    command, voice = dossier.command, visit.voice
    priced = command.snapshot or dossier.attempts[0].quote.to_dict()
    lines = tell(dossier.history, voice, command.currency, customer=False)
    return visit.print(
        "order.html",
        secret=True,
        **context,
        command=command,
        name=_name(command),
        customer=command.customer,
        phone=_phone(command),
        receipt=write_receipt(priced, voice),
        refunded=voice.money(command.refunded_minor, command.currency),
        story=tell_by_day(lines, voice),
        attempts=[_attempt(one, voice) for one in reversed(dossier.attempts)],
        payments=[_payment(one, voice, shop.settings) for one in dossier.payments],
        reason=_reason(command.attention, voice) if command.attention else "",
        advice=_reason(command.attention, voice, ".do") if command.attention else "",
        zone_place=shop.settings.timezone.rpartition("/")[2].replace("_", " "),
    )


async def _find(shop: Shop, visit: Visit) -> Dossier | None:
    command_id = visit.request.path_params["command_id"]
    if not is_object_id(command_id):
        return None
    return await shop.db.read(read_dossier, command_id)


_COLOURS: Final = {
    AttemptState.COMPLETE: "good", AttemptState.OPEN: "open", AttemptState.CREATING: "wait",
}  # fmt: skip


def _attempt(attempt: Attempt, voice: Voice) -> dict[str, Any]:
    return {
        "session": attempt.stripe_session_id or "",
        "number": attempt.number,
        "opened": voice.clock(attempt.opened_at) if attempt.opened_at else "",
        "closed": voice.clock(attempt.closed_at) if attempt.closed_at else "",
        "amount": voice.money(attempt.amount_minor, attempt.currency),
        "state": attempt.state.value,
        "colour": _COLOURS.get(attempt.state, ""),
    }


def _payment(payment: Payment, voice: Voice, settings: Settings) -> dict[str, Any]:
    intent = payment.stripe_payment_intent_id
    board = ""
    if intent and settings.stripe_api_base is None:
        mode = "" if settings.livemode else "test/"
        board = f"https://dashboard.stripe.com/{mode}payments/{intent}"
    return {
        "intent": intent or payment.stripe_session_id,
        "method": payment.method or "",
        "amount": voice.money(payment.amount_minor, payment.currency),
        "refunded": voice.money(payment.refunded_minor, payment.currency)
        if payment.refunded_minor
        else "",
        "outcome": payment.outcome,
        "disputed": payment.disputed,
        "board": board,
    }


async def export_story(shop: Shop, visit: Visit) -> Response:
    """The timeline as JSON: the facts themselves, not their words."""
    dossier = await _find(shop, visit)
    if dossier is None:
        return Response(b"null\n", 404, media_type="application/json")
    command = dossier.command
    document = {
        "command": {"_id": command.id, "ref": command.ref, "status": command.status.value},
        "history": [
            {"at": instant(f.at), "kind": f.kind, "source": f.source, "detail": f.detail}
            for f in dossier.history
        ],
    }
    name = f"chronologie-{command.ref.removeprefix('#')}.json"
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    raw = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return Response(raw + b"\n", headers=headers, media_type="application/json")
