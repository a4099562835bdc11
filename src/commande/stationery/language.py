"""Which language a visitor reads."""

from typing import Final

from commande.stationery.press import LOCALES

COOKIE: Final = "lang"


def choose_language(asked: str | None, kept: str | None, accepted: str, default: str) -> str:
    """The language asked for in the address, chosen before, accepted by the browser, or ours."""
    for choice in (asked, kept):
        if choice in LOCALES:
            return choice
    return _preferred(accepted) or default


def _preferred(accepted: str) -> str | None:
    """The first of our languages by the weights of an Accept-Language header."""
    wishes: list[tuple[float, int, str]] = []
    for index, part in enumerate(accepted.split(",")[:20]):
        name, _, weight = part.partition(";")
        locale = name.strip().lower().split("-")[0]
        wishes.append((-_weight(weight), index, locale))
    return next((w for rank, _, w in sorted(wishes) if w in LOCALES and rank < 0), None)


def _weight(text: str) -> float:
    """``q=0.8``; nothing is 1, nonsense is 0."""
    text = text.strip()
    if not text:
        return 1.0
    number = text.removeprefix("q=")
    plain = number.replace(".", "", 1)
    return float(number) if plain.isascii() and plain.isdigit() and len(plain) < 6 else 0.0
