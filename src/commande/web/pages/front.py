"""The shop's front: what the module's settings say about it, in the visitor's language."""

from dataclasses import dataclass
from typing import Any

from commande.db.modules import Module
from commande.stationery import Voice


@dataclass(frozen=True, slots=True)
class Front:
    """The shop's own words; empty where it has not said anything."""

    headline: str
    lead: str
    address: str
    phone: str
    terms: str
    """Address of the terms of sale."""


def read_words(module: Module | None, voice: Voice, shop_name: str) -> Front:
    """The module's ``storefront`` settings: texts, or ``{"fr": …, "en": …}``."""
    given = module.settings.get("storefront") if module else None
    words: dict[str, Any] = given if isinstance(given, dict) else {}

    def word(name: str) -> str:
        value = words.get(name)
        if isinstance(value, dict):
            value = value.get(voice.locale)
        return value if isinstance(value, str) else ""

    terms = word("terms")
    return Front(
        headline=word("headline") or shop_name,
        lead=word("lead") or voice.say("shelf.lead"),
        address=word("address"),
        phone=word("phone"),
        # Whoever may write the settings may still not slip a script into a link.
        terms=terms if terms.startswith(("https://", "http://", "/")) else "",
    )


def _phone_link(phone: str) -> str:
    """The number as a ``tel:`` address."""
    return "tel:" + "".join(c for c in phone if c.isascii() and (c.isdigit() or c == "+"))


def front_context(
    module: Module | None, voice: Voice, shop_name: str, pieces: int
) -> dict[str, Any]:
    """What header and footer of every page of the storefront need."""
    front = read_words(module, voice, shop_name)
    return {"front": front, "phone_link": _phone_link(front.phone), "pieces": pieces}
