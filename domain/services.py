"""Services: what the centres offer. Published as events; a new one needs no code."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.calendars import CalendarVersion
from domain.errors import AlreadySuspendedError, InvalidValueError, NotSuspendedError
from domain.ids import code_id
from domain.money import FeeLine, total
from domain.naming import checked_code, checked_text
from domain.periods import (
    Period,
    Periods,
    covers,
    ended,
    not_passed,
    overlapping,
    period,
)
from domain.working_time import WorkingTime

EVERYWHERE = "*"
DEFAULT_FIRST_ANSWER_DAYS = 3
DEFAULT_PAYMENT_DAYS = 7
DEFAULT_ACCEPTANCE_DAYS = 30
"""Working days until a waiting request that nobody accepted expires: six weeks, after
which the documents that were shown are old and the citizen should ask again."""
LONGEST_DAYS = 365
"""Working days of one allowance: well below what a search for a due day can span."""
MOST_LINES = 50
"""Documents or fee lines of one service: more is a mistake, and an event has a bound.
"""


class Relationship(StrEnum):
    """What the applicant is to the person concerned."""

    SELF = "self"
    FIRST_DEGREE = "first_degree"
    SPOUSE = "spouse"
    REPRESENTATIVE = "representative"
    OTHER = "other"


class Applicants(StrEnum):
    """Who may apply for a service, or receive its paper."""

    SELF = "self"
    FIRST_DEGREE = "first_degree"
    REPRESENTATIVE = "representative"
    ANYONE = "anyone"


class Route(StrEnum):
    """How the answer comes: read directly by the centre, or by the agency's reply."""

    DIRECT = "direct"
    REPLY = "reply"


class SuspendedBecause(StrEnum):
    """Why a service is not offered for a while."""

    AGENCY_ASKED = "agency_asked"
    SYSTEM_DOWN = "system_down"
    RULES_CHANGED = "rules_changed"
    NO_SUPPLIES = "no_supplies"
    OTHER = "other"


