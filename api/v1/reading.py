"""Reading the views: the queue and the counts."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.asking import (
    AsOf,
    MinPosition,
    TheHouse,
    ThePrincipal,
    position_to_read,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import FRESH, responses
from api.v1.answers import (
    CountAnswer,
    CountList,
    QueueAnswer,
    QueueList,
)
from api.v1.bodies import Code
from domain.access import Permission
from domain.acts import ActorKind
from domain.calendars import office_day
from domain.errors import InvalidValueError
from domain.governorates import governorates
from domain.stages import WaitingFor
from office.acts import translated
from office.house import House
from projections.governorate_counts import CountBy

router = APIRouter(prefix="/v1")
LONGEST_SPAN_DAYS = 400
"""Days one question for flows may span: a year and its comparison."""


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
    clerk: Annotated[
        Code | None,
        Query(
            description="A supervisor's choice; a clerk sees the own queue.",
            examples=["clk-DI-1"],
        ),
    ] = None,
    unassigned: Annotated[
        bool, Query(description="Only what nobody has.", examples=[False])
    ] = False,
    waiting_for: Annotated[WaitingFor, Query(examples=["clerk"])] = WaitingFor.CLERK,
) -> QueueList | Response:
    """Read what is to be done next: overdue first, then what is due soonest."""
    principal.must_be_allowed(Permission.READ_QUEUE)
    if principal.role is ActorKind.CLERK:
        clerk = principal.id
    return listing.answer(
        QueueList,
        lambda part: house.queries.queue.page(
            principal.scope,
            now=part.now,
            clerk=clerk,
            is_unassigned=unassigned,
            waiting_for=waiting_for,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        QueueAnswer.of,
        views=["clerk_queue"],
    )


@router.get(
    "/counts",
    tags=["counts"],
    operation_id="get_counts",
    summary="Count requests by stage",
    responses=responses(*FRESH),
)
def get_counts(
    principal: ThePrincipal,
    house: TheHouse,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["governorate"]]),
    ] = None,
    total: Annotated[
        bool, Query(description="One group of everything.", examples=[False])
    ] = False,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> CountList:
    """Count where requests stand. Governorates without a centre are not measured."""
    principal.must_be_allowed(Permission.READ_COUNTS)
    position = position_to_read(house, as_of, min_position, "governorate_counts")
    groups = [] if total else by or [CountBy.GOVERNORATE]
    with translated():
        counts = house.queries.counts.stocks(principal.scope, by=groups, as_of=position)
        items = [CountAnswer.of(count) for count in counts]
        if groups == [CountBy.GOVERNORATE] and principal.scope.centre is None:
            items += _not_measured(house, {i.group["governorate"] for i in items})
        return CountList(position=_position(house, position), items=items)


@router.get(
    "/counts/flows",
    tags=["counts"],
    operation_id="get_flows",
    summary="Count what moved on each day",
    responses=responses(*FRESH),
)
def get_flows(
    principal: ThePrincipal,
    house: TheHouse,
    first: Annotated[
        date | None, Query(description="The first day.", examples=["2026-11-01"])
    ] = None,
    last: Annotated[
        date | None, Query(description="The last day.", examples=["2026-11-30"])
    ] = None,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["day"]]),
    ] = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> CountList:
    """Count the requests that entered each stage, by effective day in Damascus."""
    principal.must_be_allowed(Permission.READ_COUNTS)
    position = position_to_read(house, as_of, min_position, "governorate_counts")
    last = last or office_day(house.clock())
    first = first or last - timedelta(days=min(30, last.toordinal() - 1))
    if not 0 <= (last - first).days <= LONGEST_SPAN_DAYS:
        raise InvalidValueError(field="first", reason="span")
    with translated():
        counts = house.queries.counts.flows(
            principal.scope,
            first=first,
            last=last,
            by=by or [CountBy.DAY],
            as_of=position,
        )
        return CountList(
            position=_position(house, position),
            items=[CountAnswer.of(count) for count in counts],
        )


def _position(house: House, as_of: int | None) -> int:
    levels = {level.view: level for level in house.queries.progress.levels()}
    level = levels["governorate_counts"].position
    return level if as_of is None else min(as_of, level)


def _not_measured(house: House, measured: set[str]) -> list[CountAnswer]:
    """Governorates nothing was counted in: zero with a centre, unmeasured without."""
    centres = {
        str(centre.facts["governorate"])
        for centre in house.queries.catalogue.page("centre", limit=200).items
    }
    stages = CountAnswer.model_fields.keys() - {"group"}
    return [
        CountAnswer(
            group={"governorate": governorate.code},
            **dict.fromkeys(stages, 0 if governorate.code in centres else None),
        )
        for governorate in governorates()
        if governorate.code not in measured and centres
    ]
