"""Reports by message: whose they are, what they do once, what is kept of the rest."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import Tracking

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    EffectiveTimeError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
    WrongStateError,
)
from domain.ids import derived_id, new_id
from domain.money import Unit
from domain.requests import Answer, ReturnedBecause
from domain.services import Relationship
from domain.stages import Stage
from ledger.bodies import read_body
from ledger.persistence.append import TrackingConflictError
from office.acts import Envelope
from office.commands import RecordResponse
from office.errors import NotFreshEnoughError, PreconditionRequiredError
from office.reports import BankPayment, PostalScan, Scanned
from tests.office.scene import (
    AGENCY,
    BANK,
    ITEM,
    MARKED_PHONE,
    POST,
    SUPERVISOR,
    Scene,
)

_OFFSETS = count()
STREAM = "kafka/test/0"
UNMATCHED = "sijil.payment.unmatched.v1"


def message(scene: Scene, principal: Principal, **more: Any) -> Envelope:
    """The envelope of the next message of a stream, or of the one with ``offset``."""
    offset = more.pop("offset", None)
    offset = next(_OFFSETS) if offset is None else offset
    at = more.setdefault("effective_at", scene.clock())
    name = f"{STREAM}/{offset}"
    return Envelope(
        principal=principal,
        command_id=derived_id(name, at),
        route="kafka/report",
        causation_id=name,
        tracking=Tracking(STREAM, offset),
        **more,
    )


def tracked(scene: Scene) -> int | None:
    return scene.house.ledger.process_recorder.max_tracking_id(STREAM)


def offset_of(envelope: Envelope) -> int:
    assert envelope.tracking is not None
    return envelope.tracking.notification_id


def forwarded(scene: Scene) -> UUID:
    request_id = scene.assigned(service="CIV-06")
    if scene.get(request_id).is_fee_outstanding:
        scene.pay(request_id)
    scene.forward(request_id)
    return request_id


def fee_of(scene: Scene, request_id: UUID, **changes: Any) -> BankPayment:
    request = scene.get(request_id)
    assert request.terms is not None
    return BankPayment(
        **{
            "tracking_number": request.tracking_number,
            "amount": sum(line.amount for line in request.terms.fee_lines),
            "unit": Unit.NEW,
            "bank_reference": f"B-{next(_OFFSETS)}",
            **changes,
        }
    )


def bodies(scene: Scene, topic: str) -> list[dict[str, Any]]:
    return [read_body(e.body) for e in scene.entries() if e.topic == topic]


# Agencies -----------------------------------------------------------------------


def test_a_reply_is_the_agencys_act_and_names_its_message(scene: Scene) -> None:
    request_id = forwarded(scene)
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    sent = message(scene, AGENCY)
    scene.house.reports.reply(reply, sent)
    assert scene.get(request_id).answer is Answer.ISSUED
    body = read_body(scene.entries(request_id)[-1].body)
    assert body["actor"] == {
        "kind": "agency",
        "id": AGENCY.id,
        "place": f"{AGENCY.agency}/{AGENCY.governorate}",
    }
    assert body["causation_id"] == sent.causation_id
    assert body["command_id"] == str(sent.command_id)
    assert tracked(scene) == offset_of(sent)


def test_the_same_message_again_does_nothing(scene: Scene) -> None:
    request_id = forwarded(scene)
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    sent = message(scene, AGENCY)
    scene.house.reports.reply(reply, sent)
    before = scene.entries()
    assert scene.house.reports.reply(reply, sent).is_repeat
    assert scene.entries() == before


def test_an_offset_that_was_passed_stores_nothing(scene: Scene) -> None:
    """Another worker was there: this one's act loses whole."""
    one, other = forwarded(scene), forwarded(scene)
    later = message(scene, AGENCY)
    reply = RecordResponse(request_id=one, token=None, outcome=Answer.ISSUED)
    scene.house.reports.reply(reply, later)
    before = scene.entries()
    reply = RecordResponse(request_id=other, token=None, outcome=Answer.ISSUED)
    with pytest.raises(TrackingConflictError):
        scene.house.reports.reply(
            reply, message(scene, AGENCY, offset=offset_of(later) - 1)
        )
    assert scene.entries() == before


def test_a_reply_of_another_agency_is_not_found_and_leaves_no_attempt(
    scene: Scene,
) -> None:
    request_id = forwarded(scene)
    foreign = Principal(
        role=ActorKind.AGENCY, id="officer-9", agency="CIV", governorate="SY-HL"
    )
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    with pytest.raises(NotFoundError):
        scene.house.reports.reply(reply, message(scene, foreign))
    assert scene.attempts() == []


