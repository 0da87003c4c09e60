"""What people and machines send: strict, bounded, no unknown field, no NUL."""

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.asking import clean
from api.times import Time
from domain.errors import InvalidValueError
from domain.money import LARGEST_INTEGER, FeeKind, Unit
from domain.naming import checked_reference
from domain.persons import (
    LONGEST_ADDRESS,
    LONGEST_EMAIL,
    LONGEST_IDENTIFIER,
    LONGEST_NAME,
    PersonDetails,
    ascii_digits,
)
from domain.requests import (
    Answer,
    Channel,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Means,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReturnedBecause,
    WithdrawnBecause,
)
from domain.services import Relationship
from office.approvals import LONGEST_APPROVAL
from office.commands import Message

LONGEST_CODE = 64
"""Codes are short; a longer one is a mistake or an attack."""
LONGEST_LIST = 50
"""No service wants more documents than a desk can hold."""


Text = Annotated[str, AfterValidator(clean)]
Code = Annotated[
    str, Field(min_length=1, max_length=LONGEST_CODE), AfterValidator(clean)
]
Codes = Annotated[list[Code], Field(max_length=LONGEST_LIST)]
Digits = Annotated[Text, AfterValidator(ascii_digits)]


def _reference(text: str) -> str:
    try:
        return checked_reference(text, field="reference")
    except InvalidValueError as error:
        raise ValueError(error.reason) from error


Reference = Annotated[
    str, Field(min_length=1, max_length=LONGEST_CODE), AfterValidator(_reference)
]
"""Another office's number. What may be a person's own is refused."""
ReasonCode = Annotated[
    str, Field(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=LONGEST_CODE)
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _id(value: Any) -> UUID:
    if not isinstance(value, str):
        raise ValueError("a text is wanted")  # noqa: TRY004 -- pydantic wants it
    return UUID(value)


Id = Annotated[UUID, BeforeValidator(_id)]
Token = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**31 - 1,
        description="The token of your latest claim; banks and agencies have none.",
        examples=[1],
    ),
]


class Strict(BaseModel):
    """Nothing unknown, nothing converted, and no error repeats what was sent."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Nothing: a repr gets into traces and logs."""
        yield from ()


class Bookkeeping(Strict):
    """What has no time of its own: it takes that of what happened last."""


class Approvable(Bookkeeping):
    """What may need a supervisor's word."""

    approval: Annotated[Text, Field(max_length=LONGEST_APPROVAL)] | None = Field(
        default=None,
        description="A supervisor's approval of this act, from `POST /v1/approvals`.",
        examples=[None],
    )


class Body(Approvable):
    """The base of every body of an act that happens at a time."""

    effective_at: Time | None = Field(
        default=None,
        description="When it happened, if not now; with its offset.",
        examples=["2026-11-23T11:14:05+03:00"],
    )
    approved: bool = Field(
        default=False,
        description="A supervisor's own word for a date beyond the bound.",
        examples=[False],
    )


