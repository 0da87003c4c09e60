"""The acts on one request: each a route, each with the version it was made on."""

from fastapi import APIRouter, Response

from api.asking import Asking, Changing, TheHouse
from api.problems import responses
from api.v1 import bodies
from api.v1.answers import RequestAnswer
from api.v1.requests import WRITING, RequestId, outcome
from office import commands
from office.acts import Envelope

router = APIRouter(prefix="/v1/requests", tags=["requests"])

_CHANGING = (*WRITING, "not-found", "precondition-required", "stale-version")
_HELD = ("stale-claim", "held-by-another", "not-assigned")


@router.post(
    "/{request_id}/acceptance",
    operation_id="accept_request",
    summary="Accept a waiting request",
    responses=responses(
        *_CHANGING,
        *_HELD,
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/declining",
    operation_id="decline_request",
    summary="Decline a waiting request",
    responses=responses(*_CHANGING, *_HELD, "wrong-state"),
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/assignment",
    operation_id="assign_request",
    summary="Assign a request to a clerk",
    responses=responses(*_CHANGING, "wrong-state", "service-not-offered"),
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/payment",
    operation_id="pay_fee",
    summary="Take the fee",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "wrong-amount"),
)
def pay(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Payment,
) -> RequestAnswer:
    """Take the whole fee, in cash or by bank reference."""
    done = house.requests.pay(
        commands.PayFee(
            request_id=request_id,
            token=body.token,
            channel=body.channel,
            amount=body.amount,
            unit=body.unit,
            bank_reference=body.bank_reference,
        ),
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/forwarding",
    operation_id="forward_request",
    summary="Forward a request to its agency",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "wrong-route", "fee-unpaid"),
)
def forward(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Forwarding,
) -> RequestAnswer:
    """Forward; the agency's first-answer time runs from here."""
    done = house.requests.forward(
        commands.ForwardRequest(
            request_id=request_id,
            token=body.token,
            agency_reference=body.agency_reference,
        ),
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/response",
    operation_id="record_response",
    summary="Record the agency's answer",
    responses=responses(
        *_CHANGING, *_HELD, "wrong-state", "wrong-route", "wrong-agency", "fee-unpaid"
    ),
)
def respond(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.AgencyAnswer,
) -> RequestAnswer:
    """Answer as the agency, or record what a clerk read or received."""
    done = house.requests.respond(
        commands.RecordResponse(
            request_id=request_id,
            token=body.token,
            outcome=body.outcome,
            agency_reference=body.agency_reference,
            reason=body.reason,
            document_digest=body.document_digest,
            supersedes=body.supersedes,
        ),
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/stamp",
    operation_id="stamp_document",
    summary="Record the stamp",
    responses=responses(
        *_CHANGING, *_HELD, "wrong-state", "unknown-stamp", "fee-unpaid"
    ),
)
def stamp(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Stamping,
) -> RequestAnswer:
    """Record the live stamp put on the issued document."""
    done = house.requests.stamp(
        commands.StampDocument(
            request_id=request_id,
            token=body.token,
            serial=body.serial,
            stamped_digest=body.stamped_digest,
        ),
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/mailing",
    operation_id="mail_document",
    summary="Record the mailing",
    responses=responses(
        *_CHANGING,
        *_HELD,
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/delivery",
    operation_id="confirm_delivery",
    summary="Report the delivery",
    responses=responses(*_CHANGING, "wrong-state", "wrong-receiver"),
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/hand-over",
    operation_id="hand_over_document",
    summary="Hand the paper over at the counter",
    responses=responses(
        *_CHANGING,
        *_HELD,
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/result",
    operation_id="tell_result",
    summary="Tell the citizen the result",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "fee-unpaid"),
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/message",
    operation_id="inform_citizen",
    summary="Record a message to the citizen",
    responses=responses(*_CHANGING),
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
        _envelope(asking, body),
    )
    return outcome(house, done, asking, response)


def _envelope(asking: Asking, body: bodies.Body) -> Envelope:
    return asking.envelope(effective_at=body.effective_at, is_approved=body.approved)
