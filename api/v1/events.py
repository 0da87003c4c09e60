"""Live answers: what changed in a queue or in counts, as server-sent events."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from pydantic import BaseModel

from api.asking import TheHouse, TheLogin
from api.feeds import Feed, Follower
from api.problems import READING, responses
from api.streams import EventStream, Streams, Told
from api.v1.answers import QueueAnswer
from api.v1.bodies import Code
from api.v1.counts import CountAnswer
from domain.access import Permission, Scope
from domain.acts import ActorKind
from domain.errors import InvalidValueError
from domain.stages import NextAct, Stage, WaitingFor
from office.house import House
from projections.governorate_counts import Count, CountBy
from projections.governorate_counts.moves import Moves
from projections.pages import LARGEST_PAGE
from projections.queue_changes import QueueChange
from projections.queue_items import QueueFilter, QueueItem
from projections.requests import PREFIX

router = APIRouter(prefix="/v1")

LARGEST_PICTURE = 1_000
"""Items a picture begins with: no screen shows more; the list has the rest."""
EVENT = {
    "type": "object",
    "description": "One event of the stream, field by field.",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "examples": ["gone"]},
        "id": {"type": "string", "examples": ["019ab1ef.1.48213"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "examples": ['{"position":48213}'],
        },
    },
}
STREAMING: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until it is ended: `reset` with all that there is where "
        "it begins, then what changed, each with the place it leads to as its id.",
        "content": {
            "text/event-stream": {
                "schema": EVENT,
                "example": "event: gone\nid: 019ab1ef.1.48213\n"
                'data: {"position":48213}\n\n',
            }
        },
    },
    **responses(*READING, "rate-limited"),
}
"""What every stream declares."""

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=80,
        description="The id of the event seen last: it goes on after that.",
        examples=["019ab1ef.1.48213"],
    ),
]


class LiveItem(BaseModel):
    """A piece of work as an entry left it. What is overdue, its limit tells."""

    position: int
    item: dict[str, Any]


class GoneItem(BaseModel):
    """A piece of work that is in this queue no more."""

    position: int
    request_id: UUID


class QueuePicture(BaseModel):
    """The queue at a position, and why it is told from the beginning."""

    because: str
    position: int
    is_complete: bool
    items: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTelling:
    """The queue of one asker: the filters of the list, in memory."""

    house: House
    scope: Scope
    only: QueueFilter

    def begin(self, position: int) -> None:
        """Nothing: a change says all that there is to tell."""

    def picture(self, position: int, because: str) -> QueuePicture:
        """The items at a position, those due first, up to the bound."""
        items: list[QueueItem] = []
        after = None
        while len(items) < LARGEST_PICTURE:
            page = self.house.queries.queue.page(
                self.scope,
                now=self.house.clock(),
                only=self.only,
                after=after,
                limit=LARGEST_PAGE,
                as_of=position,
            )
            items += page.items
            after = page.next
            if after is None:
                break
        return QueuePicture(
            because=because,
            position=position,
            is_complete=after is None,
            items=[_live(item) for item in items],
        )

    def tell(self, change: QueueChange) -> Told | None:
        """The item as it is now, or that it is gone; None for what was never here."""
        was, now = (
            row is not None and row.is_for(self.scope, self.only)
            for row in (change.before, change.after)
        )
        if now and change.after is not None:
            item = _live(change.after.item)
            return Told("changed", LiveItem(position=change.position, item=item))
        if was:
            gone = GoneItem(position=change.position, request_id=change.request_id)
            return Told("gone", gone)
        return None


def _live(item: QueueItem) -> dict[str, Any]:
    """An item without what only the moment of looking makes of it."""
    return QueueAnswer.of(item).model_dump(mode="json", exclude={"is_overdue"})


class LiveCounts(BaseModel):
    """The groups that an entry changed, as it left them."""

    position: int
    items: list[CountAnswer]


class CountsPicture(BaseModel):
    """All groups at a position, and why they are told from the beginning."""

    because: str
    position: int
    items: list[CountAnswer]


class CountsTelling:
    """The counts of one asker: those of a position, moved on in memory."""

    def __init__(self, house: House, scope: Scope, by: Sequence[CountBy]) -> None:
        self._house = house
        self._scope = scope
        self._by = tuple(dict.fromkeys(by))
        self._groups: dict[tuple[str, ...], Counter[str]] = {}

    def begin(self, position: int) -> None:
        """Count what stands where as of a position."""
        stocks = self._house.queries.counts.stocks(
            self._scope, by=self._by, as_of=position
        )
        self._groups = {
            tuple(count.group[name] for name in self._by): Counter(
                {stage: getattr(count, stage) for stage in Stage}
            )
            for count in stocks
        }

    def picture(self, position: int, because: str) -> CountsPicture:
        """Every group, in order."""
        self.begin(position)
        return CountsPicture(
            because=because,
            position=position,
            items=[self._answer(group) for group in sorted(self._groups)],
        )

    def tell(self, change: Moves) -> Told | None:
        """The groups after a move; None where it is not the asker's."""
        changed: list[tuple[str, ...]] = []
        for move in change.moves:
            if not move.is_for(self._scope):
                continue
            group = tuple(getattr(move, name) for name in self._by)
            stages = self._groups.setdefault(group, Counter())
            if move.left is not None:
                stages[move.left] -= 1
            if move.entered is not None:
                stages[move.entered] += 1
            changed.append(group)
        if not changed:
            return None
        items = [self._answer(group) for group in dict.fromkeys(changed)]
        return Told("changed", LiveCounts(position=change.position, items=items))

    def _answer(self, group: tuple[str, ...]) -> CountAnswer:
        stages = self._groups[group]
        count = Count(
            group=dict(zip(self._by, group, strict=True)),
            submitted=sum(stages.values()),
            **{str(stage): stages[stage] for stage in Stage},
        )
        return CountAnswer.of(count)


