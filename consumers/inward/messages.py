"""What a message may say: one type a topic, strict, as canonical as its sender likes.

A value is one JSON object with the type's name in ``type``. Nothing beside what is
written here may stand in it, so that no value of a person comes in by chance. A new
meaning is a new type beside the old (``.v2``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import from_json

from consumers.inward.records import InwardMessage, Unusable, UnusableError
from consumers.topics import AGENCY_REPLIES, BANK_PAYMENTS, POSTAL_SCANS, Topic
from domain.acts import ActorKind
from domain.money import LARGEST_INTEGER, Unit
from domain.naming import LONGEST_CODE
from domain.requests import Answer, ReturnedBecause
from domain.services import Relationship
from office.commands import RecordResponse
from office.fees import BankPayment
from office.reports import PostalScan, Scanned

UNREAD = "unreadable"
"""The detail of a message that our client of Kafka cannot read."""
LARGEST_MESSAGE_BYTES = 16_384
"""Of a value: the longest of these types has some 600 bytes."""
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
"""Outside these a time is a broken clock's."""


class Correspondence(StrEnum):
    """What a topic is for."""

    REPLIES = "replies"
    SCANS = "scans"
    PAYMENTS = "payments"


def _in_utc(time: datetime) -> datetime:
    if not _FIRST_YEAR <= time.year < _LAST_YEAR:
        raise ValueError("year")
    return time.astimezone(UTC)


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Short = Annotated[str, Field(min_length=1, max_length=LONGEST_CODE)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Message(BaseModel):
    """What every message has: when it happened, by its sender's clock (RFC 3339)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    happened_at: Time


class AgencyReply(_Message):
    """An agency's answer to a request that was forwarded to it.

    ``request_id`` is the subject of the request's events. ``reason`` is a code, wanted
    unless the paper is issued; ``supersedes`` the version of the answer that this one
    replaces; ``document_digest`` the salted SHA-256 of the issued paper.
    """

    type: Literal["sijil.agency-reply.v1"]
    request_id: UUID
    outcome: Answer
    reason: Short | None = None
    agency_reference: Short | None = None
    document_digest: Digest | None = None
    supersedes: Annotated[int, Field(ge=1, lt=2**31)] | None = None

    @property
    def command(self) -> RecordResponse:
        """What the office is asked to do."""
        return RecordResponse(
            request_id=self.request_id,
            token=None,
            outcome=self.outcome,
            agency_reference=self.agency_reference,
            reason=self.reason,
            document_digest=self.document_digest,
            supersedes=self.supersedes,
        )


class PostalScanned(_Message):
    """A scan of an item: ``delivered``, ``collected`` or ``returned``.

    ``item`` is its S10 number. ``capacity`` says in which capacity it was received,
    ``reason`` why it came back. ``request_id`` may be left out.
    """

    type: Literal["sijil.postal-scan.v1"]
    item: Short
    scanned: Scanned
    capacity: Relationship | None = None
    reason: ReturnedBecause | None = None
    request_id: UUID | None = None

    @property
    def command(self) -> PostalScan:
        """What the office is asked to do."""
        return PostalScan(
            scanned=self.scanned,
            item=self.item,
            request_id=self.request_id,
            capacity=self.capacity,
            reason=self.reason,
        )


class BankPaid(_Message):
    """Money that a bank took for a request: hundredths of ``unit``.

    ``tracking_number`` is what the payer gave; ``bank_reference`` is the bank's own
    number of the payment, the same whenever it is reported again.
    """

    type: Literal["sijil.bank-payment.v1"]
    tracking_number: Short
    amount: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    unit: Unit
    bank_reference: Short

    @property
    def command(self) -> BankPayment:
        """What the office is asked to do."""
        return BankPayment(
            tracking_number=self.tracking_number,
            amount=self.amount,
            unit=self.unit,
            bank_reference=self.bank_reference,
        )


Told = AgencyReply | PostalScanned | BankPaid

TYPES: dict[Correspondence, dict[str, type[Told]]] = {
    Correspondence.REPLIES: {"sijil.agency-reply.v1": AgencyReply},
    Correspondence.SCANS: {"sijil.postal-scan.v1": PostalScanned},
    Correspondence.PAYMENTS: {"sijil.bank-payment.v1": BankPaid},
}
"""The types of each topic, by name."""
FOLLOWED: dict[Topic, Correspondence] = {
    AGENCY_REPLIES: Correspondence.REPLIES,
    POSTAL_SCANS: Correspondence.SCANS,
    BANK_PAYMENTS: Correspondence.PAYMENTS,
}
"""The topics that are followed, and what each is for."""
SENDERS = {
    Correspondence.REPLIES: ActorKind.AGENCY,
    Correspondence.SCANS: ActorKind.POST,
    Correspondence.PAYMENTS: ActorKind.BANK,
}
"""Who writes each."""


def must_have_a_size(message: InwardMessage) -> bytes:
    """A message's value.

    Raises UnusableError for none, one too large, and one that could not be read.
    """
    if message.is_unread:
        raise UnusableError(Unusable.MALFORMED, UNREAD)
    if not message.value:
        raise UnusableError(Unusable.NO_VALUE)
    if len(message.value) > LARGEST_MESSAGE_BYTES:
        raise UnusableError(Unusable.TOO_LARGE, f"{len(message.value)} bytes")
    return message.value


def read(kind: Correspondence, value: bytes) -> Told:
    """What a value of this kind of topic says.

    Raises UnusableError: no JSON, an unknown type, or not of its form; the detail
    names the field and what is wrong, never what stood there.
    """
    try:
        found: Any = from_json(value)
    except ValueError:
        raise UnusableError(Unusable.NOT_JSON) from None
    named = found.get("type") if isinstance(found, dict) else None
    type_ = TYPES[kind].get(named) if isinstance(named, str) else None
    if type_ is None:
        raise UnusableError(Unusable.UNKNOWN_TYPE)
    try:
        return type_.model_validate_json(value)
    except ValidationError as error:
        raise UnusableError(Unusable.MALFORMED, _first_fault(type_, error)) from None


def _first_fault(type_: type[Told], error: ValidationError) -> str:
    """Where the first fault is, and its kind; a name of ours or none at all."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[
        0
    ]
    place = first["loc"][0] if first["loc"] else ""
    known = place if place in type_.model_fields else "-"
    return f"{known}: {first['type']}"
