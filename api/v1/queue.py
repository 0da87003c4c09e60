"""The queue: what is to be done next."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.asking import (
    TheHouse,
    ThePrincipal,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import responses
from api.v1.answers import (
    QueueAnswer,
    QueueList,
)
from api.v1.bodies import Code
from domain.access import Permission, Principal
from domain.acts import ActorKind
from domain.stages import NextAct, Stage, WaitingFor
from projections.queue_items import QueueFilter, QueueSort

router = APIRouter(prefix="/v1")


def asked_queue(
    clerk: Annotated[
        Code | None,
        Query(
            description="A supervisor's choice; a clerk has the own queue.",
            examples=["clk-DI-1"],
        ),
    ] = None,
    unassigned: Annotated[
        bool, Query(description="Only what nobody has.", examples=[False])
    ] = False,
    waiting_for: Annotated[WaitingFor, Query(examples=["clerk"])] = WaitingFor.CLERK,
    service: Annotated[Code | None, Query(examples=["CIV-01"])] = None,
    agency: Annotated[Code | None, Query(examples=["CIV"])] = None,
    stage: Annotated[Stage | None, Query(examples=["in_progress"])] = None,
    next_act: Annotated[NextAct | None, Query(examples=["take_fee"])] = None,
) -> QueueFilter:
    """Which part of the queue is asked for, as a list or live."""
    return QueueFilter(
        clerk=clerk,
        is_unassigned=unassigned,
        waiting_for=waiting_for,
        service=service,
        agency=agency,
        stage=stage,
        next_act=next_act,
    )


AskedQueue = Annotated[QueueFilter, Depends(asked_queue)]


def own_queue(principal: Principal, asked: QueueFilter) -> QueueFilter:
    """What is asked for; of a clerk, the own part of it."""
    if principal.role is ActorKind.CLERK:
        return replace(asked, clerk=principal.id)
    return asked


@router.get(
    "/queue",
    tags=["work"],
    operation_id="get_queue",
    summary="Read the queue",
    response_model=QueueList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_queue(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    asked: AskedQueue,
    overdue: Annotated[
        bool, Query(description="Only what is past its limit.", examples=[False])
    ] = False,
    sort: Annotated[QueueSort, Query(examples=["until"])] = QueueSort.DUE,
) -> QueueList | Response:
    """Read what is to be done next: overdue first, then what is due soonest."""
    principal.must_be_allowed(Permission.READ_QUEUE)
    only = own_queue(principal, asked)
    return listing.answer(
        QueueList,
        lambda part: house.queries.queue.page(
            principal.scope,
            now=part.now,
            only=replace(only, overdue_at=part.now if overdue else None),
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        QueueAnswer.of,
        views=["clerk_queue"],
    )