def test_a_refused_message_is_one_attempt_however_often_it_is_tried(
    scene: Scene,
) -> None:
    request_id = forwarded(scene)
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    scene.house.reports.reply(reply, message(scene, AGENCY))
    version = scene.get(request_id).version
    sent = message(scene, AGENCY)
    for _ in range(3):
        with pytest.raises(WrongStateError, match="answered-already"):
            scene.house.reports.reply(reply, sent)
    (attempt,) = scene.attempts()
    body = read_body(attempt.body)
    assert body["causation_id"] == sent.causation_id
    assert body["data"]["target"] == str(request_id)
    assert body["data"]["reason"] == "answered-already"
    assert scene.get(request_id).version == version
    # The offset is passed by whoever sets the message aside, not by the attempt.
    assert tracked(scene) == offset_of(sent) - 1


def test_an_earlier_claimed_time_is_clamped_and_kept(scene: Scene) -> None:
    request_id = forwarded(scene)
    previous = scene.get(request_id).modified_on
    claimed = previous - timedelta(hours=3)
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    scene.house.reports.reply(reply, message(scene, AGENCY, effective_at=claimed))
    body = read_body(scene.entries(request_id)[-1].body)
    assert body["effective_at"] == f"{previous:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert body["data"]["claimed_at"] == f"{claimed:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_a_message_from_the_future_is_refused(scene: Scene) -> None:
    request_id = forwarded(scene)
    reply = RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED)
    later = scene.clock() + timedelta(hours=1)
    with pytest.raises(EffectiveTimeError, match="in-the-future"):
        scene.house.reports.reply(reply, message(scene, AGENCY, effective_at=later))


# The post -------------------------------------------------------------------------


def scan(scanned: Scanned, **more: Any) -> PostalScan:
    received = {"capacity": Relationship.SELF}
    came_back = {"reason": ReturnedBecause.RECEIVER_ABSENT}
    facts = came_back if scanned is Scanned.RETURNED else received
    return PostalScan(**{"scanned": scanned, "item": ITEM, **facts, **more})


@pytest.mark.parametrize(
    ("scanned", "event"),
    [
        (Scanned.DELIVERED, "delivered"),
        (Scanned.COLLECTED, "collected"),
        (Scanned.RETURNED, "returned"),
    ],
)
def test_a_scan_finds_its_request_by_the_items_number(
    scene: Scene, scanned: Scanned, event: str
) -> None:
    request_id = scene.mailed()
    scene.room.runner.catch_up()
    typed = f" {ITEM[:2].lower()} {ITEM[2:]} "
    scene.house.reports.scan(scan(scanned, item=typed), message(scene, POST))
    entry = scene.entries(request_id)[-1]
    assert entry.topic == f"sijil.request.{event}.v1"
    assert read_body(entry.body)["actor"]["kind"] == "post"


