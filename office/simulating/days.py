"""The office's days of the simulated period, as one line of open seconds.

A moment is seconds since 1970, in UTC; a place on the line counts the seconds that
offices were open since the first day. Hours are the rule's, 08:00 to 15:00: the
published calendars have no others.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta

from domain.calendars import DEFAULT_WEEKEND, OFFICE_ZONE, Holiday
from office.seeding import holidays_of_table
from office.simulating.assumptions import HOLIDAYS_2025

OPEN_S = 7 * 3600
MINUTE = 60
AFTER_S = 200
"""Days beyond the last that lives may reach into, before they are cut."""
_ONE = timedelta(days=1)


class OfficeDays:
    """Working days from ``first`` to ``last``, and some beyond."""

    def __init__(self, first: date, last: date) -> None:
        off = {day for day, _, _ in HOLIDAYS_2025}
        off |= {holiday.day for holiday in holidays_of_table()}
        day = first
        days: list[date] = []
        while day <= last or len(days) < self._count(first, last, off) + AFTER_S:
            if day.weekday() not in DEFAULT_WEEKEND and day not in off:
                days.append(day)
            day += _ONE
        self.days = tuple(days)
        self.count = self._count(first, last, off)
        self._opening_s = [_opening_s(day) for day in days]

    @staticmethod
    def _count(first: date, last: date, off: set[date]) -> int:
        span = ((last - first).days + 1) if last >= first else 0
        return sum(
            (first + number * _ONE).weekday() not in DEFAULT_WEEKEND
            and first + number * _ONE not in off
            for number in range(span)
        )

    def opening_s(self, number: int) -> int:
        """When the office opens on a working day."""
        return self._opening_s[number]

    def closing_s(self, number: int) -> int:
        """When it closes."""
        return self._opening_s[number] + OPEN_S

    def at(self, place: int) -> int:
        """The moment of a place on the line."""
        number, within = divmod(place, OPEN_S)
        return self._opening_s[number] + within

    def place(self, at_s: int) -> int:
        """The first place on the line at or after a moment."""
        number = bisect_right(self._opening_s, at_s) - 1
        if number < 0:
            return 0
        within = at_s - self._opening_s[number]
        return number * OPEN_S + min(within, OPEN_S)

    def number(self, at_s: int) -> int:
        """The working day of a moment: the one that has begun last."""
        return max(bisect_right(self._opening_s, at_s) - 1, 0)


def _opening_s(day: date) -> int:
    at = datetime(day.year, day.month, day.day, 8, tzinfo=OFFICE_ZONE)
    return int(at.astimezone(UTC).timestamp())


def calendar_of_2025() -> tuple[Holiday, ...]:
    """The days off of 2025 that lie in the period."""
    return tuple(
        Holiday(day=day, name_ar=name_ar, name_en=name_en, certainty="fixed")
        for day, name_ar, name_en in HOLIDAYS_2025
    )
