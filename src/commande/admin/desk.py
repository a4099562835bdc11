"""What every page of the desk shows besides its own content: who is alive, and the way out."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from starlette.routing import NoMatchFound

from commande.admin.gate import Gate
from commande.db.views import Pulse, read_pulse
from commande.shop import Shop
from commande.stationery import Press, Visit, read_wording
from commande.stationery.visit import Room, content_policy

_HERE: Final = Path(__file__).parent
# Workers say every five seconds that they are alive; three silences are too many.
SILENCE: Final = timedelta(seconds=15)


def furnish(shop: Shop, static: str) -> Room:
    """The room of the desk's pages, with its static files at that path."""
    texts = read_wording(_HERE / "wording.toml")
    press = Press(_HERE / "templates", texts, shop.settings.zone)
    return Room(shop.settings, press, static, content_policy(shop.settings))


async def desk_context(shop: Shop, visit: Visit, gate: Gate, here: str) -> dict[str, Any]:
    """Header and footer; ``here`` names the entry of the navigation that is open."""
    pulse = await shop.db.read(read_pulse)
    return {
        "here": here,
        "has_demo": has_demo(visit),
        "has_storefront": shop.settings.storefront,
        "signs": _signs(pulse, visit, shop.clock.now()),
        "form_token": gate.form_token(gate.session(visit) or ""),
    }


def is_awake(pulse: Pulse, now: datetime) -> bool:
    """Whether a worker was alive a moment ago."""
    return pulse.worker_beat_at is not None and now - pulse.worker_beat_at <= SILENCE


def _signs(pulse: Pulse, visit: Visit, now: datetime) -> list[str]:
    voice = visit.voice
    place = visit.settings.timezone.rpartition("/")[2].replace("_", " ")
    heard = pulse.webhook_at
    return [
        voice.say("worker.on" if is_awake(pulse, now) else "worker.off"),
        voice.say("webhook.last", ago=voice.ago(heard, now))
        if heard
        else voice.say("webhook.none"),
        voice.say("zone", place=place),
    ]


def has_demo(visit: Visit) -> bool:
    """Whether this is the demo, with its panel."""
    try:
        visit.request.app.url_path_for("demo_panel")
    except NoMatchFound:
        return False
    return True
