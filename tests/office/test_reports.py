"""Reports by message: whose they are, what they do once, what is kept of the rest."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
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
    WrongStateError,
)
from domain.ids import new_id
from domain.requests import Answer, ReturnedBecause
from domain.services import Relationship
from ledger.bodies import read_body
from ledger.persistence.append import TrackingConflictError
from office.acts import Done, Envelope
from office.commands import RecordResponse, RequestInformation, SupplyInformation
from office.errors import (
    CommandReusedError,
    NotFreshEnoughError,
    PreconditionRequiredError,
)
from office.reports import PostalScan, Scanned
from tests.office.reporting import message, offset_of, tracked
from tests.office.scene import AGENCY, CLERK, ITEM, POST, SUPERVISOR, Scene


def forwarded(scene: Scene) -> UUID:
    request_id = scene.assigned(service="CIV-06")
    if scene.get(request_id).is_fee_outstanding:
        scene.pay(request_id)
    scene.forward(request_id)
    return request_id


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


def test_a_topic_made_again_gives_a_place_to_another_message(scene: Scene) -> None:
    """Place and time make the id (decision 0038): the time keeps two topics apart."""
    one, other = forwarded(scene), forwarded(scene)
    first = message(scene, AGENCY)
    reply = RecordResponse(request_id=one, token=None, outcome=Answer.ISSUED)
    scene.house.reports.reply(reply, first)
    place, at = offset_of(first), first.effective_at
    assert at is not None
    remade = Tracking("kafka/made-again/0", place)

    def sent(command: RecordResponse, at: datetime) -> Done:
        letter = message(scene, AGENCY, offset=place, effective_at=at)
        return scene.house.reports.reply(
            command, dataclasses.replace(letter, tracking=remade)
        )

    another = dataclasses.replace(reply, request_id=other)
    with pytest.raises(CommandReusedError):
        sent(another, at)
    assert scene.get(other).answer is None
    assert sent(reply, at).is_repeat
    # The repeat stores nothing: whoever follows the topic passes its offset.
    assert not sent(another, at + timedelta(milliseconds=1)).is_repeat
    assert scene.get(other).answer is Answer.ISSUED


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


def supplied(scene: Scene, request_id: UUID) -> None:
    scene.requests.request_information(
        RequestInformation(
            request_id=request_id,
            token=scene.get(request_id).token,
            missing=("id-card",),
        ),
        scene.seen(request_id, CLERK, "information-request"),
    )
    scene.requests.supply_information(
        SupplyInformation(
            request_id=request_id,
            token=scene.get(request_id).token,
            supplied=("id-card",),
        ),
        scene.seen(request_id, CLERK, "information"),
    )


def test_a_message_that_somebody_kept_answers_nothing_once_more(scene: Scene) -> None:
    """Its signature holds for ever, and after a supply the agency answers anew."""
    request_id = forwarded(scene)
    given_at = scene.clock()
    asking = RecordResponse(
        request_id=request_id,
        token=None,
        outcome=Answer.INFORMATION_NEEDED,
        reason="record-incomplete",
    )
    scene.house.reports.reply(asking, message(scene, AGENCY, effective_at=given_at))
    supplied(scene, request_id)
    before = scene.entries(request_id)
    for again in (asking, dataclasses.replace(asking, outcome=Answer.REFUSED)):
        with pytest.raises(WrongStateError, match="answered-already"):
            scene.house.reports.reply(
                again, message(scene, AGENCY, effective_at=given_at)
            )
    assert scene.entries(request_id) == before
    # The agency's clock may be slow: what is later than its own answer is another.
    later = given_at + timedelta(microseconds=1)
    scene.house.reports.reply(asking, message(scene, AGENCY, effective_at=later))
    assert scene.get(request_id).answer is Answer.INFORMATION_NEEDED
    supplied(scene, request_id)
    for old in (given_at, later):
        with pytest.raises(WrongStateError, match="answered-already"):
            scene.house.reports.reply(asking, message(scene, AGENCY, effective_at=old))


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
    monkeypatch.setattr(scene.house.reports._freshness, "timeout_s", 0.02)
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
