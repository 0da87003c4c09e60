"""People: found, made one, told what is held, and who looked at their values."""

import time
from datetime import datetime
from math import ceil
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from pydantic import AfterValidator, BaseModel, Field

from api.asking import (
    MinPosition,
    TheAsking,
    TheHouse,
    ThePrincipal,
    clean_cursor,
    outcome_headers,
    position_to_read,
)
from api.limits import RateLimitedError
from api.listing import LISTED, LISTING, TheListing
from api.problems import APPENDING, READING, SENDING, responses
from api.v1.bodies import Digits, Id, Strict, Text, one_of
from api.v1.requests import STAFF, RequestId
from domain.access import Permission, Principal
from domain.errors import InvalidValueError
from domain.persons import LONGEST_IDENTIFIER, LONGEST_NAME, PersonDetails, PersonField
from domain.records import MergedBecause
from domain.requests import PartyRole
from office.held import Corrected, Held, HeldParty, HeldRequest
from office.people import Hit, MergePersons, PartyOf
from projections.looks import LookRow
from projections.sorting import PositionSort
from projections.words import WORDS

router = APIRouter(tags=["persons"])

SEARCHES_A_MINUTE = 60
"""For one login: more than hands can type, too few to try numbers one by one."""

_REQUEST_ID = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
_OTHER_ID = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e11"
_TIME = "2026-11-23T08:14:05.120000Z"
_ASKING = (*READING, *SENDING)


class SearchLimits:
    """Bounds trying out of numbers and names by login, in the memory of one process."""

    def __init__(self, a_minute: int = SEARCHES_A_MINUTE) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._by_login = RateLimitItemPerMinute(a_minute)

    def check(self, principal: Principal) -> None:
        """Count one search. Raises RateLimitedError over the bound."""
        key = f"{principal.role}:{principal.id}"
        if not self._limiter.hit(self._by_login, "search", key):
            window = self._limiter.get_window_stats(self._by_login, "search", key)
            raise RateLimitedError(
                retry_after_s=max(1, ceil(window.reset_time - time.time()))
            )


def _limits(request: Request) -> SearchLimits:
    limits: SearchLimits = request.app.state.search_limits
    return limits


class PersonSearch(Strict):
    """Whom to look for: exactly one of number, identifier, phone and name."""

    national_number: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = (
        Field(default=None, examples=["00000000000"])
    )
    other_identifier: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = (
        Field(default=None, examples=[None])
    )
    phone: Annotated[Digits, Field(max_length=LONGEST_IDENTIFIER)] | None = Field(
        default=None, examples=[None]
    )
    name: Annotated[Text, Field(max_length=LONGEST_NAME)] | None = Field(
        default=None,
        description="Each word of it has to begin a word of the name.",
        examples=[None],
    )
    cursor: (
        Annotated[Text, Field(max_length=400), AfterValidator(clean_cursor)] | None
    ) = Field(
        default=None, description="The `next` of the answer before.", examples=[None]
    )

    def one(self) -> tuple[PersonField, str]:
        """What to look for. Raises InvalidValueError unless it is exactly one."""
        given = {
            PersonField.NATIONAL_NUMBER: self.national_number,
            PersonField.OTHER_IDENTIFIER: self.other_identifier,
            PersonField.PHONE: self.phone,
            PersonField.FULL_NAME: self.name,
        }
        found = [(name, value) for name, value in given.items() if value is not None]
        if len(found) != 1:
            raise InvalidValueError(field="search", reason="exactly-one")
        return found[0]


class PartyName(Strict):
    """A party: a request and the role in it."""

    request_id: Id = Field(examples=[_REQUEST_ID])
    role: Annotated[PartyRole, one_of(PartyRole)] = Field(examples=["applicant"])

    def party(self) -> PartyOf:
        """The party as the office names it."""
        return PartyOf(request_id=self.request_id, role=self.role)


class PersonMerge(Strict):
    """Two parties that are one person, and how there came to be two records."""

    first: PartyName
    second: PartyName
    reason: Annotated[MergedBecause, one_of(MergedBecause)] = Field(
        examples=["identifier-replaced"]
    )


class FoundRequest(BaseModel):
    """A request in which somebody was found. No value of a person."""

    id: UUID = Field(examples=[_REQUEST_ID])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    stage: str = Field(examples=["in_progress"])
    service: str = Field(examples=["CIV-01"])
    submitted_at: datetime = Field(examples=[_TIME])
    roles: list[str] = Field(
        description="What the person is in it.", examples=[["applicant"]]
    )

    @classmethod
    def of(cls, hit: Hit) -> "FoundRequest":
        """The answer's row of a hit."""
        state = hit.request.state
        return cls(
            id=hit.request.request_id,
            tracking_number=state.tracking_number,
            stage=state.stage,
            service=state.service,
            submitted_at=state.submitted_at,
            roles=list(hit.roles),
        )


