"""The paper leaves, comes back, is received; the citizen is told."""

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
    "/{request_id}/mailing",
    operation_id="mail_document",
    summary="Record the mailing",
    responses=responses(
        *CHANGING,
        *HELD,
        "wrong-state",
        "stamp-required",
        "not-postable",
        "fee-unpaid",
    ),
)
def mail(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Mailing,
) -> RequestAnswer:
    """Record that the paper was given to the post; the first time completes it."""
    done = house.requests.mail(
        commands.MailDocument(
            request_id=request_id, token=body.token, item=body.item, to=body.to
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/delivery",
    operation_id="confirm_delivery",
    summary="Report the delivery",
    responses=responses(*CHANGING, "wrong-state", "wrong-receiver"),
)
def deliver(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.DeliveryReport,
) -> RequestAnswer:
    """Report that the post delivered the item, and who received it in what capacity."""
    done = house.requests.deliver(
        commands.ConfirmDelivery(
            request_id=request_id, item=body.item, capacity=body.capacity
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/collection",
    operation_id="confirm_collection",
    summary="Report the collection",
    responses=responses(*CHANGING, "wrong-state", "wrong-receiver"),
)
def collect(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.CollectionReport,
) -> RequestAnswer:
    """Report that the item was fetched at the post office, and in what capacity."""
    done = house.requests.collect(
        commands.ConfirmCollection(
            request_id=request_id, item=body.item, capacity=body.capacity
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/return",
    operation_id="return_item",
    summary="Report the return",
    responses=responses(*CHANGING, "wrong-state"),
)
def bring_back(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.ReturnReport,
) -> RequestAnswer:
    """Report that the item came back; it may be mailed or handed over again."""
    done = house.requests.bring_back(
        commands.BringBack(request_id=request_id, item=body.item, reason=body.reason),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/hand-over",
    operation_id="hand_over_document",
    summary="Hand the paper over at the counter",
    responses=responses(
        *CHANGING,
        *HELD,
        "wrong-state",
        "stamp-required",
        "wrong-receiver",
        "fee-unpaid",
    ),
)
def hand_over(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.HandingOver,
) -> RequestAnswer:
    """Hand the paper over under its receipt condition; completes the request."""
    done = house.requests.hand_over(
        commands.HandOver(
            request_id=request_id, token=body.token, capacity=body.capacity
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/result",
    operation_id="tell_result",
    summary="Tell the citizen the result",
    responses=responses(*CHANGING, *HELD, "wrong-state", "fee-unpaid"),
)
def tell_result(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Telling,
) -> RequestAnswer:
    """Tell the result; completes refusals and services without paper."""
    done = house.requests.tell_result(
        commands.TellResult(request_id=request_id, token=body.token, means=body.means),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/message",
    operation_id="inform_citizen",
    summary="Record a message to the citizen",
    responses=responses(*CHANGING),
)
def inform(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Informing,
) -> RequestAnswer:
    """Record that a message went to the citizen; it changes no stage."""
    done = house.requests.inform(
        commands.InformCitizen(
            request_id=request_id, message=body.message, means=body.means
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)
