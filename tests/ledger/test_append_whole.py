"""Acts that only count together: all stored from where the marks stand, or none."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import Tracking

from ledger.names import Role
from ledger.persistence import recorders
from ledger.persistence.append import Appended, NotWholeError, Outcome
from ledger.persistence.columns import answers
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.acts import act, command, event, outcomes


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP))


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    return LedgerReader(database.datastore(Role.READER))


def test_acts_that_only_count_together_are_stored_whole_or_not_at_all(
    recorder: PostgresProcessRecorder, reader: LedgerReader
) -> None:
    one, two, known = uuid4(), uuid4(), command()
    assert recorder.append_whole([], marks={}) == []
    stored = recorder.append_whole(
        [
            act(event(one, 1), command=known),
            act(event(two, 1), tracking=Tracking("it's", 7)),
        ],
        marks={"it's": None},
    )
    assert outcomes(stored) == [Outcome.APPENDED] * 2
    assert [each.first_position for each in stored] == [1, 2]
    losing = [
        (act(event(one, 1)), "version-conflict"),
        (act(event(one, 3)), "version-gap"),
        (act(event(one, 2), command=known), "repeated"),
        (
            act(event(one, 2), command=command(id=known.id, actor="clerk:2")),
            "command-reused",
        ),
        (act(event(one, 2), tracking=Tracking("it's", 7)), "tracking-conflict"),
    ]
    for lost, outcome in losing:
        other = act(event(two, 2), tracking=Tracking("other", 1))
        for acts in ([other, lost], [lost, other]):
            with pytest.raises(NotWholeError, match=outcome):
                recorder.append_whole(acts, marks={"it's": 7, "other": None})
    assert [entry.position for entry in reader.stream()] == [1, 2]
    assert recorder.max_tracking_id("other") is None
    # Nobody's position was used up.
    (after,) = recorder.append_whole([act(event(one, 2))], marks={})
    assert (after.first_position, reader.head().position) == (3, 3)


@pytest.mark.parametrize("mark", [None, 6, 8])
def test_a_mark_that_somebody_moved_loses_the_whole(
    recorder: PostgresProcessRecorder, mark: int | None
) -> None:
    """Whoever passed a place in between has used its message, or set it aside."""
    recorder.append([act(tracking=Tracking("stream", 7))])
    one = act(event(uuid4(), 1), tracking=Tracking("stream", 9))
    with pytest.raises(NotWholeError, match="tracking-conflict"):
        recorder.append_whole([one], marks={"stream": mark})
    with pytest.raises(NotWholeError, match="tracking-conflict"):
        recorder.append_whole([one], marks={"stream": 7, "other": 1})
    recorder.append_whole([one], marks={"stream": 7, "other": None})
    assert recorder.max_tracking_id("stream") == 9


def test_what_only_counts_together_holds_the_head_for_one_statement(
    recorder: PostgresProcessRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []

    def others_append(rows: Any) -> list[Appended]:
        (other,) = recorder.append([act(event(uuid4(), 1))])
        stored.append(other.first_position or 0)
        return answers(rows)

    with monkeypatch.context() as patch:
        patch.setattr(recorders, "answers", others_append)
        # By COPY, which has an answer of another kind.
        patch.setattr(recorders, "FEWEST_ACTS", 1)
        recorder.append_whole([act(event(uuid4(), 1))], marks={})
    assert stored == [2]
