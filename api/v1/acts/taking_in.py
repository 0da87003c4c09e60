"""Taking a request in, or not."""

from fastapi import APIRouter, Response

from api.asking import Changing, TheHouse
from api.problems import responses
from api.v1 import bodies
from api.v1.acts.shared import CHANGING, HELD, envelope
from api.v1.answers import RequestAnswer
from api.v1.requests import RequestId, outcome
from office import commands

router = APIRouter(prefix="/v1/requests", tags=["requests"])


@router.post(
    "/{request_id}/acceptance",
    operation_id="accept_request",
    summary="Accept a waiting request",
    responses=responses(
        *CHANGING,
        *HELD,
        "wrong-state",
        "ineligible",
        "documents-missing",
        "service-not-offered",
    ),
)
def accept(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Acceptance,
) -> RequestAnswer:
    """Accept under the terms of the service today; the clock starts."""
    done = house.requests.accept(
        commands.AcceptRequest(
            request_id=request_id, token=body.token, documents=tuple(body.documents)
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/declining",
    operation_id="decline_request",
    summary="Decline a waiting request",
    responses=responses(*CHANGING, *HELD, "wrong-state"),
)
def decline(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Declining,
) -> RequestAnswer:
    """Decline, with the reason; the request ends."""
    done = house.requests.decline(
        commands.DeclineRequest(
            request_id=request_id,
            token=body.token,
            reason=body.reason,
            missing=tuple(body.missing),
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)
