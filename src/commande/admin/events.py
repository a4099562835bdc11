"""Events that no try could handle: each needs a person."""

from starlette.responses import Response

from commande.admin.desk import desk_context
from commande.admin.gate import Gate
from commande.db.views import list_dead_events
from commande.shop import Shop
from commande.stationery import Visit


async def show_events(shop: Shop, gate: Gate, visit: Visit) -> Response:
    """The dead events, newest first."""
    dead = await shop.db.read(list_dead_events)
    context = await desk_context(shop, visit, gate, "orders")
    return visit.print("events.html", secret=True, **context, events=dead)
