"""Working time: due times and durations over dated calendars, told in UTC.

Rules: docs/reference/contract.md, section "Stages", due times; worked examples:
docs/explanation/working-time.md. Offices are open from opening (counted) to closing
(not counted) on every working day, on the clock of Asia/Damascus. All times that come
in or go out are instants with a zone; durations are real time spent while offices
were open, a ``timedelta`` where exact, else whole working minutes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from domain.calendars import (
    DEFAULT_CLOSES,
    DEFAULT_OPENS,
    DEFAULT_WEEKEND,
    OFFICE_ZONE,
    Calendar,
    CalendarVersion,
    clock,
    office_day,
)
from domain.errors import InvalidValueError

LONGEST_ALLOWANCE_DAYS = 400
"""Bound of one allowance: a longer one is a typing error, and the search must end."""
LONGEST_SEARCH_DAYS = 4 * LONGEST_ALLOWANCE_DAYS
"""Days of the calendar that one search walks before it gives up.

Four times the longest allowance: weekends, holidays and closed weeks of a bad year
never take three days of four, so only a calendar without working days reaches it.
"""

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_NOTHING = timedelta(0)
_SEARCH = timedelta(days=LONGEST_SEARCH_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The calendars that a count of working time rests on, by year.

    ``unpublished_years`` had none: there only weekends were counted, at the hours
    that are the rule.
    """

    calendars: tuple[CalendarVersion, ...]
    unpublished_years: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A due time (UTC) and what it rests on; as ``Basis``."""

    at: datetime
    calendars: tuple[CalendarVersion, ...]
    unpublished_years: tuple[int, ...]


class WorkingTime:
    """Counts working days and hours over the calendars it is given.

    A year without a calendar counts weekends only, 08:00 to 15:00. Whoever counts
    for an accepted request MUST give the versions its terms name, not the newest.
    """

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

    def opening(self, day: date) -> datetime:
        """When the office opens on ``day``, in UTC; asked of a day off, when it would.

        Clocks were changed at midnight, never within office hours: a working day is
        as long as its hours say, on the day of a change as well.
        """
        return _instant(day, self._hours(day)[0])

    def closing(self, day: date) -> datetime:
        """When the office closes on ``day``, in UTC; asked of a day off, when it would.

        The instant itself still counts as open for ``due``, as a citizen who stands
        at the counter is served; it adds nothing to a duration.
        """
        return _instant(day, self._hours(day)[1])

    def due(self, start: datetime, working_days: int) -> Due:
        """The closing time of the N-th working day after day 0.

        Day 0 is the day of ``start``, or the next working day when ``start`` lies
        after closing or on a day off. Raises InvalidValueError beyond the bound.
        """
        if not 0 <= working_days <= LONGEST_ALLOWANCE_DAYS:
            raise InvalidValueError(field="working_days", reason="range")
        day = office_day(start)
        if not self.is_working_day(day) or start > self.closing(day):
            day = self._next_working_day(day)
        for _ in range(working_days):
            day = self._next_working_day(day)
        at = self.closing(day)
        basis = self.basis(start, at)
        return Due(
            at=at,
            calendars=basis.calendars,
            unpublished_years=basis.unpublished_years,
        )

    def time_between(self, start: datetime, end: datetime) -> timedelta:
        """The time that offices were open from ``start`` to ``end``, exactly.

        Nothing when ``end`` is not after ``start``. Times add up: split at any
        instant in between, the parts are the whole.
        """
        spent = _NOTHING
        for opens, closes in self._open_from(office_day(start), office_day(end)):
            spent += max(min(end, closes) - max(start, opens), _NOTHING)
        return spent

    def minutes_between(self, start: datetime, end: datetime) -> int:
        """Whole working minutes from ``start`` to ``end``; 0 if that is not after it.

        An instant counts as the minute it lies in, as on a clock without a hand for
        seconds. So minutes add up like the exact times do, whatever the split, and
        lie less than one minute from them.
        """
        return self.time_between(_minute(start), _minute(end)) // _MINUTE

    def after(self, start: datetime, working: timedelta) -> datetime:
        """The first instant at which ``working`` has passed since ``start``, in UTC.

        The inverse of ``time_between``: ``time_between(start, after(start, w)) == w``.
        Time that ends with a working day ends at its closing, not at the next opening.
        Raises InvalidValueError for less than nothing, and when the bound of the
        search is reached.
        """
        if working < _NOTHING:
            raise InvalidValueError(field="working", reason="range")
        if not working:
            return start.astimezone(UTC)
        first = office_day(start)
        for opens, closes in self._open_from(first, first + _SEARCH):
            begin = max(start, opens)
            if closes - begin >= working:
                return begin.astimezone(UTC) + working
            working -= max(closes - begin, _NOTHING)
        raise InvalidValueError(field="calendar", reason="no-working-day")

    def before(self, end: datetime, working: timedelta) -> datetime:
        """The last instant from which ``working`` passes until ``end``, in UTC.

        As ``after``, backwards: ``time_between(before(end, w), end) == w``.
        """
        if working < _NOTHING:
            raise InvalidValueError(field="working", reason="range")
        if not working:
            return end.astimezone(UTC)
        last = office_day(end)
        for opens, closes in self._open_back(last, last - _SEARCH):
            finish = min(end, closes)
            if finish - opens >= working:
                return finish.astimezone(UTC) - working
            working -= max(finish - opens, _NOTHING)
        raise InvalidValueError(field="calendar", reason="no-working-day")

    def basis(self, start: datetime, end: datetime) -> Basis:
        """The calendars of the years from ``start`` to ``end``, on the office's clock.

        This is what a count between the two rests on, and what its keeper records.
        """
        years = range(office_day(start).year, office_day(end).year + 1)
        return Basis(
            calendars=tuple(
                CalendarVersion(year=year, version=self._years[year][1])
                for year in years
                if year in self._years
            ),
            unpublished_years=tuple(year for year in years if year not in self._years),
        )

    def _hours(self, day: date) -> tuple[str, str]:
        """Opening and closing of ``day`` as ``HH:MM``; dated hours listed last win."""
        if (known := self._years.get(day.year)) is None:
            return DEFAULT_OPENS, DEFAULT_CLOSES
        published = known[0]
        for hours in reversed(published.hours):
            if hours.first <= day <= hours.last:
                return hours.opens, hours.closes
        return published.opens, published.closes

    def _open_from(
        self, first: date, last: date
    ) -> Iterator[tuple[datetime, datetime]]:
        """Opening and closing of each working day from ``first`` to ``last``."""
        for number in range((last - first).days + 1):
            day = first + number * _DAY
            if self.is_working_day(day):
                yield self.opening(day), self.closing(day)

    def _open_back(
        self, last: date, first: date
    ) -> Iterator[tuple[datetime, datetime]]:
        """As ``_open_from``, from ``last`` back to ``first``."""
        for number in range((last - first).days + 1):
            day = last - number * _DAY
            if self.is_working_day(day):
                yield self.opening(day), self.closing(day)

    def _next_working_day(self, day: date) -> date:
        for _ in range(LONGEST_SEARCH_DAYS):
            day += _DAY
            if self.is_working_day(day):
                return day
        raise InvalidValueError(field="calendar", reason="no-working-day")


def _instant(day: date, hours: str) -> datetime:
    return datetime.combine(day, clock(hours), OFFICE_ZONE).astimezone(UTC)


def _minute(at: datetime) -> datetime:
    # In UTC: minutes of the zone and of UTC begin together, and a duration over a
    # change of the clocks must be counted where they do not change.
    return at.astimezone(UTC).replace(second=0, microsecond=0)
