"""What the interface answers: times in UTC, ids as text, money in hundredths."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.persons import PersonDetails
from domain.requests import Party, ServiceRequest
from projections.audit_trail import TrailRow
from projections.queue_items import QueueItem
from projections.tracked_requests import Step, TrackedRequest

_REQUEST_ID = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
_TIME = "2026-11-23T08:14:05.120000Z"


class RequestAnswer(BaseModel):
    """One request as the ledger has it. Who it is about stands apart, for staff."""

    id: UUID = Field(examples=[_REQUEST_ID])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    secret_code: str | None = Field(
        default=None,
        description="Only in the answer to submitting.",
        examples=["000000"],
    )
    service: str = Field(examples=["CIV-01"])
    agency: str = Field(examples=["CIV"])
    centre: str = Field(examples=["SY-DI-01"])
    governorate: str = Field(examples=["SY-DI"])
    stage: str = Field(examples=["in_progress"])
    next_act: str = Field(examples=["take_fee"])
    waiting_for: str = Field(examples=["clerk"])
    route: str | None = Field(examples=["direct"])
    due_at: datetime | None = Field(examples=[_TIME])
    answer_due_at: datetime | None = Field(examples=[_TIME])
    fee_due: dict[str, Any] | None = Field(
        examples=[{"amount": 3000, "unit": "SYP.new"}]
    )
    outcome: str | None = Field(examples=["issued"])
    answer_version: int | None = Field(
        description="The version of the answer that holds, to supersede it.",
        examples=[5],
    )
    item: str | None = Field(examples=["RA473124829GB"])
    payment_due_at: datetime | None = Field(
        description="When it expires unless the due fee is paid.", examples=[_TIME]
    )
    expires_at: datetime | None = Field(
        description="When a waiting request expires unless it is accepted.",
        examples=[_TIME],
    )
    information_asked: list[str] | None = Field(
        description="What the citizen is asked for; the clock stands still.",
        examples=[["family-book"]],
    )
    is_returned: bool = Field(
        description="Whether the post brought the paper back.", examples=[False]
    )
    clerk: str | None = Field(description="For staff.", examples=["clk-DI-1"])
    token: int | None = Field(description="For staff: what acts carry.", examples=[1])
    lease_until: datetime | None = Field(
        description="For staff: the end of the present claim.", examples=[_TIME]
    )
    version: int = Field(description="Of the last event.", examples=[4])

    @classmethod
    def of(
        cls,
        request: ServiceRequest,
        *,
        is_staff: bool,
        secret_code: str | None = None,
    ) -> "RequestAnswer":
        """The answer for an asker; only staff see the clerk and the token."""
        terms, standing = request.terms, request.standing
        due = None
        if terms is not None and request.is_fee_outstanding:
            due = {
                "amount": sum(line.amount for line in terms.fee_lines),
                "unit": terms.fee_lines[0].unit,
            }
        return cls(
            id=request.id,
            tracking_number=request.tracking_number,
            secret_code=secret_code,
            service=request.service,
            agency=request.agency,
            centre=request.centre,
            governorate=request.governorate,
            stage=request.stage,
            next_act=standing.next_act,
            waiting_for=standing.waiting_for,
            route=None if terms is None else terms.route,
            due_at=request.due_at,
            answer_due_at=request.answer_due_at,
            fee_due=due,
            outcome=request.answer,
            answer_version=request.answer_version,
            item=request.item,
            payment_due_at=request.payment_due_at,
            expires_at=request.expires_at,
            information_asked=None
            if request.information_asked is None
            else list(request.information_asked),
            is_returned=request.is_returned,
            clerk=request.clerk if is_staff else None,
            token=request.token if is_staff else None,
            lease_until=request.claim_held.until
            if is_staff and request.claim_held is not None
            else None,
            version=request.version,
        )


class ListedRequest(BaseModel):
    """One request in a list, from the tracking view."""

    id: UUID = Field(examples=[_REQUEST_ID])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-01"])
    agency: str = Field(examples=["CIV"])
    centre: str = Field(examples=["SY-DI-01"])
    governorate: str = Field(examples=["SY-DI"])
    stage: str = Field(examples=["in_progress"])
    next_act: str = Field(examples=["take_fee"])
    outcome: str | None = Field(examples=["issued"])
    submitted_at: datetime = Field(examples=[_TIME])
    due_at: datetime | None = Field(examples=[_TIME])
    etag: str = Field(examples=['"4"'])

    @classmethod
    def of(cls, row: TrackedRequest) -> "ListedRequest":
        """The list's row of a tracked request."""
        state = row.state
        return cls(
            id=row.request_id,
            tracking_number=state.tracking_number,
            service=state.service,
            agency=state.agency,
            centre=state.centre,
            governorate=state.governorate,
            stage=state.stage,
            next_act=state.standing.next_act,
            outcome=state.outcome,
            submitted_at=state.submitted_at,
            due_at=state.due_at,
            etag=f'"{state.etag_version}"',
        )


