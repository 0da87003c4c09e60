"""Working minutes by prefix sums: what ``WorkingTime.minutes_between`` says, at once.

Views measure millions of spans. A year's working days are laid out once, with the
minutes before each added up; a span is then two searches and a subtraction. Instants
are whole minutes since 1970 in UTC, the minute that each lies in.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from domain.calendars import OFFICE_ZONE, Days, clock

MINUTES_A_DAY = 24 * 60
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def minute_of(text: str) -> int:
    """The minute of a time as bodies write it, ``2026-11-23T08:14:05.473912Z``."""
    return _first_minute_of(text[:10]) + int(text[11:13]) * 60 + int(text[14:16])


def minute_at(at: datetime) -> int:
    """The minute of an instant."""
    return (at - _EPOCH) // _MINUTE


@lru_cache(maxsize=4096)
def _first_minute_of(day: str) -> int:
    return (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * MINUTES_A_DAY


@lru_cache(maxsize=512)
def _year_begins(year: int) -> int:
    """The minute at which a year begins in Damascus."""
    return minute_at(datetime(year, 1, 1, tzinfo=OFFICE_ZONE))


def year_at(minute: int) -> int:
    """The year on the office's calendar."""
    # The clocks of Damascus stand whole hours from UTC since 1920.
    return _year_at_hour(minute // 60) if minute >= 0 else _year_at(minute)


@lru_cache(maxsize=4096)
def _year_at_hour(hour: int) -> int:
    return _year_at(hour * 60)


def _year_at(minute: int) -> int:
    # The zone is less than a day from UTC, so one step at most is wrong.
    year = (_EPOCH + minute * _MINUTE).year
    if minute < _year_begins(year):
        return year - 1
    return year + 1 if minute >= _year_begins(year + 1) else year


class WorkingYear:
    """The working days of one year, laid out once."""

    def __init__(self, days: Days) -> None:
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._before: list[int] = []
        self.total = 0
        day = date(days.year, 1, 1)
        while day.year == days.year:
            if (hours := days.hours_on(day)) is not None:
                opens, closes = (
                    minute_at(datetime.combine(day, clock(text), OFFICE_ZONE))
                    for text in hours
                )
                self._opens.append(opens)
                self._closes.append(closes)
                self._before.append(self.total)
                self.total += closes - opens
            day += _DAY

    def until(self, minute: int) -> int:
        """Working minutes from the beginning of the year to a minute."""
        place = bisect_right(self._opens, minute) - 1
        if place < 0:
            return 0
        end = min(minute, self._closes[place])
        return self._before[place] + end - self._opens[place]


class WorkingMinutes:
    """Working minutes between any two, over the years that ``year_of`` gives."""

    def __init__(self, year_of: Callable[[int], WorkingYear]) -> None:
        self._year_of = year_of

    def between(self, start: int, end: int) -> int:
        """Whole working minutes from one minute to another; 0 if that is not after."""
        if end <= start:
            return 0
        first = year_at(start)
        last = year_at(end) if end >= _year_begins(first + 1) else first
        began = self._year_of(first)
        if first == last:
            return began.until(end) - began.until(start)
        between = sum(self._year_of(year).total for year in range(first + 1, last))
        ended = self._year_of(last).until(end)
        return began.total - began.until(start) + between + ended
