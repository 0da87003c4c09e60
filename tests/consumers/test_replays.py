"""However often a message is sent again, one act comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from consumers.dead_letters import REPLAY_OF, replay_mark
from consumers.inward.desk import InwardDesk
from consumers.inward.messages import Correspondence
from consumers.inward.records import InwardMessage
from domain.errors import NotFoundError, RuleBrokenError
from ledger.bodies import read_body
from office.acts import Done
from office.dead_letters import SetAside
from tests.conftest import Server, fresh_database
from tests.consumers.inward.letters import letter, senders, written
from tests.office.scene import Scene, scene_in

TOPIC = "sijil.agency-replies.v1"
TOPIC_ID = uuid4()


@pytest.fixture(scope="module")
def scene(server: Server, seeded_template: str) -> Iterator[Scene]:
    database = fresh_database(server, seeded_template)
    try:
        with scene_in(database) as made:
            yield made
    finally:
        database.close()


@pytest.fixture
def desk(scene: Scene, tmp_path: Path) -> InwardDesk:
    known = senders(tmp_path)
    return InwardDesk(
        scene.house, topics={TOPIC: Correspondence.REPLIES}, senders=lambda: known
    )


def reply(request_id: UUID) -> InwardMessage:
    """An agency's answer, as it was sent first."""
    return letter(
        written(
            type="sijil.agency-reply.v1", request_id=str(request_id), outcome="issued"
        ),
        key=str(request_id).encode(),
    )


def set_aside(scene: Scene, message: InwardMessage, **more: Any) -> UUID:
    done = scene.house.dead_letters.set_aside(
        SetAside(
            group="inward",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            sent_ms=message.timestamp_ms,
            cause="not-found",
            attempts=1,
            kept_partition=0,
            kept_offset=0,
            **more,
        ),
        tracking=message.tracking(TOPIC_ID),
    )
    return done.aggregate_id


def again(message: InwardMessage, letter_id: UUID, offset: int) -> InwardMessage:
    """The message sent again, standing at another offset."""
    mark = (REPLAY_OF, replay_mark(letter_id, offset))
    return dataclasses.replace(message, offset=offset, headers=(*message.headers, mark))


def use(desk: InwardDesk, message: InwardMessage) -> Done:
    return desk.use(message, message.tracking(TOPIC_ID))


def responses(scene: Scene, request_id: UUID) -> list[Any]:
    return [
        read_body(entry.body)
        for entry in scene.entries(request_id)
        if entry.topic == "sijil.request.agency-responded.v1"
    ]


def test_sent_again_three_times_it_has_one_effect(
    scene: Scene, desk: InwardDesk
) -> None:
    request_id = scene.assigned(service="CIV-06")
    first = dataclasses.replace(reply(request_id), offset=100)
    # An agency sees nothing of what was not forwarded to it yet.
    with pytest.raises(NotFoundError):
        use(desk, first)
    letter_id = set_aside(scene, first)
    # Not yet: it fails again, and its dead letter names the first.
    failed = again(first, letter_id, 101)
    with pytest.raises(NotFoundError):
        use(desk, failed)
    second_id = set_aside(scene, failed, replay_of=letter_id)
    scene.pay(request_id)
    scene.forward(request_id)
    assert not use(desk, again(first, second_id, 102)).is_repeat
    assert use(desk, again(first, second_id, 103)).is_repeat
    assert use(desk, again(first, letter_id, 104)).is_repeat
    [response] = responses(scene, request_id)
    # What it came of is the message that was used.
    assert response["causation_id"] == f"kafka/{TOPIC}/0/102"


def test_a_header_that_names_no_dead_letter_changes_nothing(
    scene: Scene, desk: InwardDesk
) -> None:
    request_id = scene.assigned(service="CIV-06")
    scene.pay(request_id)
    scene.forward(request_id)
    forged = again(dataclasses.replace(reply(request_id), offset=200), uuid4(), 201)
    assert not use(desk, forged).is_repeat
    # Another message, another act: the rules refuse a second answer.
    with pytest.raises(RuleBrokenError):
        use(desk, dataclasses.replace(forged, offset=202))
    assert len(responses(scene, request_id)) == 1
