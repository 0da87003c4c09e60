"""Dead letters: messages from outside that could not be used, and what became of them.

What was in a message is on its dead-letter topic alone, and never passes through here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.asking import (
    AsOf,
    Changing,
    MinPosition,
    Since,
    TheHouse,
    ThePrincipal,
    Until,
    etag_of,
    ledger_until,
    moment_to_read,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import FRESH, responses
from api.v1.acts.shared import CHANGING
from api.v1.bodies import Code, Strict, one_of
from api.v1.things import facts_of, tell_outcome
from domain.access import Permission
from domain.dead_letters import DeadBecause, SettledBecause
from domain.errors import NotFoundError
from office.acts import Done
from office.dead_letters import ReplayLetter, SettleLetter
from office.house import House
from projections.dead_letters import (
    DeadLetterRow,
    LetterFilter,
    LetterSort,
    LetterState,
    LetterTotals,
    letter_from,
)

router = APIRouter(prefix="/v1/dead-letters", tags=["evidence"])
_TIME = "2026-11-23T08:14:05.120000Z"
_TOPIC = "sijil.agency-replies.v1"
_LARGEST_PARTITION = 2**31 - 1
_LARGEST_OFFSET = 2**53 - 1

LetterId = Annotated[UUID, Path(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])]


class DeadLetterAnswer(BaseModel):
    """One message that could not be used: where it stands, why, what became of it."""

    id: UUID = Field(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])
    group: str = Field(description="Whose worker it was.", examples=["inward"])
    topic: str = Field(examples=[_TOPIC])
    partition: int = Field(examples=[3])
    offset: int = Field(examples=[4711])
    cause: DeadBecause = Field(examples=["refused"])
    code: str | None = Field(
        description="What the office refused it with.", examples=["wrong-state"]
    )
    attempts: int = Field(description="How often it was tried.", examples=[1])
    sender: str | None = Field(
        description="Whose signature was checked.", examples=["CIV"]
    )
    replay_of: UUID | None = Field(
        description="The dead letter that it repeats.", examples=[None]
    )
    kept_partition: int = Field(
        description="Where its content is, on the dead-letter topic of the group.",
        examples=[0],
    )
    kept_offset: int = Field(examples=[12])
    sent_at: datetime = Field(description="The message's own time.", examples=[_TIME])
    set_aside_at: datetime = Field(
        description="When the ledger learnt of it.", examples=[_TIME]
    )
    state: LetterState = Field(examples=["open"])
    age_s: int = Field(
        description="Seconds that it has been open, or was until somebody dealt with "
        "it.",
        examples=[86400],
    )
    replays: int = Field(description="How often it was sent again.", examples=[0])
    replayed_at: datetime | None = Field(examples=[None])
    replayed_partition: int | None = Field(examples=[None])
    replayed_offset: int | None = Field(examples=[None])
    settled_at: datetime | None = Field(examples=[None])
    settled_because: SettledBecause | None = Field(examples=[None])
    position: int = Field(
        description="The entry that made it what it is.", examples=[48213]
    )

    @classmethod
    def of(cls, row: DeadLetterRow, now: datetime) -> DeadLetterAnswer:
        """The answer of a dead letter, told for a time."""
        return cls(
            id=row.id,
            group=row.group,
            topic=row.topic,
            partition=row.partition,
            offset=row.offset,
            cause=row.cause,
            code=row.code,
            attempts=row.attempts,
            sender=row.sender,
            replay_of=row.replay_of,
            kept_partition=row.kept_partition,
            kept_offset=row.kept_offset,
            sent_at=row.sent_at,
            set_aside_at=row.set_aside_at,
            state=row.state,
            age_s=row.age_s(now),
            replays=row.replays,
            replayed_at=row.replayed_at,
            replayed_partition=row.replayed_partition,
            replayed_offset=row.replayed_offset,
            settled_at=row.settled_at,
            settled_because=row.settled_because,
            position=row.position,
        )


class DeadLetterList(BaseModel):
    """A page of dead letters."""

    items: list[DeadLetterAnswer]
    next: str | None = Field(examples=[None])


class LetterTotalsAnswer(BaseModel):
    """How many dead letters of a group have one cause, by what became of them."""

    group: str = Field(examples=["inward"])
    cause: DeadBecause = Field(examples=["wrong-signature"])
    open: int = Field(examples=[3])
    replayed: int = Field(examples=[12])
    settled: int = Field(examples=[1])
    oldest_open_at: datetime | None = Field(examples=[_TIME])

    @classmethod
    def of(cls, row: LetterTotals) -> LetterTotalsAnswer:
        """The answer of one cause."""
        return cls(
            group=row.group,
            cause=row.cause,
            open=row.open,
            replayed=row.replayed,
            settled=row.settled,
            oldest_open_at=row.oldest_open_at,
        )


class LetterTotalsList(BaseModel):
    """A page of totals, by group and cause."""

    items: list[LetterTotalsAnswer]
    next: str | None = Field(examples=[None])


class ReplayBody(Strict):
    """Where the message stands now, on the topic that it came from."""

    partition: int = Field(ge=0, le=_LARGEST_PARTITION, examples=[3])
    offset: int = Field(ge=0, le=_LARGEST_OFFSET, examples=[5020])


class SettlementBody(Strict):
    """Why nothing more comes of it."""

    reason: Annotated[SettledBecause, one_of(SettledBecause)] = Field(
        examples=["done-by-hand"]
    )


@router.get(
    "",
    operation_id="list_dead_letters",
    summary="List the messages that could not be used",
    response_model=DeadLetterList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_dead_letters(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    state: Annotated[LetterState | None, Query(examples=["open"])] = None,
    cause: Annotated[DeadBecause | None, Query(examples=["wrong-signature"])] = None,
    group: Annotated[Code | None, Query(examples=["inward"])] = None,
    topic: Annotated[Code | None, Query(examples=[_TOPIC])] = None,
    sender: Annotated[Code | None, Query(examples=["CIV"])] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[LetterSort, Query(examples=["-set_aside_at"])] = LetterSort.NEWEST,
) -> DeadLetterList | Response:
    """List dead letters, the newest first; those that nobody dealt with are `open`.

    `since` and `until` are about when they were set aside.
    """
    principal.must_be_allowed(Permission.READ_DEAD_LETTERS)
    only = LetterFilter(
        state=state,
        cause=cause,
        group=group,
        topic=topic,
        sender=sender,
        since=since,
        until=until,
    )
    return listing.answer(
        DeadLetterList,
        lambda part: house.queries.dead_letters.page(
            only=only, sort=sort, after=part.after, limit=part.limit, as_of=part.as_of
        ).told(lambda row: DeadLetterAnswer.of(row, part.now)),
        lambda answer: answer,
        views=["dead_letters"],
    )


@router.get(
    "/totals",
    operation_id="list_dead_letter_totals",
    summary="Count the messages that could not be used",
    response_model=LetterTotalsList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_dead_letter_totals(
    listing: TheListing, principal: ThePrincipal, house: TheHouse
) -> LetterTotalsList | Response:
    """Count each group's dead letters by cause and by what became of them."""
    principal.must_be_allowed(Permission.READ_DEAD_LETTERS)
    return listing.answer(
        LetterTotalsList,
        lambda part: house.queries.dead_letters.totals(
            after=part.after, limit=part.limit, as_of=part.as_of
        ),
        LetterTotalsAnswer.of,
        views=["dead_letters"],
    )


