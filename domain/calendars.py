"""Calendars of the office: working days, days off and hours, dated and by year.

What is counted with them stands in domain/working_time.py. The zone was UTC+2 in
winter and UTC+3 in summer until October 2022, and is UTC+3 since; conversion
therefore always goes by the zone's name.
"""

from dataclasses import dataclass
from datetime import date, time
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
            if clock(first) >= clock(second):
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
