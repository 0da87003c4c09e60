"""Conditions: what a service asks for, read before anything is accepted."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from api.asking import TheHouse, ThePrincipal
from api.problems import READING, responses
from api.v1.bodies import Code
from api.v1.requests import RequestId
from office.conditions import Conditions

router = APIRouter(prefix="/v1")
_TIME = "2026-11-23T08:14:05.120000Z"


class DocumentAnswer(BaseModel):
    """A document of a service, to be ticked off."""

    code: str = Field(examples=["id-card"])
    name_ar: str = Field(examples=["صورة البطاقة الشخصية"])
    name_en: str = Field(examples=["Copy of the identity card"])
    is_required: bool = Field(examples=[True])
    is_shown: bool | None = Field(
        description="Null where nothing was asked for yet.", examples=[True]
    )


class ConditionsAnswer(BaseModel):
    """What holds for a service at a centre on a day, or for one request."""

    service: str = Field(examples=["CIV-01"])
    service_version: int = Field(examples=[1])
    agency: str = Field(examples=["CIV"])
    route: str = Field(examples=["direct"])
    applicants: list[str] = Field(examples=[["self", "first_degree"]])
    spouse_counts: bool = Field(examples=[False])
    receivers: list[str] = Field(examples=[["self"]])
    documents: list[DocumentAnswer]
    fee_lines: list[dict[str, Any]] = Field(
        examples=[[{"kind": "state_fee", "amount": 3000, "unit": "SYP.new"}]]
    )
    fee_due: str = Field(examples=["acceptance"])
    payment_days: int = Field(examples=[7])
    first_answer_days: int = Field(examples=[3])
    completion_days: int = Field(examples=[2])
    due_at: datetime = Field(
        description="If it were accepted now; of a request, as it is.",
        examples=[_TIME],
    )
    paper: bool = Field(examples=[True])
    live_stamp: bool = Field(examples=[True])
    post: bool = Field(examples=[True])
    is_offered: bool = Field(
        description="Whether service, agency and centre serve citizens today.",
        examples=[True],
    )
    is_eligible: bool | None = Field(
        description="Whether the applicant may ask; null without a request.",
        examples=[True],
    )

    @classmethod
    def of(cls, found: Conditions) -> "ConditionsAnswer":
        """The answer of conditions."""
        terms = found.terms
        return cls(
            service=found.service,
            service_version=terms.service_version,
            agency=terms.agency,
            route=terms.route,
            applicants=list(terms.applicants),
            spouse_counts=terms.spouse_counts,
            receivers=list(terms.receipt),
            documents=[
                DocumentAnswer(
                    code=document.code,
                    name_ar=document.name_ar,
                    name_en=document.name_en,
                    is_required=document.is_required,
                    is_shown=None
                    if found.shown is None
                    else document.code in found.shown,
                )
                for document in found.documents
            ],
            fee_lines=[
                {"kind": line.kind, "amount": line.amount, "unit": line.unit}
                for line in terms.fee_lines
            ],
            fee_due=terms.fee_due,
            payment_days=terms.payment_days,
            first_answer_days=terms.first_answer_days,
            completion_days=terms.completion_days,
            due_at=found.due_at,
            paper=terms.paper,
            live_stamp=terms.live_stamp,
            post=terms.post,
            is_offered=found.is_offered,
            is_eligible=found.is_eligible,
        )


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