def one_of(kind: type[Any]) -> BeforeValidator:
    """An enum read from its JSON text in strict mode."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return kind(value)
        raise ValueError("a text is wanted")

    return BeforeValidator(read)


class Person(Strict):
    """A person as they are written down at the counter. Kept in the vault only."""

    full_name: Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME)] = Field(
        examples=["الاسم الثلاثي كما في البطاقة"]
    )
    national_number: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = (
        Field(
            default=None,
            description="Eleven digits; Arabic-Indic ones are converted.",
            examples=["00000000000"],
        )
    )
    other_identifier: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = (
        Field(default=None, examples=["P0000000"])
    )
    phone: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = Field(
        default=None, examples=["+963900000000"]
    )
    address: Annotated[Text, Field(max_length=LONGEST_ADDRESS)] | None = Field(
        default=None, examples=["العنوان الذي يصل إليه البريد"]
    )
    email: Annotated[Text, Field(max_length=LONGEST_EMAIL)] | None = Field(
        default=None, examples=["citizen@example.org"]
    )

    def details(self) -> PersonDetails:
        """The normalised details. Raises InvalidValueError without the value."""
        return PersonDetails(**self.model_dump())


class Submission(Body):
    """A new request. At the counter it may be accepted or declined at once."""

    service: Code = Field(examples=["CIV-01"])
    centre: Code | None = Field(
        default=None,
        description="Where it is to be handled; a clerk's own centre by default.",
        examples=["SY-DI-01"],
    )
    channel: Annotated[Channel, one_of(Channel)] = Field(examples=["counter"])
    applicant: Person
    concerned: Person | None = Field(
        default=None, description="The person concerned, if not the applicant."
    )
    relationship: Annotated[Relationship, one_of(Relationship)] = Field(
        description="What the applicant is to the person concerned.", examples=["self"]
    )
    documents: Codes = Field(
        default_factory=list, description="Documents shown.", examples=[["id-card"]]
    )
    delivery: Annotated[Delivery, one_of(Delivery)] = Field(examples=["home"])
    accept: bool = Field(default=False, examples=[True])
    decline_reason: Annotated[Declined, one_of(Declined)] | None = Field(
        default=None, examples=[None]
    )
    missing: Codes = Field(default_factory=list, examples=[[]])
    asks_again: Id | None = Field(
        default=None,
        description="The refused request that this one asks again for.",
        examples=[None],
    )


class Acceptance(Body):
    """Taking a waiting request in; the documents ticked off one by one."""

    token: Token = None
    documents: Codes = Field(examples=[["id-card"]])


class Declining(Body):
    """Not taking a waiting request in."""

    token: Token = None
    reason: Annotated[Declined, one_of(Declined)] = Field(examples=["ineligible"])
    missing: Codes = Field(default_factory=list, examples=[[]])


class Assignment(Bookkeeping):
    """Giving a request to a clerk of its centre."""

    clerk: Code = Field(examples=["clk-DI-2"])


class Payment(Body):
    """The fee: hundredths of a pound of ``unit``."""

    token: Token = None
    channel: Annotated[PaymentChannel, one_of(PaymentChannel)] = Field(
        examples=["cash"]
    )
    amount: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] = Field(examples=[3000])
    unit: Annotated[Unit, one_of(Unit)] = Field(examples=["SYP.new"])
    bank_reference: Reference | None = Field(default=None, examples=["B-2026-000077"])


class Forwarding(Body):
    """Sending a request to its agency."""

    token: Token = None
    agency_reference: Reference | None = Field(default=None, examples=["CIV/2026/1187"])


class AgencyAnswer(Body):
    """The agency's answer. A refusal has a reason code, an issue may have a digest."""

    token: Token = None
    outcome: Annotated[Answer, one_of(Answer)] = Field(examples=["issued"])
    agency_reference: Reference | None = Field(default=None, examples=["CIV/2026/1187"])
    reason: ReasonCode | None = Field(
        default=None,
        description="Why not, as a code of letters and hyphens; never free text.",
        examples=[None],
    )
    document_digest: Digest | None = Field(
        default=None,
        description="SHA-256 over the document's salt and its bytes.",
        examples=["1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"],
    )
    supersedes: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None,
        description="The version of the answer this one replaces.",
        examples=[None],
    )


class Stamping(Body):
    """The stamp that was put, and the digest of what it was put on."""

    token: Token = None
    serial: Code = Field(examples=["ختم-DI-000001"])
    stamped_digest: Digest = Field(
        examples=["1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"]
    )


class Mailing(Body):
    """The postal item (UPU S10) and where it goes."""

    token: Token = None
    item: Annotated[Digits, Field(max_length=LONGEST_CODE)] = Field(
        examples=["RA473124829GB"]
    )
    to: Annotated[Delivery, one_of(Delivery)] = Field(examples=["home"])


class DeliveryReport(Body):
    """What the post reports: the item, and in which capacity it was received."""

    item: Annotated[Digits, Field(max_length=LONGEST_CODE)] = Field(
        examples=["RA473124829GB"]
    )
    capacity: Annotated[Relationship, one_of(Relationship)] = Field(examples=["self"])


class HandingOver(Body):
    """Handing the paper over at the counter."""

    token: Token = None
    capacity: Annotated[Relationship, one_of(Relationship)] = Field(examples=["self"])


