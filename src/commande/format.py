"""How amounts, dates and sentences look to people, for pages, mails and the terminal alike.

French typography in French: a narrow no-break space (U+202F) before ``€ % h : ; ! ?``, inside « »
and between groups of three digits; a no-break space (U+00A0) between a day and its month.
Locales are those of the settings: ``fr`` and ``en`` (as written in the United States).
"""

import datetime as dt
import re
from decimal import Decimal
from typing import Final

from babel.core import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_symbol

from commande.core.money import GRANULARITY, exponent, to_major

NARROW: Final = "\u202f"
NO_BREAK: Final = "\u00a0"
MINUS: Final = "\u2212"

# One space of any width before the mark, or none, becomes exactly one narrow one. Without a space
# only « and » are safe: in 14:30 or https: the colon belongs to its neighbours.
_BEFORE_MARK: Final = re.compile(r"[ \u00a0\u202f]+([:;!?%€])")
_OPENING: Final = re.compile(r"«[ \u00a0\u202f]*")
_CLOSING: Final = re.compile(r"[ \u00a0\u202f]*»")


def money(minor: int, currency: str, locale: str) -> str:
    """An amount in minor units: ``1 234,50 €`` in French, ``€1,234.50`` in English.

    Shows every decimal that Stripe charges, also where custom drops them: a price of 12.50 that
    reads "12" would be a lie.
    """
    places = 0 if GRANULARITY.get(currency) == 100 else exponent(currency)
    digits = _number(abs(to_major(minor, currency)), places, locale)
    sign = MINUS if minor < 0 else ""
    symbol = get_currency_symbol(currency.upper(), locale=locale)
    if locale == "fr":
        return f"{sign}{digits}{NARROW}{symbol}"
    gap = NO_BREAK if symbol[-1].isalpha() else ""
    return f"{sign}{symbol}{gap}{digits}"


def number(value: int, locale: str) -> str:
    """A whole number in groups of three: ``12 500`` in French, ``12,500`` in English."""
    return (MINUS if value < 0 else "") + _number(Decimal(abs(value)), 0, locale)


def percent(percentage: Decimal | float, locale: str) -> str:
    """A percentage with the decimals that it has: ``5,5 %`` in French, ``5.5%`` in English."""
    text = format_decimal(Decimal(str(percentage)), format="#,##0.####", locale=locale)
    return f"{text}{NARROW}%" if locale == "fr" else f"{text}%"


def day(at: dt.datetime, zone: dt.tzinfo, locale: str, *, year: bool = True) -> str:
    """The day in the zone: ``jeudi 26 novembre 2026``, ``Thursday, November 26, 2026``."""
    local = at.astimezone(zone).date()
    if locale == "fr":
        return f"{_part(local, 'EEEE', locale)} {date(at, zone, locale, year=year)}"
    return f"{_part(local, 'EEEE', locale)}, {date(at, zone, locale, year=year)}"


def date(at: dt.datetime, zone: dt.tzinfo, locale: str, *, year: bool = True) -> str:
    """The date without its weekday: ``1er décembre 2026``, ``December 1, 2026``."""
    local = at.astimezone(zone).date()
    month = _part(local, "MMMM", locale)
    if locale == "fr":
        return f"{_ordinal(local)}{NO_BREAK}{month}" + (f" {local.year}" if year else "")
    return f"{month}{NO_BREAK}{local.day}" + (f", {local.year}" if year else "")


def short_day(at: dt.datetime, zone: dt.tzinfo, locale: str) -> str:
    """The day where space is dear: ``jeu. 26 nov.``, ``Thu, Nov 26``."""
    local = at.astimezone(zone).date()
    weekday, month = _part(local, "EEE", locale), _part(local, "MMM", locale)
    if locale == "fr":
        return f"{weekday}{NO_BREAK}{_ordinal(local)}{NO_BREAK}{month}"
    return f"{weekday}, {month}{NO_BREAK}{local.day}"


def hour(at: dt.datetime, zone: dt.tzinfo, locale: str) -> str:
    """The time of day in the zone: ``14 h``, ``9 h 05``; ``2:00 PM`` in English."""
    local = at.astimezone(zone)
    if locale == "fr":
        minutes = f"{NARROW}{local.minute:02}" if local.minute else ""
        return f"{local.hour}{NARROW}h{minutes}"
    half = "AM" if local.hour < 12 else "PM"
    return f"{local.hour % 12 or 12}:{local.minute:02}{NO_BREAK}{half}"


def moment(at: dt.datetime, zone: dt.tzinfo, locale: str, *, year: bool = True) -> str:
    """Day and time: ``jeudi 26 novembre 2026 à 14 h``; ``year=False`` leaves the year out."""
    joint = "à" if locale == "fr" else "at"
    return f"{day(at, zone, locale, year=year)} {joint}{NO_BREAK}{hour(at, zone, locale)}"


def typeset(text: str, locale: str) -> str:
    """Our own sentences as a French printer sets them; other languages stay as they are.

    Repeating it changes nothing. Not for what customers wrote: that is shown as they wrote it.
    """
    if locale != "fr":
        return text
    text = text.replace("'", "’")
    text = _OPENING.sub(f"«{NARROW}", text)
    text = _CLOSING.sub(f"{NARROW}»", text)
    return _BEFORE_MARK.sub(rf"{NARROW}\1", text)


def _number(value: Decimal, places: int, locale: str) -> str:
    pattern = "#,##0." + "0" * places if places else "#,##0"
    return format_decimal(value, format=pattern, locale=Locale.parse(locale))


def _part(local: dt.date, pattern: str, locale: str) -> str:
    return format_date(local, pattern, locale=locale)


def _ordinal(local: dt.date) -> str:
    return "1er" if local.day == 1 else str(local.day)
