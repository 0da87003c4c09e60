"""Who has a request: assignment and claims."""

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
    "/{request_id}/assignment",
    operation_id="assign_request",
    summary="Assign a request to a clerk",
    responses=responses(*CHANGING, "wrong-state", "service-not-offered"),
)
def assign(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Assignment,
) -> RequestAnswer:
    """Give a request to a clerk of its centre; older claims become stale."""
    done = house.requests.assign(
        commands.AssignRequest(request_id=request_id, clerk=body.clerk),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/claim",
    operation_id="claim_request",
    summary="Take a request in hand",
    responses=responses(
        *CHANGING, "wrong-state", "held-by-another", "service-not-offered"
    ),
)
def claim(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Claiming,
) -> RequestAnswer:
    """Take in hand for the time of a lease; the answer has the token to act with."""
    done = house.requests.claim(
        commands.ClaimRequest(request_id=request_id),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/release",
    operation_id="release_request",
    summary="Let a request go",
    responses=responses(*CHANGING, *HELD, "wrong-state"),
)
def release(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Releasing,
) -> RequestAnswer:
    """Give back your claim; as a supervisor, take it from whoever has it."""
    done = house.requests.release(
        commands.ReleaseRequest(request_id=request_id, token=body.token),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)
