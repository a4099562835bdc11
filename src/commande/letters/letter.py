"""Renders one letter about one command: subject, text and HTML, in the customer's language."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from commande import format as form
from commande.core.document import Command
from commande.core.letter import Kind, Letter
from commande.core.tax import TaxRate
from commande.letters.wording import WORDING
from commande.settings import Settings

# Only files that end in .html are escaped; the text alternative must say & as &.
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Links:
    """Where the letter leads: absolute addresses that carry the command's token."""

    command: str
    """The command's own page."""
    payment: str
    """Where it can be paid again."""


def render_letter(
    kind: Kind, command: Command, settings: Settings, links: Links, key: str | None = None
) -> Letter:
    """The letter of that kind; ``key`` tells two of one kind apart (a second failed attempt).

    The same kind and key give the same Message-ID. ``paid`` needs the snapshot. Raises ValueError
    when the customer's data was erased: there is nobody left to write to.
    """
    if command.customer is None:
        raise ValueError("the customer's data was erased")
    locale = command.locale if command.locale in WORDING else settings.locale
    words = WORDING[locale]
    name = _one_line(command.customer.get("firstName") or "")
    facts = _facts(command, settings, locale) | {"name": name}
    nameless = f"{kind}.title_nameless"
    title = nameless if nameless in words and not name else f"{kind}.title"
    context = {
        "lang": locale,
        "shop": _one_line(settings.shop_name),
        "title": words[title].format(**facts),
        "preview": words[f"{kind}.preview"].format(**facts),
        "say": {word: _Filled(text, facts) for word, text in words.items()},
        "lines": _lines(command, locale),
        "taxes": _taxes(command, locale),
        "total": facts["total"],
        "moment": facts["moment"],
        "link": links.command if kind == "paid" else links.payment,
        "colon": f"{form.NARROW}:" if locale == "fr" else ":",
        # Who writes from an address that nobody reads must not invite an answer.
        "answerable": settings.mail_from is not None,
    }
    host = urlsplit(settings.site_url).hostname or "localhost"
    return Letter(
        message_id=f"{_token(key or f'{kind}.{command.id}')}@{host}",
        to=str(command.customer["email"]),
        subject=words[f"{kind}.subject"].format(**facts),
        text=_TEMPLATES.get_template(f"{kind}.txt").render(context),
        html=_TEMPLATES.get_template(f"{kind}.html").render(context),
    )


class _Filled:
    """A sentence that fills itself in when a template prints it."""

    def __init__(self, text: str, facts: dict[str, str]) -> None:
        self._text, self._facts = text, facts

    def __str__(self) -> str:
        return self._text.format(**self._facts)


def _facts(command: Command, settings: Settings, locale: str) -> dict[str, str]:
    zone, snapshot = settings.zone, command.snapshot
    return {
        "ref": command.ref,
        "moment": form.moment(command.appointment_at, zone, locale),
        "date": form.date(command.created_at, zone, locale),
        "total": form.money(snapshot["total_minor"], command.currency, locale) if snapshot else "",
    }


def _lines(command: Command, locale: str) -> list[dict[str, str]]:
    """What was bought: prices as the catalogue means them, tax on top stands below."""
    lines = command.snapshot["lines"] if command.snapshot else []
    return [_line(line, command.currency, locale) for line in lines]


def _line(line: dict[str, Any], currency: str, locale: str) -> dict[str, str]:
    price = form.money(line["unit_minor"], currency, locale)
    kind = _one_line(line["type"])
    each = WORDING[locale]["paid.each"].format(type=kind, price=price)
    return {
        "title": f"{line['quantity']} × {_one_line(line['title'])}",
        "detail": each if line["quantity"] > 1 else kind,
        "amount": form.money(line["unit_minor"] * line["quantity"], currency, locale),
    }


def _taxes(command: Command, locale: str) -> dict[str, list[dict[str, str]]]:
    """Taxes within the prices and on top of them, zero ones left out."""
    found: dict[str, list[dict[str, str]]] = {"within": [], "on_top": []}
    for tax in command.snapshot["taxes"] if command.snapshot else []:
        rate = TaxRate.from_key(tax["rate"])
        kind = "within" if rate.inclusive else "on_top"
        label = WORDING[locale][f"tax.{kind}"]
        if tax["tax_minor"]:
            found[kind].append(
                {
                    "label": label.format(percent=form.percent(rate.percentage, locale)),
                    "amount": form.money(tax["tax_minor"], command.currency, locale),
                }
            )
    return found


def _one_line(text: str) -> str:
    """A name or title on one line, as its owner wrote it otherwise."""
    return re.sub(r"[\r\n\t\v\f\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).strip()


def _token(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", ".", key).strip(".")
