"""Working time: due times over the dated calendars, in Asia/Damascus, told in UTC.

Rules: docs/reference/contract.md, section "Stages", due times.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from domain.calendars import (
    DEFAULT_CLOSES,
    DEFAULT_WEEKEND,
    OFFICE_ZONE,
    Calendar,
    CalendarVersion,
    clock,
)
from domain.errors import InvalidValueError

LONGEST_ALLOWANCE_DAYS = 400
"""Bound of one allowance: a longer one is a typing error, and the search must end."""
_LONGEST_SEARCH_DAYS = 4 * LONGEST_ALLOWANCE_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A due time (UTC) and what it rests on.

    ``unpublished_years`` had no calendar: there only weekends were counted.
    """

    at: datetime
    calendars: tuple[CalendarVersion, ...]
    unpublished_years: tuple[int, ...]


class WorkingTime:
    """Counts working days over the calendars it is given."""

    def __init__(self, calendars: Iterable[Calendar]) -> None:
        self._years = {
            calendar.published.year: (calendar.published, calendar.version)
            for calendar in calendars
        }
        self._days_off = {
            year: {holiday.day for holiday in published.holidays}
            for year, (published, _) in self._years.items()
        }

    def is_working_day(self, day: date) -> bool:
        """Whether offices are open on ``day`` at all."""
        known = self._years.get(day.year)
        weekend = known[0].weekend if known else DEFAULT_WEEKEND
        return day.weekday() not in weekend and day not in self._days_off.get(
            day.year, frozenset()
        )

    def closing(self, day: date) -> datetime:
        """When the office closes on ``day``, in UTC."""
        closes = DEFAULT_CLOSES
        if known := self._years.get(day.year):
            closes = known[0].closes
            for hours in known[0].hours:
                if hours.first <= day <= hours.last:
                    closes = hours.closes
        return datetime.combine(day, clock(closes), OFFICE_ZONE).astimezone(UTC)

    def due(self, start: datetime, working_days: int) -> Due:
        """The closing time of the N-th working day after day 0.

        Day 0 is the day of ``start``, or the next working day when ``start`` lies
        after closing or on a day off. Raises InvalidValueError beyond the bound.
        """
        if not 0 <= working_days <= LONGEST_ALLOWANCE_DAYS:
            raise InvalidValueError(field="working_days", reason="range")
        first = start.astimezone(OFFICE_ZONE).date()
        day = first
        if not self.is_working_day(day) or start > self.closing(day):
            day = self._next_working_day(day)
        for _ in range(working_days):
            day = self._next_working_day(day)
        years = range(first.year, day.year + 1)
        return Due(
            at=self.closing(day),
            calendars=tuple(
                CalendarVersion(year=year, version=self._years[year][1])
                for year in years
                if year in self._years
            ),
            unpublished_years=tuple(year for year in years if year not in self._years),
        )

    def _next_working_day(self, day: date) -> date:
        for _ in range(_LONGEST_SEARCH_DAYS):
            day += timedelta(days=1)
            if self.is_working_day(day):
                return day
        raise InvalidValueError(field="calendar", reason="no-working-day")
