"""Payments that banks reported and no request waited for, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.asking import (
    AsOf,
    Changing,
    MinPosition,
    Since,
    TheHouse,
    ThePrincipal,
    Until,
    etag_of,
    ledger_until,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import FRESH, responses
from api.v1.acts.shared import CHANGING
from api.v1.bodies import Code, Id, Strict, one_of
from api.v1.payments import Reference
from api.v1.things import facts_of, tell_outcome
from domain.access import Permission
from domain.errors import NotFoundError
from domain.money import Unit
from domain.payments import PaymentSettledBecause, UnmatchedBecause
from office.payments import SettlePayment
from projections.payments import (
    UnmatchedFilter,
    UnmatchedPayment,
    UnmatchedState,
    unmatched_from,
)
from projections.sorting import PositionSort

router = APIRouter(prefix="/v1/payments/unmatched", tags=["payments"])
_TIME = "2026-11-23T08:14:05.120000Z"
_REQUEST = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"

PaymentId = Annotated[UUID, Path(examples=["6f2a4c1e-8f0b-5d53-9c86-5b1f6d0a7e21"])]


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


class PaymentSettlementBody(Strict):
    """What became of the money."""

    reason: Annotated[PaymentSettledBecause, one_of(PaymentSettledBecause)] = Field(
        examples=["returned"]
    )
    request_id: Id | None = Field(
        default=None,
        description="With `taken-as-fee`, and only then: the request whose fee was "
        "paid with this payment.",
        examples=[None],
    )


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


@router.get(
    "/{payment_id}",
    operation_id="get_unmatched_payment",
    summary="Read one payment that no request was waiting for",
    responses=responses(*FRESH, "not-found"),
)
def get_unmatched_payment(
    payment_id: PaymentId,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> UnmatchedAnswer:
    """Read one payment as the ledger has it, with its ETag."""
    principal.must_be_allowed(Permission.READ_SUMS)
    until = ledger_until(house, as_of, min_position)
    row = unmatched_from(facts_of(house, payment_id, until=until))
    if row is not None and principal.scope.centre not in {None, row.centre}:
        row = None
    return _told(row, response)


@router.post(
    "/{payment_id}/settlement",
    operation_id="settle_unmatched_payment",
    summary="Say what became of a payment that no request was waiting for",
    responses=responses(*CHANGING, "already-settled"),
)
def settle_unmatched_payment(
    payment_id: PaymentId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: PaymentSettlementBody,
) -> UnmatchedAnswer:
    """Say what became of the money, once. It stays on the list.

    No fee is paid by it: that of `taken-as-fee` was, by the bank's reference.
    """
    done = house.payments.settle(
        SettlePayment(
            payment_id=payment_id, reason=body.reason, request_id=body.request_id
        ),
        asking.envelope(),
    )
    tell_outcome(done, response)
    # As the act left it, whatever happened since.
    facts = facts_of(house, done.aggregate_id, version=done.etag_version)
    return _told(unmatched_from(facts), response)


def _told(row: UnmatchedPayment | None, response: Response) -> UnmatchedAnswer:
    if row is None:
        raise NotFoundError(thing="payment")
    response.headers["ETag"] = etag_of(row.version)
    return UnmatchedAnswer.of(row)
