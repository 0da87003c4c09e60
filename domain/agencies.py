"""Agencies: who answers what the centres forward."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.calendars import office_day
from domain.errors import AlreadyClosedError
from domain.ids import code_id
from domain.naming import checked_code, checked_text
from domain.periods import Period, Periods, covers, ended, period


class AgencyScope(StrEnum):
    """Whether the agency exists once, or once per governorate."""

    NATIONAL = "national"
    GOVERNORATE = "governorate"


class AgencyClosedBecause(StrEnum):
    """Why an agency answers no more."""

    ABOLISHED = "abolished"
    MERGED = "merged"
    RENAMED = "renamed"
    OTHER = "other"


class Agency(OfficeAggregate):
    """One agency, as it was published last."""

    TOPIC = "sijil.agency"

    class Event(OfficeAggregate.Event):
        """An event of an agency."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; an agency begins with ``Published``."""

        TOPIC = "sijil.agency.created.v1"

    class Published(Renewable, Created):
        """The agency's names and whether its offices are one per governorate.

        It is open from the day of the effective time on, also after a closing.
        """

        TOPIC = "sijil.agency.published.v1"
        code: str
        name_ar: str
        name_en: str
        scope: AgencyScope

        def apply(self, aggregate: "Agency") -> None:
            """The agency says what was published last, and is open again."""
            aggregate.published = self
            day = office_day(self.timestamp)
            aggregate.closures = tuple(
                closure
                for closure in ended(aggregate.closures, day)
                if closure.first < day
            )

    class Closed(Event):
        """``on`` is the first day on which the agency takes nothing new."""

        TOPIC = "sijil.agency.closed.v1"
        on: date
        reason: AgencyClosedBecause

    def __init__(self) -> None:
        """What there is to know is in ``published``, set when it is applied."""
        self.published: Agency.Published
        self.closures: Periods = ()

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the agency with this code."""
        return code_id("agency", code)

    @classmethod
    def publish(
        cls, act: Act, *, code: str, name_ar: str, name_en: str, scope: AgencyScope
    ) -> "Agency":
        """A new agency."""
        return cls._create(
            cls.Published,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=checked_code(code),
            name_ar=checked_text(name_ar, field="name_ar"),
            name_en=checked_text(name_en, field="name_en"),
            scope=scope,
        )

    def publish_again(
        self, act: Act, *, name_ar: str, name_en: str, scope: AgencyScope
    ) -> None:
        """Say the agency anew; a closed one opens, an announced closing is called off.

        Publishing what holds already changes nothing.
        """
        said = self.published
        is_same = (name_ar, name_en, scope) == (said.name_ar, said.name_en, said.scope)
        if is_same and self.closing is None:
            return
        self._renewed(
            self.Published,
            act,
            code=said.code,
            name_ar=checked_text(name_ar, field="name_ar"),
            name_en=checked_text(name_en, field="name_en"),
            scope=scope,
        )

    def close(
        self, act: Act, *, reason: AgencyClosedBecause, on: date | None = None
    ) -> None:
        """Close the agency from ``on``, or from the day of the act.

        Raises AlreadyClosedError when that was said before, and DatePassedError.
        """
        if self.closing is not None:
            raise AlreadyClosedError(thing="agency", day=self.closing.first)
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
        """Whether the agency takes what is new on ``day`` (Asia/Damascus).

        ``office_day(act.effective_at)`` of domain/calendars.py gives an act's day.
        """
        return not covers(self.closures, day)
