"""A bank's references bind it at the door as they do in its messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.access import Principal
from domain.errors import (
    EffectiveTimeError,
    InvalidValueError,
    NotFoundError,
    WrongAmountError,
)
from domain.requests import PaymentChannel
from office.acts import Done, Envelope
from office.commands import PayFee
from office.errors import NotFreshEnoughError, StaleVersionError
from office.fees import BankPayment
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
    return scene.house.fees.pay(
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
    scene.house.fees.report(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    assert len(bodies(scene, "sijil.request.fee-paid.v1")) == 1


@pytest.mark.parametrize("door", ["door", "message", "clerk"])
def test_a_reference_that_paid_one_request_pays_no_other(
    scene: Scene, door: str
) -> None:
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, paid_id)
    if door == "message":
        scene.house.fees.report(payment, message(scene, BANK))
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
            scene.house.fees.report(payment, message(scene, BANK))

    between = Between(scene.house.queries.payments, happens)
    monkeypatch.setattr(scene.house.fees, "_payments", between)
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
    scene.house.fees.report(stray, message(scene, BANK))
    scene.level()
    with pytest.raises(InvalidValueError, match="kept-already"):
        pay(scene, request_id, payment)
    assert not scene.get(request_id).is_fee_paid
    # That of another bank is another payment, and what a clerk writes is a person's.
    pay(scene, request_id, payment, principal=CLERK)


@pytest.mark.parametrize(
    ("refused", "asked"),
    [
        (WrongAmountError, {"amount": 1}),
        (StaleVersionError, {"if_version": 1}),
        (EffectiveTimeError, {"effective_at": timedelta(hours=1)}),
    ],
)
def test_a_reference_that_was_refused_with_the_act_is_free(
    scene: Scene, refused: type[Exception], asked: dict[str, Any]
) -> None:
    """Somebody's money is behind it: it has to find its request, or a place to wait."""
    request_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, request_id)
    scene.level()
    sent = scene.seen(request_id, BANK, "payment")
    if "if_version" in asked:
        sent = replace(sent, if_version=asked["if_version"])
    if "effective_at" in asked:
        sent = replace(sent, effective_at=scene.clock() + asked["effective_at"])
    amount = asked.get("amount", payment.amount)
    with pytest.raises(refused):
        pay(scene, request_id, payment, amount=amount, envelope=sent)
    scene.level()
    pay(scene, other_id, payment)
    assert scene.get(other_id).is_fee_paid


def test_a_rule_that_refuses_is_heard_before_a_view_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.house.fees._freshness, "timeout_s", 0.02)
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    # The view is behind now.
    scene.submit()
    with pytest.raises(WrongAmountError):
        pay(scene, request_id, payment, amount=1)
    with pytest.raises(NotFreshEnoughError):
        pay(scene, request_id, payment)
    scene.level()
    pay(scene, request_id, payment)


@pytest.mark.parametrize("door", ["door", "message", "clerk"])
def test_what_paid_the_fee_already_may_be_told_again(scene: Scene, door: str) -> None:
    """A bank that lost its answer asks with another key, from a page that is old."""
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    old = scene.seen(request_id, BANK, "payment")
    if door == "message":
        scene.house.fees.report(payment, message(scene, BANK))
    else:
        pay(scene, request_id, payment, principal=BANK if door == "door" else CLERK)
    before = scene.entries()
    # However late: it is the time of a payment that stands already.
    old = replace(old, effective_at=scene.clock() - timedelta(days=30))
    again = pay(scene, request_id, payment, envelope=old)
    assert (again.aggregate_id, again.first_position) == (request_id, None)
    assert pay(scene, request_id, payment, envelope=old).is_repeat
    assert scene.entries() == before
    # Of another amount it is another payment, and another bank's is none of it.
    with pytest.raises(InvalidValueError, match="another-payment"):
        pay(scene, request_id, payment, amount=1)
    told = InvalidValueError if door == "clerk" else NotFoundError
    with pytest.raises(told):
        pay(scene, request_id, payment, principal=SECOND_BANK)
    assert scene.entries() == before


def test_a_fee_that_is_one_banks_leaves_the_reference_to_the_other(
    scene: Scene,
) -> None:
    """Two banks call two payments alike, and a clerk took the one of them."""
    taken_id, due_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, taken_id)
    pay(scene, taken_id, payment, principal=CLERK)
    scene.level()
    with pytest.raises(InvalidValueError, match="another-payment"):
        pay(scene, due_id, payment)
    # It is the second bank's, that one says.
    scene.house.fees.report(payment, message(scene, SECOND_BANK))
    pay(scene, due_id, payment)
    assert scene.get(due_id).is_fee_paid


def test_what_two_banks_call_alike_is_not_one_fee(scene: Scene) -> None:
    """A clerk took the first one's word: the other's money must find its place too."""
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    pay(scene, request_id, payment, principal=CLERK)
    for _ in range(2):
        scene.room.runner.catch_up()
        scene.house.fees.report(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    for _ in range(2):
        scene.house.fees.report(payment, message(scene, SECOND_BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["actor"]["id"] == SECOND_BANK.id
    assert kept["data"]["reason"] == "nothing_due"
    assert kept["data"]["request"] == str(request_id)
