"""Reading the views: the queue, the counts, the catalogue, and raw entries."""

import base64
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.asking import (
    AsOf,
    Cursor,
    Limit,
    MinPosition,
    TheHouse,
    ThePrincipal,
    next_link,
    position_as_of,
    position_to_read,
)
from api.problems import FRESH, READING, responses
from api.v1.answers import (
    CountAnswer,
    CountList,
    EntryAnswer,
    EntryList,
    QueueAnswer,
    QueueList,
)
from api.v1.bodies import Code
from domain.access import Permission
from domain.acts import ActorKind
from domain.calendars import office_day
from domain.errors import InvalidValueError, NotFoundError
from domain.governorates import governorates
from domain.stages import WaitingFor
from ledger.entries import Entry
from office.acts import translated
from office.house import House
from projections.governorate_counts import CountBy
from projections.pages import decode_cursor, paged

router = APIRouter(prefix="/v1")
LONGEST_SPAN_DAYS = 400
"""Days one question for flows may span: a year and its comparison."""


@router.get(
    "/queue",
    tags=["work"],
    operation_id="get_queue",
    summary="Read the queue",
    responses=responses(*FRESH),
)
def get_queue(
    request: Request,
    response: Response,
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
    cursor: Cursor = None,
    limit: Limit = 50,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> QueueList:
    """Read what is to be done next: overdue first, then what is due soonest."""
    principal.must_be_allowed(Permission.READ_QUEUE)
    position = position_to_read(house, as_of, min_position, "clerk_queue")
    if principal.role is ActorKind.CLERK:
        clerk = principal.id
    with translated():
        page = house.queries.queue.page(
            principal.scope,
            now=house.clock(),
            clerk=clerk,
            is_unassigned=unassigned,
            waiting_for=waiting_for,
            after=cursor,
            limit=limit,
            as_of=position,
        )
    next_link(request, response, page.next)
    return QueueList(
        items=[QueueAnswer.of(item) for item in page.items], next=page.next
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


def _entry(entry: Entry) -> EntryAnswer:
    return EntryAnswer(
        position=entry.position,
        recorded_at=entry.recorded_at,
        aggregate_id=entry.aggregate_id,
        version=entry.version,
        topic=entry.topic,
        entry=base64.b64encode(entry.to_bytes()).decode(),
        leaf_hash=entry.leaf_hash().hex(),
    )


@router.get(
    "/entries",
    tags=["evidence"],
    operation_id="list_entries",
    summary="Read raw entries",
    responses=responses(*READING),
)
def list_entries(
    request: Request,
    response: Response,
    principal: ThePrincipal,
    house: TheHouse,
    cursor: Cursor = None,
    limit: Limit = 50,
    as_of: AsOf = None,
) -> EntryList:
    """Read the entries the ledger attests, for auditors."""
    principal.must_be_allowed(Permission.READ_ENTRY)
    after = (decode_cursor(cursor, int) or (0,))[0]
    until = None if as_of is None else position_as_of(house, as_of)
    with translated():
        entries = house.ledger.reader.entries(after=after, limit=limit + 1, until=until)
    page = paged(entries, limit, lambda entry: (entry.position,))
    next_link(request, response, page.next)
    return EntryList(items=[_entry(entry) for entry in page.items], next=page.next)


@router.get(
    "/entries/{position}",
    tags=["evidence"],
    operation_id="get_entry",
    summary="Read one raw entry",
    responses=responses(*READING, "not-found"),
)
def get_entry(
    position: Annotated[int, Path(ge=1, le=2**63 - 1, examples=[48213])],
    principal: ThePrincipal,
    house: TheHouse,
) -> EntryAnswer:
    """Read one entry and its leaf hash, for auditors."""
    principal.must_be_allowed(Permission.READ_ENTRY)
    with translated():
        found = house.ledger.reader.entry(position)
    if found is None:
        raise NotFoundError(thing="entry")
    return _entry(found)
