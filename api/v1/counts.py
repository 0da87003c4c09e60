"""Counting: how many requests stand where, and what moved on which day."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.asking import AsOf, MinPosition, TheHouse, ThePrincipal, position_to_read
from api.listing import LISTED, LISTING, TheSheet
from api.problems import responses
from api.times import Day, day_or_time
from domain.access import Permission
from domain.calendars import office_day
from domain.errors import InvalidValueError
from domain.governorates import governorates
from office.acts import translated
from office.house import House
from projections.governorate_counts import Count, CountBy
from projections.pages import LARGEST_PAGE

router = APIRouter(prefix="/v1", tags=["counts"])
LONGEST_SPAN_DAYS = 400
"""Days one question for flows may span: a year and its comparison."""
DEFAULT_SPAN_DAYS = 30
VIEW = "governorate_counts"

EffectiveAt = Annotated[
    str | None,
    Query(
        max_length=40,
        description="What had happened by a time (RFC 3339), or by the end of a day in"
        " Damascus; with `as_of`, as it was known then.",
        examples=["2026-11-23", "2026-11-23T12:00:00Z"],
    ),
]


class CountAnswer(BaseModel):
    """The requests of one group by stage. Null means not measured, never 0."""

    group: dict[str, str] = Field(examples=[{"governorate": "SY-DI"}])
    submitted: int | None = Field(examples=[12])
    waiting: int | None = Field(examples=[2])
    not_accepted: int | None = Field(examples=[1])
    in_progress: int | None = Field(examples=[4])
    completed: int | None = Field(examples=[5])
    completed_issued: int | None = Field(examples=[4])
    completed_refused: int | None = Field(examples=[1])
    withdrawn: int | None = Field(examples=[0])
    expired: int | None = Field(examples=[0])

    @classmethod
    def of(cls, count: Count) -> "CountAnswer":
        """The answer of one counted group."""
        return cls(
            group=count.group,
            submitted=count.submitted,
            waiting=count.waiting,
            not_accepted=count.not_accepted,
            in_progress=count.in_progress,
            completed=count.completed,
            completed_issued=count.completed_issued,
            completed_refused=count.completed_refused,
            withdrawn=count.withdrawn,
            expired=count.expired,
        )


class CountList(BaseModel):
    """Counts by group. ``position`` is where the view stood."""

    position: int = Field(examples=[48213])
    items: list[CountAnswer]


@router.get(
    "/counts",
    operation_id="get_counts",
    summary="Count requests by stage",
    response_model=CountList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_counts(
    principal: ThePrincipal,
    house: TheHouse,
    sheet: TheSheet,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["governorate"]]),
    ] = None,
    total: Annotated[
        bool, Query(description="One group of everything.", examples=[False])
    ] = False,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> CountList | Response:
    """Count where requests stand. Governorates without a centre are not measured."""
    principal.must_be_allowed(Permission.READ_COUNTS)
    happened_by = happened_by_of(effective_at)
    known = position_to_read(house, as_of, min_position, VIEW, "catalogue")
    groups = [] if total else by or [CountBy.GOVERNORATE]
    with translated():
        position = position_of(house, VIEW, known)
        counts = house.queries.counts.stocks(
            principal.scope, by=groups, as_of=position, effective_at=happened_by
        )
        items = [CountAnswer.of(count) for count in counts]
        if groups == [CountBy.GOVERNORATE] and principal.scope.centre is None:
            measured = {item.group["governorate"] for item in items}
            items += _not_counted(house, measured, known)
        made = CountList(position=position, items=items)
    return sheet.answer(made, position=position, parts={"group": groups})


@router.get(
    "/counts/flows",
    operation_id="get_flows",
    summary="Count what moved on each day",
    response_model=CountList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_flows(
    principal: ThePrincipal,
    house: TheHouse,
    sheet: TheSheet,
    first: Annotated[
        Day | None, Query(description="The first day.", examples=["2026-11-01"])
    ] = None,
    last: Annotated[
        Day | None, Query(description="The last day.", examples=["2026-11-30"])
    ] = None,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["day"]]),
    ] = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> CountList | Response:
    """Count the requests that entered each stage, by effective day in Damascus."""
    principal.must_be_allowed(Permission.READ_COUNTS)
    known = position_to_read(house, as_of, min_position, VIEW)
    first, last = span(house, first, last)
    groups = by or [CountBy.DAY]
    with translated():
        position = position_of(house, VIEW, known)
        counts = house.queries.counts.flows(
            principal.scope,
            first=first,
            last=last,
            by=groups,
            as_of=position,
        )
        made = CountList(
            position=position, items=[CountAnswer.of(count) for count in counts]
        )
    return sheet.answer(made, position=position, parts={"group": groups})


def happened_by_of(text: str | None) -> date | datetime | None:
    """The day or time of an ``effective_at``. Raises InvalidValueError for others."""
    if text is None:
        return None
    try:
        return day_or_time(text)
    except ValueError as error:
        raise InvalidValueError(field="effective_at", reason="shape") from error


def span(house: House, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked for, or the last 30. Raises InvalidValueError for too many."""
    last = last or office_day(house.clock())
    first = first or last - timedelta(days=min(DEFAULT_SPAN_DAYS, last.toordinal() - 1))
    if not 0 <= (last - first).days <= LONGEST_SPAN_DAYS:
        raise InvalidValueError(field="first", reason="span")
    return first, last


def position_of(house: House, view: str, as_of: int | None) -> int:
    """Where a view is read: what is counted is what was known at this position."""
    levels = {level.view: level for level in house.queries.progress.levels()}
    level = levels[view].position
    return level if as_of is None else min(as_of, level)


def _not_counted(
    house: House, measured: set[str], as_of: int | None
) -> list[CountAnswer]:
    """Governorates nothing was counted in: zero with a centre, unmeasured without.

    An office without any centre, such as one that lives by imports alone, has
    measured nowhere, and says nothing of the rest.
    """
    centres = _with_centres(house, as_of)
    stages = CountAnswer.model_fields.keys() - {"group"}
    return [
        CountAnswer(
            group={"governorate": governorate.code},
            **dict.fromkeys(stages, 0 if governorate.code in centres else None),
        )
        for governorate in governorates()
        if governorate.code not in measured and centres
    ]


def _with_centres(house: House, as_of: int | None) -> set[str]:
    """The governorates with a centre, open or closed by now."""
    found: set[str] = set()
    cursor = None
    while True:
        page = house.queries.catalogue.page(
            "centre", after=cursor, limit=LARGEST_PAGE, as_of=as_of
        )
        found.update(str(centre.facts["governorate"]) for centre in page.items)
        if (cursor := page.next) is None:
            return found
