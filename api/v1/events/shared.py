"""What all streams under ``/v1`` share: their feeds, and what they declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request

from api.feeds import Feed, Follower
from api.problems import READING, responses
from api.streams import Streams
from office.house import House
from projections.desk_changes import DeskChange
from projections.governorate_counts.moves import Moves
from projections.inbox_changes import InboxChange
from projections.queue_changes import QueueChange
from projections.requests import PREFIX

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The streams of a server and the feeds that they are told from."""

    streams: Streams
    queue: Feed[QueueChange]
    counts: Feed[Moves]
    desk: Feed[DeskChange]
    inbox: Feed[InboxChange]

    @classmethod
    def of(cls, house: House) -> Live:
        """All of them for one house."""
        follower, queries = Follower(house), house.queries

        def requests(after: int, until: int) -> set[UUID]:
            """The requests that entries between the two are of."""
            return house.ledger.reader.aggregates(
                after=after, until=until, prefix=PREFIX
            )

        def queue(after: int, until: int) -> list[QueueChange]:
            found = requests(after, until)
            return queries.queue_changes.between(found, after=after, until=until)

        def counts(after: int, until: int) -> list[Moves]:
            return queries.moves.between(after=after, until=until)

        def desk(after: int, until: int) -> list[DeskChange]:
            found = requests(after, until)
            return queries.desk_changes.between(found, after=after, until=until)

        def inbox(after: int, until: int) -> list[InboxChange]:
            found = requests(after, until)
            return queries.inbox_changes.between(found, after=after, until=until)

        return cls(
            streams=Streams(follower),
            queue=follower.feed(queue, "clerk_queue"),
            counts=follower.feed(counts, "governorate_counts"),
            desk=follower.feed(desk, "clerk_queue", "supervisor_desk"),
            inbox=follower.feed(inbox, "agency_inbox"),
        )


def _live_of(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


TheLive = Annotated[Live, Depends(_live_of)]