class Telling(Body):
    """Telling the citizen the result."""

    token: Token = None
    means: Annotated[Means, one_of(Means)] = Field(examples=["phone"])


class Informing(Bookkeeping):
    """A message that went to the citizen on the way."""

    message: Annotated[Message, one_of(Message)] = Field(examples=["ready"])
    means: Annotated[Means, one_of(Means)] = Field(examples=["sms"])


class Claiming(Bookkeeping):
    """Taking a request in hand. There is nothing more to say."""


class Releasing(Bookkeeping):
    """Letting a request go."""

    token: Token = None


class AskingForInformation(Body):
    """What is missing: codes of the service's documents, or of facts."""

    token: Token = None
    missing: Annotated[Codes, Field(min_length=1)] = Field(examples=[["family-book"]])


class Information(Body):
    """What the citizen brought, by the same codes."""

    token: Token = None
    supplied: Codes = Field(examples=[["family-book"]])


class CollectionReport(Body):
    """What the post reports: the item was fetched, and in which capacity."""

    item: Annotated[Digits, Field(max_length=LONGEST_CODE)] = Field(
        examples=["RA473124829GB"]
    )
    capacity: Annotated[Relationship, one_of(Relationship)] = Field(examples=["self"])


class ReturnReport(Body):
    """What the post reports: the item came back, and why."""

    item: Annotated[Digits, Field(max_length=LONGEST_CODE)] = Field(
        examples=["RA473124829GB"]
    )
    reason: Annotated[ReturnedBecause, one_of(ReturnedBecause)] = Field(
        examples=["receiver_absent"]
    )


class Withdrawal(Body):
    """The citizen takes the request back."""

    reason: Annotated[WithdrawnBecause, one_of(WithdrawnBecause)] = Field(
        examples=["not_needed"]
    )


class Refund(Body):
    """Lines of the fee that are paid back."""

    kinds: Annotated[
        list[Annotated[FeeKind, one_of(FeeKind)]], Field(min_length=1, max_length=2)
    ] = Field(examples=[["state_fee"]])
    reason: Annotated[RefundedBecause, one_of(RefundedBecause)] = Field(
        examples=["withdrawn"]
    )
    channel: Annotated[PaymentChannel, one_of(PaymentChannel)] = Field(
        examples=["cash"]
    )
    bank_reference: Reference | None = Field(default=None, examples=["B-2026-000078"])


class CorrectionBody(Approvable):
    """A field that was wrong. It is effective when it is made."""

    field: Annotated[CorrectedField, one_of(CorrectedField)] = Field(
        examples=["address"]
    )
    reason: Annotated[CorrectedBecause, one_of(CorrectedBecause)] = Field(
        examples=["typing_error"]
    )
    party: Annotated[PartyRole, one_of(PartyRole)] | None = Field(
        default=None, description="Whose value it is.", examples=["applicant"]
    )
    value: Annotated[Text, Field(min_length=1, max_length=LONGEST_ADDRESS)] | None = (
        Field(
            default=None,
            description="The right value of a person; it is kept in the vault only.",
            examples=["العنوان الصحيح"],
        )
    )
    delivery: Annotated[Delivery, one_of(Delivery)] | None = Field(
        default=None, description="The new choice of delivery.", examples=[None]
    )


class ApprovalBody(Bookkeeping):
    """The act that a supervisor approves: its `Idempotency-Key`, and what it is on."""

    command_id: Id = Field(examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"])
    request_id: Id | None = Field(
        default=None,
        description="The request that the act is on; none for a new request.",
        examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"],
    )


class MovingBody(Bookkeeping):
    """To whom a clerk's open work goes, and of which agency if not of all."""

    to: Code = Field(examples=["clk-DI-2"])
    agency: Code | None = Field(default=None, examples=["CIV"])


class TrackingQuestion(Strict):
    """A tracking number and its secret code, as printed on the receipt."""

    number: Annotated[Text, Field(max_length=LONGEST_CODE)] = Field(
        examples=["A77W-EAA2-E5G9-Q"]
    )
    code: Annotated[Text, Field(max_length=LONGEST_CODE)] = Field(examples=["000000"])
