"""Working time: dated calendars of the office, in Asia/Damascus, due times in UTC.

Rules: docs/reference/contract.md, section "Stages", due times. The zone was UTC+2
in winter and UTC+3 in summer until October 2022, and is UTC+3 since; conversion
therefore always goes by the zone's name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.errors import InvalidValueError
from domain.ids import code_id

OFFICE_ZONE = ZoneInfo("Asia/Damascus")
FRIDAY, SATURDAY = 4, 5
DEFAULT_WEEKEND = (FRIDAY, SATURDAY)
DEFAULT_OPENS = "08:00"
DEFAULT_CLOSES = "15:00"
LONGEST_ALLOWANCE_DAYS = 400
"""Bound of one allowance: a longer one is a typing error, and the search must end."""
_LONGEST_SEARCH_DAYS = 4 * LONGEST_ALLOWANCE_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """One day off. ``certainty`` says whether the date may still move."""

    day: date
    name_ar: str
    name_en: str
    certainty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeHours:
    """Hours from ``first`` to ``last`` inclusive, ``HH:MM`` on the office's clock."""

    first: date
    last: date
    opens: str
    closes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarVersion:
    """Which published calendar a due time was computed with."""

    year: int
    version: int


def _clock(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidValueError(field="hours", reason="shape") from error


class Calendar(OfficeAggregate):
    """The working days and hours of one year; published again to correct it."""

    TOPIC = "sijil.calendar"

    class Event(OfficeAggregate.Event):
        """An event of a calendar."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a calendar begins with ``Published``."""

        TOPIC = "sijil.calendar.created.v1"

    class Published(Renewable, Created):
        """The calendar of ``year``: weekend days (Monday is 0), holidays, hours."""

        TOPIC = "sijil.calendar.published.v1"
        year: int
        weekend: tuple[int, ...]
        opens: str
        closes: str
        holidays: tuple[Holiday, ...]
        hours: tuple[OfficeHours, ...]

        def apply(self, aggregate: "Calendar") -> None:
            """The calendar says what was published last."""
            aggregate.published = self

    def __init__(self) -> None:
        """What there is to know is in ``published``, set when it is applied."""
        self.published: Calendar.Published

    @staticmethod
    def id_of(year: int) -> UUID:
        """The id of a year's calendar."""
        return code_id("calendar", str(year))

    @classmethod
    def publish(
        cls,
        act: Act,
        *,
        year: int,
        holidays: tuple[Holiday, ...],
        hours: tuple[OfficeHours, ...] = (),
        weekend: tuple[int, ...] = DEFAULT_WEEKEND,
        opens: str = DEFAULT_OPENS,
        closes: str = DEFAULT_CLOSES,
    ) -> "Calendar":
        """The calendar of ``year``. Raises InvalidValueError for other years' days."""
        if any(holiday.day.year != year for holiday in holidays):
            raise InvalidValueError(field="holidays", reason="other-year")
        if len(set(weekend)) >= 7 or any(day not in range(7) for day in weekend):  # noqa: PLR2004 -- a week has seven days
            raise InvalidValueError(field="weekend", reason="range")
        for first, second in ((opens, closes), *((h.opens, h.closes) for h in hours)):
            if _clock(first) >= _clock(second):
                raise InvalidValueError(field="hours", reason="order")
        return cls._create(
            cls.Published,
            id=cls.id_of(year),
            timestamp=act.effective_at,
            act=act,
            year=year,
            weekend=weekend,
            opens=opens,
            closes=closes,
            holidays=holidays,
            hours=hours,
        )


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
        return datetime.combine(day, _clock(closes), OFFICE_ZONE).astimezone(UTC)

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
