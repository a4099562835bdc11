"""The history of a command in words: every fact with its time, its source, and what it means."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from commande.db.journal import Fact
from commande.stationery.press import Voice
from commande.stationery.wording import ATTENTION

# Money and openings get a filled dot, what somebody should know a square (mock-ups, rule 4).
KEY: Final = frozenset({"opened", "paid", "refunded"})
ODD: Final = ATTENTION | frozenset(
    "price_moved payment_failed mail_failed session_delayed session_abandoned session_forgotten"
    " session_adopted recovered late duplicate mail_held refund_failed refund_canceled"
    " refund_not_given".split()
)
# What concerns the customer; how often a webhook came is the shop's own business.
FOR_CUSTOMERS: Final = frozenset(
    "opened session_opened session_expired session_delayed paid confirmed payment_processing"
    " payment_failed refunded mail_sent expired".split()
)


@dataclass(frozen=True, slots=True)
class Line:
    """One fact, told."""

    at: datetime
    title: str
    source: str
    more: str
    code: str
    """Stripe's id of what it is about, if any."""
    mark: str
    """``key``, ``odd`` or nothing."""


def tell(facts: Iterable[Fact], voice: Voice, currency: str, *, customer: bool) -> list[Line]:
    """All facts in their order; those that concern the customer, in their words, if asked.

    Stripe's long ids stand only where they come up first.
    """
    lines: list[Line] = []
    named: set[str] = set()
    for fact in facts:
        if customer and fact.kind not in FOR_CUSTOMERS:
            continue
        line = _tell(fact, voice, currency, customer=customer)
        lines.append(replace(line, code="") if line.code in named else line)
        named.add(line.code)
    return lines


def tell_by_day(lines: list[Line], voice: Voice) -> list[tuple[str, list[Line]]]:
    """The lines under the day on which they happened."""
    days: dict[str, list[Line]] = {}
    for line in lines:
        days.setdefault(voice.day(line.at), []).append(line)
    return list(days.items())


def _tell(fact: Fact, voice: Voice, currency: str, *, customer: bool) -> Line:
    said = _spoken(fact.detail, voice, currency)
    source = f"source.{fact.source}"
    return Line(
        at=fact.at,
        title=_title(fact.kind, said, voice, customer=customer),
        source=voice.say(source) if voice.knows(source) else fact.source,
        more="" if customer else _more(fact, said, voice),
        code="" if customer else str(fact.detail.get("session") or ""),
        mark="key" if fact.kind in KEY else "odd" if fact.kind in ODD else "",
    )


def _title(kind: str, said: dict[str, str], voice: Voice, *, customer: bool) -> str:
    """The fact's name. One that this version does not know is shown, not hidden."""
    for key in ([f"fact.{kind}.customer"] if customer else []) + [f"fact.{kind}"]:
        if voice.knows(key):
            try:
                return voice.say(key, **said)
            except KeyError:
                continue
    return kind.replace("_", " ").capitalize()


def _more(fact: Fact, said: dict[str, str], voice: Voice) -> str:
    """What else there is to know; for facts without words of their own, all of their detail."""
    key = f"fact.{fact.kind}.more"
    if fact.kind == "price_moved" and fact.detail.get("current_minor") is None:
        key = "fact.price_moved.gone"
    if voice.knows(key):
        try:
            return voice.say(key, **said)
        except KeyError:
            pass
    if voice.knows(f"fact.{fact.kind}"):
        return ""
    named = (f"{name.replace('_', ' ')}: {text}" for name, text in said.items() if text)
    return ", ".join(named)


def _spoken(detail: dict[str, Any], voice: Voice, currency: str) -> dict[str, str]:
    """The detail's values as texts: ``total_minor`` becomes ``total``, in money."""
    said: dict[str, str] = {"method": "", "reason": ""}
    for name, value in detail.items():
        if name.endswith("_minor") and isinstance(value, int):
            said[name.removesuffix("_minor")] = voice.money(value, currency)
        elif isinstance(value, list):
            said[name] = ", ".join(str(one) for one in value)
        elif value is not None:
            said[name] = _word(name, str(value), voice)
    return said


def _word(name: str, value: str, voice: Voice) -> str:
    """Our own stable words (a reason, a letter's kind) in the reader's language."""
    key = f"{name}.{value}"
    return voice.say(key) if voice.knows(key) else value
