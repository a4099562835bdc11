"""The press: prints the templates of one room over the shared ones, in the visitor's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from commande import format as form
from commande.core.tax import TaxRate
from commande.stationery.wording import SHARED, Texts

_TEMPLATES: Final = Path(__file__).with_name("templates")
LOCALES: Final = ("fr", "en")


@dataclass(frozen=True, slots=True)
class Voice:
    """One language in one time zone: everything that a template may say. ``t`` in templates."""

    locale: str
    zone: tzinfo
    texts: Mapping[str, str]

    def say(self, key: str, /, **facts: object) -> str:
        """The text of that key with its braces filled in. Raises KeyError for an unknown key."""
        return self.texts[key].format(**facts)

    def knows(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts

    def many(self, key: str, count: int, /, **facts: object) -> str:
        """``key.one`` or ``key.other``: French counts 0 and 1 as one, English only 1."""
        one = count < 2 if self.locale == "fr" else count == 1
        number = form.number(count, self.locale)
        return self.say(f"{key}.{'one' if one else 'other'}", count=number, **facts)

    def money(self, minor: int, currency: str) -> str:
        """An amount in minor units."""
        return form.money(minor, currency, self.locale)

    def number(self, value: int) -> str:
        """A whole number."""
        return form.number(value, self.locale)

    def percent(self, percentage: Decimal) -> str:
        """A percentage."""
        return form.percent(percentage, self.locale)

    def tax(self, rate: TaxRate) -> str:
        """How a tax is named under a total: within the prices, or on top of them."""
        key = "receipt.within" if rate.inclusive else "receipt.on_top"
        return self.say(key, percent=self.percent(rate.percentage))

    def day(self, at: datetime, *, year: bool = True) -> str:
        """``jeudi 26 novembre 2026``."""
        return form.day(at, self.zone, self.locale, year=year)

    def date(self, at: datetime, *, year: bool = True) -> str:
        """``26 novembre 2026``."""
        return form.date(at, self.zone, self.locale, year=year)

    def short_day(self, at: datetime) -> str:
        """``jeu. 26 nov.``"""
        return form.short_day(at, self.zone, self.locale)

    def day_parts(self, at: datetime) -> tuple[str, str, str]:
        """Weekday, number and month, short: ``jeu.``, ``26``, ``nov.``"""
        local = at.astimezone(self.zone).date()
        weekday = format_date(local, "EEE", locale=self.locale)
        return weekday, str(local.day), format_date(local, "MMM", locale=self.locale)

    def hour(self, at: datetime) -> str:
        """``14 h``, or ``2:00 PM``."""
        return form.hour(at, self.zone, self.locale)

    def moment(self, at: datetime, *, year: bool = True) -> str:
        """``jeudi 26 novembre 2026 à 14 h``."""
        return form.moment(at, self.zone, self.locale, year=year)

    def clock(self, at: datetime) -> str:
        """``14:02:11``, for timelines: the same in both languages."""
        return at.astimezone(self.zone).strftime("%H:%M:%S")

    def opened(self, at: datetime, now: datetime) -> str:
        """When something began, in a list: the time today, else the day."""
        local = at.astimezone(self.zone)
        if local.date() == now.astimezone(self.zone).date():
            return local.strftime("%H:%M")
        return self.short_day(at)

    def ago(self, at: datetime, now: datetime) -> str:
        """How long ago: ``il y a 3 min``."""
        seconds = max(0, int((now - at).total_seconds()))
        for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
            if seconds >= size:
                return self.say(f"ago.{unit}", count=self.number(seconds // size))
        return self.say("ago.now")

    def iso(self, at: datetime) -> str:
        """For a ``datetime`` attribute."""
        return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Press:
    """Templates and texts of one room, ready to print. Built once."""

    def __init__(self, templates: Path, texts: Texts, zone: tzinfo) -> None:
        both = {**SHARED, **texts}
        self._zone = zone
        self._texts = {
            # Straight apostrophes are for keyboards; printed ones are curly in both languages.
            locale: {
                key: form.typeset(pair[index].replace("'", "’"), locale)
                for key, pair in both.items()
            }
            for index, locale in enumerate(LOCALES)
        }
        self._environment = Environment(
            loader=FileSystemLoader([templates, _TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def voice(self, locale: str) -> Voice:
        """The voice of that language."""
        return Voice(locale, self._zone, self._texts[locale])

    def print(self, template: str, context: dict[str, Any]) -> str:
        """The page as HTML; everything in the context is escaped where it is printed."""
        return self._environment.get_template(template).render(context)
