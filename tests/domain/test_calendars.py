"""Calendars: what may be published."""

from __future__ import annotations

from datetime import date

import pytest

from domain.calendars import OfficeHours
from domain.errors import InvalidValueError
from tests.domain.office import calendar


def test_a_calendar_refuses_days_of_another_year() -> None:
    with pytest.raises(InvalidValueError):
        calendar(date(2027, 1, 1))


@pytest.mark.parametrize("text", ["8:00", "08:00:30", "08:00+03:00", "T0800", "25:00"])
def test_hours_are_a_minute_of_the_day(text: str) -> None:
    hours = OfficeHours(
        first=date(2026, 2, 18), last=date(2026, 3, 17), opens=text, closes="14:00"
    )
    with pytest.raises(InvalidValueError):
        calendar(hours=[hours])
