"""The checkout's page: who orders and for when; sent, it opens a command and leads to Stripe."""

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response

from commande.core.appointment import Day, offer_days, read_hours
from commande.core.customer import LENGTHS
from commande.core.order import Order
from commande.db.views import Front, read_front
from commande.errors import (
    CommandeError,
    DatabaseBusy,
    FieldError,
    InputInvalid,
    QuoteMismatch,
    StripeRefused,
    StripeUnavailable,
)
from commande.flows.checkout import OpeningDelayed, open_checkout
from commande.shop import Shop
from commande.stationery import Form, Visit, write_receipt
from commande.stationery.visit import payment_origins
from commande.web.pages.basket import Basket, price_basket, read_basket
from commande.web.pages.days import choose_day, print_days
from commande.web.pages.front import front_context
from commande.web.running import run_to_end
from commande.web.schemas import read_order, terms_of

FIELDS: Final = tuple(LENGTHS)
_TYPED: Final = (*FIELDS, "appointment", "once")


async def show_checkout(shop: Shop, visit: Visit) -> Response:
    """The empty form, or the cart's page when there is nothing to order."""
    sheet = await _read_sheet(shop, visit, Form())
    if sheet.basket.problem:
        return visit.go(visit.link("/panier"))
    return sheet.print()


async def order(shop: Shop, visit: Visit) -> Response:
    """The submitted form: another day is shown, or the command is opened and paid at Stripe.

    The same page sent twice gives the same command; a corrected one is another order.
    """
    form = await visit.read_form()
    sheet = await _read_sheet(shop, visit, form)
    if sheet.basket.problem:
        return visit.go(visit.link("/panier"))
    if form.get("jour"):
        return sheet.print()
    try:
        asked = sheet.read_order()
    except InputInvalid as error:
        return sheet.print(400, errors=error.errors)
    shown = form.get("total")
    if shown != str(sheet.basket.quote.total_minor):
        return sheet.print(409, price_was=read_minor(shown))
    return await _open(shop, visit, sheet, asked)


def read_minor(text: str) -> int | None:
    """Minor units as a page of ours put them into a hidden field."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


async def _open(shop: Shop, visit: Visit, sheet: "Sheet", asked: Order) -> Response:
    # The page's token makes two clicks one command; what was corrected in between is another one.
    key = f"page:{sheet.typed['once']}:{asked.fingerprint()}"
    try:
        opened = await run_to_end(visit.request, open_checkout(shop, asked, key))
    except InputInvalid as error:
        if any(each.field.startswith("items") for each in error.errors):
            return visit.go(visit.link("/panier"))
        return sheet.print(400, errors=error.errors)
    except OpeningDelayed as error:
        query = urlencode({"command_id": error.command_id, "token": error.token})
        later = visit.link(f"/commande/annulee?{query}")
        return sheet.print(503, trouble="stripe_down", ref=error.ref, later=later)
    except (StripeUnavailable, DatabaseBusy):
        return sheet.print(503, trouble="stripe_down")
    except (StripeRefused, QuoteMismatch):
        return sheet.print(503, trouble="closed")
    return leave(visit, opened.url)


def leave(visit: Visit, url: str) -> Response:
    """On to the payment page. One on a host that the form may not lead to (Stripe's custom

    domains) gets a page with a link instead, as a browser would stop at the redirect in silence.
    """
    address = urlsplit(url)
    if f"{address.scheme}://{address.netloc}" in payment_origins(visit.settings):
        return visit.go(url)
    return visit.print("leave.html", secret=True, url=url, host=address.netloc)


async def _read_sheet(shop: Shop, visit: Visit, form: Form) -> "Sheet":
    lines = read_basket(visit)
    found = await shop.db.read(read_front, [line.product_id for line in lines])
    settings = shop.settings
    basket = price_basket(lines, found.products, settings.currency, settings.country)
    return Sheet(shop, visit, form, found, basket)


class Sheet:
    """The form as typed, with the cart and the hours that it is about."""

    def __init__(self, shop: Shop, visit: Visit, form: Form, front: Front, basket: Basket) -> None:
        self.shop, self.visit, self.basket, self._front = shop, visit, basket, front
        self.now = shop.clock.now()
        self.typed = {name: form.get(name)[:2000] for name in _TYPED}
        self.typed["once"] = self.typed["once"][:40] or shop.ids.object_id(self.now)
        hours = read_hours(front.module.settings if front.module else {})
        self.days: list[Day] = offer_days(hours, self.now, shop.settings.zone)
        self.day = choose_day(self.days, form.get("jour"), self.typed["appointment"])

    def read_order(self) -> Order:
        """The order, checked as the API checks it. Raises InputInvalid with every wrong field."""
        document = {
            "items": [
                {"product_id": line.line.product_id, "quantity": line.line.quantity,
                 "type": line.line.type}
                for line in self.basket.lines
            ],
            "customer": {name: self.typed[name] for name in FIELDS},
            "appointment": self.typed["appointment"],
            "locale": self.visit.voice.locale,
        }  # fmt: skip
        free = {slot.at.isoformat() for day in self.days for slot in day.slots if slot.free}
        chosen = self.typed["appointment"] in free
        choose = FieldError("appointment", "invalid_date", "Choose a free hour.")
        try:
            asked = read_order(document, terms_of(self.shop.settings, self.now))
        except InputInvalid as error:
            others = [each for each in error.errors if each.field != "appointment"]
            raise InputInvalid(*others, *([] if chosen else [choose])) from None
        if not chosen:
            raise InputInvalid(choose)
        return asked

    def print(
        self,
        status: int = 200,
        *,
        errors: tuple[FieldError, ...] = (),
        price_was: int | None = None,
        **context: Any,
    ) -> Response:
        """The page, with what was typed and what is wrong with it."""
        shop, visit, voice = self.shop, self.visit, self.visit.voice
        settings = shop.settings
        module = self._front.module
        wrong = self._words(errors)
        shown: dict[str, Any] = {"trouble": "", "ref": "", "later": ""}
        return visit.print(
            "checkout.html",
            status,
            # With personal data in it the page is nobody's to keep; the empty one may be.
            secret=any(self.typed[name] for name in FIELDS),
            **front_context(module, voice, settings.shop_name, self.basket.pieces),
            **shown | context,
            typed=self.typed,
            lengths=LENGTHS,
            errors=wrong,
            days=print_days(self.days, self.day, self.typed["appointment"], voice),
            receipt=write_receipt(self.basket.quote, voice),
            total_minor=self.basket.quote.total_minor,
            price_was=None if price_was is None else voice.money(price_was, settings.currency),
            numeric_postcode=settings.country == "FR",
            zone_place=settings.timezone.rpartition("/")[2].replace("_", " "),
        )

    def _words(self, errors: tuple[FieldError, ...]) -> dict[str, str]:
        """Each wrong field with its sentence, in the order of the page."""
        voice = self.visit.voice
        found: dict[str, str] = {}
        for error in errors:
            name = error.field.removeprefix("customer.")
            if name not in (*FIELDS, "appointment"):
                raise CommandeError(f"The form has no field {error.field}.")
            empty = name != "appointment" and not self.typed[name].strip()
            code = "required" if empty else error.code
            key = f"error.{code}" if voice.knows(f"error.{code}") else "error.other"
            found.setdefault(name, voice.say(key))
        return {name: found[name] for name in (*FIELDS, "appointment") if name in found}
