"""A ledger with too much to do: the door says so, and when to come again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from ledger.persistence import committer
from ledger.persistence.append import ActToAppend, Command
from ledger.persistence.committer import Committer, CommitterLimits
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.api.door import SUBMISSION, Door, door_of
from tests.conftest import Database
from tests.ledger.test_lost_answers import held_head, wait_until, waiting

LONG_S = 30.0


@pytest.fixture
def busy(seeded_database: Database) -> Iterator[Door]:
    with door_of(seeded_database) as door:
        yield door


def others(recorder: PostgresProcessRecorder, number: int) -> list[threading.Thread]:
    """Other callers of the same process, each with an act that changes nothing."""
    threads = [
        threading.Thread(
            target=recorder.commit,
            args=[
                ActToAppend(
                    events=[],
                    command=Command(id=uuid4(), actor="other", digest=b"d"),
                )
            ],
        )
        for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    return threads


def when_taken(give_up: Callable[..., None]) -> Callable[..., None]:
    """As it is, but for an act that a batch has taken: however busy the machine is."""

    def wait_and_give_up(self: Committer, waiting: Any) -> None:
        wait_until(lambda: not waiting.is_queued)
        give_up(self, waiting)

    return wait_and_give_up


def test_a_full_queue_is_said_and_nothing_is_stored(
    seeded_database: Database, busy: Door
) -> None:
    recorder = busy.scene.house.ledger.process_recorder
    recorder._committer._limits = CommitterLimits(queue_acts=1)
    key = uuid4()
    with held_head(seeded_database) as head:
        threads = others(recorder, 1)
        wait_until(lambda: len(waiting(seeded_database)) == 1)
        threads += others(recorder, 1)
        wait_until(lambda: len(recorder._committer._queue) == 1)
        answer = busy.post("clerk", "/v1/requests", SUBMISSION, key=key)
        head.rollback()
    for thread in threads:
        thread.join(LONG_S)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert busy.scene.house.ledger.find_command(key) is None
    again = busy.post("clerk", "/v1/requests", SUBMISSION, key=key)
    assert again.status_code == 201


def test_an_act_that_was_sent_and_not_answered_is_known_by_its_id(
    seeded_database: Database, busy: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "SECOND_LANE_ACTS", 2)
    recorder = busy.scene.house.ledger.process_recorder
    key = uuid4()
    with held_head(seeded_database) as head:
        threads = others(recorder, 1)
        wait_until(lambda: len(waiting(seeded_database)) == 1)
        threads += others(recorder, 1)
        wait_until(lambda: len(recorder._committer._queue) == 1)
        # The one that waits will lead the two; the act of the door is in its batch.
        monkeypatch.setattr(Committer, "_give_up", when_taken(Committer._give_up))
        recorder._committer._limits = CommitterLimits(wait_s=0.5)
        answer = busy.post("clerk", "/v1/requests", SUBMISSION, key=key)
        head.rollback()
    for thread in threads:
        thread.join(LONG_S)
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome-unknown")
    assert int(answer.headers["Retry-After"]) > 0
    known = busy.scene.house.ledger.find_command(key)
    assert known is not None
    again = busy.post("clerk", "/v1/requests", SUBMISSION, key=key)
    assert again.status_code == 201
    assert busy.scene.house.ledger.find_command(key) == known