class RequestList(BaseModel):
    """A page of requests, the newest first."""

    items: list[ListedRequest]
    next: str | None = Field(examples=[None])


class PartyAnswer(BaseModel):
    """A party of a request, for staff of its centre. Null values: erased."""

    role: str = Field(examples=["applicant"])
    full_name: str | None = Field(examples=["الاسم الثلاثي كما في البطاقة"])
    national_number: str | None = Field(examples=["00000000000"])
    other_identifier: str | None = Field(examples=[None])
    phone: str | None = Field(examples=["+963900000000"])
    address: str | None = Field(examples=["العنوان الذي يصل إليه البريد"])
    email: str | None = Field(examples=["citizen@example.org"])

    @classmethod
    def of(cls, party: Party, told: PersonDetails | None) -> "PartyAnswer":
        """The party with what was told, or with nothing once it is erased."""
        names = cls.model_fields.keys() - {"role"}
        return cls(
            role=party.role, **{name: getattr(told, name, None) for name in names}
        )


class PartyList(BaseModel):
    """The parties of one request."""

    items: list[PartyAnswer]
    asks_again: UUID | None = Field(
        description="The refused request that this one asks again for.",
        examples=[None],
    )


class QueueAnswer(BaseModel):
    """One piece of work: what next, since when, until when."""

    request_id: UUID = Field(examples=[_REQUEST_ID])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-01"])
    agency: str = Field(examples=["CIV"])
    centre: str = Field(examples=["SY-DI-01"])
    stage: str = Field(examples=["in_progress"])
    clerk: str | None = Field(examples=["clk-DI-1"])
    token: int = Field(examples=[1])
    next_act: str = Field(examples=["take_fee"])
    waiting_for: str = Field(examples=["clerk"])
    since: datetime = Field(examples=[_TIME])
    until: datetime | None = Field(examples=[_TIME])
    is_overdue: bool = Field(examples=[False])
    lease_until: datetime | None = Field(
        description="The end of the present claim.", examples=[_TIME]
    )
    etag: str = Field(examples=['"4"'])
    position: int = Field(examples=[48213])

    @classmethod
    def of(cls, item: QueueItem) -> "QueueAnswer":
        """The answer of a queue item."""
        return cls(
            request_id=item.request_id,
            tracking_number=item.tracking_number,
            service=item.service,
            agency=item.agency,
            centre=item.centre,
            stage=item.stage,
            clerk=item.clerk,
            token=item.token,
            next_act=item.next_act,
            waiting_for=item.waiting_for,
            since=item.since,
            until=item.until,
            is_overdue=item.is_overdue,
            lease_until=item.lease_until,
            etag=f'"{item.etag_version}"',
            position=item.position,
        )


class QueueList(BaseModel):
    """A page of the queue, in the order the work is due."""

    items: list[QueueAnswer]
    next: str | None = Field(examples=[None])