class SearchAnswer(BaseModel):
    """What was found, the newest first."""

    items: list[FoundRequest]
    is_complete: bool = Field(
        description="False when a bound was reached before all rows were looked at.",
        examples=[True],
    )
    next: str | None = Field(
        description="Send it as `cursor` to go on from there.", examples=[None]
    )


class MergeAnswer(BaseModel):
    """A merge under its own id, which leads to no party."""

    id: UUID = Field(examples=[_OTHER_ID])


class LookAnswer(BaseModel):
    """Somebody of the office saw the values of a party."""

    looked_at: datetime = Field(examples=[_TIME])
    role: str = Field(examples=["clerk"])
    office: str = Field(examples=["SY-DI-01"])
    purpose: str = Field(examples=["counter"])
    by: str | None = Field(
        description="The login's code, for staff and auditors.", examples=["clk-DI-1"]
    )

    @classmethod
    def of(cls, row: LookRow, *, is_staff: bool) -> "LookAnswer":
        """The look for an asker; citizens see office and role."""
        return cls(
            looked_at=row.looked_at,
            role=row.actor_kind,
            office=row.actor_place,
            purpose=row.purpose,
            by=row.actor_id if is_staff else None,
        )


class LookList(BaseModel):
    """A page of looks, the newest first."""

    items: list[LookAnswer]
    next: str | None = Field(examples=[None])


class HeldCorrection(BaseModel):
    """A value that was corrected."""

    field: str = Field(examples=["phone"])
    value: str = Field(examples=["+963900000000"])
    reason: str | None = Field(examples=["typing_error"])
    corrected_at: datetime = Field(examples=[_TIME])

    @classmethod
    def of(cls, held: Corrected) -> "HeldCorrection":
        """The correction as it is told."""
        return cls(
            field=held.correction.field,
            value=held.correction.value,
            reason=held.reason,
            corrected_at=held.corrected_at,
        )


class HeldPartyAnswer(BaseModel):
    """What is held for one part in a request: as told, then as corrected."""

    role: str = Field(examples=["applicant"])
    told: dict[str, str] = Field(
        examples=[{"full_name": "الاسم الثلاثي كما في البطاقة"}]
    )
    corrections: list[HeldCorrection]
    notes: dict[str, str] = Field(examples=[{}])
    is_identified_alike: bool = Field(
        description="False: merged, or a number was corrected. Make sure that it is "
        "this person's before you hand it over.",
        examples=[True],
    )

    @classmethod
    def of(cls, party: HeldParty, held: Held) -> "HeldPartyAnswer":
        """The party as it is told."""
        return cls(
            role=party.role,
            told=_told(party.told),
            corrections=[HeldCorrection.of(each) for each in party.corrections],
            notes=party.notes,
            is_identified_alike=held.is_identified_alike(party),
        )


class HeldEvent(BaseModel):
    """Something that happened to a request, by office and role."""

    words_ar: str = Field(examples=["تقديم الطلب"])
    words_en: str = Field(examples=["Request submitted"])
    happened_at: datetime = Field(examples=[_TIME])
    recorded_at: datetime = Field(examples=[_TIME])
    role: str = Field(examples=["clerk"])
    office: str = Field(examples=["SY-DI-01"])


class HeldRequestAnswer(BaseModel):
    """One request of the person."""

    id: UUID = Field(examples=[_REQUEST_ID])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str = Field(examples=["CIV-01"])
    centre: str = Field(examples=["SY-DI-01"])
    stage: str = Field(examples=["in_progress"])
    asks_again_of: UUID | None = Field(
        description="The refused request that this one asks again for.", examples=[None]
    )
    parties: list[HeldPartyAnswer]
    events: list[HeldEvent]
    looks: list[LookAnswer]

    @classmethod
    def of(cls, one: HeldRequest, held: Held) -> "HeldRequestAnswer":
        """The request as it is told to the person: office and role, no clerk."""
        request = one.request
        return cls(
            id=request.id,
            tracking_number=request.tracking_number,
            service=request.service,
            centre=request.centre,
            stage=request.stage,
            asks_again_of=one.asks_again_of,
            parties=[HeldPartyAnswer.of(party, held) for party in one.parties],
            events=[
                HeldEvent(
                    words_ar=WORDS.get(event.topic, (event.topic,) * 2)[0],
                    words_en=WORDS.get(event.topic, (event.topic,) * 2)[1],
                    happened_at=event.happened_at,
                    recorded_at=event.recorded_at,
                    role=event.actor_kind,
                    office=event.actor_place,
                )
                for event in one.events
            ],
            looks=[LookAnswer.of(look, is_staff=False) for look in one.looks],
        )


