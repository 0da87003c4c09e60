"""Views that stopped: the entry that one of them is to pass over."""

from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import BaseModel, Field

from api.asking import TheAsking, TheHouse
from api.problems import responses
from api.v1.bodies import Strict, one_of
from api.v1.requests import WRITING
from api.v1.things import tell_outcome
from domain.views import SkippedBecause
from office.followed import SkipEntry

router = APIRouter(prefix="/v1")


class SkipBody(Strict):
    """The entry to pass over, and why."""

    position: int = Field(
        ge=1, lt=2**53, description="Where the view has stopped.", examples=[48213]
    )
    reason: Annotated[SkippedBecause, one_of(SkippedBecause)] = Field(
        examples=["entry-malformed"]
    )


class SkipAnswer(BaseModel):
    """What was decided."""

    view: str = Field(examples=["clerk_queue"])
    position: int = Field(examples=[48213])
    reason: SkippedBecause = Field(examples=["entry-malformed"])


@router.post(
    "/views/{name}/skips",
    tags=["evidence"],
    operation_id="skip_entry",
    summary="Let a view pass over an entry",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*WRITING, "not-found", "view-not-stopped"),
)
def skip_entry(
    name: Annotated[str, Path(pattern="^[a-z_]{1,60}$", examples=["clerk_queue"])],
    asking: TheAsking,
    house: TheHouse,
    response: Response,
    body: SkipBody,
) -> SkipAnswer:
    """Let the present version of a view pass over the entry at which it stopped."""
    done = house.views.skip(
        SkipEntry(view=name, position=body.position, reason=body.reason),
        asking.envelope(),
    )
    tell_outcome(done, response)
    response.status_code = status.HTTP_201_CREATED
    return SkipAnswer(view=name, position=body.position, reason=body.reason)
