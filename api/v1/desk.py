"""The supervisor's desk: unassigned work, returned post, load, approvals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.asking import Since, TheHouse, ThePrincipal, Until
from api.listing import LISTED, LISTING, Listing, TheListing
from api.problems import responses
from api.v1.answers import QueueAnswer, QueueList
from api.v1.bodies import Code
from domain.access import Permission, Principal
from domain.calendars import office_day
from domain.stages import NextAct
from office.house import House
from projections.supervisor_desk import (
    Approval,
    ApprovalFilter,
    AttemptFilter,
    ClerkLoad,
    RefusedAttempt,
)

router = APIRouter(prefix="/v1/desk", tags=["desk"])
_TIME = "2026-11-23T08:14:05.120000Z"
_REQUEST_ID = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
Centre = Annotated[
    Code | None,
    Query(description="One centre, for those who see all.", examples=["SY-DI-01"]),
]


class AllowedActAnswer(BaseModel):
    """One act that a supervisor allowed: which, on what, whose, and when."""

    centre: str = Field(examples=["SY-DI-01"])
    approved_by: str = Field(examples=["sup-DI-1"])
    topic: str = Field(
        description="The first event of the act.",
        examples=["sijil.request.accepted.v1"],
    )
    aggregate_id: UUID = Field(description="The request.", examples=[_REQUEST_ID])
    command_id: UUID = Field(examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"])
    actor_kind: str = Field(examples=["clerk"])
    actor_id: str = Field(examples=["clk-DI-1"])
    effective_at: datetime = Field(examples=[_TIME])
    recorded_at: datetime = Field(examples=[_TIME])
    position: int = Field(examples=[48213])

    @classmethod
    def of(cls, row: Approval) -> AllowedActAnswer:
        """The answer of an approval."""
        return cls(
            centre=row.centre,
            approved_by=row.approved_by,
            topic=row.topic,
            aggregate_id=row.aggregate_id,
            command_id=row.command_id,
            actor_kind=row.actor_kind,
            actor_id=row.actor_id,
            effective_at=row.effective_at,
            recorded_at=row.recorded_at,
            position=row.position,
        )


class AllowedActList(BaseModel):
    """A page of approvals, the newest first."""

    items: list[AllowedActAnswer]
    next: str | None = Field(examples=[None])


class AttemptAnswer(BaseModel):
    """One attempt that a rule refused; its target did not move."""

    centre: str = Field(examples=["SY-DI-01"])
    attempted: str = Field(examples=["mail"])
    target: UUID = Field(description="The request.", examples=[_REQUEST_ID])
    target_version: int = Field(examples=[7])
    code: str = Field(description="The problem's code.", examples=["wrong-state"])
    reason: str | None = Field(examples=["not-answered"])
    holder: str | None = Field(
        description="Who had it, where that was the reason.", examples=["clk-DI-2"]
    )
    actor_kind: str = Field(examples=["clerk"])
    actor_id: str = Field(examples=["clk-DI-1"])
    effective_at: datetime = Field(examples=[_TIME])
    recorded_at: datetime = Field(examples=[_TIME])
    position: int = Field(examples=[48213])

    @classmethod
    def of(cls, row: RefusedAttempt) -> AttemptAnswer:
        """The answer of an attempt."""
        return cls(
            centre=row.centre,
            attempted=row.attempted,
            target=row.target,
            target_version=row.target_version,
            code=row.code,
            reason=row.reason,
            holder=row.holder,
            actor_kind=row.actor_kind,
            actor_id=row.actor_id,
            effective_at=row.effective_at,
            recorded_at=row.recorded_at,
            position=row.position,
        )


class AttemptList(BaseModel):
    """A page of refused attempts, the newest first."""

    items: list[AttemptAnswer]
    next: str | None = Field(examples=[None])


class LoadAnswer(BaseModel):
    """What one clerk has at one centre; who is away or has nothing is told too."""

    centre: str = Field(examples=["SY-DI-01"])
    clerk: str = Field(examples=["clk-DI-1"])
    agencies: list[str] = Field(examples=[["CIV", "CRM"]])
    is_here: bool = Field(
        description="Whether the clerk works at this centre.", examples=[True]
    )
    is_away: bool = Field(description="On the day it is told for.", examples=[False])
    has_left: bool = Field(examples=[False])
    to_move: int = Field(description="Items for the clerk to move.", examples=[7])
    overdue: int = Field(description="Of those.", examples=[1])
    waiting_for_agency: int = Field(examples=[4])
    waiting_for_citizen: int = Field(examples=[2])
    oldest: datetime | None = Field(
        description="Since when the oldest has waited for the clerk.", examples=[_TIME]
    )

    @classmethod
    def of(cls, row: ClerkLoad) -> LoadAnswer:
        """The answer of a clerk."""
        return cls(
            centre=row.centre,
            clerk=row.code,
            agencies=row.agencies,
            is_here=row.is_here,
            is_away=row.is_away,
            has_left=row.has_left,
            to_move=row.to_move,
            overdue=row.overdue,
            waiting_for_agency=row.waiting_for_agency,
            waiting_for_citizen=row.waiting_for_citizen,
            oldest=row.oldest,
        )


class LoadList(BaseModel):
    """A page of clerks, by centre and code."""

    items: list[LoadAnswer]
    next: str | None = Field(examples=[None])


def _work(
    listing: Listing, principal: Principal, house: House, **asked: Any
) -> QueueList | Response:
    """A part of the queue, whoever has to move."""
    principal.must_be_allowed(Permission.READ_DESK)
    return listing.answer(
        QueueList,
        lambda part: house.queries.queue.page(
            principal.scope,
            now=part.now,
            waiting_for=None,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
            **asked,
        ),
        QueueAnswer.of,
        views=["clerk_queue"],
    )


@router.get(
    "/unassigned",
    operation_id="list_unassigned_work",
    summary="List the work that nobody has",
    response_model=QueueList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_unassigned_work(
    listing: TheListing, principal: ThePrincipal, house: TheHouse, centre: Centre = None
) -> QueueList | Response:
    """List open work in nobody's hands, overdue first, whoever it waits for."""
    return _work(listing, principal, house, is_unassigned=True, centre=centre)


