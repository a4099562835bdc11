"""The days and hours on offer, in words."""

from dataclasses import dataclass
from datetime import datetime, time

from commande.core.appointment import Day
from commande.stationery import Voice


@dataclass(frozen=True, slots=True)
class DayButton:
    """One day to press."""

    value: str
    weekday: str
    number: str
    month: str
    full: str
    chosen: bool
    open: bool


@dataclass(frozen=True, slots=True)
class SlotChoice:
    """One hour to choose."""

    value: str
    label: str
    free: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class DayChoice:
    """The days, the hours of the chosen one, and the appointment as it stands."""

    buttons: list[DayButton]
    slots: list[SlotChoice]
    heading: str
    any_free: bool
    chosen: str
    """The chosen moment in words, or nothing."""


def choose_day(days: list[Day], asked: str, appointment: str) -> Day:
    """The day that was pressed, else that of the chosen hour, else the first with a free one."""
    for wanted in (asked, appointment[:10]):
        for day in days:
            if day.date.isoformat() == wanted and day.slots:
                return day
    return next((day for day in days if day.free), days[0])


def print_days(days: list[Day], chosen: Day, appointment: str, voice: Voice) -> DayChoice:
    """Everything the template needs; closed days and past hours stay, with the word."""
    slots = [
        SlotChoice(
            slot.at.isoformat(),
            voice.hour(slot.at),
            slot.free,
            slot.free and slot.at.isoformat() == appointment,
        )
        for slot in chosen.slots
    ]
    at = next((slot.at for slot in chosen.slots if slot.at.isoformat() == appointment), None)
    return DayChoice(
        buttons=[_button(day, day is chosen, voice) for day in days],
        slots=slots,
        heading=voice.day(_noon(chosen, voice), year=False),
        any_free=chosen.free,
        chosen=voice.moment(at, year=False) if at else "",
    )


def _button(day: Day, chosen: bool, voice: Voice) -> DayButton:
    noon = _noon(day, voice)
    weekday, number, month = voice.day_parts(noon)
    return DayButton(
        value=day.date.isoformat(),
        weekday=weekday,
        number=number,
        month=month,
        full=voice.day(noon),
        chosen=chosen,
        open=bool(day.slots),
    )


def _noon(day: Day, voice: Voice) -> datetime:
    return datetime.combine(day.date, time(12), voice.zone)
