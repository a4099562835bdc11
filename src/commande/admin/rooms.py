"""The merchant's view under ``/marchand``: addresses, and the gate in front of them."""

from functools import partial

from fastapi import APIRouter
from starlette.responses import Response

from commande.admin.desk import furnish, has_demo
from commande.admin.events import show_events
from commande.admin.gate import Gate
from commande.admin.orders import export_story, show_order, show_orders
from commande.shop import Shop
from commande.stationery import FormRefused, Visit, answer_static
from commande.stationery.visit import Page, add_page, as_endpoint


def merchant(shop: Shop) -> APIRouter:
    """The view, behind the password of the settings; without one nobody gets in."""
    room = furnish(shop, "/marchand/static/")
    gate = Gate(shop)
    router = APIRouter()
    pages: tuple[tuple[str, str, Page], ...] = (
        ("", "GET", gate.guard(partial(show_orders, shop, gate))),
        ("/commandes/{command_id}", "GET", gate.guard(partial(show_order, shop, gate))),
        (
            "/commandes/{command_id}/chronologie.json",
            "GET",
            gate.guard(partial(export_story, shop)),
        ),
        ("/evenements", "GET", gate.guard(partial(show_events, shop, gate))),
        ("/connexion", "GET", partial(show_gate, gate)),
        ("/connexion", "POST", partial(enter, gate)),
        ("/deconnexion", "POST", gate.guard(partial(leave, gate))),
    )
    for path, method, page in pages:
        add_page(router, f"/marchand{path}", method, as_endpoint(room, page))
    add_page(router, "/marchand/static/{name:path}", "GET", answer_static)
    return router


async def show_gate(gate: Gate, visit: Visit) -> Response:
    """The password, please; who is in already goes on."""
    if gate.session(visit) is not None:
        return visit.go(visit.link("/marchand"))
    return visit.print("gate.html", secret=True, wrong=False, has_demo=has_demo(visit))


async def enter(gate: Gate, visit: Visit) -> Response:
    """Check the password."""
    form = await visit.read_form()
    if not await gate.open(visit, form.get("password")):
        return visit.print("gate.html", 401, secret=True, wrong=True, has_demo=has_demo(visit))
    return visit.go(visit.link("/marchand"))


async def leave(gate: Gate, visit: Visit) -> Response:
    """Log out, by a form of this very session only."""
    form = await visit.read_form()
    if not gate.is_own(form, gate.session(visit) or ""):
        raise FormRefused("This form was not printed for this session.")
    gate.close(visit)
    return visit.go(visit.link("/marchand/connexion"))
