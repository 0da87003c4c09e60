"""What a mapping declares of the office its history belongs to, and when it changed.

Places, services, staff, stamps and days. A code that is declared again is what it then
was from a later day on; endings and absences stand with what they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.agencies import AgencyClosedBecause, AgencyScope
from domain.calendars import Holiday, OfficeHours
from domain.centres import CentreClosedBecause
from domain.clerks import AwayBecause
from domain.money import FeeKind, FeeLine, Unit
from domain.services import EVERYWHERE, Document, FeeDue, Offer, SuspendedBecause
from domain.stamps import StampWithdrawnBecause

Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[int, Field(ge=0, le=365)]
_CERTAIN = "fixed"
"""What is over moves no more."""


class Part(BaseModel):
    """A part of a mapping: what it does not know it refuses, without its values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Place(Part):
    """A declared governorate, or what else has a code and two names."""

    code: Code
    name_ar: Name
    name_en: Name


class DeclaredCentre(Place):
    """A centre, open since a day before its first step, and until it closed.

    ``governorate`` is the declared one where it is not said. Declared again it opens
    again, or has other names, from ``opened_on``.
    """

    opened_on: date
    governorate: Code | None = None
    closed_on: date | None = None
    closed_because: CentreClosedBecause = CentreClosedBecause.OTHER

    @property
    def begins(self) -> date | None:
        """From when it is what is said."""
        return self.opened_on


class DeclaredAgency(Place):
    """An agency whose services were asked for, until it closed.

    Declared again it is open again, or has other names, from ``since``.
    """

    scope: AgencyScope = AgencyScope.NATIONAL
    since: date | None = None
    closed_on: date | None = None
    closed_because: AgencyClosedBecause = AgencyClosedBecause.OTHER

    @property
    def begins(self) -> date | None:
        """From when it is what is said; None: with the first centre."""
        return self.since


class DeclaredFee(Part):
    """One line of a fee: ``amount`` in hundredths of a pound of ``unit``."""

    kind: FeeKind
    amount: Annotated[int, Field(ge=0)]
    unit: Unit


class DeclaredDocument(Place):
    """A document that a service wants to see."""

    is_required: bool = True


class Suspension(Part):
    """Days on which a service rested: to ``last``, or until ``resumed_on``."""

    first: date
    last: date | None = None
    resumed_on: date | None = None
    reason: SuspendedBecause = SuspendedBecause.OTHER


class DeclaredService(Place):
    """A service the cases asked for, with rules that claim no more than is known.

    ``agency`` is the declared one where it is not said. Declared again it has other
    rules from ``since``.
    """

    since: date | None = None
    suspended: tuple[Suspension, ...] = ()

    agency: Code | None = None
    completion_days: Days
    first_answer_days: Days = 3
    payment_days: Annotated[int, Field(ge=1, le=365)] = 7
    acceptance_days: Annotated[int, Field(ge=1, le=365)] | None = None
    is_direct: bool | tuple[Code, ...]
    paper: bool
    live_stamp: bool
    post: bool
    applicants: tuple[Name, ...] = ("anyone",)
    receipt: tuple[Name, ...] | None = None
    spouse_counts: bool = False
    documents: tuple[DeclaredDocument, ...] = ()
    fee_lines: tuple[DeclaredFee, ...] = ()
    fee_due: FeeDue = FeeDue.ACCEPTANCE
    basis: Name

    @property
    def begins(self) -> date | None:
        """From when it is what is said; None: with the first centre."""
        return self.since

    @property
    def direct_in(self) -> tuple[str, ...]:
        """Where the agency's answer is read directly."""
        if isinstance(self.is_direct, tuple):
            return self.is_direct
        return (EVERYWHERE,) if self.is_direct else ()

    def offer(self, agency: str) -> Offer:
        """What the service is, of an agency. Raises InvalidValueError."""
        return Offer(
            code=self.code,
            agency=agency,
            name_ar=self.name_ar,
            name_en=self.name_en,
            direct_in=self.direct_in,
            completion_days=self.completion_days,
            first_answer_days=self.first_answer_days,
            payment_days=self.payment_days,
            acceptance_days=self.acceptance_days,
            applicants=self.applicants,
            receipt=self.receipt,
            spouse_counts=self.spouse_counts,
            documents=tuple(
                Document(
                    code=each.code,
                    name_ar=each.name_ar,
                    name_en=each.name_en,
                    is_required=each.is_required,
                )
                for each in self.documents
            ),
            fee_lines=tuple(
                FeeLine(kind=each.kind, amount=each.amount, unit=each.unit)
                for each in self.fee_lines
            ),
            fee_due=self.fee_due,
            paper=self.paper,
            live_stamp=self.live_stamp,
            post=self.post,
            basis=self.basis,
            fee_is_placeholder=False,
            turnaround_is_placeholder=True,
        )


