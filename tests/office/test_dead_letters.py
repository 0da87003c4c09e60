"""What a worker sets aside is recorded once, together with its offset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import Tracking

from domain.dead_letters import DeadBecause, DeadLetter
from domain.ids import milliseconds
from ledger.bodies import read_body
from ledger.entries import Entry
from ledger.persistence.append import TrackingConflictError
from office.dead_letters import SetAside, cause_of
from tests.conftest import Database
from tests.office.scene import Scene, scene_in

SENT_MS = milliseconds(datetime.now(UTC) - timedelta(minutes=5))
NAME = "kafka/sijil.agency-replies.v1/a/3"


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    with scene_in(database) as made:
        yield made


def aside(**changed: Any) -> SetAside:
    facts: dict[str, Any] = {
        "group": "inward",
        "topic": "sijil.agency-replies.v1",
        "partition": 3,
        "offset": 4711,
        "sent_ms": SENT_MS,
        "cause": "not-json",
        "attempts": 1,
        "kept_partition": 0,
        "kept_offset": 12,
    }
    return SetAside(**{**facts, **changed})


def tracked(scene: Scene) -> int | None:
    return scene.house.ledger.process_recorder.max_tracking_id(NAME)


def set_aside(scene: Scene, command: SetAside) -> Entry:
    """The entry of a message that was set aside."""
    done = scene.house.dead_letters.set_aside(
        command, tracking=Tracking(NAME, command.offset)
    )
    [entry] = scene.entries(done.aggregate_id)
    return entry


def test_the_event_and_the_offset_are_one_act(scene: Scene) -> None:
    command = aside(sender="CIV")
    entry = set_aside(scene, command)
    assert tracked(scene) == 4711
    body = read_body(entry.body)
    assert entry.topic == "sijil.message.dead-lettered.v1"
    assert entry.aggregate_id == command.letter_id
    assert body["actor"] == {"kind": "system", "id": "inward", "place": "ministry"}
    assert body["causation_id"] == "kafka/sijil.agency-replies.v1/3/4711"
    assert body["data"] == {
        "group": "inward",
        "topic": "sijil.agency-replies.v1",
        "partition": 3,
        "offset": 4711,
        "cause": "not-json",
        "attempts": 1,
        "kept_partition": 0,
        "kept_offset": 12,
        "sender": "CIV",
    }


def test_told_twice_it_is_recorded_once(scene: Scene) -> None:
    set_aside(scene, aside())
    # After a crash it was kept once more, at another place, after another try.
    set_aside(scene, aside(kept_offset=13, attempts=2, cause="fault"))
    assert len(scene.entries()) == 1


def test_an_offset_that_was_passed_is_not_passed_again(scene: Scene) -> None:
    set_aside(scene, aside())
    with pytest.raises(TrackingConflictError):
        set_aside(scene, aside(offset=4710))
    assert len(scene.entries()) == 1
    assert tracked(scene) == 4711


def test_a_message_from_the_future_happened_no_later_than_now(scene: Scene) -> None:
    command = aside(sent_ms=milliseconds(scene.now + timedelta(days=400)))
    body = read_body(set_aside(scene, command).body)
    assert datetime.fromisoformat(body["effective_at"]) <= scene.clock()
    assert set_aside(scene, command).aggregate_id == command.letter_id


@pytest.mark.parametrize("sent_ms", [-1, 0])
def test_a_message_without_a_time_has_one(scene: Scene, sent_ms: int) -> None:
    set_aside(scene, aside(sent_ms=sent_ms))
    assert len(scene.entries()) == 1


def test_a_replay_names_a_dead_letter_that_there_is(scene: Scene) -> None:
    first = set_aside(scene, aside())
    for offset, claimed, kept in (
        (4712, first.aggregate_id, str(first.aggregate_id)),
        (4713, uuid4(), None),
    ):
        entry = set_aside(scene, aside(offset=offset, replay_of=claimed))
        assert read_body(entry.body)["data"].get("replay_of") == kept


@pytest.mark.parametrize(
    ("said", "cause", "code"),
    [
        ("wrong-signature", DeadBecause.WRONG_SIGNATURE, None),
        ("wrong-state", DeadBecause.REFUSED, "wrong-state"),
        ("not-found", DeadBecause.REFUSED, "not-found"),
        ("version-conflict", DeadBecause.REFUSED, "version-conflict"),
        ("something-new", DeadBecause.OTHER, None),
        ("", DeadBecause.OTHER, None),
    ],
)
def test_a_cause_is_one_of_a_closed_set(
    said: str, cause: DeadBecause, code: str | None
) -> None:
    assert cause_of(said) == (cause, code)


def test_the_letter_loads_from_the_ledger(scene: Scene) -> None:
    command = aside()
    set_aside(scene, command)
    found = scene.house.ledger.find(DeadLetter, command.letter_id)
    assert found is not None
    assert (found.topic, found.partition, found.offset) == (
        "sijil.agency-replies.v1",
        3,
        4711,
    )


def test_a_replay_leads_to_what_the_message_was_first_called(scene: Scene) -> None:
    place = {"topic": "sijil.agency-replies.v1", "partition": 3}
    first = set_aside(scene, aside()).aggregate_id
    second = set_aside(scene, aside(offset=4712, replay_of=first)).aggregate_id
    third = set_aside(scene, aside(offset=4713, replay_of=second)).aggregate_id
    desk = scene.house.dead_letters
    for letter in (first, second, third):
        assert desk.first_name(letter, **place) == (
            "kafka/sijil.agency-replies.v1/3/4711"
        )
    assert desk.first_name(third, topic="sijil.postal-scans.v1", partition=3) is None
    assert desk.first_name(third, topic=place["topic"], partition=4) is None
    assert desk.first_name(uuid4(), **place) is None
