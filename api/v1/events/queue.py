"""The queue as it changes: what comes into it, changes in it and leaves it."""

from fastapi import APIRouter, Response, status

from api.asking import TheHouse, TheLogin
from api.streams import EventStream
from api.v1.answers import QueueAnswer
from api.v1.events.items import ItemsTelling
from api.v1.events.shared import STREAMING, LastEventId, TheLive
from api.v1.queue import AskedQueue, own_queue
from domain.access import Permission
from projections.pages import LARGEST_PAGE

router = APIRouter(prefix="/v1")


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
    asked: AskedQueue,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow what comes into your queue, changes in it and leaves it."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_QUEUE)
    only = own_queue(principal, asked)
    telling = ItemsTelling(
        scope=principal.scope,
        only=only,
        page=lambda after, position: house.queries.queue.page(
            principal.scope,
            now=house.clock(),
            only=only,
            after=after,
            limit=LARGEST_PAGE,
            as_of=position,
        ),
        answer=QueueAnswer.of,
    )
    return live.streams.answer(live.queue, telling, login, last_event_id)