@router.get(
    "/{letter_id}",
    operation_id="get_dead_letter",
    summary="Read one message that could not be used",
    responses=responses(*FRESH, "not-found"),
)
def get_dead_letter(
    letter_id: LetterId,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> DeadLetterAnswer:
    """Read one dead letter as the ledger has it, with its ETag."""
    principal.must_be_allowed(Permission.READ_DEAD_LETTERS)
    until = ledger_until(house, as_of, min_position)
    row = letter_from(facts_of(house, letter_id, until=until))
    return _told(row, response, moment_to_read(house, as_of, until))


@router.post(
    "/{letter_id}/replays",
    operation_id="record_replay",
    summary="Record that a message was sent again",
    responses=responses(*CHANGING, "already-settled"),
)
def record_replay(
    letter_id: LetterId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: ReplayBody,
) -> DeadLetterAnswer:
    """Record where a message stands that was sent again as it came.

    Sending it is the work of `sijil dead-letters replay`.
    """
    done = house.dead_letters.replay(
        ReplayLetter(letter_id=letter_id, partition=body.partition, offset=body.offset),
        asking.envelope(),
    )
    return _after(done, house, response)


@router.post(
    "/{letter_id}/settlement",
    operation_id="settle_dead_letter",
    summary="Settle a message that could not be used",
    responses=responses(*CHANGING, "already-settled"),
)
def settle_dead_letter(
    letter_id: LetterId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: SettlementBody,
) -> DeadLetterAnswer:
    """Say that nothing more comes of a dead letter, and why. It stays on the list."""
    done = house.dead_letters.settle(
        SettleLetter(letter_id=letter_id, reason=body.reason), asking.envelope()
    )
    return _after(done, house, response)


def _after(done: Done, house: House, response: Response) -> DeadLetterAnswer:
    """The dead letter as the act left it, whatever happened since."""
    tell_outcome(done, response)
    facts = facts_of(house, done.aggregate_id, version=done.etag_version)
    return _told(letter_from(facts), response, house.clock())


def _told(
    row: DeadLetterRow | None, response: Response, now: datetime
) -> DeadLetterAnswer:
    if row is None:
        raise NotFoundError(thing="dead-letter")
    response.headers["ETag"] = etag_of(row.version)
    return DeadLetterAnswer.of(row, now)
