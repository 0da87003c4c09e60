"""Calendars of the office: working days, days off and hours, dated and by year.

What is counted with them stands in domain/working_time.py. The zone was UTC+2 in
winter and UTC+3 in summer until October 2022, and is UTC+3 since; conversion
therefore always goes by the zone's name.
"""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.acts import Act, ActorKind
from domain.aggregates import OfficeAggregate, Renewable
from domain.errors import DayBegunError, InvalidValueError
from domain.ids import code_id

OFFICE_ZONE = ZoneInfo("Asia/Damascus")
FRIDAY, SATURDAY = 4, 5
DEFAULT_WEEKEND = (FRIDAY, SATURDAY)
DEFAULT_OPENS = "08:00"
DEFAULT_CLOSES = "15:00"
FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Years a calendar may be of: a year outside is a typing error."""


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


def clock(text: str) -> time:
    """The time of day that ``HH:MM`` says. Raises InvalidValueError for others.

    Hours begin and end with a minute, so that working minutes are whole ones.
    """
    if len(text) != len("HH:MM") or text[2] != ":":
        raise InvalidValueError(field="hours", reason="shape")
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidValueError(field="hours", reason="shape") from error


def office_day(at: datetime) -> date:
    """The day on the office's calendar at a moment: a day begins in Damascus."""
    return at.astimezone(OFFICE_ZONE).date()


def span_of(first: date, last: date) -> tuple[datetime, datetime]:
    """The moments at which ``first`` begins and ``last`` has ended, in UTC.

    Raises InvalidValueError for days of years that no calendar is of.
    """
    for name, day in (("first", first), ("last", last)):
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise InvalidValueError(field=name, reason="range")
    starts = (first, last + timedelta(days=1))
    since, until = (
        datetime.combine(day, time(), OFFICE_ZONE).astimezone(UTC) for day in starts
    )
    return since, until


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
        """The calendar of ``year``. Raises InvalidValueError for other years' days.

        A year may be published when it has begun: until then it counted weekends only,
        and every due time said so.
        """
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise InvalidValueError(field="year", reason="range")
        facts = _checked(
            year, holidays, hours, weekend=weekend, opens=opens, closes=closes
        )
        if act.actor.kind is not ActorKind.IMPORT:
            _must_lie_apart(year, hours)
        return cls._create(
            cls.Published,
            id=cls.id_of(year),
            timestamp=act.effective_at,
            act=act,
            **facts,
        )

    def publish_again(
        self,
        act: Act,
        *,
        holidays: tuple[Holiday, ...],
        hours: tuple[OfficeHours, ...] = (),
        weekend: tuple[int, ...] = DEFAULT_WEEKEND,
        opens: str = DEFAULT_OPENS,
        closes: str = DEFAULT_CLOSES,
    ) -> None:
        """Correct the calendar, before the day; what holds already changes nothing.

        Raises DayBegunError when a day that is over or has begun would become a
        working day or cease to be one, or have other hours: it was worked, and
        measured, as it was known. Imports tell of the past and are exempt.
        """
        facts = _checked(
            self.published.year,
            holidays,
            hours,
            weekend=weekend,
            opens=opens,
            closes=closes,
        )
        if all(getattr(self.published, name) == said for name, said in facts.items()):
            return
        if act.actor.kind is not ActorKind.IMPORT:
            _must_lie_apart(self.published.year, hours)
            self._must_keep_the_past(Days(**facts), office_day(act.effective_at))
        self._renewed(self.Published, act, **facts)

    def _must_keep_the_past(self, corrected: "Days", today: date) -> None:
        known = Days(
            **{each.name: getattr(self.published, each.name) for each in fields(Days)}
        )
        day = date(corrected.year, 1, 1)
        while day.year == corrected.year and day <= today:
            if known.hours_on(day) != corrected.hours_on(day):
                raise DayBegunError(day=day)
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The facts of one calendar, asked about one day.

    A year without a calendar is the defaults: weekends only, at the usual hours.
    """

    year: int
    weekend: tuple[int, ...] = DEFAULT_WEEKEND
    opens: str = DEFAULT_OPENS
    closes: str = DEFAULT_CLOSES
    holidays: tuple[Holiday, ...] = ()
    hours: tuple[OfficeHours, ...] = ()

    def hours_on(self, day: date) -> tuple[str, str] | None:
        """When the office opens and closes on a day, or None on a day off."""
        if day.weekday() in self.weekend:
            return None
        if any(holiday.day == day for holiday in self.holidays):
            return None
        for special in reversed(self.hours):
            if special.first <= day <= special.last:
                return special.opens, special.closes
        return self.opens, self.closes


def _checked(
    year: int,
    holidays: tuple[Holiday, ...],
    hours: tuple[OfficeHours, ...],
    *,
    weekend: tuple[int, ...],
    opens: str,
    closes: str,
) -> dict[str, Any]:
    """The facts of a calendar of ``year``. Raises InvalidValueError."""
    days = [holiday.day for holiday in holidays]
    if any(day.year != year for day in days):
        raise InvalidValueError(field="holidays", reason="other-year")
    if len(set(days)) != len(days):
        raise InvalidValueError(field="holidays", reason="twice")
    if len(set(weekend)) >= 7 or any(day not in range(7) for day in weekend):  # noqa: PLR2004 -- a week has seven days
        raise InvalidValueError(field="weekend", reason="range")
    for first, second in ((opens, closes), *((h.opens, h.closes) for h in hours)):
        if clock(first) >= clock(second):
            raise InvalidValueError(field="hours", reason="order")
    if any(h.first > h.last for h in hours):
        raise InvalidValueError(field="hours", reason="order")
    return {
        "year": year,
        "weekend": weekend,
        "opens": opens,
        "closes": closes,
        "holidays": holidays,
        "hours": hours,
    }


def _must_lie_apart(year: int, hours: tuple[OfficeHours, ...]) -> None:
    """Special hours are of this year, in order, and no day has two.

    Another system's history says what it says: there the hours listed last hold.
    """
    if any({h.first.year, h.last.year} != {year} for h in hours):
        raise InvalidValueError(field="hours", reason="other-year")
    in_order = sorted(hours, key=lambda each: each.first)
    for earlier, later in pairwise(in_order):
        if later.first <= earlier.last:
            raise InvalidValueError(field="hours", reason="overlap")