def queue_feed(follower: Follower, house: House) -> Feed[QueueChange]:
    """The feed of all changes of the queue."""

    def load(after: int, until: int) -> list[QueueChange]:
        requests = house.ledger.reader.aggregates(
            after=after, until=until, prefix=PREFIX
        )
        return house.queries.queue_changes.between(requests, after=after, until=until)

    return follower.feed("clerk_queue", load)


def counts_feed(follower: Follower, house: House) -> Feed[Moves]:
    """The feed of all moves."""

    def load(after: int, until: int) -> list[Moves]:
        return house.queries.moves.between(after=after, until=until)

    return follower.feed("governorate_counts", load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The streams of a server and the feeds that they are told from."""

    streams: Streams
    queue: Feed[QueueChange]
    counts: Feed[Moves]

    @classmethod
    def of(cls, house: House) -> "Live":
        """All of them for one house."""
        follower = Follower(house)
        return cls(
            streams=Streams(follower),
            queue=queue_feed(follower, house),
            counts=counts_feed(follower, house),
        )


def _live_of(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


TheLive = Annotated[Live, Depends(_live_of)]


@router.get(
    "/queue/events",
    tags=["work"],
    operation_id="follow_queue",
    summary="Follow the queue",
    # Told apart from the constructor, which has no status to be read off.
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=STREAMING,
)
def follow_queue(
    login: TheLogin,
    house: TheHouse,
    live: TheLive,
    clerk: Annotated[
        Code | None,
        Query(
            description="A supervisor's choice; a clerk follows the own queue.",
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
    last_event_id: LastEventId = None,
) -> Response:
    """Follow what comes into your queue, changes in it and leaves it."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_QUEUE)
    telling = QueueTelling(
        house=house,
        scope=principal.scope,
        only=QueueFilter(
            clerk=principal.id if principal.role is ActorKind.CLERK else clerk,
            is_unassigned=unassigned,
            waiting_for=waiting_for,
            service=service,
            agency=agency,
            stage=stage,
            next_act=next_act,
        ),
    )
    return live.streams.answer(live.queue, telling, login, last_event_id)


@router.get(
    "/counts/events",
    tags=["counts"],
    operation_id="follow_counts",
    summary="Follow the counts",
    # Told apart from the constructor, which has no status to be read off.
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=STREAMING,
)
def follow_counts(
    login: TheLogin,
    house: TheHouse,
    live: TheLive,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["governorate"]]),
    ] = None,
    total: Annotated[
        bool, Query(description="One group of everything.", examples=[False])
    ] = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow how many requests stand at each stage; only groups that have any."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_COUNTS)
    groups = [] if total else by or [CountBy.GOVERNORATE]
    if CountBy.DAY in groups:
        raise InvalidValueError(field="by", reason="stocks-have-no-day")
    telling = CountsTelling(house, principal.scope, groups)
    return live.streams.answer(live.counts, telling, login, last_event_id)