@router.get(
    "/returned-post",
    operation_id="list_returned_post",
    summary="List the post that came back",
    response_model=QueueList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_returned_post(
    listing: TheListing, principal: ThePrincipal, house: TheHouse, centre: Centre = None
) -> QueueList | Response:
    """List items that came back and were not dealt with, the longest waiting first."""
    act = NextAct.DEAL_WITH_RETURN
    return _work(listing, principal, house, next_act=act, centre=centre)


@router.get(
    "/load",
    operation_id="list_clerk_load",
    summary="List what each clerk has",
    response_model=LoadList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_clerk_load(
    listing: TheListing, principal: ThePrincipal, house: TheHouse, centre: Centre = None
) -> LoadList | Response:
    """List the clerks with their open work; work waiting for others is told apart."""
    principal.must_be_allowed(Permission.READ_DESK)
    return listing.answer(
        LoadList,
        lambda part: house.queries.desk.load(
            principal.scope,
            now=part.now,
            day=office_day(part.now),
            centre=centre,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        LoadAnswer.of,
        views=["clerk_queue", "roster"],
    )


@router.get(
    "/approvals",
    operation_id="list_approvals",
    summary="List what supervisors allowed",
    response_model=AllowedActList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_approvals(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Centre = None,
    approved_by: Annotated[Code | None, Query(examples=["sup-DI-1"])] = None,
    actor: Annotated[
        Code | None, Query(description="Whose act it was.", examples=["clk-DI-1"])
    ] = None,
    since: Since = None,
    until: Until = None,
) -> AllowedActList | Response:
    """List acts that stand on a supervisor's word, the newest first.

    `since` and `until` are about when they were recorded.
    """
    principal.must_be_allowed(Permission.READ_DESK)
    only = ApprovalFilter(
        centre=centre, approved_by=approved_by, actor=actor, since=since, until=until
    )
    return listing.answer(
        AllowedActList,
        lambda part: house.queries.desk.approvals(
            principal.scope,
            only=only,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        AllowedActAnswer.of,
        views=["supervisor_desk"],
    )


@router.get(
    "/refused-attempts",
    operation_id="list_refused_attempts",
    summary="List attempts that were refused",
    response_model=AttemptList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_refused_attempts(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Centre = None,
    attempted: Annotated[Code | None, Query(examples=["mail"])] = None,
    code: Annotated[Code | None, Query(examples=["wrong-state"])] = None,
    actor: Annotated[Code | None, Query(examples=["clk-DI-1"])] = None,
    since: Since = None,
    until: Until = None,
) -> AttemptList | Response:
    """List what was tried at the centre and refused by a rule, the newest first.

    `since` and `until` are about when it was recorded.
    """
    principal.must_be_allowed(Permission.READ_DESK)
    only = AttemptFilter(
        centre=centre,
        attempted=attempted,
        code=code,
        actor=actor,
        since=since,
        until=until,
    )
    return listing.answer(
        AttemptList,
        lambda part: house.queries.desk.attempts(
            principal.scope,
            only=only,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        AttemptAnswer.of,
        views=["supervisor_desk"],
    )