class DeclaredHoliday(Part):
    """A day off of a calendar."""

    day: date
    name_ar: Name
    name_en: Name


class DeclaredHours(Part):
    """Days with hours of their own, such as those of Ramadan."""

    first: date
    last: date
    opens: Name
    closes: Name


class DeclaredCalendar(Part):
    """Weekend days (Monday is 0), days off and hours of one year.

    Declared again it is corrected from ``since``: what was accepted before keeps its
    due time.
    """

    year: Annotated[int, Field(ge=1970, le=2100)]
    weekend: tuple[Annotated[int, Field(ge=0, le=6)], ...]
    opens: Name = "08:00"
    closes: Name = "17:00"
    holidays: tuple[DeclaredHoliday, ...] = ()
    hours: tuple[DeclaredHours, ...] = ()
    since: date | None = None

    @property
    def code(self) -> str:
        """What tells calendars apart: the year."""
        return str(self.year)

    @property
    def begins(self) -> date | None:
        """From when it is what is said; None: with the first centre."""
        return self.since

    def facts(self) -> dict[str, Any]:
        """The facts of the calendar, but for its year."""
        return {
            "holidays": tuple(
                Holiday(
                    day=each.day,
                    name_ar=each.name_ar,
                    name_en=each.name_en,
                    certainty=_CERTAIN,
                )
                for each in self.holidays
            ),
            "hours": tuple(
                OfficeHours(
                    first=each.first,
                    last=each.last,
                    opens=each.opens,
                    closes=each.closes,
                )
                for each in self.hours
            ),
            "weekend": self.weekend,
            "opens": self.opens,
            "closes": self.closes,
        }


class DeclaredStamp(Part):
    """A live stamp that a centre had, until it was withdrawn."""

    serial: Name
    centre: Code
    issued_on: date | None = None
    withdrawn_on: date | None = None
    withdrawn_because: StampWithdrawnBecause = StampWithdrawnBecause.OTHER


class Absence(Part):
    """Days on which a clerk was away: to ``last``, or until back on a day."""

    first: date
    last: date | None = None
    back_on: date | None = None
    reason: AwayBecause = AwayBecause.OTHER


class Responsibility(Part):
    """An agency that was a clerk's from ``since`` on, until it was taken away."""

    agency: Code
    since: date | None = None
    relieved_on: date | None = None


class DeclaredClerk(Part):
    """A clerk of whom the source says more than the code in a row.

    Declared again the clerk came back or moved, from ``appointed_on``.
    """

    code: Code
    centre: Code
    appointed_on: date | None = None
    agencies: tuple[Code, ...] = ()
    responsible: tuple[Responsibility, ...] = ()
    away: tuple[Absence, ...] = ()
    left_on: date | None = None

    @property
    def begins(self) -> date | None:
        """From when the clerk is there; None: since the centre opened."""
        return self.appointed_on


class Dated(Protocol):
    """What may be declared again under its code, from a later day on."""

    @property
    def code(self) -> str:
        """What tells it from others."""

    @property
    def begins(self) -> date | None:
        """From when it is what is said."""


D = TypeVar("D", bound=Dated)


def by_code(declared: Sequence[D]) -> dict[str, tuple[D, ...]]:
    """What is declared under each code, in the order of the days it holds from.

    Raises ValueError where a code is declared again without a later day.
    """
    found: dict[str, tuple[D, ...]] = {}
    for each in declared:
        before = found.get(each.code, ())
        if before:
            last = before[-1].begins
            if each.begins is None or (last is not None and each.begins <= last):
                raise ValueError("what is declared again is of no later day")
        found[each.code] = (*before, each)
    return found
