"""What the office can be asked to do with a request: one frozen command an act."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.money import FeeKind, Unit
from domain.persons import PersonDetails
from domain.requests import (
    Answer,
    Channel,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Limit,
    Means,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import Relationship


class Message(StrEnum):
    """Messages that go to a citizen on the way."""

    ACCEPTED = "accepted"
    MISSING_INFORMATION = "missing_information"
    REFUSED = "refused"
    MAILED = "mailed"
    READY = "ready"
    ISSUED = "issued"
    NOT_ACCEPTED = "not_accepted"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """Ask for a service. At the counter it may be accepted or declined at once.

    ``centre`` is the clerk's own when it is None. ``applicant`` is None only for
    imported history, whose source names nobody. ``asks_again`` is the refused request
    that this one asks again for; the link between the two is the vault's.
    """

    service: str
    centre: str | None
    channel: Channel
    applicant: PersonDetails | None
    concerned: PersonDetails | None
    relationship: Relationship
    documents: tuple[str, ...]
    delivery: Delivery
    accept_now: bool = False
    decline_reason: Declined | None = None
    missing: tuple[str, ...] = ()
    asks_again: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRequest:
    """Take a waiting request in; ``documents`` are those ticked off."""

    request_id: UUID
    token: int | None
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineRequest:
    """Do not take a waiting request in."""

    request_id: UUID
    token: int | None
    reason: Declined
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignRequest:
    """Give a request to a clerk of its centre.

    With ``token``, only while that is the latest: the system moves what it has seen.
    """

    request_id: UUID
    clerk: str
    token: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Take a request in hand, for the time of a lease.

    ``clerk`` is whom an imported history names; people claim for themselves.
    """

    request_id: UUID
    clerk: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """Let a request go: one's own claim, or as a supervisor whoever has it.

    ``reason`` is the system's and the import's; people's follows from their role.
    """

    request_id: UUID
    token: int | None
    reason: ReleasedBecause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayFee:
    """Take the fee: ``amount`` in hundredths of ``unit``."""

    request_id: UUID
    token: int | None
    channel: PaymentChannel
    amount: int
    unit: Unit
    bank_reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRequest:
    """Send a request to its agency."""

    request_id: UUID
    token: int | None
    agency_reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResponse:
    """Record the agency's answer."""

    request_id: UUID
    token: int | None
    outcome: Answer
    agency_reference: str | None = None
    reason: str | None = None
    document_digest: str | None = None
    supersedes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInformation:
    """Ask the citizen for what is missing: codes of documents or of facts."""

    request_id: UUID
    token: int | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyInformation:
    """Record what the citizen brought."""

    request_id: UUID
    token: int | None
    supplied: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StampDocument:
    """Put a stamp on the issued document."""

    request_id: UUID
    token: int | None
    serial: str
    stamped_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDocument:
    """Give the paper to the post."""

    request_id: UUID
    token: int | None
    item: str
    to: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmDelivery:
    """Record that the post delivered an item."""

    request_id: UUID
    item: str
    capacity: Relationship


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmCollection:
    """Record that an item was fetched at the post office."""

    request_id: UUID
    item: str
    capacity: Relationship


@dataclass(frozen=True, slots=True, kw_only=True)
class BringBack:
    """Record that the post brought an item back."""

    request_id: UUID
    item: str
    reason: ReturnedBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Hand the paper over at the counter."""

    request_id: UUID
    token: int | None
    capacity: Relationship


@dataclass(frozen=True, slots=True, kw_only=True)
class TellResult:
    """Tell the citizen the result."""

    request_id: UUID
    token: int | None
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class InformCitizen:
    """Record a message that went to the citizen."""

    request_id: UUID
    message: Message
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawRequest:
    """Take a request back, as its citizen or on the citizen's word."""

    request_id: UUID
    reason: WithdrawnBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFee:
    """Pay lines of the fee back."""

    request_id: UUID
    kinds: tuple[FeeKind, ...]
    reason: RefundedBecause
    channel: PaymentChannel
    bank_reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectRequest:
    """Correct a field: of a party, whose ``value`` goes to the vault, or the delivery.

    The repr shows no value.
    """

    request_id: UUID
    field: CorrectedField
    reason: CorrectedBecause
    party: PartyRole | None = None
    value: str | None = dataclasses.field(default=None, repr=False)
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireRequest:
    """End what nobody accepted or paid for until ``due_at``.

    An import names no limit: it follows from the rules that were in force.
    """

    request_id: UUID
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarnOfLimit:
    """Warn staff of a limit, before or after it."""

    request_id: UUID
    limit: Limit
    when: WarnedWhen
    due_at: datetime


Command = (
    SubmitRequest
    | AcceptRequest
    | DeclineRequest
    | AssignRequest
    | ClaimRequest
    | ReleaseRequest
    | PayFee
    | ForwardRequest
    | RecordResponse
    | RequestInformation
    | SupplyInformation
    | StampDocument
    | MailDocument
    | ConfirmDelivery
    | ConfirmCollection
    | BringBack
    | HandOver
    | TellResult
    | InformCitizen
    | WithdrawRequest
    | RefundFee
    | CorrectRequest
    | ExpireRequest
    | WarnOfLimit
)
