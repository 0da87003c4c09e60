"""Times: how long requests took at centre, agency and post, in working time."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.asking import (
    AsOf,
    MinPosition,
    TheHouse,
    ThePrincipal,
    moment_to_read,
    position_to_read,
)
from api.listing import LISTED, LISTING, TheSheet
from api.problems import responses
from api.times import Day
from api.v1.counts import EffectiveAt, happened_by_of, position_of, span
from domain.access import Permission
from office.acts import translated
from projections.turnaround import Part, Share, Times, TurnaroundBy

router = APIRouter(prefix="/v1", tags=["counts"])
VIEW = "turnaround"
_PART = {"n": 12, "median": 95, "p90": 410}
_SHARE = {"n": 12, "inside": 11, "share": 0.9167}


class PartAnswer(BaseModel):
    """Working minutes of those measured; null where none was, never 0.

    Both are minutes that one of them took: percentiles of the nearest rank.
    """

    n: int = Field(description="How many were measured.", examples=[12])
    median: int | None = Field(examples=[95])
    p90: int | None = Field(
        description="Nine of ten took this long or less.", examples=[410]
    )

    @classmethod
    def of(cls, part: Part) -> "PartAnswer":
        """The answer of a part."""
        return cls(n=part.n, median=part.median, p90=part.p90)


class ShareAnswer(BaseModel):
    """How many kept their limit; the share is null where none had one."""

    n: int = Field(description="How many had the limit.", examples=[12])
    inside: int = Field(examples=[11])
    share: float | None = Field(description="Four decimals.", examples=[0.9167])

    @classmethod
    def of(cls, share: Share) -> "ShareAnswer":
        """The answer of a share."""
        rounded = round(share.inside / share.n, 4) if share.n else None
        return cls(n=share.n, inside=share.inside, share=rounded)


class TimesAnswer(BaseModel):
    """The times of what one group completed in the period, and what it has open."""

    group: dict[str, str] = Field(examples=[{"governorate": "SY-DI"}])
    completed: int = Field(examples=[12])
    whole: PartAnswer = Field(
        description="Acceptance to completion, the clock stopped while the citizen"
        " is asked.",
        examples=[_PART],
    )
    centre: PartAnswer = Field(
        description="Of the whole, what was not the agency's.", examples=[_PART]
    )
    agency: PartAnswer = Field(
        description="Of the whole, the agency's; on the direct route there is none.",
        examples=[_PART],
    )
    post: PartAnswer = Field(
        description="From mailing to receipt, after the completion.", examples=[_PART]
    )
    first_answer: PartAnswer = Field(
        description="The agency's until its first answer.", examples=[_PART]
    )
    inside_limit: ShareAnswer = Field(examples=[_SHARE])
    first_answer_inside_limit: ShareAnswer = Field(examples=[_SHARE])
    open: int | None = Field(
        description="In progress; null by day or month.", examples=[4]
    )
    oldest_open: int | None = Field(
        description="Working minutes of the oldest in progress.", examples=[1260]
    )

    @classmethod
    def of(cls, times: Times) -> "TimesAnswer":
        """The answer of one group."""
        return cls(
            group=times.group,
            completed=times.completed,
            whole=PartAnswer.of(times.whole),
            centre=PartAnswer.of(times.centre),
            agency=PartAnswer.of(times.agency),
            post=PartAnswer.of(times.post),
            first_answer=PartAnswer.of(times.first_answer),
            inside_limit=ShareAnswer.of(times.inside_limit),
            first_answer_inside_limit=ShareAnswer.of(times.first_answer_inside_limit),
            open=times.open,
            oldest_open=times.oldest_open,
        )


class TimesList(BaseModel):
    """Times by group. ``position`` is where the view stood, in working minutes."""

    position: int = Field(examples=[48213])
    first: date = Field(examples=["2026-11-01"])
    last: date = Field(examples=["2026-11-30"])
    items: list[TimesAnswer]


@router.get(
    "/turnaround",
    operation_id="get_turnaround",
    summary="Read how long requests took",
    response_model=TimesList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_turnaround(
    principal: ThePrincipal,
    house: TheHouse,
    sheet: TheSheet,
    first: Annotated[
        Day | None,
        Query(description="The first day of completion.", examples=["2026-11-01"]),
    ] = None,
    last: Annotated[
        Day | None,
        Query(description="The last day of completion.", examples=["2026-11-30"]),
    ] = None,
    by: Annotated[
        list[TurnaroundBy] | None,
        Query(description="What to group by.", examples=[["governorate"]]),
    ] = None,
    total: Annotated[
        bool, Query(description="One group of everything.", examples=[False])
    ] = False,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> TimesList | Response:
    """Read medians, nine of ten, shares inside the limits, and what is open longest."""
    principal.must_be_allowed(Permission.READ_COUNTS)
    happened_by = happened_by_of(effective_at)
    known = position_to_read(house, as_of, min_position, VIEW)
    first, last = span(house, first, last)
    groups = [] if total else by or [TurnaroundBy.GOVERNORATE]
    with translated():
        position = position_of(house, VIEW, known)
        found = house.queries.turnaround.times(
            principal.scope,
            first=first,
            last=last,
            now=moment_to_read(house, as_of, known),
            by=groups,
            as_of=position,
            effective_at=happened_by,
        )
        made = TimesList(
            position=position,
            first=first,
            last=last,
            items=[TimesAnswer.of(times) for times in found],
        )
    return sheet.answer(made, position=position, parts={"group": groups})
