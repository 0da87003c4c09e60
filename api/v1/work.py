"""What a supervisor does for the centre: approve an act, move a clerk's work."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.asking import TheAsking, TheHouse, ThePrincipal
from api.problems import ASKING, SENDING, responses
from api.v1 import bodies
from api.v1.requests import WRITING
from api.v1.things import ClerkCode
from office.moving import MoveWork

router = APIRouter(prefix="/v1", tags=["work"])


class ApprovalAnswer(BaseModel):
    """A supervisor's approval of one act; send it as `approval` with that act."""

    approval: str = Field(examples=["c3VwLURJLTE.1795500000.6f2a"])
    command_id: UUID = Field(examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"])
    until: datetime = Field(examples=["2026-11-23T08:14:05.120000Z"])


class MoveAnswer(BaseModel):
    """What became of a clerk's work."""

    correlation_id: UUID = Field(examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"])
    moved: list[UUID] = Field(examples=[["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"]])
    kept: list[UUID] = Field(
        description="Changed by somebody meanwhile, or not to be moved.",
        examples=[[]],
    )
    is_all: bool = Field(
        description="False where more is left than one call moves.", examples=[True]
    )


@router.post(
    "/approvals",
    operation_id="approve_act",
    summary="Approve an act",
    responses=responses(*ASKING, *SENDING, "invalid-value"),
)
def approve(
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    body: bodies.ApprovalBody,
) -> ApprovalAnswer:
    """Approve what the rules leave to a supervisor; nothing is stored by it."""
    approval, until = house.acts.approvals.give(
        principal, body.command_id, body.request_id
    )
    response.headers["Cache-Control"] = "no-store"
    return ApprovalAnswer(approval=approval, command_id=body.command_id, until=until)


@router.post(
    "/clerks/{code}/moves",
    operation_id="move_work",
    summary="Move a clerk's work",
    responses=responses(*WRITING, "not-found", "service-not-offered"),
)
def move_work(
    code: ClerkCode,
    asking: TheAsking,
    house: TheHouse,
    response: Response,
    body: bodies.MovingBody,
) -> MoveAnswer:
    """Give a clerk's open work to another: an act on each request, one correlation.

    What somebody changed meanwhile is kept, and told. Sent again, it moves what has
    come since.
    """
    moved = house.moving.move(
        MoveWork(clerk=code, to=body.to, agency=body.agency), asking.envelope()
    )
    response.headers["Cache-Control"] = "no-store"
    return MoveAnswer(
        correlation_id=moved.correlation_id,
        moved=list(moved.moved),
        kept=list(moved.kept),
        is_all=moved.is_all,
    )
