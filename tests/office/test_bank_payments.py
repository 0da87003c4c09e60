"""Money that a bank reports: a fee, or kept; never refused, never counted twice."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import InvalidValueError, RoleForbiddenError
from domain.money import Unit
from domain.requests import PaymentChannel
from domain.requests.working import due_fee
from domain.stages import Stage
from ledger.bodies import read_body
from office.commands import PayFee
from office.errors import NotFreshEnoughError
from office.fees import BankPayment
from tests.office.reporting import (
    SECOND_BANK,
    UNMATCHED,
    Between,
    bodies,
    fee_of,
    message,
    offset_of,
    tracked,
)
from tests.office.scene import AGENCY, BANK, CLERK, MARKED_PHONE, Scene


def test_a_payment_of_what_is_due_is_the_fee(scene: Scene) -> None:
    request_id = scene.assigned()
    paid = fee_of(scene, request_id)
    typed = paid.tracking_number.lower().replace("-", " ")
    arabic = typed.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    sent = fee_of(
        scene,
        request_id,
        tracking_number=arabic,
        bank_reference=paid.bank_reference,
    )
    scene.house.fees.report(sent, message(scene, BANK))
    assert scene.get(request_id).is_fee_paid
    body = read_body(scene.entries(request_id)[-1].body)
    assert body["actor"]["id"] == BANK.id
    assert body["data"]["bank_reference"] == paid.bank_reference
    assert bodies(scene, UNMATCHED) == []


def test_the_same_payment_reported_again_changes_nothing(scene: Scene) -> None:
    request_id = scene.assigned()
    paid = fee_of(scene, request_id)
    scene.house.fees.report(paid, message(scene, BANK))
    before = scene.entries()
    again = message(scene, BANK)
    done = scene.house.fees.report(paid, again)
    assert (done.first_position, done.is_repeat) == (None, False)
    assert scene.entries() == before
    assert tracked(scene) == offset_of(again)


def test_what_nobody_waits_for_is_kept_with_the_reason(scene: Scene) -> None:
    request_id = scene.assigned()
    centre = scene.get(request_id).centre
    scene.house.fees.report(fee_of(scene, request_id), message(scene, BANK))
    for number, reason, kept_number, is_known in (
        (scene.get(request_id).tracking_number, "nothing_due", True, True),
        ("0000-0000-0000-0", "unknown_number", True, False),
        # What was typed is kept only where it is a tracking number.
        (MARKED_PHONE, "unknown_number", False, False),
    ):
        scene.room.runner.catch_up()
        payment = fee_of(scene, request_id, tracking_number=number)
        scene.house.fees.report(payment, message(scene, BANK))
        data = bodies(scene, UNMATCHED)[-1]["data"]
        assert (data["reason"], data["amount"]) == (reason, payment.amount)
        assert data["bank_reference"] == payment.bank_reference
        assert data.get("request") == (str(request_id) if is_known else None)
        assert data.get("centre") == (centre if is_known else None)
        assert data.get("tracking_number") == (number if kept_number else None)
    assert len(bodies(scene, UNMATCHED)) == 3
    assert scene.attempts() == []


@pytest.mark.parametrize("changes", [{"amount": 1}, {"unit": Unit.OLD}])
def test_another_amount_or_unit_than_what_is_due_is_no_fee(
    scene: Scene, changes: dict[str, Any]
) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id, **changes)
    for _ in range(2):
        scene.house.fees.report(payment, message(scene, BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "wrong_amount"
    assert not scene.get(request_id).is_fee_paid


def test_a_reference_stands_for_one_payment_of_one_bank(scene: Scene) -> None:
    scene.level()
    payment = BankPayment(
        tracking_number="?", amount=100, unit=Unit.NEW, bank_reference="B-1/77"
    )
    scene.house.fees.report(payment, message(scene, BANK))
    other = BankPayment(
        tracking_number="?", amount=101, unit=Unit.NEW, bank_reference="B-1/77"
    )
    with pytest.raises(InvalidValueError, match="another-payment"):
        scene.house.fees.report(other, message(scene, BANK))
    scene.room.runner.catch_up()
    scene.house.fees.report(other, message(scene, SECOND_BANK))
    assert len(bodies(scene, UNMATCHED)) == 2


def test_the_same_reference_of_another_bank_is_another_payment(scene: Scene) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    scene.house.fees.report(payment, message(scene, BANK))
    scene.room.runner.catch_up()
    scene.house.fees.report(payment, message(scene, SECOND_BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "nothing_due"
    other_id = scene.assigned()
    third = Principal(role=ActorKind.BANK, id="bank-3")
    more = fee_of(scene, other_id, bank_reference=payment.bank_reference)
    scene.house.fees.report(more, message(scene, third))
    assert scene.get(other_id).is_fee_paid


def test_money_that_was_kept_is_no_fee_when_it_is_reported_again(
    scene: Scene,
) -> None:
    """A person finds its place: as a fee as well it would count twice."""
    request_id = scene.assigned(accept_now=False)
    service = scene.assigned()
    payment = fee_of(
        scene, service, tracking_number=scene.get(request_id).tracking_number
    )
    scene.house.fees.report(payment, message(scene, BANK))
    scene.accept(request_id)
    assert due_fee(scene.get(request_id)) == (payment.amount, payment.unit)
    before = scene.entries()
    again = message(scene, BANK)
    done = scene.house.fees.report(payment, again)
    assert (done.first_position, done.is_repeat) == (None, False)
    assert scene.entries() == before
    assert not scene.get(request_id).is_fee_paid
    assert tracked(scene) == offset_of(again)


@pytest.mark.parametrize("payer", [BANK, CLERK])
def test_a_reference_that_paid_one_request_pays_no_other(
    scene: Scene, payer: Principal
) -> None:
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, paid_id)
    if payer is BANK:
        scene.house.fees.report(payment, message(scene, BANK))
    else:
        scene.requests.pay(
            PayFee(
                request_id=paid_id,
                token=scene.get(paid_id).token,
                channel=PaymentChannel.BANK,
                amount=payment.amount,
                unit=payment.unit,
                bank_reference=payment.bank_reference,
            ),
            scene.seen(paid_id, CLERK, "payment"),
        )
    scene.room.runner.catch_up()
    before = scene.entries()
    for number in (scene.get(other_id).tracking_number, "0000-0000-0000-0"):
        other = dataclasses.replace(payment, tracking_number=number)
        with pytest.raises(InvalidValueError, match="another-payment"):
            scene.house.fees.report(other, message(scene, BANK))
    assert scene.entries() == before
    assert not scene.get(other_id).is_fee_paid


@pytest.mark.parametrize("is_first_known", [True, False])
def test_a_reference_reported_under_two_numbers_at_once_counts_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, is_first_known: bool
) -> None:
    """Neither is in a view when the other looks; the store lets one of them have it."""
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, other_id)
    first = dataclasses.replace(
        payment,
        tracking_number=scene.get(paid_id).tracking_number if is_first_known else "?",
    )
    scene.room.runner.catch_up()
    fees = scene.house.fees

    def happens() -> None:
        fees.report(first, message(scene, BANK))

    between = Between(scene.house.queries.payments, happens)
    monkeypatch.setattr(fees, "_payments", between)
    with pytest.raises(InvalidValueError, match="another-payment"):
        fees.report(payment, message(scene, BANK))
    assert not between._happens
    assert scene.get(paid_id).is_fee_paid is is_first_known
    assert len(bodies(scene, UNMATCHED)) == (0 if is_first_known else 1)
    assert not scene.get(other_id).is_fee_paid


def test_a_payment_reported_twice_at_once_is_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    scene.room.runner.catch_up()
    fees = scene.house.fees
    earlier = message(scene, BANK)

    def happens() -> None:
        fees.report(payment, earlier)

    between = Between(scene.house.queries.payments, happens)
    monkeypatch.setattr(fees, "_payments", between)
    done = fees.report(payment, message(scene, BANK))
    assert done.first_position is None
    assert not between._happens
    assert len(bodies(scene, "sijil.request.fee-paid.v1")) == 1


def test_a_payment_that_a_crash_cut_off_is_taken_when_it_comes_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reference is its own by then, and so it stays."""
    request_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, request_id)
    scene.room.runner.catch_up()
    sent = message(scene, BANK)

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("the process died")

    with monkeypatch.context() as patched:
        patched.setattr(scene.house.acts, "on_request", crash)
        with pytest.raises(RuntimeError):
            scene.house.fees.report(payment, sent)
    number = scene.get(other_id).tracking_number
    other = dataclasses.replace(payment, tracking_number=number)
    with pytest.raises(InvalidValueError, match="another-payment"):
        scene.house.fees.report(other, message(scene, BANK))
    scene.house.fees.report(payment, sent)
    assert scene.get(request_id).is_fee_paid


