"""The agency's inbox: what was forwarded, what it has to answer, by limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from api.asking import TheHouse, ThePrincipal
from api.listing import LISTED, LISTING, TheListing
from api.problems import responses
from api.v1.bodies import Code
from domain.access import Permission
from domain.requests import Answer
from office.acts import LARGEST_SKEW
from projections.agency_inbox import InboxFilter, InboxItem, InboxState, InboxTotals

router = APIRouter(prefix="/v1/inbox", tags=["inbox"])
_TIME = "2026-11-23T08:14:05.120000Z"


class InboxAnswer(BaseModel):
    """One forwarded request, and who has to move."""

    request_id: UUID = Field(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-06"])
    agency: str = Field(examples=["CIV"])
    governorate: str = Field(examples=["SY-DI"])
    centre: str = Field(examples=["SY-DI-01"])
    agency_reference: str | None = Field(examples=["CIV-2026-1183"])
    forwarded_at: datetime = Field(examples=[_TIME])
    answer_due_at: datetime = Field(
        description="The limit of the first answer, as it holds now.", examples=[_TIME]
    )
    is_overdue: bool = Field(
        description="Unanswered past its limit; what waits stands still.",
        examples=[False],
    )
    state: InboxState = Field(examples=["unanswered"])
    since: datetime = Field(
        description="When its state began; of an answered one, when.", examples=[_TIME]
    )
    outcome: Answer | None = Field(examples=[None])
    reason: str | None = Field(examples=[None])
    position: int = Field(
        description="The entry that made it what it is.", examples=[48213]
    )

    @classmethod
    def of(cls, row: InboxItem) -> InboxAnswer:
        """The answer of an item."""
        return cls(
            request_id=row.request_id,
            tracking_number=row.tracking_number,
            service=row.service,
            agency=row.agency,
            governorate=row.governorate,
            centre=row.centre,
            agency_reference=row.agency_reference,
            forwarded_at=row.forwarded_at,
            answer_due_at=row.answer_due_at,
            is_overdue=row.is_overdue,
            state=row.state,
            since=row.since,
            outcome=row.outcome,
            reason=row.reason,
            position=row.position,
        )


class InboxList(BaseModel):
    """A page of the inbox."""

    items: list[InboxAnswer]
    next: str | None = Field(examples=[None])


class InboxTotalsAnswer(BaseModel):
    """What one agency has to answer in one governorate."""

    agency: str = Field(examples=["CIV"])
    governorate: str = Field(examples=["SY-DI"])
    unanswered: int = Field(examples=[12])
    overdue: int = Field(description="Of the unanswered ones.", examples=[2])
    waiting: int = Field(description="For information.", examples=[3])
    oldest_forwarded_at: datetime | None = Field(
        description="When the oldest unanswered one was forwarded.", examples=[_TIME]
    )

    @classmethod
    def of(cls, row: InboxTotals) -> InboxTotalsAnswer:
        """The answer of an agency in a governorate."""
        return cls(
            agency=row.agency,
            governorate=row.governorate,
            unanswered=row.unanswered,
            overdue=row.overdue,
            waiting=row.waiting,
            oldest_forwarded_at=row.oldest_forwarded_at,
        )


class InboxTotalsList(BaseModel):
    """A page of totals, of agencies and governorates with something to answer."""

    items: list[InboxTotalsAnswer]
    next: str | None = Field(examples=[None])


def asked_inbox(
    state: Annotated[
        InboxState, Query(examples=["unanswered"])
    ] = InboxState.UNANSWERED,
    agency: Annotated[Code | None, Query(examples=["CIV"])] = None,
    governorate: Annotated[Code | None, Query(examples=["SY-DI"])] = None,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    service: Annotated[Code | None, Query(examples=["CIV-06"])] = None,
) -> InboxFilter:
    """Which part of the inbox is asked for, as a list or live."""
    return InboxFilter(
        state=state,
        agency=agency,
        governorate=governorate,
        centre=centre,
        service=service,
    )


AskedInbox = Annotated[InboxFilter, Depends(asked_inbox)]


@router.get(
    "",
    operation_id="get_inbox",
    summary="Read an agency's inbox",
    response_model=InboxList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_inbox(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    asked: AskedInbox,
    overdue: Annotated[
        bool,
        Query(description="Only what is unanswered past its limit.", examples=[False]),
    ] = False,
) -> InboxList | Response:
    """Read what was forwarded: unanswered by limit, overdue first.

    What waits for information stands apart, the longest waiting first; what was
    answered, the newest first.
    """
    principal.must_be_allowed(Permission.READ_INBOX)
    return listing.answer(
        InboxList,
        lambda part: house.queries.inbox.page(
            principal.scope,
            now=part.now,
            only=replace(asked, overdue_at=part.now if overdue else None),
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
            # Nothing is effective after it was recorded, but for clocks apart.
            known_by=part.now + LARGEST_SKEW,
        ),
        InboxAnswer.of,
        views=["agency_inbox"],
    )


@router.get(
    "/totals",
    operation_id="list_inbox_totals",
    summary="Count what agencies have to answer",
    response_model=InboxTotalsList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_inbox_totals(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    agency: Annotated[Code | None, Query(examples=["CIV"])] = None,
    governorate: Annotated[Code | None, Query(examples=["SY-DI"])] = None,
) -> InboxTotalsList | Response:
    """Count what each agency has to answer in each governorate, and what is overdue."""
    principal.must_be_allowed(Permission.READ_INBOX)
    return listing.answer(
        InboxTotalsList,
        lambda part: house.queries.inbox.totals(
            principal.scope,
            now=part.now,
            agency=agency,
            governorate=governorate,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        InboxTotalsAnswer.of,
        views=["agency_inbox"],
    )
