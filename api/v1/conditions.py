"""Conditions: what a service asks for, read before anything is accepted."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.asking import TheHouse, ThePrincipal
from api.problems import READING, responses
from api.v1.answers import ConditionsAnswer
from api.v1.bodies import Code
from api.v1.requests import RequestId

router = APIRouter(prefix="/v1")


@router.get(
    "/services/{code}/conditions",
    tags=["catalogue"],
    operation_id="get_service_conditions",
    summary="Read the conditions of a service",
    responses=responses(*READING, "not-found"),
)
def get_service_conditions(
    code: Annotated[Code, Path(examples=["CIV-01"])],
    centre: Annotated[
        Code, Query(description="Where it is asked for.", examples=["SY-DI-01"])
    ],
    principal: ThePrincipal,
    house: TheHouse,
) -> ConditionsAnswer:
    """Read who may ask and receive, documents, fee and times, as they hold now."""
    return ConditionsAnswer.of(house.conditions.of_service(code, centre, principal))


@router.get(
    "/requests/{request_id}/conditions",
    tags=["requests"],
    operation_id="get_request_conditions",
    summary="Read the conditions of a request",
    responses=responses(*READING, "not-found", "service-not-offered"),
)
def get_request_conditions(
    request_id: RequestId, principal: ThePrincipal, house: TheHouse
) -> ConditionsAnswer:
    """Read who may ask and receive, and which documents lack: under its own terms."""
    return ConditionsAnswer.of(house.conditions.of_request(request_id, principal))
