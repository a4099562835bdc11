"""The storefront: everything that a customer sees in a browser, without and with JavaScript."""

from functools import partial
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from commande.shop import Shop
from commande.stationery import Press, answer_static, read_wording
from commande.stationery.visit import (
    Endpoint,
    Room,
    Visit,
    add_page,
    as_endpoint,
    content_policy,
)
from commande.web.pages.cancelled import resume_or_cancel, show_cancelled
from commande.web.pages.cart import change_cart, show_cart
from commande.web.pages.checkout import order, show_checkout
from commande.web.pages.finished import confirm_return, show_finished
from commande.web.pages.shelf import show_shelf

_TEMPLATES: Final = Path(__file__).parents[1] / "templates"
_TEXTS: Final = read_wording(Path(__file__).with_name("wording.toml"))
_PAGES: Final = (
    ("/", "GET", show_shelf),
    ("/panier", "GET", show_cart),
    ("/panier", "POST", change_cart),
    ("/commande", "GET", show_checkout),
    ("/commande", "POST", order),
    ("/commande/terminee", "GET", show_finished),
    ("/commande/terminee", "POST", confirm_return),
    ("/commande/annulee", "GET", show_cancelled),
    ("/commande/annulee", "POST", resume_or_cancel),
)


def storefront(shop: Shop) -> APIRouter:
    """The pages and their static files, wherever the application is mounted.

    A GET (and a HEAD) never changes anything but the browser's own cookies.
    """
    room = _furnish(shop)
    router = APIRouter()
    for path, method, page in _PAGES:
        add_page(router, path, method, as_endpoint(room, partial(page, shop)))
    add_page(router, "/static/{name:path}", "GET", answer_static)
    return router


def lost_page(shop: Shop) -> Endpoint:
    """The page for an address that leads nowhere, where the storefront is open."""
    return as_endpoint(_furnish(shop), _show_lost)


async def _show_lost(visit: Visit) -> Response:
    return visit.print("failure.html", 404, reason="lost")


def _furnish(shop: Shop) -> Room:
    settings = shop.settings
    press = Press(_TEMPLATES, _TEXTS, settings.zone)
    return Room(settings, press, "/static/", content_policy(settings))
