"""Payments that banks reported and no request waited for, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.asking import (
    Since,
    TheHouse,
    ThePrincipal,
    Until,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import responses
from api.v1.bodies import Code
from api.v1.payments import Reference
from domain.access import Permission
from domain.money import Unit
from domain.payments import PaymentSettledBecause, UnmatchedBecause
from projections.payments import (
    UnmatchedFilter,
    UnmatchedPayment,
    UnmatchedState,
)
from projections.sorting import PositionSort

router = APIRouter(prefix="/v1/payments/unmatched", tags=["payments"])
_TIME = "2026-11-23T08:14:05.120000Z"
_REQUEST = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"


class UnmatchedAnswer(BaseModel):
    """Money that a bank has: an amount in hundredths of a pound of one unit."""

    position: int = Field(description="The entry that reported it.", examples=[48213])
    payment_id: UUID = Field(examples=["6f2a4c1e-8f0b-5d53-9c86-5b1f6d0a7e21"])
    bank: str = Field(description="Who reported it.", examples=["bank-1"])
    bank_reference: str = Field(examples=["B-20261123-77"])
    amount: int = Field(examples=[4500])
    unit: Unit = Field(examples=["SYP.new"])
    reason: UnmatchedBecause = Field(examples=["wrong_amount"])
    tracking_number: str | None = Field(
        description="What the payer gave, where it is a tracking number.",
        examples=["A77W-EAA2-E5G9-Q"],
    )
    request_id: UUID | None = Field(
        description="The request of that number.", examples=[_REQUEST]
    )
    centre: str | None = Field(description="That request's.", examples=["SY-DI-01"])
    paid_at: datetime = Field(examples=[_TIME])
    state: UnmatchedState = Field(examples=["open"])
    settled_at: datetime | None = Field(examples=[None])
    settled_because: PaymentSettledBecause | None = Field(examples=[None])
    fee_request_id: UUID | None = Field(
        description="The request whose fee it was taken as.", examples=[None]
    )

    @classmethod
    def of(cls, row: UnmatchedPayment) -> UnmatchedAnswer:
        """The answer of a payment."""
        return cls(
            position=row.position,
            payment_id=row.payment_id,
            bank=row.bank,
            bank_reference=row.bank_reference,
            amount=row.amount,
            unit=row.unit,
            reason=row.reason,
            tracking_number=row.tracking_number,
            request_id=row.request_id,
            centre=row.centre,
            paid_at=row.paid_at,
            state=row.state,
            settled_at=row.settled_at,
            settled_because=row.settled_because,
            fee_request_id=row.fee_request_id,
        )


class UnmatchedList(BaseModel):
    """A page of unmatched payments."""

    items: list[UnmatchedAnswer]
    next: str | None = Field(examples=[None])


@router.get(
    "",
    operation_id="list_unmatched_payments",
    summary="List payments that no request was waiting for",
    response_model=UnmatchedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_unmatched_payments(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    state: Annotated[UnmatchedState | None, Query(examples=["open"])] = None,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    bank: Annotated[Code | None, Query(examples=["bank-1"])] = None,
    reason: Annotated[UnmatchedBecause | None, Query(examples=["wrong_amount"])] = None,
    unit: Annotated[Unit | None, Query(examples=["SYP.new"])] = None,
    bank_reference: Reference = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[PositionSort, Query(examples=["-position"])] = PositionSort.NEWEST,
) -> UnmatchedList | Response:
    """List money that no request was waiting for, the newest first.

    What has to be found a place yet is `open`. A supervisor sees what was paid under
    the number of a request of the own centre. `since` and `until` are about when it was
    paid.
    """
    principal.must_be_allowed(Permission.READ_SUMS)
    only = UnmatchedFilter(
        state=state,
        centre=centre,
        bank=bank,
        reason=reason,
        unit=unit,
        bank_reference=bank_reference,
        since=since,
        until=until,
    )
    return listing.answer(
        UnmatchedList,
        lambda part: house.queries.unmatched.page(
            principal.scope,
            only=only,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        UnmatchedAnswer.of,
        views=["payments"],
    )
