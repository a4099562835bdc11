"""The days and hours on offer."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from commande.core.appointment import Hours, offer_days, read_hours

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)  # 14:30 in Paris


def test_seven_days_are_offered_from_today_while_an_hour_is_left() -> None:
    days = offer_days(Hours(), MONDAY, PARIS)
    assert [day.date.day for day in days] == [23, 24, 25, 26, 27, 28, 29]
    today = {slot.at.hour: slot.free for slot in days[0].slots}
    assert today[14] is False and today[15] is True


def test_a_day_whose_last_hour_is_past_is_no_longer_the_first() -> None:
    evening = MONDAY.replace(hour=19)
    assert offer_days(Hours(), evening, PARIS)[0].date.day == 24


def test_an_hour_that_begins_now_is_past() -> None:
    hours = Hours(times=(time(14, 30), time(15)))
    assert [slot.free for slot in offer_days(hours, MONDAY, PARIS)[0].slots] == [False, True]


def test_closed_days_stay_in_their_place_without_hours() -> None:
    days = offer_days(Hours(closed=frozenset({6})), MONDAY, PARIS)
    assert days[6].slots == () and not days[6].free
    assert days[5].free


def test_slots_carry_the_offset_of_their_day() -> None:
    before_change = datetime(2026, 10, 24, 6, tzinfo=UTC)
    days = offer_days(Hours(times=(time(9),)), before_change, PARIS)
    assert [d.slots[0].at.isoformat()[-6:] for d in days[:2]] == ["+02:00", "+01:00"]


def test_an_hour_that_the_clocks_leave_out_is_not_offered() -> None:
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    days = offer_days(Hours(times=(time(2, 30), time(14))), spring, PARIS)
    sunday = next(day for day in days if day.date.day == 29)
    assert [slot.at.hour for slot in sunday.slots] == [14]


def test_the_module_says_when_the_shop_receives() -> None:
    given = {"times": ["14:00", "09:30", "14:00"], "closed": ["sunday", "monday"], "days": 3}
    hours = read_hours({"appointments": given})
    assert hours == Hours((time(9, 30), time(14)), frozenset({6, 0}), 3)


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {}, {"times": []}, {"times": "09:00"}, {"times": ["25:00", 3]},
     {"closed": ["someday", 1]}, {"days": 0}, {"days": True}, {"days": 99}, {"days": "7"}],
)  # fmt: skip
def test_a_slip_in_the_settings_does_not_close_the_shop(given: object) -> None:
    assert read_hours({"appointments": given}) == Hours()
