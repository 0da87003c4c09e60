"""What became of money without a request: said once, by whoever may, and checked."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    AlreadySettledError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
)
from domain.payments import Payment, PaymentSettledBecause
from office.acts import Done
from office.errors import (
    CommandReusedError,
    PreconditionRequiredError,
    StaleVersionError,
)
from office.fees import BankPayment
from office.payments import SettlePayment
from tests.office.reporting import (
    SECOND_BANK,
    UNMATCHED,
    bodies,
    fee_of,
    message,
)
from tests.office.scene import (
    ADMINISTRATOR,
    AUDITOR,
    BANK,
    CLERK,
    SUPERVISOR,
    Scene,
    envelope,
)

SETTLED = "sijil.payment.settled.v1"
TAKEN = PaymentSettledBecause.TAKEN_AS_FEE
FOREIGN = Principal(role=ActorKind.SUPERVISOR, id="sup-HL", centre="SY-HL-01")
ROUTE = "POST /v1/payments/unmatched/{payment_id}/settlement"


def reported(
    scene: Scene, payment: BankPayment, bank: Principal = BANK
) -> tuple[UUID, BankPayment]:
    """A payment that a bank reports now, and the id it is kept under."""
    scene.room.runner.catch_up()
    done = scene.house.fees.report(payment, message(scene, bank))
    return done.aggregate_id, payment


def stray(scene: Scene, request_id: UUID, **changes: Any) -> tuple[UUID, BankPayment]:
    """What is due of a request, paid under a number of nobody's."""
    changes.setdefault("tracking_number", "?")
    return reported(scene, fee_of(scene, request_id, **changes))


def settle(
    scene: Scene,
    payment_id: UUID,
    reason: PaymentSettledBecause = PaymentSettledBecause.RETURNED,
    *,
    principal: Principal = ADMINISTRATOR,
    request_id: UUID | None = None,
    **more: Any,
) -> Done:
    more.setdefault("if_version", 1)
    return scene.house.payments.settle(
        SettlePayment(payment_id=payment_id, reason=reason, request_id=request_id),
        envelope(principal, ROUTE, **more),
    )


def test_what_became_of_it_is_recorded_with_who_said_it(scene: Scene) -> None:
    payment_id, _ = stray(scene, scene.assigned())
    done = settle(scene, payment_id)
    assert (done.aggregate_id, done.etag_version) == (payment_id, 2)
    (body,) = bodies(scene, SETTLED)
    assert body["actor"] == {"kind": "administrator", "id": "adm-1"} | {
        "place": "ministry"
    }
    assert body["data"] == {"reason": "returned"}


def test_a_settlement_sent_again_is_a_repeat_and_another_is_refused(
    scene: Scene,
) -> None:
    payment_id, _ = stray(scene, scene.assigned())
    command_id = uuid4()
    first = settle(scene, payment_id, command_id=command_id)
    again = settle(scene, payment_id, command_id=command_id)
    assert again == dataclasses.replace(first, is_repeat=True)
    with pytest.raises(CommandReusedError):
        settle(scene, payment_id, PaymentSettledBecause.OTHER, command_id=command_id)
    with pytest.raises(AlreadySettledError):
        settle(scene, payment_id, PaymentSettledBecause.OTHER, if_version=2)
    assert len(bodies(scene, SETTLED)) == 1
    (attempt,) = bodies(scene, "sijil.attempt.refused.v1")
    assert attempt["data"]["attempted"] == "settlement"
    assert attempt["data"]["code"] == "already-settled"


def test_whoever_settles_it_has_seen_it(scene: Scene) -> None:
    payment_id, _ = stray(scene, scene.assigned())
    with pytest.raises(PreconditionRequiredError):
        settle(scene, payment_id, if_version=None)
    settle(scene, payment_id)
    with pytest.raises(StaleVersionError):
        settle(scene, payment_id, if_version=1)


