"""Payments: the fee of each request, and what was paid in sums."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from api.asking import (
    AsOf,
    MinPosition,
    Since,
    TheHouse,
    ThePrincipal,
    Until,
    position_to_read,
)
from api.listing import LISTED, LISTING, TheListing, TheSheet
from api.problems import responses
from api.times import Time
from api.v1.bodies import Code
from api.v1.counts import position_of
from api.v1.days import FirstDay, LastDay, days_of
from domain.access import Permission
from domain.acts import ActorKind
from domain.calendars import span_of
from domain.errors import InvalidValueError
from domain.money import Unit
from domain.naming import checked_reference
from domain.requests import PaymentChannel
from office.acts import translated
from projections.payments import (
    PayBy,
    Payment,
    PaymentFilter,
    PaymentSort,
    PaymentState,
    Sum,
    Sums,
)

router = APIRouter(prefix="/v1/payments", tags=["payments"])
VIEW = "payments"
_TIME = "2026-11-23T08:14:05.120000Z"


def _reference(text: str | None) -> str | None:
    try:
        return text if text is None else checked_reference(text, field="bank_reference")
    except InvalidValueError as error:
        raise ValueError(error.reason) from None


Reference = Annotated[
    str | None,
    Query(
        max_length=64,
        description="Of the payment or of the refund.",
        examples=["B-20261123-77"],
    ),
    AfterValidator(_reference),
]


class PaymentAnswer(BaseModel):
    """The fee of one request: amounts in hundredths of a pound of one unit."""

    request_id: UUID = Field(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])
    tracking_number: str = Field(examples=["A77W-EAA2-E5G9-Q"])
    service: str | None = Field(
        description="Not told to a bank, which takes money and asks not what for.",
        examples=["CIV-01"],
    )
    agency: str | None = Field(description="As `service`.", examples=["CIV"])
    centre: str = Field(examples=["SY-DI-01"])
    governorate: str = Field(examples=["SY-DI"])
    unit: Unit = Field(examples=["SYP.new"])
    state_fee: int = Field(examples=[3000])
    service_charge: int = Field(examples=[1500])
    amount: int = Field(description="Both lines together.", examples=[4500])
    fee_due: str = Field(examples=["acceptance"])
    state: PaymentState = Field(examples=["paid"])
    expected_at: datetime = Field(examples=[_TIME])
    due_at: datetime | None = Field(
        description="When its request expires unless it is paid.", examples=[_TIME]
    )
    is_overdue: bool = Field(examples=[False])
    paid_at: datetime | None = Field(examples=[_TIME])
    channel: PaymentChannel | None = Field(examples=["bank"])
    bank_reference: str | None = Field(examples=["B-20261123-77"])
    refunded_state_fee: int = Field(examples=[0])
    refunded_service_charge: int = Field(examples=[0])
    refunded_at: datetime | None = Field(examples=[None])
    refund_channel: PaymentChannel | None = Field(examples=[None])
    refund_reference: str | None = Field(examples=[None])
    refund_reason: str | None = Field(examples=[None])
    cancelled_at: datetime | None = Field(
        description="When its request ended unpaid.", examples=[None]
    )
    position: int = Field(
        description="The entry that made it what it is.", examples=[48213]
    )

    @classmethod
    def of(cls, row: Payment, now: datetime, *, is_bank: bool) -> PaymentAnswer:
        """The answer of a fee for an asker at a time."""
        is_open = row.state is PaymentState.EXPECTED
        return cls(
            request_id=row.request_id,
            tracking_number=row.tracking_number,
            service=None if is_bank else row.service,
            agency=None if is_bank else row.agency,
            centre=row.centre,
            governorate=row.governorate,
            unit=row.unit,
            state_fee=row.state_fee,
            service_charge=row.service_charge,
            amount=row.state_fee + row.service_charge,
            fee_due=row.fee_due,
            state=row.state,
            expected_at=row.expected_at,
            due_at=row.due_at,
            is_overdue=is_open and row.due_at is not None and row.due_at < now,
            paid_at=row.paid_at,
            channel=row.channel,
            bank_reference=row.bank_reference,
            refunded_state_fee=row.refunded_state_fee,
            refunded_service_charge=row.refunded_service_charge,
            refunded_at=row.refunded_at,
            refund_channel=row.refund_channel,
            refund_reference=row.refund_reference,
            refund_reason=row.refund_reason,
            cancelled_at=row.ended_at,
            position=row.position,
        )


class PaymentList(BaseModel):
    """A page of fees."""

    items: list[PaymentAnswer]
    next: str | None = Field(examples=[None])


class SumAnswer(BaseModel):
    """How many fees, and their lines in hundredths."""

    count: int = Field(examples=[41])
    state_fee: int = Field(examples=[123000])
    service_charge: int = Field(examples=[61500])
    amount: int = Field(description="Both lines together.", examples=[184500])

    @classmethod
    def of(cls, row: Sum) -> SumAnswer:
        """The answer of a sum."""
        return cls(
            count=row.count,
            state_fee=row.state_fee,
            service_charge=row.service_charge,
            amount=row.amount,
        )


class SumsAnswer(BaseModel):
    """What moved in one group, in one unit."""

    group: dict[str, str | None] = Field(examples=[{"centre": "SY-DI-01"}])
    unit: Unit = Field(examples=["SYP.new"])
    expected: SumAnswer
    paid: SumAnswer
    cancelled: SumAnswer
    refunded: SumAnswer

    @classmethod
    def of(cls, row: Sums) -> SumsAnswer:
        """The answer of a group."""
        return cls(
            group=row.group,
            unit=row.unit,
            expected=SumAnswer.of(row.expected),
            paid=SumAnswer.of(row.paid),
            cancelled=SumAnswer.of(row.cancelled),
            refunded=SumAnswer.of(row.refunded),
        )


class SumsList(BaseModel):
    """The sums of all groups in which anything moved."""

    items: list[SumsAnswer]


@router.get(
    "",
    operation_id="list_payments",
    summary="List the fees of requests",
    response_model=PaymentList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_payments(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    request_id: Annotated[
        UUID | None, Query(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])
    ] = None,
    centre: Annotated[Code | None, Query(examples=["SY-DI-01"])] = None,
    service: Annotated[
        Code | None, Query(description="Not for a bank.", examples=["CIV-01"])
    ] = None,
    state: Annotated[PaymentState | None, Query(examples=["expected"])] = None,
    channel: Annotated[PaymentChannel | None, Query(examples=["bank"])] = None,
    unit: Annotated[Unit | None, Query(examples=["SYP.new"])] = None,
    bank_reference: Reference = None,
    due_before: Annotated[
        Time | None,
        Query(
            description="Due before this time (RFC 3339).",
            examples=["2026-12-01T00:00:00+03:00"],
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[PaymentSort, Query(examples=["-expected_at"])] = PaymentSort.NEWEST,
) -> PaymentList | Response:
    """List fees, the newest first; a bank sees what can still be paid.

    `since` and `until` are about when a fee was expected: at the acceptance.
    """
    principal.must_be_allowed(Permission.READ_PAYMENTS)
    is_bank = principal.role is ActorKind.BANK
    if is_bank and service is not None:
        # What is not told must not be guessed by filters.
        raise InvalidValueError(field="service", reason="not-for-a-bank")
    only = PaymentFilter(
        request_id=request_id,
        centre=centre,
        service=service,
        state=state,
        channel=channel,
        unit=unit,
        bank_reference=bank_reference,
        due_before=due_before,
        since=since,
        until=until,
    )
    return listing.answer(
        PaymentList,
        lambda part: house.queries.payments.page(
            principal.scope,
            only=only,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ).told(lambda row: PaymentAnswer.of(row, part.now, is_bank=is_bank)),
        lambda answer: answer,
        views=[VIEW],
    )


@router.get(
    "/sums",
    operation_id="get_payment_sums",
    summary="Add up what was paid",
    response_model=SumsList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_payment_sums(
    principal: ThePrincipal,
    house: TheHouse,
    sheet: TheSheet,
    first: FirstDay = None,
    last: LastDay = None,
    by: Annotated[
        list[PayBy] | None,
        Query(
            max_length=len(PayBy),
            description="What to group by, beside the unit.",
            examples=[["day", "channel"]],
        ),
    ] = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> SumsList | Response:
    """Add up what was expected, paid, cancelled and refunded on days in Damascus.

    Each movement counts on the day of its own effective time. Expected = paid +
    cancelled + what is still outstanding, over all days.
    """
    principal.must_be_allowed(Permission.READ_SUMS)
    known = position_to_read(house, as_of, min_position, VIEW)
    since, until = span_of(*days_of(house, first, last))
    groups = by or []
    with translated():
        position = position_of(house, VIEW, known)
        sums = house.queries.payments.sums(
            principal.scope, since=since, until=until, by=groups, as_of=position
        )
        made = SumsList(items=[SumsAnswer.of(row) for row in sums])
    return sheet.answer(made, position=position, parts={"group": groups})
