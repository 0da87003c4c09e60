"""The postal manifest: what each centre mailed, and what became of each item."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from api.asking import Since, TheHouse, ThePrincipal, Until
from api.listing import LISTED, LISTING, TheListing
from api.problems import responses
from api.times import Day
from api.v1.bodies import Code
from api.v1.days import FirstDay, LastDay, days_of
from domain.access import Permission
from domain.calendars import span_of
from domain.errors import InvalidValueError
from domain.post import parse_item_number
from domain.requests import Delivery, ReturnedBecause
from projections.postal_manifest import (
    ItemState,
    MailingDay,
    PostalFilter,
    PostalItem,
    PostalSort,
)

router = APIRouter(prefix="/v1/postal-items", tags=["post"])
_TIME = "2026-11-23T08:14:05.120000Z"


def _item_number(text: str) -> str:
    try:
        return parse_item_number(text)
    except InvalidValueError as error:
        # Not the text: what was typed may be anything.
        raise ValueError(error.reason) from None


class PostalItemAnswer(BaseModel):
    """One item in or after the post. It tells nothing of what is inside."""

    request_id: UUID = Field(
        description="What the post's reports are about.",
        examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"],
    )
    item: str = Field(examples=["RA473124829GB"])
    centre: str = Field(examples=["SY-DI-01"])
    governorate: str = Field(examples=["SY-DI"])
    destination: Delivery = Field(examples=["home"])
    state: ItemState = Field(examples=["on_the_way"])
    mailed_at: datetime = Field(examples=[_TIME])
    ended_at: datetime | None = Field(
        description="When it was received or came back.", examples=[_TIME]
    )
    capacity: str | None = Field(
        description="In which capacity it was received.", examples=["self"]
    )
    reason: ReturnedBecause | None = Field(
        description="Why it came back.", examples=["receiver_absent"]
    )
    age_s: int = Field(
        description="Seconds on its way: until its end, else until the time asked for.",
        examples=[86400],
    )
    position: int = Field(
        description="The entry that made it what it is.", examples=[48213]
    )

    @classmethod
    def of(cls, row: PostalItem) -> PostalItemAnswer:
        """The answer of an item."""
        return cls(
            request_id=row.request_id,
            item=row.item,
            centre=row.centre,
            governorate=row.governorate,
            destination=row.destination,
            state=row.state,
            mailed_at=row.mailed_at,
            ended_at=row.ended_at,
            capacity=row.capacity,
            reason=row.reason,
            age_s=row.age_s,
            position=row.position,
        )


class PostalItemList(BaseModel):
    """A page of items, in the order of their mailing."""

    items: list[PostalItemAnswer]
    next: str | None = Field(examples=[None])


class MailingDayAnswer(BaseModel):
    """What one centre mailed on one day, and where it is now."""

    day: date = Field(examples=["2026-11-23"])
    centre: str = Field(examples=["SY-DI-01"])
    mailed: int = Field(examples=[41])
    on_the_way: int = Field(examples=[3])
    delivered: int = Field(examples=[30])
    collected: int = Field(examples=[6])
    returned: int = Field(examples=[2])

    @classmethod
    def of(cls, row: MailingDay) -> MailingDayAnswer:
        """The answer of a day."""
        return cls(
            day=row.day,
            centre=row.centre,
            mailed=row.mailed,
            on_the_way=row.on_the_way,
            delivered=row.delivered,
            collected=row.collected,
            returned=row.returned,
        )


class MailingDayList(BaseModel):
    """A page of days, the newest first."""

    items: list[MailingDayAnswer]
    next: str | None = Field(examples=[None])


@router.get(
    "",
    operation_id="list_postal_items",
    summary="List what was mailed",
    response_model=PostalItemList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_postal_items(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    governorate: Annotated[Code | None, Query(examples=["SY-DI"])] = None,
    day: Annotated[
        Day | None,
        Query(description="Mailed on this day, in Damascus.", examples=["2026-11-23"]),
    ] = None,
    item: Annotated[
        str | None,
        Query(max_length=40, examples=["RA473124829GB"]),
        AfterValidator(lambda text: text if text is None else _item_number(text)),
    ] = None,
    destination: Annotated[Delivery | None, Query(examples=["home"])] = None,
    state: Annotated[ItemState | None, Query(examples=["on_the_way"])] = None,
    reason: Annotated[
        ReturnedBecause | None,
        Query(description="Why it came back.", examples=["receiver_absent"]),
    ] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[PostalSort, Query(examples=["mailed_at"])] = PostalSort.OLDEST,
) -> PostalItemList | Response:
    """List items, the oldest first: of a day it is the manifest for the post.

    `since` and `until` are about the mailing.
    """
    principal.must_be_allowed(Permission.READ_POST)
    only = PostalFilter(
        centre=centre,
        governorate=governorate,
        item=item,
        destination=destination,
        state=state,
        reason=reason,
        since=since,
        until=until,
    )
    if day is not None:
        if since is not None or until is not None:
            raise InvalidValueError(field="day", reason="with-since-or-until")
        begins, ends = span_of(day, day)
        only = replace(only, since=begins, until=ends)
    return listing.answer(
        PostalItemList,
        lambda part: house.queries.post.items(
            principal.scope,
            now=part.now,
            only=only,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        PostalItemAnswer.of,
        views=["postal_manifest"],
    )


@router.get(
    "/days",
    operation_id="list_mailing_days",
    summary="Count what was mailed on each day",
    response_model=MailingDayList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_mailing_days(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    governorate: Annotated[Code | None, Query(examples=["SY-DI"])] = None,
    first: FirstDay = None,
    last: LastDay = None,
) -> MailingDayList | Response:
    """Count what each centre mailed on each day, by where it is now."""
    principal.must_be_allowed(Permission.READ_POST)
    since, until = span_of(*days_of(house, first, last))
    return listing.answer(
        MailingDayList,
        lambda part: house.queries.post.days(
            principal.scope,
            since=since,
            until=until,
            centre=centre,
            governorate=governorate,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        MailingDayAnswer.of,
        views=["postal_manifest"],
    )
