"""Stamped papers: the register of stamps, every stamping, and the check of one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.asking import (
    AsOf,
    MinPosition,
    Since,
    TheHouse,
    ThePrincipal,
    Until,
    position_to_read,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import FRESH, responses
from api.v1.bodies import Code
from domain.access import Permission
from domain.errors import NotFoundError
from office.acts import translated
from projections.stamp_register import (
    RegisteredStamp,
    StampDoubt,
    Stamping,
    StampingFilter,
    StampingSort,
)

router = APIRouter(prefix="/v1", tags=["stamps"])
_TIME = "2026-11-23T08:14:05.120000Z"
_DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
_SERIAL = "ختم-DI-000001"
_DOUBTS = Field(
    description="Why to look twice; empty where nothing speaks against it.",
    examples=[["after_withdrawal"]],
)


class StampingAnswer(BaseModel):
    """One paper that was stamped: which stamp, by whom, when, on which request."""

    request_id: UUID = Field(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-01"])
    centre: str = Field(examples=["SY-DI-01"])
    governorate: str = Field(examples=["SY-DI"])
    serial: str = Field(examples=[_SERIAL])
    kind: str = Field(examples=["live"])
    officer: str = Field(description="The code of who stamped.", examples=["clk-DI-1"])
    stamped_digest: str = Field(
        description="SHA-256 over the salt and the paper.", examples=[_DIGEST]
    )
    stamped_at: datetime = Field(examples=[_TIME])
    doubts: list[StampDoubt] = _DOUBTS
    position: int = Field(examples=[48213])

    @classmethod
    def of(cls, row: Stamping) -> StampingAnswer:
        """The answer of a stamping."""
        return cls(
            request_id=row.request_id,
            tracking_number=row.tracking_number,
            service=row.service,
            centre=row.centre,
            governorate=row.governorate,
            serial=row.serial,
            kind=row.kind,
            officer=row.officer,
            stamped_digest=row.digest,
            stamped_at=row.stamped_at,
            doubts=list(row.doubts),
            position=row.position,
        )


class StampingList(BaseModel):
    """A page of stampings."""

    items: list[StampingAnswer]
    next: str | None = Field(examples=[None])


class RegisteredStampAnswer(BaseModel):
    """One stamp of the register."""

    serial: str = Field(examples=[_SERIAL])
    kind: str = Field(examples=["live"])
    centre: str = Field(examples=["SY-DI-01"])
    issued_at: datetime = Field(examples=[_TIME])
    withdrawn_on: date | None = Field(
        description="The first day on which it is valid no more.",
        examples=["2026-12-01"],
    )
    withdrawn_because: str | None = Field(examples=["lost"])
    last_stamped_at: datetime | None = Field(examples=[_TIME])
    is_used_after_withdrawal: bool = Field(
        description="Whether a paper says it was stamped when it was withdrawn.",
        examples=[False],
    )

    @classmethod
    def of(cls, row: RegisteredStamp) -> RegisteredStampAnswer:
        """The answer of a stamp."""
        return cls(
            serial=row.serial,
            kind=row.kind,
            centre=row.centre,
            issued_at=row.issued_at,
            withdrawn_on=row.withdrawn_on,
            withdrawn_because=row.withdrawn_because,
            last_stamped_at=row.last_stamped_at,
            is_used_after_withdrawal=row.is_used_after_withdrawal,
        )


class RegisteredStampList(BaseModel):
    """A page of the register, by serial."""

    items: list[RegisteredStampAnswer]
    next: str | None = Field(examples=[None])


class PaperStampAnswer(BaseModel):
    """One stamp on the paper: what the paper itself shows, and whether to doubt it."""

    serial: str = Field(examples=[_SERIAL])
    kind: str = Field(examples=["live"])
    centre: str = Field(examples=["SY-DI-01"])
    stamped_at: datetime = Field(examples=[_TIME])
    is_good: bool = Field(examples=[True])
    doubts: list[StampDoubt] = _DOUBTS


class PaperAnswer(BaseModel):
    """The stamps on the paper with a digest, the newest first."""

    stamped_digest: str = Field(examples=[_DIGEST])
    stamps: list[PaperStampAnswer]


Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", min_length=64, examples=[_DIGEST])
]


@router.get(
    "/stampings",
    operation_id="list_stampings",
    summary="List what was stamped",
    response_model=StampingList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_stampings(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    serial: Annotated[Code | None, Query(examples=[_SERIAL])] = None,
    stamped_digest: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", examples=[_DIGEST])
    ] = None,
    officer: Annotated[Code | None, Query(examples=["clk-DI-1"])] = None,
    since: Since = None,
    until: Until = None,
    doubtful: Annotated[
        bool, Query(description="Only what is to be doubted.", examples=[False])
    ] = False,
    sort: Annotated[StampingSort, Query(examples=["-stamped_at"])] = (
        StampingSort.NEWEST
    ),
) -> StampingList | Response:
    """List every stamping, for clerks and supervisors those of the own centre."""
    principal.must_be_allowed(Permission.READ_STAMPS)
    only = StampingFilter(
        centre=centre,
        serial=serial,
        digest=stamped_digest,
        officer=officer,
        since=since,
        until=until,
        is_doubtful=doubtful,
    )
    return listing.answer(
        StampingList,
        lambda part: house.queries.stamps.stampings(
            principal.scope,
            only=only,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        StampingAnswer.of,
        views=["stamp_register"],
    )


@router.get(
    "/stamp-register",
    operation_id="list_registered_stamps",
    summary="Read the register of stamps",
    response_model=RegisteredStampList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_registered_stamps(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    serial: Annotated[Code | None, Query(examples=[_SERIAL])] = None,
    withdrawn: Annotated[
        bool | None, Query(description="Only such, or only others.", examples=[True])
    ] = None,
) -> RegisteredStampList | Response:
    """List the stamps with their last use, and whether any was used once withdrawn."""
    principal.must_be_allowed(Permission.READ_STAMPS)
    return listing.answer(
        RegisteredStampList,
        lambda part: house.queries.stamps.stamps(
            principal.scope,
            centre=centre,
            serial=serial,
            is_withdrawn=withdrawn,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        RegisteredStampAnswer.of,
        views=["stamp_register"],
    )


@router.get(
    "/papers/{digest}",
    operation_id="check_paper",
    summary="Check a stamped paper",
    responses=responses(*FRESH, "not-found"),
)
def check_paper(
    digest: Digest,
    principal: ThePrincipal,
    house: TheHouse,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PaperAnswer:
    """Check a paper of any centre by its digest; it tells what the paper shows.

    The digest is computed from the paper and the salt on its receipt, so that only
    who has both can ask.
    """
    principal.must_be_allowed(Permission.CHECK_PAPER)
    position = position_to_read(house, as_of, min_position, "stamp_register")
    with translated():
        found = house.queries.stamps.on_paper(digest, as_of=position)
    if not found:
        raise NotFoundError(thing="paper")
    stamps = [
        PaperStampAnswer(
            serial=row.serial,
            kind=row.kind,
            centre=row.centre,
            stamped_at=row.stamped_at,
            is_good=not row.doubts,
            doubts=list(row.doubts),
        )
        for row in found
    ]
    return PaperAnswer(stamped_digest=digest, stamps=stamps)
