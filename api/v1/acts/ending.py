"""Withdrawal, refund and correction."""

from fastapi import APIRouter, Response

from api.asking import Changing, TheHouse
from api.problems import responses
from api.v1 import bodies
from api.v1.acts.shared import CHANGING, envelope
from api.v1.answers import RequestAnswer
from api.v1.requests import RequestId, outcome
from office import commands

router = APIRouter(prefix="/v1/requests", tags=["requests"])


@router.post(
    "/{request_id}/withdrawal",
    operation_id="withdraw_request",
    summary="Withdraw a request",
    responses=responses(*CHANGING, "wrong-state"),
)
def withdraw(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Withdrawal,
) -> RequestAnswer:
    """Take the request back, as its citizen or on the citizen's word; it ends."""
    done = house.requests.withdraw(
        commands.WithdrawRequest(request_id=request_id, reason=body.reason),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/refund",
    operation_id="refund_fee",
    summary="Pay the fee back",
    responses=responses(*CHANGING, "wrong-state"),
)
def refund(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Refund,
) -> RequestAnswer:
    """Pay lines of the fee back, each once, after the request has ended."""
    done = house.requests.refund(
        commands.RefundFee(
            request_id=request_id,
            kinds=tuple(body.kinds),
            reason=body.reason,
            channel=body.channel,
            bank_reference=body.bank_reference,
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)


@router.post(
    "/{request_id}/correction",
    operation_id="correct_request",
    summary="Correct a field",
    responses=responses(*CHANGING, "wrong-state", "approval-required"),
)
def correct(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.CorrectionBody,
) -> RequestAnswer:
    """Correct a field beside what was written; a person's value goes to the vault."""
    done = house.requests.correct(
        commands.CorrectRequest(
            request_id=request_id,
            field=body.field,
            reason=body.reason,
            party=body.party,
            value=body.value,
            delivery=body.delivery,
        ),
        envelope(asking, body),
    )
    return outcome(house, done, asking, response)