class PersonExport(BaseModel):
    """All that is held on one person, to be handed to them."""

    made_at: datetime = Field(examples=[_TIME])
    is_complete: bool = Field(
        description="False when the person has more requests, or a request more "
        "looks, than one answer holds.",
        examples=[True],
    )
    merged_at: list[datetime] = Field(
        description="When records of theirs were merged.", examples=[[]]
    )
    requests: list[HeldRequestAnswer]

    @classmethod
    def of(cls, held: Held) -> "PersonExport":
        """The answer to an export."""
        return cls(
            made_at=held.made_at,
            is_complete=held.is_complete,
            merged_at=list(held.merged_at),
            requests=[HeldRequestAnswer.of(each, held) for each in held.requests],
        )


def _told(details: PersonDetails | None) -> dict[str, str]:
    values = {str(name): getattr(details, name, None) for name in PersonField}
    return {name: value for name, value in values.items() if value is not None}


@router.post(
    "/v1/persons/search",
    operation_id="search_persons",
    summary="Find the requests of a person",
    responses=responses(*_ASKING, "not-fresh-enough", "rate-limited"),
)
def search(
    body: PersonSearch,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    limits: Annotated[SearchLimits, Depends(_limits)],
    min_position: MinPosition = None,
) -> SearchAnswer:
    """Find requests in your scope by number, phone or name; the newest first.

    A POST, because what is asked for must not stand in an address. It shows no value.
    """
    principal.must_be_allowed(Permission.READ_PERSON)
    limits.check(principal)
    name, value = body.one()
    position_to_read(house, None, min_position, "tracking")
    if name is PersonField.FULL_NAME:
        hits = house.people.find_by_name(value, principal, after=body.cursor)
    else:
        hits = house.people.find(name, value, principal, after=body.cursor)
    response.headers["Cache-Control"] = "no-store"
    return SearchAnswer(
        items=[FoundRequest.of(hit) for hit in hits.items],
        is_complete=hits.is_complete,
        next=hits.next,
    )


@router.post(
    "/v1/persons/merge",
    operation_id="merge_persons",
    summary="Make two records of one person one",
    responses=responses(
        *_ASKING,
        "not-found",
        "already-merged",
        "idempotency-key-required",
        "idempotency-key-reused",
        "version-conflict",
        *APPENDING,
    ),
)
def merge(
    body: PersonMerge, asking: TheAsking, house: TheHouse, response: Response
) -> MergeAnswer:
    """Say that the parties of two requests of your centre are one person.

    From then on either number finds the requests of both. It cannot be undone.
    """
    done = house.people.merge(
        MergePersons(
            first=body.first.party(), second=body.second.party(), reason=body.reason
        ),
        asking.envelope(),
    )
    outcome_headers(response, done)
    return MergeAnswer(id=done.aggregate_id)


@router.post(
    "/v1/persons/export",
    operation_id="export_person",
    summary="Tell a person all that is held on them",
    responses=responses(*_ASKING, *APPENDING, "not-found", "version-conflict"),
)
def export(
    body: PartyName, principal: ThePrincipal, house: TheHouse, response: Response
) -> PersonExport:
    """Tell all that is held on the person of a party, over all centres.

    It is recorded as a look, and every request of the person shows it.
    """
    held = house.people.export(body.party(), principal)
    response.headers["Cache-Control"] = "no-store"
    return PersonExport.of(held)


@router.get(
    "/v1/requests/{request_id}/looks",
    operation_id="get_request_looks",
    summary="Read who looked at the persons of a request",
    response_model=LookList,
    responses={**LISTED, **responses(*LISTING, "not-found")},
)
def get_looks(
    request_id: RequestId,
    listing: TheListing,
    response: Response,
    principal: ThePrincipal,
    house: TheHouse,
    sort: Annotated[PositionSort, Query(examples=["-position"])] = PositionSort.NEWEST,
) -> LookList | Response:
    """Read when the values of its parties were seen, by which office and role."""
    principal.must_be_allowed(Permission.READ_LOOKS)
    is_staff = principal.role in STAFF
    response.headers["Cache-Control"] = "no-store"
    return listing.answer(
        LookList,
        lambda part: house.people.looks(
            request_id,
            principal,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        lambda row: LookAnswer.of(row, is_staff=is_staff),
        views=["looks"],
    )
