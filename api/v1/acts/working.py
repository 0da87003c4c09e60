"""The work on a request: fee, agency, missing information, stamp."""

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
    "/{request_id}/payment",
    operation_id="pay_fee",
    summary="Take the fee",
    responses=responses(
        *CHANGING, *HELD, "wrong-state", "wrong-amount", "not-fresh-enough"
    ),
)
def pay(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Payment,
) -> RequestAnswer:
    """Take the whole fee, in cash or by bank reference."""
    done = house.fees.pay(
        commands.PayFee(
            request_id=request_id,
            token=body.token,
            channel=body.channel,
            amount=body.amount,
            unit=body.unit,
            bank_reference=body.bank_reference,
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/forwarding",
    operation_id="forward_request",
    summary="Forward a request to its agency",
    responses=responses(*CHANGING, *HELD, "wrong-state", "wrong-route", "fee-unpaid"),
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
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/response",
    operation_id="record_response",
    summary="Record the agency's answer",
    responses=responses(
        *CHANGING, *HELD, "wrong-state", "wrong-route", "wrong-agency", "fee-unpaid"
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
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/information-request",
    operation_id="request_information",
    summary="Ask for missing information",
    responses=responses(*CHANGING, *HELD, "wrong-state", "service-not-offered"),
)
def request_information(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.AskingForInformation,
) -> RequestAnswer:
    """Ask the citizen for what is missing; the clock stands still until it comes."""
    done = house.requests.request_information(
        commands.RequestInformation(
            request_id=request_id, token=body.token, missing=tuple(body.missing)
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/information",
    operation_id="supply_information",
    summary="Record the information that came",
    responses=responses(*CHANGING, *HELD, "wrong-state", "service-not-offered"),
)
def supply_information(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Information,
) -> RequestAnswer:
    """Record what the citizen brought; the clock goes on."""
    done = house.requests.supply_information(
        commands.SupplyInformation(
            request_id=request_id, token=body.token, supplied=tuple(body.supplied)
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/stamp",
    operation_id="stamp_document",
    summary="Record the stamp",
    responses=responses(*CHANGING, *HELD, "wrong-state", "unknown-stamp", "fee-unpaid"),
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
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)
