"""Appointments on offer: the days and hours that the module's settings open."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

WEEKDAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
# A shop's day with its pause at noon, until the module says otherwise.
_TIMES: Final = tuple(time(hour) for hour in (9, 10, 11, 12, 14, 15, 16, 17, 18, 19))
_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Hours:
    """When the shop receives. ``closed`` holds weekdays, Monday is 0."""

    times: tuple[time, ...] = _TIMES
    closed: frozenset[int] = frozenset()
    days: int = _DAYS


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour of one day; aware, in the shop's zone."""

    at: datetime
    free: bool


@dataclass(frozen=True, slots=True)
class Day:
    """One day with its hours; none when the shop is closed."""

    date: date
    slots: tuple[Slot, ...]

    @property
    def free(self) -> bool:
        """Whether an hour can still be chosen."""
        return any(slot.free for slot in self.slots)


def read_hours(settings: dict[str, Any]) -> Hours:
    """The module's ``appointments``: ``{"times": ["09:00"], "closed": ["sunday"], "days": 7}``.

    What is left out or unreadable keeps its default: a slip must not close the shop.
    """
    given = settings.get("appointments")
    if not isinstance(given, dict):
        return Hours()
    times = tuple(sorted({at for text in _texts(given, "times") if (at := _time(text))}))
    closed = frozenset(WEEKDAYS.index(day) for day in _texts(given, "closed") if day in WEEKDAYS)
    days = given.get("days")
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 28:
        days = _DAYS
    return Hours(times or _TIMES, closed, days)


def offer_days(hours: Hours, now: datetime, zone: tzinfo) -> list[Day]:
    """The next days with their hours, beginning with the first that still has a free one.

    What is past stays in its place, not free. An hour that the clocks leave out is not offered.
    """
    today = now.astimezone(zone).date()
    days = [_day(hours, today + timedelta(days=n), now, zone) for n in range(hours.days + 1)]
    first = 0 if days[0].free else 1
    return days[first : first + hours.days]


def _day(hours: Hours, on: date, now: datetime, zone: tzinfo) -> Day:
    if on.weekday() in hours.closed:
        return Day(on, ())
    all_times = (datetime.combine(on, at, zone) for at in hours.times)
    return Day(on, tuple(Slot(at, at > now) for at in all_times if _exists(at, zone)))


def _exists(at: datetime, zone: tzinfo) -> bool:
    return at.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == at.replace(tzinfo=None)


def _texts(given: dict[str, Any], key: str) -> list[str]:
    value = given.get(key)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _time(text: str) -> time | None:
    try:
        return time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
