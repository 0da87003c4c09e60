"""Streams: complete, in order, as of one position, and holding nothing in between."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from random import Random
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from ledger import streaming
from ledger.bodies import BodyMapper
from ledger.names import Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.domain.office import mailed
from tests.projections.histories import Life

A_FETCH = 7
A_WINDOW = 20


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP))


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    """A reader with one connection: a stream that kept it would starve all others."""
    store = database.datastore(
        Role.READER, pool_size=1, max_overflow=0, pool_timeout_s=1.0
    )
    return LedgerReader(store)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "ROWS_A_FETCH", A_FETCH)
    monkeypatch.setattr(streaming, "POSITIONS_A_WINDOW", A_WINDOW)


def append(recorder: PostgresProcessRecorder, events: Iterable[StoredEvent]) -> None:
    recorder.append([ActToAppend(events=[event]) for event in events])


def lives(events: int, *, seed: int = 3) -> list[StoredEvent]:
    """Whole lives of requests, one after the other, with at least so many events."""
    random = Random(seed)  # noqa: S311 -- reproducible
    mapper = BodyMapper()
    made: list[StoredEvent] = []
    while len(made) < events:
        life = Life(len(made), random)
        while life.step():
            made += map(mapper.to_stored_event, life.request.collect_events())
    return made


@pytest.mark.usefixtures("small_steps")
class TestSelections:
    def test_all_come_once_and_in_order(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        append(recorder, (StoredEvent(uuid4(), 1, "t", b"x") for _ in range(50)))
        assert [e.position for e in reader.stream()] == list(range(1, 51))
        assert [e.position for e in reader.stream(after=6, until=29)] == [*range(7, 30)]
        assert list(reader.stream(after=50)) == list(reader.stream(until=0)) == []
        assert [e.position for e in reader.stream(until=999)] == list(range(1, 51))

    @pytest.mark.parametrize("wanted", [["rare"], ["often"], ["rare", "often"], ["no"]])
    def test_topics_are_found_over_every_window(
        self,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
        wanted: list[str],
    ) -> None:
        topics = ["rare" if n in {1, 44, 90} else f"{n}" for n in range(1, 121)]
        topics[59:100:2] = ["often"] * len(topics[59:100:2])
        append(recorder, (StoredEvent(uuid4(), 1, topic, b"x") for topic in topics))
        found = [e.position for e in reader.stream(topics=wanted)]
        assert found == [n for n, topic in enumerate(topics, 1) if topic in wanted]

    def test_one_aggregate_comes_by_version(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        one, other = uuid4(), uuid4()
        for version in range(30):
            append(
                recorder,
                [
                    StoredEvent(each, version, f"t{version % 2}", b"x")
                    for each in (one, other)
                ],
            )
        found = list(reader.stream(aggregate_id=one))
        assert [(e.aggregate_id, e.version) for e in found] == [
            (one, version) for version in range(30)
        ]
        some = list(reader.stream(aggregate_id=one, topics=["t1"], after=10, until=40))
        assert some == [e for e in found if e.topic == "t1" and 10 < e.position <= 40]
        assert list(reader.stream(aggregate_id=UUID(int=7))) == []

    def test_what_comes_meanwhile_is_not_shown(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        append(recorder, (StoredEvent(uuid4(), 1, "t", b"x") for _ in range(20)))
        seen = []
        for entry in reader.stream():
            append(recorder, [StoredEvent(uuid4(), 1, "t", b"x")])
            # With its only connection in the stream's hands this would wait in vain.
            assert reader.head().position > 20
            seen.append(entry.position)
        assert seen == list(range(1, 21))


@pytest.mark.usefixtures("small_steps")
class TestEvents:
    def test_events_are_those_that_were_stored(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        events = lives(60)
        append(recorder, events)
        mapper = BodyMapper()
        found = list(reader.events())
        assert [position for position, _ in found] == list(range(1, len(events) + 1))
        assert [mapper.to_stored_event(event) for _, event in found] == events
        thing = events[0].originator_id
        assert isinstance(thing, UUID)
        for asked in ({"topics": [events[3].topic]}, {"aggregate_id": thing}):
            entries = list(reader.stream(**asked))  # type: ignore[arg-type]
            some = list(reader.events(**asked))  # type: ignore[arg-type]
            assert [position for position, _ in some] == [e.position for e in entries]
            assert some == [found[entry.position - 1] for entry in entries]

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"a\x00b", b"[]", b""])
    def test_a_foreign_body_stops_the_stream_there_and_not_before(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader, body: bytes
    ) -> None:
        ours = [*map(BodyMapper().to_stored_event, mailed().pending_events)]
        foreign = StoredEvent(uuid4(), 1, ours[0].topic, body)
        append(recorder, [*ours[:4], foreign, *ours[4:]])
        seen = []
        with pytest.raises(
            MapperDeserialisationError, match=f"{foreign.originator_id}/1"
        ):
            for position, _ in reader.events():
                seen.append(position)
        assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_a_longer_stream_takes_no_more_memory(
    recorder: PostgresProcessRecorder, reader: LedgerReader, kind: str
) -> None:
    for seed in range(8):
        append(recorder, lives(1_000, seed=seed))
    stream: Callable[..., Iterable[object]] = getattr(reader, kind)

    def peak(until: int) -> int:
        tracemalloc.start()
        assert sum(1 for _ in stream(until=until)) == until
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(8_000)
    assert peak(8_000) < 1.1 * peak(2_000)
