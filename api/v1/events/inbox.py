"""An agency's inbox as it changes: what is forwarded to it, what it answers."""

from fastapi import APIRouter, Response, status

from api.asking import TheHouse, TheLogin
from api.streams import EventStream
from api.v1.events.items import ItemsTelling
from api.v1.events.shared import STREAMING, LastEventId, TheLive
from api.v1.inbox import AskedInbox, InboxAnswer
from domain.access import Permission
from projections.pages import LARGEST_PAGE

router = APIRouter(prefix="/v1")


@router.get(
    "/inbox/events",
    tags=["inbox"],
    operation_id="follow_inbox",
    summary="Follow an agency's inbox",
    # Told apart from the constructor, which has no status to be read off.
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=STREAMING,
)
def follow_inbox(
    login: TheLogin,
    house: TheHouse,
    live: TheLive,
    asked: AskedInbox,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow what comes into an agency's inbox, changes in it and leaves it."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_INBOX)
    telling = ItemsTelling(
        scope=principal.scope,
        only=asked,
        page=lambda after, position: house.queries.inbox.page(
            principal.scope,
            now=house.clock(),
            only=asked,
            after=after,
            limit=LARGEST_PAGE,
            as_of=position,
        ),
        answer=InboxAnswer.of,
    )
    return live.streams.answer(live.inbox, telling, login, last_event_id)
