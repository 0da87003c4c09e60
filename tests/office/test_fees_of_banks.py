"""A bank's references bind it at the door as they do in its messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain.access import Principal
from domain.errors import InvalidValueError, WrongAmountError
from domain.requests import PaymentChannel
from office.acts import Done, Envelope
from office.commands import PayFee
from office.reports import BankPayment
from tests.office.reporting import (
    SECOND_BANK,
    UNMATCHED,
    Between,
    bodies,
    fee_of,
    message,
)
from tests.office.scene import BANK, CLERK, Scene


def pay(
    scene: Scene,
    request_id: UUID,
    payment: BankPayment,
    *,
    principal: Principal = BANK,
    envelope: Envelope | None = None,
    **changes: Any,
) -> Done:
    """Take the fee with a bank's payment, as the route does."""
    asked = {
        "token": scene.get(request_id).token if principal is CLERK else None,
        "channel": PaymentChannel.BANK,
        "amount": payment.amount,
        "unit": payment.unit,
        "bank_reference": payment.bank_reference,
        **changes,
    }
    return scene.house.reports.fee(
        PayFee(request_id=request_id, **asked),
        envelope or scene.seen(request_id, principal, "payment"),
    )


def test_what_is_due_is_taken_and_a_repeat_is_a_repeat(scene: Scene) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    sent = scene.seen(request_id, BANK, "payment")
    first = pay(scene, request_id, payment, envelope=sent)
    again = pay(scene, request_id, payment, envelope=sent)
    assert again.is_repeat
    assert again.last_position == first.last_position
    # Reported by message as well, it is the same money.
    scene.house.reports.payment(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    assert len(bodies(scene, "sijil.request.fee-paid.v1")) == 1


@pytest.mark.parametrize("door", ["door", "message", "clerk"])
def test_a_reference_that_paid_one_request_pays_no_other(
    scene: Scene, door: str
) -> None:
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, paid_id)
    if door == "message":
        scene.house.reports.payment(payment, message(scene, BANK))
    else:
        pay(scene, paid_id, payment, principal=BANK if door == "door" else CLERK)
    scene.level()
    with pytest.raises(InvalidValueError, match="another-payment"):
        pay(scene, other_id, payment)
    assert not scene.get(other_id).is_fee_paid


@pytest.mark.parametrize("is_at_the_door", [True, False])
def test_one_that_pays_two_requests_at_once_pays_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, is_at_the_door: bool
) -> None:
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, paid_id)
    scene.level()

    def happens() -> None:
        if is_at_the_door:
            pay(scene, paid_id, payment)
        else:
            scene.house.reports.payment(payment, message(scene, BANK))

    between = Between(scene.house.queries.payments, happens)
    monkeypatch.setattr(scene.house.reports, "_payments", between)
    with pytest.raises(InvalidValueError, match="another-payment"):
        pay(scene, other_id, payment)
    assert not between._happens
    assert scene.get(paid_id).is_fee_paid
    assert not scene.get(other_id).is_fee_paid


def test_money_that_is_kept_is_no_fee(scene: Scene) -> None:
    """People find its place: as a fee as well it would count twice."""
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    stray = fee_of(
        scene, request_id, tracking_number="?", bank_reference=payment.bank_reference
    )
    scene.house.reports.payment(stray, message(scene, BANK))
    scene.level()
    with pytest.raises(InvalidValueError, match="another-payment"):
        pay(scene, request_id, payment)
    assert not scene.get(request_id).is_fee_paid
    # That of another bank is another payment, and what a clerk writes is a person's.
    pay(scene, request_id, payment, principal=CLERK)


def test_a_reference_that_was_refused_with_the_act_is_free(scene: Scene) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    with pytest.raises(WrongAmountError):
        pay(scene, request_id, payment, amount=payment.amount + 1)
    scene.level()
    pay(scene, request_id, payment)
    assert scene.get(request_id).is_fee_paid


def test_what_two_banks_call_alike_is_not_one_fee(scene: Scene) -> None:
    """A clerk took the first one's word: the other's money must find its place too."""
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    pay(scene, request_id, payment, principal=CLERK)
    for _ in range(2):
        scene.room.runner.catch_up()
        scene.house.reports.payment(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    for _ in range(2):
        scene.house.reports.payment(payment, message(scene, SECOND_BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["actor"]["id"] == SECOND_BANK.id
    assert kept["data"]["reason"] == "nothing_due"
    assert kept["data"]["request"] == str(request_id)
