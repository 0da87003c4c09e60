"""Clerks: who works at which centre, responsible for which agencies, and when not.

Events name a clerk by a code only; names of staff live with the identity provider.
"""

from dataclasses import field
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act, ActorKind
from domain.aggregates import OfficeAggregate, Renewable
from domain.calendars import office_day
from domain.errors import (
    AlreadyAwayError,
    ClerkLeftError,
    NotAwayError,
    NotResponsibleError,
)
from domain.ids import code_id
from domain.naming import checked_code
from domain.periods import (
    Period,
    Periods,
    covers,
    ended,
    not_passed,
    overlapping,
    period,
)


class AwayBecause(StrEnum):
    """Why a clerk is away. Illness is no event's business: that is ``leave``."""

    LEAVE = "leave"
    TRAINING = "training"
    MISSION = "mission"
    OTHER = "other"


class Clerk(OfficeAggregate):
    """One clerk of one centre."""

    TOPIC = "sijil.clerk"

    class Event(OfficeAggregate.Event):
        """An event of a clerk."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a clerk begins with ``Appointed``."""

        TOPIC = "sijil.clerk.created.v1"

    class Appointed(Renewable, Created):
        """The clerk works at ``centre`` from the effective time on.

        Appointed again, a clerk who left is back, one of another centre has moved and
        is responsible for nothing there yet, and an announced departure is called off.
        """

        TOPIC = "sijil.clerk.appointed.v1"
        code: str
        centre: str

        def apply(self, aggregate: "Clerk") -> None:
            """The clerk works here; a new beginning has no agencies."""
            day = office_day(self.timestamp)
            is_new = self.originator_version == 1
            if is_new or self.centre != aggregate.centre or aggregate.has_left(day):
                aggregate.agencies = ()
            aggregate.code = self.code
            aggregate.centre = self.centre
            aggregate.left_on = None

    class MadeResponsible(Event):
        """New requests of ``agency`` at the clerk's centre may come to this clerk."""

        TOPIC = "sijil.clerk.made-responsible.v1"
        agency: str

    class Relieved(Event):
        """New requests of ``agency`` come to this clerk no more."""

        TOPIC = "sijil.clerk.relieved.v1"
        agency: str

    class Away(Event):
        """The clerk is away from ``first``, to ``last`` where the return is known."""

        TOPIC = "sijil.clerk.away.v1"
        first: date
        last: date | None = field(default=None, kw_only=True)
        reason: AwayBecause

    class Back(Event):
        """``on`` is the first day on which the clerk works again."""

        TOPIC = "sijil.clerk.back.v1"
        on: date

    class Left(Event):
        """``on`` is the first day on which the clerk works here no more."""

        TOPIC = "sijil.clerk.left.v1"
        on: date

    def __init__(self) -> None:
        """Code and centre are assigned when ``Appointed`` is applied."""
        self.code: str
        self.centre: str
        self.agencies: tuple[str, ...] = ()
        self.absences: Periods = ()
        self.left_on: date | None = None

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the clerk with this code."""
        return code_id("clerk", code)

    @classmethod
    def appoint(cls, act: Act, *, code: str, centre: str) -> "Clerk":
        """A new clerk, responsible for no agency yet.

        An imported history names its clerks as it does.
        """
        is_imported = act.actor.kind is ActorKind.IMPORT
        return cls._create(
            cls.Appointed,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=code if is_imported else checked_code(code),
            centre=centre,
        )

    def appoint_again(self, act: Act, *, centre: str) -> None:
        """Appoint a clerk who left or moves; what holds already changes nothing."""
        if centre != self.centre or self.left_on is not None:
            self._renewed(self.Appointed, act, code=self.code, centre=centre)

    def make_responsible(self, act: Act, *, agency: str) -> None:
        """Give the clerk an agency; giving it again changes nothing.

        Raises ClerkLeftError.
        """
        self._must_be_here(act)
        if agency not in self.agencies:
            self._happened(self.MadeResponsible, act, agency=agency)

    @event(MadeResponsible)
    def _made_responsible(self, agency: str) -> None:
        self.agencies = (*self.agencies, agency)

    def relieve(self, act: Act, *, agency: str) -> None:
        """Take an agency from the clerk. Raises NotResponsibleError."""
        self._must_be_here(act)
        if agency not in self.agencies:
            raise NotResponsibleError(agency=agency)
        self._happened(self.Relieved, act, agency=agency)

    @event(Relieved)
    def _relieved(self, agency: str) -> None:
        self.agencies = tuple(each for each in self.agencies if each != agency)

    def be_away(
        self,
        act: Act,
        *,
        reason: AwayBecause,
        first: date | None = None,
        last: date | None = None,
    ) -> None:
        """Be away from ``first`` (the day of the act) to ``last``, or until back.

        Raises AlreadyAwayError for days known already, ClerkLeftError, DatePassedError.
        """
        self._must_be_here(act)
        absence = period(act, first=first, last=last)
        if known := overlapping(self.absences, absence):
            raise AlreadyAwayError(first=known.first, last=known.last)
        self._happened(
            self.Away, act, first=absence.first, last=absence.last, reason=reason
        )

    @event(Away)
    def _away(self, first: date, last: date | None) -> None:
        self.absences = (*self.absences, Period(first=first, last=last))

    def be_back(self, act: Act, *, on: date | None = None) -> None:
        """Work again from ``on``, or from the day of the act.

        On an absence's first day it calls the absence off. Raises NotAwayError when
        the clerk would not be away on that day, ClerkLeftError, DatePassedError.
        """
        self._must_be_here(act)
        day = not_passed(act, on)
        if not covers(self.absences, day):
            raise NotAwayError(day=day)
        self._happened(self.Back, act, on=day)

    @event(Back)
    def _back(self, on: date) -> None:
        self.absences = ended(self.absences, on)

    def leave(self, act: Act, *, on: date | None = None) -> None:
        """Work here no more from ``on``, or from the day of the act.

        Raises ClerkLeftError when that was said before, and DatePassedError.
        """
        if self.left_on is not None:
            raise ClerkLeftError(day=self.left_on)
        self._happened(self.Left, act, on=not_passed(act, on))

    @event(Left)
    def _left(self, on: date) -> None:
        self.left_on = on

    def _must_be_here(self, act: Act) -> None:
        day = office_day(act.effective_at)
        if self.left_on is not None and self.has_left(day):
            raise ClerkLeftError(day=self.left_on)

    def has_left(self, day: date) -> bool:
        """Whether the clerk works here no more on ``day``."""
        return self.left_on is not None and day >= self.left_on

    def is_available_on(self, day: date) -> bool:
        """Whether work may be given to the clerk on ``day`` (Asia/Damascus).

        False for one who is away or has left. ``office_day(act.effective_at)`` of
        domain/calendars.py gives an act's day.
        """
        return not self.has_left(day) and not covers(self.absences, day)

    def is_available_at(self, time: datetime) -> bool:
        """Whether work may be given to the clerk on the day of ``time``."""
        return self.is_available_on(office_day(time))
