"""Reports in a mailbag: as decided alone, stored together, and nothing of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from domain.errors import NotFoundError, WrongStateError
from domain.requests import Answer
from domain.services import Relationship
from ledger.bodies import read_body
from ledger.persistence.append import ActToAppend, Appended, NotWholeError
from office.acts import Acts, Envelope
from office.commands import RecordResponse
from office.errors import ConcurrencyError, NotFreshEnoughError
from office.mailbag import MailbagDesk
from office.reports import PostalScan, Scanned
from tests.office.reporting import STREAM, message, offset_of, tracked
from tests.office.scene import AGENCY, POST, Scene


def forwarded(scene: Scene, number: int) -> list[UUID]:
    made = [scene.submit(service="CIV-06") for _ in range(number)]
    scene.level()
    for each in made:
        scene.pay(each)
        scene.forward(each)
    return made


def reply(request_id: UUID, supersedes: int | None = None) -> RecordResponse:
    return RecordResponse(
        request_id=request_id,
        token=None,
        outcome=Answer.ISSUED,
        supersedes=supersedes,
    )


def begin(mailbag: MailbagDesk, sent: Sequence[tuple[UUID, Envelope]]) -> None:
    mailbag.begin([(each.command_id, request_id) for request_id, each in sent])


def answered(
    scene: Scene, mailbag: MailbagDesk, *requests: UUID
) -> list[tuple[UUID, Envelope]]:
    """A mailbag with an answer to each request, not stored."""
    sent = [(each, message(scene, AGENCY)) for each in requests]
    begin(mailbag, sent)
    for request_id, envelope in sent:
        with mailbag.trying():
            assert not mailbag.reports.reply(reply(request_id), envelope).is_repeat
    return sent


def test_they_are_stored_in_their_order_as_they_would_be_alone(scene: Scene) -> None:
    alone, *requests = forwarded(scene, 4)
    scene.house.reports.reply(reply(alone), message(scene, AGENCY))
    mailbag = MailbagDesk(scene.house)
    before = len(scene.entries())
    sent = answered(scene, mailbag, *requests)
    assert len(scene.entries()) == before
    mailbag.store({STREAM: tracked(scene)})
    entries = scene.entries()[before:]
    assert [each.aggregate_id for each in entries] == requests
    assert tracked(scene) == offset_of(sent[-1][1])
    like = read_body(scene.entries(alone)[-1].body)
    for (_, envelope), entry in zip(sent, entries, strict=True):
        body = read_body(entry.body)
        assert body["causation_id"] == envelope.causation_id
        assert body["command_id"] == str(envelope.command_id)
        assert body.keys() == like.keys()
        assert body["actor"] == like["actor"]


def test_a_stream_is_marked_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[int | None] = []
    recorder = scene.house.ledger.process_recorder
    real = recorder.append_whole

    def seen(acts: Sequence[ActToAppend], **more: Any) -> list[Appended]:
        marks.extend(
            None if act.tracking is None else act.tracking.notification_id
            for act in acts
        )
        return real(acts, **more)

    monkeypatch.setattr(recorder, "append_whole", seen)
    mailbag = MailbagDesk(scene.house)
    sent = answered(scene, mailbag, *forwarded(scene, 3))
    mailbag.store({STREAM: tracked(scene)})
    assert marks == [None, None, offset_of(sent[-1][1])]


def test_what_stands_on_another_report_of_the_mailbag_sees_it(scene: Scene) -> None:
    (asked,) = forwarded(scene, 1)
    mailbag = MailbagDesk(scene.house)
    version = scene.get(asked).version + 1
    first, second = message(scene, AGENCY), message(scene, AGENCY)
    begin(mailbag, [(asked, first), (asked, second)])
    mailbag.reports.reply(reply(asked), first)
    mailbag.reports.reply(reply(asked, supersedes=version), second)
    mailbag.store({STREAM: tracked(scene)})
    assert scene.get(asked).version == version + 1


def test_a_refused_report_leaves_nothing_and_no_attempt(scene: Scene) -> None:
    asked, answered_, other = forwarded(scene, 3)
    scene.respond(answered_)
    mailbag = MailbagDesk(scene.house)
    before = len(scene.entries())
    sent = [
        (each, message(scene, AGENCY))
        for each in (asked, answered_, UUID(int=7), other)
    ]
    begin(mailbag, sent)
    refused = []
    for request_id, envelope in sent:
        try:
            with mailbag.trying():
                mailbag.reports.reply(reply(request_id), envelope)
        except (NotFoundError, WrongStateError) as error:
            refused.append(error.code)
    mailbag.store({STREAM: tracked(scene)})
    assert refused == ["wrong-state", "not-found"]
    entries = scene.entries()[before:]
    assert [each.aggregate_id for each in entries] == [asked, other]


def test_where_one_loses_nothing_is_stored(scene: Scene) -> None:
    first, asked, last = forwarded(scene, 3)
    mailbag = MailbagDesk(scene.house)
    answered(scene, mailbag, first, asked, last)
    scene.respond(asked)
    before = len(scene.entries())
    with pytest.raises(NotWholeError, match="version-conflict"):
        mailbag.store({STREAM: tracked(scene)})
    assert len(scene.entries()) == before
    assert tracked(scene) is None
    # What was decided in vain is not believed afterwards.
    answered(scene, mailbag, first, last)
    mailbag.store({STREAM: tracked(scene)})
    assert [scene.get(each).answer for each in (first, last)] == [Answer.ISSUED] * 2


def test_what_others_wrote_between_two_mailbags_is_seen(scene: Scene) -> None:
    first, asked = forwarded(scene, 2)
    mailbag = MailbagDesk(scene.house)
    answered(scene, mailbag, first)
    mailbag.reports._requests.get(asked, AGENCY)
    mailbag.store({STREAM: tracked(scene)})
    scene.respond(asked)
    again = message(scene, AGENCY)
    begin(mailbag, [(asked, again)])
    with pytest.raises(WrongStateError, match="answered"), mailbag.trying():
        mailbag.reports.reply(reply(asked), again)


def test_a_report_half_done_spoils_its_mailbag(scene: Scene) -> None:
    (asked,) = forwarded(scene, 1)
    mailbag = MailbagDesk(scene.house)
    before = len(scene.entries())
    sent = message(scene, AGENCY)
    begin(mailbag, [(asked, sent)])
    with pytest.raises(RuntimeError), mailbag.trying():
        mailbag.reports.reply(reply(asked), sent)
        raise RuntimeError
    with pytest.raises(ConcurrencyError):
        mailbag.store({STREAM: tracked(scene)})
    assert len(scene.entries()) == before
    answered(scene, mailbag, asked)
    mailbag.store({STREAM: tracked(scene)})
    assert len(scene.entries()) == before + 1


def test_a_mailbag_that_was_given_up_leaves_nothing_to_the_next(scene: Scene) -> None:
    first, second = forwarded(scene, 2)
    mailbag = MailbagDesk(scene.house)
    before = len(scene.entries())
    answered(scene, mailbag, first)
    answered(scene, mailbag, second)
    mailbag.store({STREAM: tracked(scene)})
    assert [each.aggregate_id for each in scene.entries()[before:]] == [second]


def test_no_view_is_waited_for(scene: Scene) -> None:
    mailed = scene.mailed()
    scan = PostalScan(
        scanned=Scanned.DELIVERED,
        item=scene.get(mailed).item or "",
        capacity=Relationship.SELF,
    )
    mailbag = MailbagDesk(scene.house)
    sent = message(scene, POST)
    mailbag.begin([(sent.command_id, None)])
    with pytest.raises(NotFreshEnoughError), mailbag.trying():
        mailbag.reports.scan(scan, sent)
    assert mailbag.reports._freshness.timeout_s == 0
    scene.level()
    with mailbag.trying():
        mailbag.reports.scan(scan, sent)
    mailbag.store({STREAM: tracked(scene)})
    assert scene.get(mailed).is_received


def test_what_a_report_moved_before_it_failed_is_read_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    (asked,) = forwarded(scene, 1)
    mailbag = MailbagDesk(scene.house)
    sent = message(scene, AGENCY)
    begin(mailbag, [(asked, sent)])
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Acts, "store", fails)
        with mailbag.trying():
            mailbag.reports.reply(reply(asked), sent)
    mailbag.store({})
    answered(scene, mailbag, asked)
    mailbag.store({STREAM: tracked(scene)})
    assert scene.get(asked).answer is Answer.ISSUED


def test_a_place_that_another_passed_meanwhile_loses_the_whole(scene: Scene) -> None:
    """It was used there, or set aside: in either case not by us as well."""
    first, second = forwarded(scene, 2)
    mailbag = MailbagDesk(scene.house)
    passed = tracked(scene)
    sent = answered(scene, mailbag, first, second)
    scene.house.ledger.append(tracking=sent[0][1].tracking)
    before = len(scene.entries())
    with pytest.raises(NotWholeError, match="tracking-conflict"):
        mailbag.store({STREAM: passed})
    assert len(scene.entries()) == before
