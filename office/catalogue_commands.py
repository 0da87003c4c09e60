"""What the administrator can be asked to publish, open, close, give and take.

One frozen command an act. Dates are days in Asia/Damascus; None is the day of the act.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.agencies import AgencyClosedBecause, AgencyScope
from domain.calendars import (
    DEFAULT_CLOSES,
    DEFAULT_OPENS,
    DEFAULT_WEEKEND,
    Holiday,
    OfficeHours,
)
from domain.centres import CentreClosedBecause
from domain.clerks import AwayBecause
from domain.services import Offer, SuspendedBecause
from domain.stamps import LIVE, StampWithdrawnBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishService:
    """Offer a service, or offer it anew."""

    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendService:
    """Offer a service no more from ``first``, to ``last`` where that is known."""

    code: str
    reason: SuspendedBecause
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeService:
    """Offer a service again from ``on``."""

    code: str
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAgency:
    """Publish an agency, or publish it anew, which opens a closed one."""

    code: str
    name_ar: str
    name_en: str
    scope: AgencyScope


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAgency:
    """Close an agency from ``on``."""

    code: str
    reason: AgencyClosedBecause
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCentre:
    """Open a centre, or a closed one again; one that is open gets these names."""

    code: str
    governorate: str
    name_ar: str
    name_en: str
    opens_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCentre:
    """Close a centre from ``on``."""

    code: str
    reason: CentreClosedBecause
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointClerk:
    """Appoint a clerk to a centre: new, come again, or moved."""

    code: str
    centre: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeResponsible:
    """Give a clerk agencies."""

    clerk: str
    agencies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelieveClerk:
    """Take agencies from a clerk."""

    clerk: str
    agencies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAway:
    """A clerk is away from ``first``, to ``last`` where that is known."""

    clerk: str
    reason: AwayBecause
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBack:
    """A clerk works again from ``on``."""

    clerk: str
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDeparture:
    """A clerk works here no more from ``on``."""

    clerk: str
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueStamp:
    """Give a stamp to a centre."""

    serial: str
    centre: str
    kind: str = LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawStamp:
    """Take a stamp out of use from ``on``."""

    serial: str
    reason: StampWithdrawnBecause
    on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishCalendar:
    """Publish a year's calendar, or correct it before the day."""

    year: int
    holidays: tuple[Holiday, ...]
    hours: tuple[OfficeHours, ...] = ()
    weekend: tuple[int, ...] = DEFAULT_WEEKEND
    opens: str = DEFAULT_OPENS
    closes: str = DEFAULT_CLOSES


CatalogueCommand = (
    PublishService
    | SuspendService
    | ResumeService
    | PublishAgency
    | CloseAgency
    | OpenCentre
    | CloseCentre
    | AppointClerk
    | MakeResponsible
    | RelieveClerk
    | ReportAway
    | ReportBack
    | RecordDeparture
    | IssueStamp
    | WithdrawStamp
    | PublishCalendar
)