class FeeDue(StrEnum):
    """When the fee falls due."""

    ACCEPTANCE = "acceptance"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that a service wants to see; some are wanted only where they exist."""

    code: str
    name_ar: str
    name_en: str
    is_required: bool = True


def is_allowed(
    relationship: Relationship, applicants: tuple[str, ...], *, spouse_counts: bool
) -> bool:
    """Whether someone so related is among ``applicants``.

    A spouse is first-degree kin only where the service says so.
    """
    if Applicants.ANYONE in applicants:
        return True
    if relationship is Relationship.SPOUSE:
        return spouse_counts and Applicants.FIRST_DEGREE in applicants
    return str(relationship) in applicants


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The rules a request is accepted under, fixed so that no later rule moves them.

    Times are UTC; allowances are working days; ``receipt`` lists who may receive.
    ``payment_due_at`` where the fee falls due at acceptance.
    """

    agency: str
    route: Route
    service_version: int
    calendars: tuple[CalendarVersion, ...]
    unpublished_years: tuple[int, ...]
    first_answer_days: int
    completion_days: int
    due_at: datetime
    fee_lines: tuple[FeeLine, ...]
    fee_due: FeeDue
    payment_days: int
    paper: bool
    live_stamp: bool
    post: bool
    applicants: tuple[str, ...]
    spouse_counts: bool
    receipt: tuple[str, ...]
    documents: tuple[str, ...]
    payment_due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a service is from its publication on. Days are working days.

    ``direct_in`` holds governorate codes or ``*``; the two ``…_is_placeholder`` flags
    mark figures nobody has confirmed. What is not given takes the contract's stated
    default; ``acceptance_days`` of None is ``DEFAULT_ACCEPTANCE_DAYS``. Raises
    InvalidValueError for what cannot be offered.
    """

    code: str
    agency: str
    name_ar: str
    name_en: str
    direct_in: tuple[str, ...]
    completion_days: int
    applicants: tuple[str, ...]
    documents: tuple[Document, ...]
    fee_lines: tuple[FeeLine, ...]
    paper: bool
    live_stamp: bool
    post: bool
    basis: str
    fee_is_placeholder: bool = False
    turnaround_is_placeholder: bool = False
    first_answer_days: int = DEFAULT_FIRST_ANSWER_DAYS
    spouse_counts: bool = False
    receipt: tuple[str, ...] | None = None
    fee_due: FeeDue = FeeDue.ACCEPTANCE
    payment_days: int = DEFAULT_PAYMENT_DAYS
    acceptance_days: int | None = None

    def __post_init__(self) -> None:
        checked_code(self.code)
        checked_text(self.name_ar, field="name_ar")
        checked_text(self.name_en, field="name_en")
        for name in (
            "completion_days",
            "first_answer_days",
            "payment_days",
            "acceptance_days",
        ):
            days = getattr(self, name)
            # What is answered at the counter takes no day; a citizen needs some.
            least = 0 if name in {"completion_days", "first_answer_days"} else 1
            if days is not None and not least <= days <= LONGEST_DAYS:
                raise InvalidValueError(field=name, reason="range")
        self._must_name_somebody("applicants", self.applicants)
        self._must_name_somebody("receipt", self.received_by)
        _must_differ("direct_in", self.direct_in)
        _must_differ("documents", [each.code for each in self.documents])
        for each in self.documents:
            checked_code(each.code, field="documents")
        if max(len(self.documents), len(self.fee_lines)) > MOST_LINES:
            raise InvalidValueError(field="documents", reason="too-many")
        total(self.fee_lines)
        if self.live_stamp and not self.paper:
            # There is nothing to stamp.
            raise InvalidValueError(field="paper", reason="needed")

    @property
    def received_by(self) -> tuple[str, ...]:
        """Who may receive the paper: as the applicants, unless it is said."""
        return self.applicants if self.receipt is None else self.receipt

    def facts(self) -> dict[str, Any]:
        """The facts of the event that says this offer."""
        names = (each.name for each in fields(self))
        return {
            **{name: getattr(self, name) for name in names},
            "receipt": self.received_by,
        }

    def _must_name_somebody(self, name: str, people: tuple[str, ...]) -> None:
        _must_differ(name, people)
        if not people or not set(people) <= set(Applicants):
            raise InvalidValueError(field=name, reason="unknown-code")


def _must_differ(field: str, codes: Sequence[str]) -> None:
    if len(set(codes)) != len(codes):
        raise InvalidValueError(field=field, reason="twice")


class Service(OfficeAggregate):
    """One service of one agency, as it was published last."""

    TOPIC = "sijil.service"

    class Event(OfficeAggregate.Event):
        """An event of a service."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a service begins with ``Published``."""

        TOPIC = "sijil.service.created.v1"

    class Published(Renewable, Created):
        """What the service is from now on: the facts of an ``Offer``.

        Publishing moves no suspension: a service that rests is resumed.
        """

        TOPIC = "sijil.service.published.v1"
        code: str
        agency: str
        name_ar: str
        name_en: str
        direct_in: tuple[str, ...]
        first_answer_days: int
        completion_days: int
        applicants: tuple[str, ...]
        spouse_counts: bool
        receipt: tuple[str, ...]
        documents: tuple[Document, ...]
        fee_lines: tuple[FeeLine, ...]
        fee_due: FeeDue
        payment_days: int
        paper: bool
        live_stamp: bool
        post: bool
        basis: str
        fee_is_placeholder: bool
        turnaround_is_placeholder: bool
        acceptance_days: int | None = field(default=None, kw_only=True)

        def apply(self, aggregate: "Service") -> None:
            """The service says what was published last."""
            aggregate.published = self

    class Suspended(Event):
        """The service is not offered from ``first``, to ``last`` where that is known.

        Requests that were made before go on.
        """

        TOPIC = "sijil.service.suspended.v1"
        first: date
        last: date | None = field(default=None, kw_only=True)
        reason: SuspendedBecause

    class Resumed(Event):
        """``on`` is the first day on which the service is offered again."""

        TOPIC = "sijil.service.resumed.v1"
        on: date

    def __init__(self) -> None:
        """What there is to know is in ``published``, set when it is applied."""
        self.published: Service.Published
        self.suspensions: Periods = ()

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the service with this code."""
        return code_id("service", code)

    @classmethod
    def publish(cls, act: Act, offer: Offer) -> "Service":
        """A new service."""
        return cls._create(
            cls.Published,
            id=cls.id_of(offer.code),
            timestamp=act.effective_at,
            act=act,
            **offer.facts(),
        )

    def publish_again(self, act: Act, offer: Offer) -> None:
        """Say the service anew; requests keep the version they were accepted under.

        Publishing what holds already changes nothing. Raises InvalidValueError for
        another service's code.
        """
        if offer.code != self.published.code:
            raise InvalidValueError(field="code", reason="other-service")
        facts = offer.facts()
        if any(getattr(self.published, name) != facts[name] for name in facts):
            self._renewed(self.Published, act, **facts)

    def suspend(
        self,
        act: Act,
        *,
        reason: SuspendedBecause,
        first: date | None = None,
        last: date | None = None,
    ) -> None:
        """Offer the service no more from ``first`` (the day of the act) to ``last``.

        Raises AlreadySuspendedError for days known already, and DatePassedError.
        """
        rest = period(act, first=first, last=last)
        if known := overlapping(self.suspensions, rest):
            raise AlreadySuspendedError(first=known.first, last=known.last)
        self._happened(
            self.Suspended, act, first=rest.first, last=rest.last, reason=reason
        )

    @event(Suspended)
    def _suspended(self, first: date, last: date | None) -> None:
        self.suspensions = (*self.suspensions, Period(first=first, last=last))

    def resume(self, act: Act, *, on: date | None = None) -> None:
        """Offer the service again from ``on``, or from the day of the act.

        On a suspension's first day it calls the suspension off. Raises
        NotSuspendedError when it would not be suspended that day, DatePassedError.
        """
        day = not_passed(act, on)
        if not covers(self.suspensions, day):
            raise NotSuspendedError(day=day)
        self._happened(self.Resumed, act, on=day)

    @event(Resumed)
    def _resumed(self, on: date) -> None:
        self.suspensions = ended(self.suspensions, on)

    def is_offered_on(self, day: date) -> bool:
        """Whether the service may be asked for on ``day`` (Asia/Damascus).

        ``office_day(act.effective_at)`` of domain/calendars.py gives an act's day.
        """
        return not covers(self.suspensions, day)

    @property
    def acceptance_days(self) -> int:
        """Working days until a waiting request that nobody accepted expires."""
        return self.published.acceptance_days or DEFAULT_ACCEPTANCE_DAYS

    def terms(
        self, *, governorate: str, accepted_at: datetime, working_time: WorkingTime
    ) -> Terms:
        """The terms of a request accepted now: access goes by the centre's place."""
        offer = self.published
        due = working_time.due(accepted_at, offer.completion_days)
        is_fee_due_now = (
            offer.fee_due is FeeDue.ACCEPTANCE and total(offer.fee_lines)[0] > 0
        )
        direct = EVERYWHERE in offer.direct_in or governorate in offer.direct_in
        return Terms(
            agency=offer.agency,
            route=Route.DIRECT if direct else Route.REPLY,
            service_version=self.version,
            calendars=due.calendars,
            unpublished_years=due.unpublished_years,
            first_answer_days=offer.first_answer_days,
            completion_days=offer.completion_days,
            due_at=due.at,
            fee_lines=offer.fee_lines,
            fee_due=offer.fee_due,
            payment_days=offer.payment_days,
            paper=offer.paper,
            live_stamp=offer.live_stamp,
            post=offer.post,
            applicants=offer.applicants,
            spouse_counts=offer.spouse_counts,
            receipt=offer.receipt,
            documents=tuple(
                document.code for document in offer.documents if document.is_required
            ),
            payment_due_at=working_time.due(accepted_at, offer.payment_days).at
            if is_fee_due_now
            else None,
        )
