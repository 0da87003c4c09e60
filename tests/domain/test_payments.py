"""Payments without a request: kept once, settled once, a fee only where it is one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.acts import Act, ActorKind
from domain.errors import AlreadySettledError, EffectiveTimeError, InvalidValueError
from domain.money import FeeKind, FeeLine, Unit, in_old_pounds, worth
from domain.payments import Payment, PaymentSettledBecause, UnmatchedBecause
from domain.requests import PaymentChannel, ServiceRequest
from tests.domain.office import NINE, REQUEST_ID, accepted, act, paid

REFERENCE = "B-20261123-78"
ADMINISTRATOR = act("settle", ActorKind.ADMINISTRATOR, actor="adm-1", place="ministry")
NOT_A_FEE = [
    each for each in PaymentSettledBecause if each != PaymentSettledBecause.TAKEN_AS_FEE
]


def bank(code: str = "bank-1", minutes: int = 0) -> Act:
    return act("pay", ActorKind.BANK, minutes=minutes, actor=code, place="ministry")


def payment(by: Act | None = None, **changed: Any) -> Payment:
    return Payment.unmatched(
        by or bank(),
        **{
            "bank_reference": REFERENCE,
            "amount": 3000,
            "unit": Unit.NEW,
            "reason": UnmatchedBecause.UNKNOWN_NUMBER,
            **changed,
        },
    )


def paid_by(by: Act, reference: str = REFERENCE) -> ServiceRequest:
    """A request whose fee was paid through a bank, as this actor recorded it."""
    request = accepted()
    request.pay(
        by,
        channel=PaymentChannel.BANK,
        amount=3000,
        unit=Unit.NEW,
        bank_reference=reference,
        token=1 if by.actor.kind is ActorKind.CLERK else None,
    )
    return request


def happened(made: Payment) -> list[str]:
    return [type(event).__name__ for event in made.pending_events]


@pytest.mark.parametrize("reason", NOT_A_FEE)
def test_it_is_settled_once(reason: PaymentSettledBecause) -> None:
    made = payment()
    made.settle(ADMINISTRATOR, reason=reason)
    assert made.settled_because is reason
    for again in (*NOT_A_FEE, PaymentSettledBecause.TAKEN_AS_FEE):
        with pytest.raises(AlreadySettledError) as caught:
            made.settle(ADMINISTRATOR, reason=again)
        assert caught.value.facts() == {"reason": reason}
    assert happened(made) == ["Unmatched", "Settled"]
    settled: Any = made.pending_events[-1]
    assert settled.request is None


@pytest.mark.parametrize(
    "by", [act("pay"), bank()], ids=["a clerk's word", "the bank's"]
)
def test_it_is_a_fee_where_a_request_was_paid_with_it(by: Act) -> None:
    made = payment()
    made.settle(
        ADMINISTRATOR, reason=PaymentSettledBecause.TAKEN_AS_FEE, fee_of=paid_by(by)
    )
    settled: Any = made.pending_events[-1]
    assert (settled.reason, settled.request) == ("taken-as-fee", REQUEST_ID)


def test_old_pounds_paid_a_fee_of_as_many_new_ones() -> None:
    made = payment(amount=300_000, unit=Unit.OLD)
    fee = paid_by(act("pay"))
    made.settle(ADMINISTRATOR, reason=PaymentSettledBecause.TAKEN_AS_FEE, fee_of=fee)
    assert happened(made) == ["Unmatched", "Settled"]


@pytest.mark.parametrize(
    ("fee", "changed", "reason"),
    [
        (accepted(), {}, "not-paid-with-it"),
        (paid(), {}, "not-paid-with-it"),
        (paid_by(act("pay"), "B-2"), {}, "not-paid-with-it"),
        (paid_by(bank("bank-2")), {}, "not-paid-with-it"),
        (paid_by(act("pay")), {"amount": 3001}, "another-amount"),
        (paid_by(act("pay")), {"unit": Unit.OLD}, "another-amount"),
    ],
)
def test_what_was_not_paid_with_it_is_not_its_fee(
    fee: ServiceRequest, changed: dict[str, Any], reason: str
) -> None:
    made = payment(**changed)
    with pytest.raises(InvalidValueError) as caught:
        made.settle(
            ADMINISTRATOR, reason=PaymentSettledBecause.TAKEN_AS_FEE, fee_of=fee
        )
    assert (caught.value.field, caught.value.reason) == ("request_id", reason)
    assert made.settled_because is None
    assert happened(made) == ["Unmatched"]


def test_a_fee_needs_its_request_and_nothing_else_has_one() -> None:
    made, fee = payment(), paid_by(act("pay"))
    for reason in PaymentSettledBecause:
        is_fee = reason is PaymentSettledBecause.TAKEN_AS_FEE
        with pytest.raises(InvalidValueError) as caught:
            made.settle(ADMINISTRATOR, reason=reason, fee_of=None if is_fee else fee)
        assert (caught.value.field, caught.value.reason) == ("request_id", "reason")
    assert happened(made) == ["Unmatched"]


def test_nobody_settles_before_it_was_reported() -> None:
    made = payment(bank(minutes=5))
    with pytest.raises(EffectiveTimeError):
        made.settle(ADMINISTRATOR, reason=PaymentSettledBecause.RETURNED)
    made.settle(
        ADMINISTRATOR.at(NINE + timedelta(minutes=5)),
        reason=PaymentSettledBecause.RETURNED,
    )


def test_it_stays_the_same_payment_when_it_is_settled() -> None:
    made = payment()
    made.settle(ADMINISTRATOR, reason=PaymentSettledBecause.OTHER)
    made.must_be_the_same(amount=3000, unit=Unit.NEW, tracking_number=None)
    with pytest.raises(InvalidValueError, match="another-payment"):
        made.must_be_the_same(amount=3001, unit=Unit.NEW, tracking_number=None)


def test_a_new_pound_is_worth_a_hundred_old_ones() -> None:
    assert worth(3000, Unit.NEW) == worth(300_000, Unit.OLD) == 300_000
    line = FeeLine(kind=FeeKind.STATE_FEE, amount=3000, unit=Unit.NEW)
    old = in_old_pounds(line)
    assert (old.amount, old.unit) == (300_000, Unit.OLD)
    assert in_old_pounds(old) == old