def test_a_payment_waits_for_the_view_of_references(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reference may have paid for another request a moment ago."""
    monkeypatch.setattr(scene.house.fees._freshness, "timeout_s", 0.02)
    paid_id, other_id = scene.assigned(), scene.assigned()
    payment = fee_of(scene, paid_id)
    scene.house.fees.report(payment, message(scene, BANK))
    number = scene.get(other_id).tracking_number
    other = dataclasses.replace(payment, tracking_number=number)
    with pytest.raises(NotFreshEnoughError):
        scene.house.fees.report(other, message(scene, BANK))
    assert not scene.get(other_id).is_fee_paid


def test_a_fee_reported_again_with_another_amount_is_another_payment(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    scene.house.fees.report(payment, message(scene, BANK))
    other = dataclasses.replace(payment, amount=payment.amount + 1)
    with pytest.raises(InvalidValueError, match="another-payment"):
        scene.house.fees.report(other, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []


@pytest.mark.parametrize("claimed", [timedelta(days=-30), timedelta(hours=1)])
def test_money_is_not_refused_for_its_time(scene: Scene, claimed: timedelta) -> None:
    scene.level()
    request_id = scene.assigned()
    at = scene.clock() + claimed
    told = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
    bound = scene.clock() - timedelta(days=7)
    stray = fee_of(scene, request_id, tracking_number="?")
    scene.house.fees.report(stray, message(scene, BANK, effective_at=at))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["claimed_at"] == told
    scene.room.runner.catch_up()
    fee = fee_of(scene, request_id)
    scene.house.fees.report(fee, message(scene, BANK, effective_at=at))
    assert scene.get(request_id).is_fee_paid
    entry = scene.entries(request_id)[-1]
    assert read_body(entry.body)["data"]["claimed_at"] == told
    assert scene.get(request_id).modified_on <= entry.recorded_at
    kept_at = datetime.fromisoformat(kept["effective_at"])
    assert bound <= kept_at <= entry.recorded_at
    assert scene.attempts() == []


def test_a_fee_of_a_request_that_long_stood_still_is_taken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was recorded of it since, so its last event bounds nothing."""
    request_id = scene.assigned()
    at = scene.clock()
    monkeypatch.setattr(scene.house.acts, "_backdating", timedelta())
    scene.house.fees.report(
        fee_of(scene, request_id), message(scene, BANK, effective_at=at)
    )
    assert scene.get(request_id).is_fee_paid
    data = bodies(scene, "sijil.request.fee-paid.v1")[-1]["data"]
    assert data["claimed_at"] == f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_a_payment_in_time_claims_nothing_beside(scene: Scene) -> None:
    request_id = scene.assigned()
    scene.house.fees.report(fee_of(scene, request_id), message(scene, BANK))
    (paid,) = bodies(scene, "sijil.request.fee-paid.v1")
    assert "claimed_at" not in paid["data"]


def test_a_payment_waits_for_the_view_of_numbers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is behind must not make a fee an unmatched payment."""
    monkeypatch.setattr(scene.house.fees._freshness, "timeout_s", 0.02)
    request_id = scene.submit()
    payment = fee_of(scene, request_id)
    with pytest.raises(NotFreshEnoughError):
        scene.house.fees.report(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    scene.level()
    scene.house.fees.report(payment, message(scene, BANK))
    assert scene.get(request_id).is_fee_paid


def test_only_a_bank_reports_payments_and_a_reference_is_no_persons_number(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    with pytest.raises(RoleForbiddenError):
        scene.house.fees.report(fee_of(scene, request_id), message(scene, AGENCY))
    with pytest.raises(InvalidValueError):
        scene.house.fees.report(
            fee_of(scene, request_id, bank_reference="01000099887"),
            message(scene, BANK),
        )


def test_a_payment_after_the_end_is_kept(scene: Scene) -> None:
    request_id = scene.mailed()
    scene.level()
    assert scene.get(request_id).stage is Stage.COMPLETED_ISSUED
    scene.house.fees.report(fee_of(scene, request_id), message(scene, BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "nothing_due"
