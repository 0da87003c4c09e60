"""Services: what the centres offer. Published as events; a new one needs no code."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.calendars import CalendarVersion
from domain.ids import code_id
from domain.money import FeeLine
from domain.working_time import WorkingTime

EVERYWHERE = "*"
DEFAULT_FIRST_ANSWER_DAYS = 3
DEFAULT_PAYMENT_DAYS = 7


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

    ``due_at`` is UTC; allowances are working days; ``receipt`` lists who may receive.
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


class Service(OfficeAggregate):
    """One service of one agency, as it was published last."""

    TOPIC = "sijil.service"

    class Event(OfficeAggregate.Event):
        """An event of a service."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a service begins with ``Published``."""

        TOPIC = "sijil.service.created.v1"

    class Published(Renewable, Created):
        """What the service is from now on.

        ``direct_in`` holds governorate codes or ``*``; days are working days;
        the two ``…_is_placeholder`` flags mark figures nobody has confirmed.
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

        def apply(self, aggregate: "Service") -> None:
            """The service says what was published last."""
            aggregate.published = self

    def __init__(self) -> None:
        """What there is to know is in ``published``, set when it is applied."""
        self.published: Service.Published

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the service with this code."""
        return code_id("service", code)

    @classmethod
    def publish(
        cls,
        act: Act,
        *,
        code: str,
        agency: str,
        name_ar: str,
        name_en: str,
        direct_in: tuple[str, ...],
        completion_days: int,
        applicants: tuple[str, ...],
        documents: tuple[Document, ...],
        fee_lines: tuple[FeeLine, ...],
        paper: bool,
        live_stamp: bool,
        post: bool,
        basis: str,
        fee_is_placeholder: bool,
        turnaround_is_placeholder: bool,
        first_answer_days: int = DEFAULT_FIRST_ANSWER_DAYS,
        spouse_counts: bool = False,
        receipt: tuple[str, ...] | None = None,
        fee_due: FeeDue = FeeDue.ACCEPTANCE,
        payment_days: int = DEFAULT_PAYMENT_DAYS,
    ) -> "Service":
        """A new service. What is not given takes the contract's stated default."""
        return cls._create(
            cls.Published,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=code,
            agency=agency,
            name_ar=name_ar,
            name_en=name_en,
            direct_in=direct_in,
            first_answer_days=first_answer_days,
            completion_days=completion_days,
            applicants=applicants,
            spouse_counts=spouse_counts,
            receipt=applicants if receipt is None else receipt,
            documents=documents,
            fee_lines=fee_lines,
            fee_due=fee_due,
            payment_days=payment_days,
            paper=paper,
            live_stamp=live_stamp,
            post=post,
            basis=basis,
            fee_is_placeholder=fee_is_placeholder,
            turnaround_is_placeholder=turnaround_is_placeholder,
        )

    def terms(
        self, *, governorate: str, accepted_at: datetime, working_time: WorkingTime
    ) -> Terms:
        """The terms of a request accepted now: access goes by the centre's place."""
        offer = self.published
        due = working_time.due(accepted_at, offer.completion_days)
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
        )