def test_a_supervisor_settles_what_came_under_a_number_of_the_own_centre(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    number = scene.get(request_id).tracking_number
    payment_id, _ = stray(scene, request_id, tracking_number=number, amount=1)
    nobodys, _ = stray(scene, request_id)
    for principal, of in ((FOREIGN, payment_id), (SUPERVISOR, nobodys)):
        with pytest.raises(NotFoundError, match="payment"):
            settle(scene, of, principal=principal)
    for principal in (CLERK, AUDITOR, BANK):
        with pytest.raises(RoleForbiddenError):
            settle(scene, payment_id, principal=principal)
    with pytest.raises(NotFoundError, match="payment"):
        settle(scene, request_id)
    assert bodies(scene, SETTLED) == []
    settle(scene, payment_id, principal=SUPERVISOR)
    (body,) = bodies(scene, SETTLED)
    assert body["actor"]["place"] == SUPERVISOR.centre


def test_the_supervisor_of_its_centre_sees_who_tried_to_settle_it_again(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    number = scene.get(request_id).tracking_number
    payment_id, _ = stray(scene, request_id, tracking_number=number, amount=1)
    settle(scene, payment_id)
    with pytest.raises(AlreadySettledError):
        settle(scene, payment_id, if_version=2)
    (attempt,) = bodies(scene, "sijil.attempt.refused.v1")
    assert attempt["data"]["centre"] == scene.get(request_id).centre


def test_it_became_a_fee_once_a_clerk_took_it_as_one(scene: Scene) -> None:
    request_id = scene.assigned()
    payment_id, payment = stray(scene, request_id)
    with pytest.raises(InvalidValueError, match="not-paid-with-it"):
        settle(scene, payment_id, TAKEN, request_id=request_id)
    scene.pay(request_id, bank_reference=payment.bank_reference)
    before = scene.get(request_id).version
    settle(scene, payment_id, TAKEN, request_id=request_id)
    (body,) = bodies(scene, SETTLED)
    assert body["data"] == {"reason": "taken-as-fee", "request": str(request_id)}
    # It only says so: the fee was taken by the act that takes fees.
    assert scene.get(request_id).version == before


def test_a_fee_is_one_that_there_is_and_that_the_asker_sees(scene: Scene) -> None:
    request_id = scene.assigned()
    number = scene.get(request_id).tracking_number
    payment_id, payment = stray(scene, request_id, tracking_number=number, amount=1)
    elsewhere = scene.assigned(
        Principal(role=ActorKind.CLERK, id="clk-HL-1", centre="SY-HL-01")
    )
    for asked in (uuid4(), elsewhere, payment_id):
        with pytest.raises(NotFoundError, match="request"):
            settle(scene, payment_id, TAKEN, principal=SUPERVISOR, request_id=asked)
    for reason, asked in ((TAKEN, None), (PaymentSettledBecause.OTHER, request_id)):
        with pytest.raises(InvalidValueError, match="request_id"):
            settle(scene, payment_id, reason, request_id=asked)
    assert payment.amount == 1
    assert bodies(scene, SETTLED) == []
    assert scene.attempts() == []


def test_one_fee_is_one_payment_also_where_two_banks_use_one_reference(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    payment_id, payment = stray(scene, request_id)
    other_id, _ = reported(scene, payment, SECOND_BANK)
    assert other_id != payment_id
    scene.pay(request_id, bank_reference=payment.bank_reference)
    settle(scene, payment_id, TAKEN, request_id=request_id)
    with pytest.raises(InvalidValueError, match="another-payment"):
        settle(scene, other_id, TAKEN, request_id=request_id)
    settle(scene, other_id)
    assert [each["data"]["reason"] for each in bodies(scene, SETTLED)] == [
        "taken-as-fee",
        "returned",
    ]


def test_a_settlement_that_lost_the_race_leaves_the_fee_to_its_payment(
    scene: Scene,
) -> None:
    """Another's was stored between deciding and storing; the same may try again."""
    request_id = scene.assigned()
    payment_id, payment = stray(scene, request_id)
    scene.pay(request_id, bank_reference=payment.bank_reference)
    scene.house.acts.bind(f"fee/{request_id}", payment_id)
    settle(scene, payment_id, TAKEN, request_id=request_id)
    assert len(bodies(scene, SETTLED)) == 1


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_bank_that_reports_it_again_changes_nothing(
    scene: Scene, is_settled: bool
) -> None:
    payment_id, payment = stray(scene, scene.assigned())
    if is_settled:
        settle(scene, payment_id)
    scene.room.runner.catch_up()
    before = scene.entries()
    done = scene.house.fees.report(payment, message(scene, BANK))
    assert (done.first_position, done.is_repeat) == (None, False)
    assert scene.entries() == before
    assert len(bodies(scene, UNMATCHED)) == 1
    found = scene.house.ledger.find(Payment, payment_id)
    assert found is not None
    assert (found.settled_because is not None) is is_settled
    changed = dataclasses.replace(payment, amount=payment.amount + 1)
    with pytest.raises(InvalidValueError, match="another-payment"):
        scene.house.fees.report(changed, message(scene, BANK))
