"""Centres: where citizens come. Each stands in one governorate."""

from dataclasses import field
from datetime import date
from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.errors import AlreadyClosedError, GovernorateFixedError, InvalidValueError
from domain.ids import code_id
from domain.naming import checked_code, checked_text
from domain.periods import Period, Periods, covers, ended, not_passed, period


class CentreClosedBecause(StrEnum):
    """Why a centre serves nobody for a while, or for ever."""

    MOVED = "moved"
    MERGED = "merged"
    WORKS = "works"
    UNSAFE = "unsafe"
    NO_STAFF = "no_staff"
    OTHER = "other"


class Centre(OfficeAggregate):
    """One citizen service centre."""

    TOPIC = "sijil.centre"

    class Event(OfficeAggregate.Event):
        """An event of a centre."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a centre begins with ``Opened``."""

        TOPIC = "sijil.centre.created.v1"

    class Opened(Renewable, Created):
        """The centre serves citizens, from ``opens_on`` where a day is given.

        Without one a new centre is open from the effective time on, and an event on
        a centre that is open says its names anew and moves no day.
        """

        TOPIC = "sijil.centre.opened.v1"
        code: str
        governorate: str
        name_ar: str
        name_en: str
        opens_on: date | None = field(default=None, kw_only=True)

        def apply(self, aggregate: "Centre") -> None:
            """The centre says what was said last; its closing ends when it opens."""
            aggregate.code = self.code
            aggregate.governorate = self.governorate
            aggregate.name_ar = self.name_ar
            aggregate.name_en = self.name_en
            if self.opens_on is None:
                return
            if self.originator_version == 1:
                aggregate.opens_on = self.opens_on
            else:
                aggregate.closures = tuple(
                    closure
                    for closure in ended(aggregate.closures, self.opens_on)
                    if closure.first < self.opens_on
                )

    class Closed(Event):
        """``on`` is the first day on which the centre takes nothing new."""

        TOPIC = "sijil.centre.closed.v1"
        on: date
        reason: CentreClosedBecause

    def __init__(self) -> None:
        """What there is to know is assigned when ``Opened`` is applied."""
        self.code: str
        self.governorate: str
        self.name_ar: str
        self.name_en: str
        self.opens_on: date | None = None
        self.closures: Periods = ()

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the centre with this code."""
        return code_id("centre", code)

    @classmethod
    def open(
        cls,
        act: Act,
        *,
        code: str,
        governorate: str,
        name_ar: str,
        name_en: str,
        opens_on: date | None = None,
    ) -> "Centre":
        """A new centre, open at once or from ``opens_on``. Raises DatePassedError."""
        return cls._create(
            cls.Opened,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=checked_code(code),
            governorate=governorate,
            name_ar=checked_text(name_ar, field="name_ar"),
            name_en=checked_text(name_en, field="name_en"),
            opens_on=None if opens_on is None else not_passed(act, opens_on),
        )

    def open_again(
        self,
        act: Act,
        *,
        governorate: str,
        name_ar: str,
        name_en: str,
        opens_on: date | None = None,
    ) -> None:
        """Open a closed centre from ``opens_on``, or from the day of the act.

        On a centre that nobody closed it says the names anew; what holds already
        changes nothing. Raises GovernorateFixedError, because requests are counted
        where they were made, DatePassedError, and InvalidValueError for a day of
        opening where nobody has closed the centre.
        """
        if governorate != self.governorate:
            raise GovernorateFixedError(governorate=self.governorate)
        opens = None
        if self.closing is not None:
            opens = not_passed(act, opens_on)
        elif opens_on is not None:
            raise InvalidValueError(field="opens_on", reason="not-closed")
        elif (name_ar, name_en) == (self.name_ar, self.name_en):
            return
        self._renewed(
            self.Opened,
            act,
            code=self.code,
            governorate=governorate,
            name_ar=checked_text(name_ar, field="name_ar"),
            name_en=checked_text(name_en, field="name_en"),
            opens_on=opens,
        )

    def close(
        self, act: Act, *, reason: CentreClosedBecause, on: date | None = None
    ) -> None:
        """Close the centre from ``on``, or from the day of the act.

        Raises AlreadyClosedError when that was said before, and DatePassedError.
        """
        if self.closing is not None:
            raise AlreadyClosedError(thing="centre", day=self.closing.first)
        closure = period(act, first=on)
        self._happened(self.Closed, act, on=closure.first, reason=reason)

    @event(Closed)
    def _closed(self, on: date) -> None:
        self.closures = (*self.closures, Period(first=on))

    @property
    def closing(self) -> Period | None:
        """The closing that nobody has ended, begun or still to come, or None."""
        return next((c for c in self.closures if c.last is None), None)

    def is_open_on(self, day: date) -> bool:
        """Whether the centre takes what is new on ``day`` (Asia/Damascus).

        ``office_day(act.effective_at)`` of domain/calendars.py gives an act's day.
        """
        has_opened = self.opens_on is None or day >= self.opens_on
        return has_opened and not covers(self.closures, day)
