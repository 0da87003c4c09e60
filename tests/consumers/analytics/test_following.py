"""A folder has what the topic has, once and without a hole, or it says why it stops."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError

from consumers import envelope
from consumers.analytics import following
from consumers.analytics.folder import Folder, manifest_of
from consumers.analytics.following import (
    BegunLateError,
    Follower,
    OtherOriginError,
    PositionMissingError,
    RecordUnusableError,
)
from consumers.positions import Published
from consumers.relay import Relay
from consumers.topic_admin import TopicAdmin, TopicMissingError
from consumers.topics import RELAY_POSITION, Topic
from domain.acts import Act
from domain.ids import new_id
from domain.resumptions import ResumedBecause, ReturnedLedger
from ledger.backup.resuming import OPERATOR
from ledger.bodies import BodyMapper
from tests.conftest import Server, fresh_database
from tests.consumers.analytics.conftest import follow
from tests.consumers.analytics.writing import whole
from tests.consumers.conftest import Book, Running, new_topic, relay_until, until
from tests.consumers.test_verifying import Planted
from tests.forks import forks

KILLS = 3
_FORKED = forks(__name__)
Options = dict[str, Any]


@pytest.fixture(scope="module")
def shared(server: Server, template: str) -> Iterator[Book]:
    """A ledger of forty entries that no test adds to."""
    database = fresh_database(server, template)
    try:
        made = Book(database)
        assert made.add(10, 4) == 40
        yield made
    finally:
        database.close()


@pytest.fixture(scope="module")
def rows(shared: Book) -> list[tuple[Any, ...]]:
    """Its entries, as a relay reads them."""
    return shared.reader.rows(after=0, limit=40, until=40)


@pytest.fixture
def planted(options: Options, shared: Book) -> Planted:
    """An empty topic to be written record by record, as a wrong relay would."""
    return Planted(options, new_topic(options), shared)


def test_what_is_published_later_comes_into_the_folder(
    options: Options, topic: Topic, book: Book, place: Path, running: list[Running]
) -> None:
    heard: list[int] = []
    alive: list[int] = []
    with Folder.opened(place) as folder:
        made = Follower(
            folder,
            options,
            topic=topic.name,
            saved=heard.append,
            at_work=lambda: alive.append(1),
            save_every_s=0.1,
        )
        follower = Running(made)
        running.append(Running(Relay(book.reader, options, topic=topic)))
        try:
            for _ in range(2):
                head = book.add(5)
                until(lambda head=head: heard[-1:] == [head])
            before = len(alive)
            # There is nothing more to read.
            until(lambda: len(alive) > before + 5)
        finally:
            follower.stop()
        assert follower.error is None
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == head
    assert len(manifest.files) > 1
    # From there another one goes on, and reads nothing again.
    head = book.add(5)
    until(lambda: follow(place, options, topic) == head)
    assert whole(place) is not None


def test_what_comes_twice_is_there_once(
    planted: Planted, rows: list[Any], options: Options, place: Path
) -> None:
    first = [planted.record(row) for row in rows[:25]]
    planted.write([*first, *first[5:20]])
    assert follow(place, options, planted.topic) == 25
    # A relay that had forgotten how far it was sends the end again.
    planted.write([planted.record(row) for row in rows[15:]])
    assert follow(place, options, planted.topic) == 40
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == 40


def test_a_partition_that_is_far_ahead_waits(
    planted: Planted,
    rows: list[Any],
    options: Options,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "LARGEST_AHEAD", 2)
    records = [planted.record(row) for row in rows]
    late = [each for each in records if each["partition"] == records[0]["partition"]]
    planted.write([each for each in records if each not in late])
    most = 0
    with Folder.opened(place) as folder:
        made = Follower(folder, options, topic=planted.topic.name, gap_timeout_s=60)
        running = Running(made)
        try:
            until(lambda: bool(made._waiting))
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                most = max(most, len(made._held))
                time.sleep(0.05)
            assert 0 < most <= len(rows) - len(late)
            assert made._waiting
            planted.write(late)
            until(lambda: made._next == len(rows) + 1)
        finally:
            running.stop()
        assert running.error is None
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == len(rows)


def test_what_waited_when_it_was_stopped_is_read_again(
    planted: Planted, rows: list[Any], options: Options, place: Path
) -> None:
    records = [planted.record(row) for row in rows]
    begins: dict[int, int] = {}
    for number, each in enumerate(records):
        begins.setdefault(each["partition"], number)
    # The one that begins last: some rows come before it, and some wait for it.
    first, partition = max((at, which) for which, at in begins.items())
    late = [each for each in records if each["partition"] == partition]
    planted.write([each for each in records if each not in late])
    with Folder.opened(place) as folder:
        made = Follower(folder, options, topic=planted.topic.name, save_every_s=0.0)
        running = Running(made)
        until(lambda: folder.position == first and len(made._held) > 0)
        until(lambda: len(made._held) == len(rows) - first - len(late))
        running.stop()
        assert running.error is None
    planted.write(late)
    assert follow(place, options, planted.topic) == len(rows)
    assert whole(place) is not None


@pytest.mark.parametrize("position", [1, 7])
def test_a_missing_position_is_named_and_nothing_above_it_is_kept(
    planted: Planted, rows: list[Any], options: Options, place: Path, position: int
) -> None:
    planted.write([planted.record(row) for row in rows if row[0] != position])
    assert _missed(place, options, planted.topic) == position
    manifest = manifest_of(place)
    assert (0 if manifest is None else manifest.position) < position


def test_an_end_that_the_relay_had_published_is_missed(
    planted: Planted, rows: list[Any], options: Options, place: Path
) -> None:
    planted.write([planted.record(row) for row in rows[:30]])
    _claim(planted, position=31)
    assert _missed(place, options, planted.topic) == 31


class _SoonMissing(Follower):
    """Waits for a second only, once it has read what is there."""

    def _is_level(self, ends: Mapping[TopicPartition, int]) -> bool:
        if all(self._seen[each.partition] >= end for each, end in ends.items()):
            self._gap_timeout_s = 1
        return super()._is_level(ends)


def _missed(place: Path, options: Options, topic: Topic) -> int:
    """The position that a follower ends for want of."""
    with Folder.opened(place) as folder:
        made = _SoonMissing(folder, options, topic=topic.name)
        with pytest.raises(PositionMissingError) as caught:
            made.run(Event(), until_level=True)
    return caught.value.position


def _topic_id(planted: Planted) -> str:
    with closing(KafkaAdminClient(**planted.options)) as admin:
        (told,) = admin.describe_topics([planted.topic.name])
    return str(told["topic_id"])


def _claim(planted: Planted, *, position: int, **changed: Any) -> None:
    """Say of the topic what a relay would, or something else."""
    head = planted.book.reader.head()
    said = Published(
        ledger_id=head.ledger_id,
        incarnation=head.incarnation,
        position=position,
        topic_id=UUID(_topic_id(planted)),
    )
    said = dataclasses.replace(said, **changed)
    with closing(KafkaProducer(**planted.options)) as producer:
        producer.send(
            RELAY_POSITION.name,
            key=planted.topic.name.encode(),
            value=said.to_bytes(),
        ).get(30)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"value": b'{"data":{}}'}, "leaf-hash"),
        ({"key": b"another"}, "key-is-not-the-aggregate"),
        ({"headers": []}, "header-missing"),
    ],
)
def test_a_record_that_is_no_entry_stops_it(
    planted: Planted,
    rows: list[Any],
    options: Options,
    place: Path,
    *,
    changed: dict[str, Any],
    why: str,
) -> None:
    planted.write([planted.record(rows[0], **changed)])
    with pytest.raises(RecordUnusableError, match=why):
        follow(place, options, planted.topic)
    assert manifest_of(place) is None


def test_two_entries_of_one_position_stop_it(
    planted: Planted, rows: list[Any], options: Options, place: Path
) -> None:
    # Both are unaltered as they stand: another history has another entry there.
    other = (*rows[5][:5], b'{"data":{"said":"other"}}')
    planted.write([planted.record(rows[5]), planted.record(other)])
    with pytest.raises(RecordUnusableError, match="two-of-one-position"):
        follow(place, options, planted.topic)


def _resumption(planted: Planted, *, position: int, incarnation: int) -> dict[str, Any]:
    """The record of the entry that an incarnation begins with."""
    ledger_id = planted.book.reader.head().ledger_id
    now = datetime.now(UTC)
    act = Act(
        command_id=new_id(now),
        actor=OPERATOR,
        correlation_id=ledger_id,
        effective_at=now,
    )
    ledger = ReturnedLedger.resume(
        act,
        ledger_id=ledger_id,
        incarnation=incarnation,
        reason=ResumedBecause.RESTORED,
    )
    (event,) = ledger.collect_events()
    stored = BodyMapper().to_stored_event(event)
    recorded_us = int(now.timestamp()) * 1_000_000
    row = (
        position,
        recorded_us,
        str(stored.originator_id),
        stored.originator_version,
        stored.topic,
        stored.state,
    )
    return planted.record(row)


@pytest.mark.parametrize("with_entry", [False, True])
def test_a_ledger_that_was_resumed_is_followed_on(
    planted: Planted,
    rows: list[Any],
    options: Options,
    place: Path,
    *,
    with_entry: bool,
) -> None:
    """Nothing of the topic was lost: an exercise, or a backup of just before."""
    planted.write([planted.record(row) for row in rows])
    _claim(planted, position=40)
    assert follow(place, options, planted.topic) == 40
    # The relay says the new incarnation at its start, and its first entry then.
    end = 40 + with_entry
    beginning = _resumption(planted, position=41, incarnation=2)
    if with_entry:
        planted.write([beginning])
    _claim(planted, position=end, incarnation=2)
    for _ in range(2):
        assert follow(place, options, planted.topic) == end
    manifest = whole(place)
    assert manifest is not None
    assert manifest.origin.incarnation == 1 + with_entry
    # The same entry once more is no other history.
    planted.write([beginning])
    _claim(planted, position=41, incarnation=2)
    assert follow(place, options, planted.topic) == 41


class TestAnotherOrigin:
    @pytest.fixture
    def full(
        self, planted: Planted, rows: list[Any], options: Options, place: Path
    ) -> Planted:
        planted.write([planted.record(row) for row in rows])
        _claim(planted, position=len(rows))
        assert follow(place, options, planted.topic) == len(rows)
        return planted

    def refused(self, full: Planted, options: Options, place: Path, what: str) -> None:
        before = manifest_of(place)
        with pytest.raises(OtherOriginError) as caught:
            follow(place, options, full.topic)
        assert caught.value.what == what
        assert manifest_of(place) == before

    def test_a_topic_that_was_made_again(
        self, full: Planted, options: Options, place: Path
    ) -> None:
        with closing(KafkaAdminClient(**options)) as admin:
            admin.delete_topics([full.topic.name])
        with pytest.raises((TopicMissingError, UnknownTopicOrPartitionError)):
            until(lambda: follow(place, options, full.topic) == 0)
        with closing(TopicAdmin(options, replication=1)) as admin:
            admin.apply([full.topic])
        self.refused(full, options, place, "topic's id")

    def test_another_topic(self, full: Planted, options: Options, place: Path) -> None:
        other = Planted(options, new_topic(options), full.book)
        self.refused(other, options, place, "topic")

    def test_an_incarnation_that_lacks_what_the_folder_has(
        self, full: Planted, options: Options, place: Path
    ) -> None:
        _claim(full, position=39, incarnation=2)
        self.refused(full, options, place, "ledger's incarnation")

    def test_an_incarnation_before_the_one_that_it_has(
        self, full: Planted, options: Options, place: Path
    ) -> None:
        full.write([_resumption(full, position=41, incarnation=2)])
        _claim(full, position=41, incarnation=2)
        assert follow(place, options, full.topic) == 41
        _claim(full, position=41, incarnation=1)
        self.refused(full, options, place, "ledger's incarnation")

    @pytest.mark.parametrize("claimed", [1, 2])
    def test_an_incarnation_that_began_before_the_folder_ends(
        self, full: Planted, options: Options, place: Path, claimed: int
    ) -> None:
        # As a relay would that did not look: what it now says stood otherwise there.
        full.write([_resumption(full, position=31, incarnation=2)])
        _claim(full, position=40, incarnation=claimed)
        self.refused(full, options, place, "ledger's history")

    def test_another_ledger_that_publishes_there(
        self, full: Planted, options: Options, place: Path
    ) -> None:
        _claim(full, position=40, ledger_id=uuid4())
        self.refused(full, options, place, "ledger")

    def test_a_record_of_another_ledger(
        self, full: Planted, rows: list[Any], options: Options, place: Path
    ) -> None:
        source = envelope.source_of(uuid4()).encode()
        record = full.record(rows[3])
        record["headers"] = envelope.headers_of(rows[3], source)
        full.write([record])
        self.refused(full, options, place, "ledger")

    def test_another_history_of_the_same_ledger(
        self, full: Planted, rows: list[Any], options: Options, place: Path
    ) -> None:
        fork = (*rows[-1][:5], b'{"data":{"said":"other"}}')
        full.write([full.record(fork)])
        self.refused(full, options, place, "ledger's history")

    def test_a_topic_that_is_shorter_than_it_was(
        self, full: Planted, options: Options, place: Path
    ) -> None:
        manifest = manifest_of(place)
        assert manifest is not None
        with Folder.opened(place) as folder:
            far = {each: at + 1_000 for each, at in manifest.offsets.items()}
            folder._replace(dataclasses.replace(manifest, offsets=far))
        self.refused(full, options, place, "topic's length")


def test_a_topic_whose_beginning_has_passed_its_time_is_refused(
    planted: Planted, rows: list[Any], options: Options, place: Path
) -> None:
    planted.write([planted.record(row) for row in rows])
    record = planted.record(rows[0])
    where = TopicPartition(planted.topic.name, record["partition"])
    with closing(KafkaAdminClient(**options)) as admin:
        admin.delete_records({where: 1})
    with pytest.raises(BegunLateError):
        follow(place, options, planted.topic)


def test_a_topic_that_is_not_there_is_said(options: Options, place: Path) -> None:
    missing = dataclasses.replace(RELAY_POSITION, name="sijil.nowhere.v1")
    with pytest.raises(TopicMissingError):
        follow(place, options, missing)


def follow_for_ever(place: Path, options: Options, topic: str) -> None:
    """A follower that saves all the time, until it is killed."""
    with Folder.opened(place) as folder:
        made = Follower(folder, options, topic=topic, save_every_s=0.0)
        made.run(Event())


def test_killed_at_any_moment_each_entry_is_there_once(
    options: Options, topic: Topic, book: Book, place: Path, running: list[Running]
) -> None:
    moments = Random(10)  # noqa: S311 -- moments of a test
    running.append(Running(Relay(book.reader, options, topic=topic)))
    reached = 0
    for _ in range(KILLS):
        follower = _FORKED.Process(
            target=follow_for_ever, args=(place, options, topic.name)
        )
        follower.start()
        deadline = time.monotonic() + 60
        while (manifest := manifest_of(place)) is None or manifest.position <= reached:
            assert follower.is_alive()
            assert time.monotonic() < deadline
            book.add(3)
        time.sleep(moments.uniform(0, 0.05))
        follower.kill()
        follower.join()
        manifest = whole(place)
        assert manifest is not None
        reached = manifest.position
    running[0].stop()
    head = book.reader.head().position
    relay_until(Relay(book.reader, options, topic=topic), head)
    assert follow(place, options, topic) == head
    assert whole(place) is not None
