"""The demo's panel: provoke a failure, pay, and watch the timeline come right again."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from fastapi import APIRouter
from starlette.responses import Response

from commande.admin.desk import desk_context, furnish, is_awake
from commande.admin.gate import Gate
from commande.db.commands import list_commands
from commande.db.views import read_dossier, read_pulse
from commande.shop import Shop
from commande.stationery import FormRefused, Visit, answer_static, tell
from commande.stationery.visit import add_page, as_endpoint

FAULTS: Final = ("lost", "doubled")
"""What can happen to the next webhook: the stand-in's own words for it."""


@dataclass(frozen=True, slots=True)
class DemoStatus:
    """How the demo stands."""

    worker_running: bool
    armed: frozenset[str] = field(default_factory=frozenset)
    """Of FAULTS, those that wait for the next webhook."""
    kill_armed: bool = False
    """Whether the server dies at its next write."""


class Controls(Protocol):
    """What the panel can do to the demo; whoever starts the demo brings it."""

    async def status(self) -> DemoStatus:
        """How it stands now."""
        ...

    async def arm(self, fault: str) -> None:
        """Let the next webhook be ``lost`` or ``doubled``."""
        ...

    async def disarm(self, fault: str) -> None:
        """Take that back. Repeat-safe."""
        ...

    async def stop_worker(self) -> None:
        """Let events pile up. Repeat-safe."""
        ...

    async def start_worker(self) -> None:
        """Let them be handled again. Repeat-safe."""
        ...

    async def kill_on_next_write(self) -> None:
        """Let the server die at its next write, and start again."""
        ...

    async def place_test_order(self) -> str:
        """Order something and pay it with a test card; the command's id."""
        ...


def demo_panel(shop: Shop, controls: Controls) -> APIRouter:
    """The panel under ``/demo``, behind the merchant's gate."""
    room = furnish(shop, "/demo/static/")
    gate = Gate(shop)
    router = APIRouter()
    show = as_endpoint(room, gate.guard(partial(show_panel, shop, controls, gate)))
    press = as_endpoint(room, gate.guard(partial(press_button, controls, gate)))
    add_page(router, "/demo", "GET", show, name="demo_panel")
    add_page(router, "/demo", "POST", press)
    add_page(router, "/demo/static/{name:path}", "GET", answer_static)
    return router


async def show_panel(shop: Shop, controls: Controls, gate: Gate, visit: Visit) -> Response:
    """The switches, how things stand, and the newest command's timeline."""
    status = await controls.status()
    pulse = await shop.db.read(read_pulse)
    voice, currency = visit.voice, shop.settings.currency
    listed = await shop.db.read(list_commands, limit=1)
    latest: dict[str, Any] = {"latest": None, "story": []}
    if listed:
        dossier = await shop.db.read(read_dossier, listed[0].command.id)
        if dossier is not None:
            latest["latest"] = dossier.command
            latest["story"] = tell(dossier.history, voice, currency, customer=False)
    return visit.print(
        "panel.html",
        secret=True,
        **await desk_context(shop, visit, gate, "demo"),
        **latest,
        demo=status,
        awake=is_awake(pulse, shop.clock.now()),
        pending=pulse.events.get("pending", 0),
        unaccounted=voice.money(pulse.unaccounted.get(currency, 0), currency),
    )


async def press_button(controls: Controls, gate: Gate, visit: Visit) -> Response:
    """Do what the button says, then show how things stand."""
    form = await visit.read_form()
    if not gate.is_own(form, gate.session(visit) or ""):
        raise FormRefused("This form was not printed for this session.")
    verb, _, fault = form.get("action").partition(":")
    match verb, fault:
        case "arm", _ if fault in FAULTS:
            await controls.arm(fault)
        case "disarm", _ if fault in FAULTS:
            await controls.disarm(fault)
        case "stop", "worker":
            await controls.stop_worker()
        case "start", "worker":
            await controls.start_worker()
        case "kill", "server":
            await controls.kill_on_next_write()
        case "order", "test":
            await controls.place_test_order()
        case _:
            raise FormRefused("The panel has no such button.")
    return visit.go(visit.link("/demo"))
