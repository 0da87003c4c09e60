"""Approvals: a supervisor's word for one act of the own centre, before it is sent."""

from fastapi import APIRouter, Response

from api.asking import TheHouse, ThePrincipal
from api.problems import responses
from api.v1 import bodies
from api.v1.answers import ApprovalAnswer

router = APIRouter(prefix="/v1", tags=["work"])


@router.post(
    "/approvals",
    operation_id="approve_act",
    summary="Approve an act",
    responses=responses(
        "unauthenticated",
        "token-expired",
        "login-unavailable",
        "role-forbidden",
        "invalid-value",
        "malformed-json",
        "body-too-large",
        "unsupported-media-type",
    ),
)
def approve(
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    body: bodies.ApprovalBody,
) -> ApprovalAnswer:
    """Approve what the rules leave to a supervisor; nothing is stored by it."""
    approval, until = house.acts.approvals.give(principal, body.command_id)
    response.headers["Cache-Control"] = "no-store"
    return ApprovalAnswer(approval=approval, command_id=body.command_id, until=until)