def test_a_scan_waits_for_the_manifest_and_needs_none_with_the_requests_id(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("office.reports.FRESH_TIMEOUT_S", 0.02)
    request_id = scene.mailed()
    with pytest.raises(NotFreshEnoughError):
        scene.house.reports.scan(scan(Scanned.DELIVERED), message(scene, POST))
    told = scan(Scanned.DELIVERED, request_id=request_id)
    scene.house.reports.scan(told, message(scene, POST))
    assert scene.get(request_id).is_received


def test_an_item_that_nobody_mailed_is_not_found(scene: Scene) -> None:
    scene.level()
    with pytest.raises(NotFoundError):
        scene.house.reports.scan(scan(Scanned.DELIVERED), message(scene, POST))


def test_a_scan_says_what_belongs_to_it(scene: Scene) -> None:
    for wrong in (
        scan(Scanned.RETURNED, reason=None),
        scan(Scanned.RETURNED, capacity=Relationship.SELF),
        scan(Scanned.DELIVERED, capacity=None),
        scan(Scanned.COLLECTED, reason=ReturnedBecause.DAMAGED),
        scan(Scanned.DELIVERED, item="RA473124828GB"),
    ):
        with pytest.raises(InvalidValueError):
            scene.house.reports.scan(wrong, message(scene, POST))


# Banks ----------------------------------------------------------------------------


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
    scene.house.reports.payment(sent, message(scene, BANK))
    assert scene.get(request_id).is_fee_paid
    body = read_body(scene.entries(request_id)[-1].body)
    assert body["actor"]["id"] == BANK.id
    assert body["data"]["bank_reference"] == paid.bank_reference
    assert bodies(scene, UNMATCHED) == []


def test_the_same_payment_reported_again_changes_nothing(scene: Scene) -> None:
    request_id = scene.assigned()
    paid = fee_of(scene, request_id)
    scene.house.reports.payment(paid, message(scene, BANK))
    before = scene.entries()
    again = message(scene, BANK)
    done = scene.house.reports.payment(paid, again)
    assert (done.first_position, done.is_repeat) == (None, False)
    assert scene.entries() == before
    assert tracked(scene) == offset_of(again)


def test_what_nobody_waits_for_is_kept_with_the_reason(scene: Scene) -> None:
    request_id = scene.assigned()
    centre = scene.get(request_id).centre
    scene.house.reports.payment(fee_of(scene, request_id), message(scene, BANK))
    for number, reason, kept_number, is_known in (
        (scene.get(request_id).tracking_number, "nothing_due", True, True),
        ("0000-0000-0000-0", "unknown_number", True, False),
        # What was typed is kept only where it is a tracking number.
        (MARKED_PHONE, "unknown_number", False, False),
    ):
        scene.room.runner.catch_up()
        payment = fee_of(scene, request_id, tracking_number=number)
        scene.house.reports.payment(payment, message(scene, BANK))
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
        scene.house.reports.payment(payment, message(scene, BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "wrong_amount"
    assert not scene.get(request_id).is_fee_paid


def test_a_reference_stands_for_one_payment_of_one_bank(scene: Scene) -> None:
    scene.level()
    payment = BankPayment(
        tracking_number="?", amount=100, unit=Unit.NEW, bank_reference="B-1/77"
    )
    scene.house.reports.payment(payment, message(scene, BANK))
    other = BankPayment(
        tracking_number="?", amount=101, unit=Unit.NEW, bank_reference="B-1/77"
    )
    with pytest.raises(InvalidValueError, match="another-payment"):
        scene.house.reports.payment(other, message(scene, BANK))
    second = Principal(role=ActorKind.BANK, id="bank-2")
    scene.house.reports.payment(other, message(scene, second))
    assert len(bodies(scene, UNMATCHED)) == 2


def test_the_same_reference_of_another_bank_is_another_payment(scene: Scene) -> None:
    request_id = scene.assigned()
    payment = fee_of(scene, request_id)
    scene.house.reports.payment(payment, message(scene, BANK))
    second = Principal(role=ActorKind.BANK, id="bank-2")
    scene.house.reports.payment(payment, message(scene, second))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "nothing_due"


def test_a_payment_waits_for_the_view_of_numbers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is behind must not make a fee an unmatched payment."""
    monkeypatch.setattr("office.reports.FRESH_TIMEOUT_S", 0.02)
    request_id = scene.submit()
    payment = fee_of(scene, request_id)
    with pytest.raises(NotFreshEnoughError):
        scene.house.reports.payment(payment, message(scene, BANK))
    assert bodies(scene, UNMATCHED) == []
    scene.level()
    scene.house.reports.payment(payment, message(scene, BANK))
    assert scene.get(request_id).is_fee_paid


def test_only_a_bank_reports_payments_and_a_reference_is_no_persons_number(
    scene: Scene,
) -> None:
    request_id = scene.assigned()
    with pytest.raises(RoleForbiddenError):
        scene.house.reports.payment(fee_of(scene, request_id), message(scene, AGENCY))
    with pytest.raises(InvalidValueError):
        scene.house.reports.payment(
            fee_of(scene, request_id, bank_reference="01000099887"),
            message(scene, BANK),
        )


def test_a_payment_after_the_end_is_kept(scene: Scene) -> None:
    request_id = scene.mailed()
    scene.level()
    assert scene.get(request_id).stage is Stage.COMPLETED_ISSUED
    scene.house.reports.payment(fee_of(scene, request_id), message(scene, BANK))
    (kept,) = bodies(scene, UNMATCHED)
    assert kept["data"]["reason"] == "nothing_due"


def test_people_still_have_to_say_what_they_saw(scene: Scene) -> None:
    """Only what comes with a place on a stream may leave the version out."""
    request_id = forwarded(scene)
    reply = RecordResponse(request_id=request_id, token=1, outcome=Answer.ISSUED)
    for principal in (AGENCY, SUPERVISOR):
        with pytest.raises(PreconditionRequiredError):
            scene.requests.respond(
                reply,
                Envelope(
                    principal=principal,
                    command_id=new_id(scene.clock()),
                    route="response",
                ),
            )