class TrailAnswer(BaseModel):
    """One event in words, with what proves it."""

    position: int = Field(examples=[48213])
    recorded_at: datetime = Field(examples=["2026-11-23T08:14:05.473912Z"])
    effective_at: datetime = Field(examples=[_TIME])
    aggregate_id: UUID = Field(examples=[_REQUEST_ID])
    version: int = Field(examples=[7])
    topic: str = Field(examples=["sijil.request.stamped.v1"])
    words_ar: str = Field(examples=["ختم الوثيقة"])
    words_en: str = Field(examples=["Document stamped"])
    actor: dict[str, str] = Field(
        examples=[{"kind": "clerk", "id": "clk-DI-1", "place": "SY-DI-01"}]
    )
    command_id: UUID = Field(examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"])
    correlation_id: UUID = Field(examples=[_REQUEST_ID])
    causation_id: str | None = Field(examples=[None])
    approved_by: str | None = Field(examples=[None])
    data: str = Field(
        description="The event's own facts, canonical JSON.",
        examples=['{"kind":"live"}'],
    )
    leaf_hash: str = Field(
        description="SHA-256 of the leaf, hexadecimal.",
        examples=["7d00c9ca03383a03c957da2d6d2caec4287438d25e17beca374d321a51aed61b"],
    )

    @classmethod
    def of(cls, row: TrailRow) -> "TrailAnswer":
        """The answer of a trail row."""
        return cls(
            position=row.position,
            recorded_at=row.recorded_at,
            effective_at=row.effective_at,
            aggregate_id=row.aggregate_id,
            version=row.version,
            topic=row.topic,
            words_ar=row.words_ar,
            words_en=row.words_en,
            actor={
                "kind": row.actor_kind,
                "id": row.actor_id,
                "place": row.actor_place,
            },
            command_id=row.command_id,
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            approved_by=row.approved_by,
            data=row.data,
            leaf_hash=row.leaf_hash.hex(),
        )


class TrailList(BaseModel):
    """A page of the trail, in the order of the ledger."""

    items: list[TrailAnswer]
    next: str | None = Field(examples=[None])


class StepAnswer(BaseModel):
    """One step a citizen may know of: what and when, by nobody's name."""

    step: str = Field(examples=["mailed"])
    words_ar: str = Field(examples=["إرسال الوثيقة بالبريد"])
    words_en: str = Field(examples=["Document mailed"])
    at: datetime = Field(examples=[_TIME])

    @classmethod
    def of(cls, step: Step, words: tuple[str, str]) -> "StepAnswer":
        """The answer of a step in these words."""
        return cls(
            step=step.name, words_ar=words[0], words_en=words[1], at=step.effective_at
        )


class TrackingAnswer(BaseModel):
    """Where the paper is, for whoever holds number and code."""

    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-01"])
    centre: str = Field(examples=["SY-DI-01"])
    stage: str = Field(examples=["completed_issued"])
    outcome: str | None = Field(examples=["issued"])
    reason: str | None = Field(
        description="Why it was not accepted, or why the agency said no: a code.",
        examples=[None],
    )
    missing: list[str] | None = Field(
        description="What the citizen is asked for, or what was not shown: codes.",
        examples=[None],
    )
    next_act: str = Field(examples=["nothing"])
    due_at: datetime | None = Field(examples=[_TIME])
    payment_due_at: datetime | None = Field(
        description="When it expires unless the due fee is paid.", examples=[_TIME]
    )
    item: str | None = Field(examples=["RA473124829GB"])
    steps: list[StepAnswer]


class EntryAnswer(BaseModel):
    """One raw entry: the bytes the ledger attests and their leaf hash."""

    position: int = Field(examples=[48213])
    recorded_at: datetime = Field(examples=["2026-11-23T08:14:05.473912Z"])
    aggregate_id: UUID = Field(examples=[_REQUEST_ID])
    version: int = Field(examples=[7])
    topic: str = Field(examples=["sijil.request.stamped.v1"])
    entry: str = Field(
        description="The entry, base64.", examples=["c2lqaWwtZW50cnkvdjEK"]
    )
    leaf_hash: str = Field(
        examples=["7d00c9ca03383a03c957da2d6d2caec4287438d25e17beca374d321a51aed61b"]
    )


class EntryList(BaseModel):
    """A page of raw entries."""

    items: list[EntryAnswer]
    next: str | None = Field(examples=[None])
