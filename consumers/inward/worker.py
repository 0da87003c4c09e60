"""A worker of the group: takes partitions as Kafka gives them, a lane for each.

Where to go on in a partition is what the ledger has tracked, never what the group has
committed; that is committed now and then for the tools that show a lag.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from threading import Event, Lock
from typing import Any
from uuid import UUID

import structlog
from eventsourcing.persistence import PersistenceError
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from consumers.fetched import UNREADABLE, go_on, unreadable_at
from consumers.inward.desk import InwardDesk
from consumers.inward.joining import go_on_joining
from consumers.inward.lane import (
    SAY_EVERY_S,
    Lane,
    LedgerResumedError,
    Place,
    SetsAside,
)
from consumers.inward.messages import FOLLOWED, Correspondence
from consumers.inward.records import InwardMessage, tracking_name
from consumers.inward.rounds import Rounds
from consumers.inward.signatures import Senders
from consumers.partitions import reader_of
from consumers.topic_admin import topics_there
from ledger.book import Ledger
from office.house import House
from office.mailbag import MailbagDesk

GROUP = "sijil-inward"
SESSION_MS = 10_000
"""After so long without a word a worker is given up, and others have its partitions."""
HEARTBEAT_MS = 2_000
POLL_MS = 100
MOST_WAITING = 1_000
"""Messages of one partition in memory; above this it is paused."""
FEW_WAITING = 200
"""Below this a paused partition goes on: enough for the time of one fetch."""
RELEASE_S = 4.0
"""How long a lane may finish what it has in hand when its partition is taken away; a
heartbeat waits meanwhile. One that needs longer stores nothing after another worker
has passed its offset."""
COMMIT_EVERY_S = 5.0
LOOK_AT_LEDGER_EVERY_S = 1.0
"""How soon a ledger that came back is noticed where nothing was tried meanwhile."""
LOOK_AT_TOPICS_EVERY_S = 30.0
"""How soon a topic that was made again while we read is noticed, where its new offsets
are not out of our range at once."""

_log = structlog.get_logger()


class TopicMadeAgainError(RuntimeError):
    """A topic was deleted and made again while it was read; a new start reads it."""


class OffsetsLostError(RuntimeError):
    """A partition ends before what the ledger has of it: its records were lost.

    New messages would come under offsets that are tracked already, and be taken for
    done. The topic has to be deleted and made again, so that it has another id.
    """


class InwardWorker:
    """One worker. ``run`` once.

    ``senders`` gives who is believed now; ``done`` hears of each message that was used,
    and ``at_work`` that the worker is alive, several times a second.
    """

    def __init__(
        self,
        house: House,
        options: Mapping[str, Any],
        *,
        senders: Callable[[], Senders],
        aside: SetsAside,
        topics: Mapping[str, Correspondence] | None = None,
        group: str = GROUP,
        session_ms: int = SESSION_MS,
        done: Callable[[InwardMessage], None] = lambda _: None,
        at_work: Callable[[], object] = lambda: None,
    ) -> None:
        self._ledger = house.ledger
        self._options = options
        self._topics = topics or {each.name: kind for each, kind in FOLLOWED.items()}
        self._group = group
        self._session_ms = session_ms
        self._aside = aside
        self._done = done
        self._at_work = at_work
        self._desk = InwardDesk(house, topics=self._topics, senders=senders)
        self._ids: dict[str, UUID] = {}
        # The client's own thread tells of partitions; ours opens them.
        self._mutex = Lock()
        self._to_open: set[TopicPartition] = set()
        self._lanes: dict[TopicPartition, Lane] = {}
        self._paused: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._said_at = -math.inf
        self._looked_at_ledger = -math.inf
        self._follows: tuple[UUID, int] | None = None
        self._rounds = Rounds(self._desk, lambda: MailbagDesk(house), self._lanes_now)

    def run(self, stop: Event) -> None:
        """Follow the topics until ``stop`` is set.

        Raises TopicMissingError, TopicMadeAgainError, OffsetsLostError,
        LedgerResumedError, and KafkaError for what the client does not mend; a new
        start is the answer to the last two.
        """
        with closing(KafkaAdminClient(**self._options)) as admin:
            self._ids = topic_ids(admin, list(self._topics))
            consumer = self._consumer()
            self._rounds.begin()
            try:
                consumer.subscribe(
                    topics=list(self._topics), listener=_Listener(self, consumer)
                )
                _log.info("inward.begins", group=self._group)
                self._follow(consumer, admin, stop)
            finally:
                self._rounds.stop()
                with self._mutex:
                    left = list(self._lanes.values())
                    self._lanes.clear()
                    self._to_open.clear()
                _end(left)
                consumer.close()

    def _consumer(self) -> KafkaConsumer:
        settings = {
            "group_id": self._group,
            "enable_auto_commit": False,
            # A place that is not there is an error and no reason to begin elsewhere.
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
            "check_crcs": True,
            "session_timeout_ms": self._session_ms,
            # By ranges, each topic would be dealt for itself, to the same few workers:
            # more of them than one topic has partitions would have nothing to do.
            "partition_assignment_strategy": [RoundRobinPartitionAssignor],
            "heartbeat_interval_ms": min(HEARTBEAT_MS, self._session_ms // 3),
            "metrics_enabled": False,
            **self._options,
        }
        return KafkaConsumer(**settings)

    def _follow(
        self, consumer: KafkaConsumer, admin: KafkaAdminClient, stop: Event
    ) -> None:
        looked_at = time.monotonic()
        while not stop.is_set():
            self._at_work()
            # Before a mark is read: what is opened is of the ledger that we follow.
            self._look_at_ledger()
            self._open(consumer)
            go_on_joining(consumer)
            try:
                polled = consumer.poll(timeout_ms=POLL_MS)
            except UNREADABLE as error:
                self._pass_by(consumer, error)
                continue
            for partition, records in polled.items():
                lane = self._lanes.get(partition)
                if lane is not None:
                    lane.put(InwardMessage.of(record) for record in records)
            self._regulate(consumer)
            self._commit(consumer)
            if time.monotonic() - looked_at > LOOK_AT_TOPICS_EVERY_S:
                looked_at = time.monotonic()
                if topic_ids(admin, list(self._topics)) != self._ids:
                    raise TopicMadeAgainError

    def _look_at_ledger(self) -> None:
        """Raise LedgerResumedError where it is another than when we began."""
        now = time.monotonic()
        if now - self._looked_at_ledger < LOOK_AT_LEDGER_EVERY_S:
            return
        self._looked_at_ledger = now
        try:
            head = self._ledger.reader.head()
        except PersistenceError:
            # It is away; whoever needs it waits.
            return
        found = (head.ledger_id, head.incarnation)
        if self._follows is None:
            self._follows = found
        elif self._follows != found:
            raise LedgerResumedError

    def _pass_by(self, consumer: KafkaConsumer, error: Exception) -> None:
        """Have a record set aside that the client cannot read, and read on behind it.

        Read again it would fail again, here and in every worker. Raises ``error`` where
        nobody knows which it was, or it is ours no more.
        """
        at = unreadable_at(consumer)
        with self._mutex:
            lane = None if at is None else self._lanes.get(at[0])
            if at is None or lane is None:
                raise error
            partition, offset = at
            unread = InwardMessage.unread(partition.topic, partition.partition, offset)
            lane.put([unread])
            consumer.seek(partition, offset + 1)
        _log.error(
            "inward.unreadable",
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
            because=type(error).__name__,
        )

    # Partitions come and go -------------------------------------------------------

    def assigned(
        self, consumer: KafkaConsumer, given: Iterable[TopicPartition]
    ) -> None:
        """Partitions are ours; nothing is read of them before they are opened."""
        with self._mutex:
            for each in given:
                # Any place will do while it is paused; without one the client asks.
                consumer.seek(each, 0)
                consumer.pause(each)
                self._to_open.add(each)

    def revoked(self, taken: Iterable[TopicPartition]) -> None:
        """Partitions are another's soon: what is in hand is finished, and no more."""
        gone = []
        with self._mutex:
            for each in taken:
                self._to_open.discard(each)
                self._paused.discard(each)
                self._committed.pop(each, None)
                lane = self._lanes.pop(each, None)
                if lane is not None:
                    gone.append(lane)
        _end(gone)

    def _open(self, consumer: KafkaConsumer) -> None:
        """Begin what was assigned where the ledger says that it goes on."""
        with self._mutex:
            to_open = sorted(self._to_open)
        if not to_open:
            return
        starts = consumer.beginning_offsets(to_open)
        ends = consumer.end_offsets(to_open)
        for each in to_open:
            place = Place(
                topic=each.topic,
                topic_id=self._ids[each.topic],
                partition=each.partition,
            )
            try:
                recorder = self._ledger.process_recorder
                passed = recorder.max_tracking_id(place.tracking_name)
            except PersistenceError as error:
                self._say_it_waits(error)
                return
            begin = _begin(place, passed, first=starts[each], end=ends[each])
            with self._mutex:
                if each not in self._to_open:
                    # Taken away meanwhile.
                    continue
                self._to_open.discard(each)
                self._lanes[each] = Lane(
                    place,
                    passed=passed,
                    desk=self._desk,
                    ledger=self._ledger,
                    aside=self._aside,
                    done=self._done,
                    is_lending=self._desk.goes_in_a_mailbag(each.topic),
                    wake=self._rounds.wake,
                )
                consumer.seek(each, begin)
                go_on(consumer, each)

    def _say_it_waits(self, error: Exception) -> None:
        """Say now and then that the ledger does not tell where to begin."""
        now = time.monotonic()
        if now - self._said_at > SAY_EVERY_S:
            self._said_at = now
            _log.warning("inward.waits", because=type(error).__name__)

    def _lanes_now(self) -> list[Lane]:
        with self._mutex:
            return list(self._lanes.values())

    def _regulate(self, consumer: KafkaConsumer) -> None:
        """Pause what has much in memory, and go on where little is left."""
        if self._rounds.error is not None:
            raise self._rounds.error
        with self._mutex:
            for partition, lane in self._lanes.items():
                if lane.error is not None:
                    raise lane.error
                if partition in self._paused:
                    if lane.waiting < FEW_WAITING:
                        self._paused.discard(partition)
                        go_on(consumer, partition)
                elif lane.waiting > MOST_WAITING:
                    self._paused.add(partition)
                    consumer.pause(partition)

    def _commit(self, consumer: KafkaConsumer) -> None:
        """Tell the group how far we are: for who looks, not for us."""
        now = time.monotonic()
        if now - self._committed_at < COMMIT_EVERY_S:
            return
        self._committed_at = now
        with self._mutex:
            reached = {
                partition: lane.passed + 1
                for partition, lane in self._lanes.items()
                if self._committed.get(partition, 0) != lane.passed + 1
            }
            self._committed |= reached
        if reached:
            with suppress(KafkaError):
                consumer.commit_async(
                    {
                        partition: OffsetAndMetadata(offset, "", -1)
                        for partition, offset in reached.items()
                    }
                )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hears from the client, on its own thread, what it was given."""

    def __init__(self, worker: InwardWorker, consumer: KafkaConsumer) -> None:
        self._worker = worker
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._worker.assigned(self._consumer, assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._worker.revoked(revoked)


def topic_ids(admin: KafkaAdminClient, topics: list[str]) -> dict[str, UUID]:
    """Kafka's own ids of topics, by name. Raises TopicMissingError."""
    return {name: each.topic_id for name, each in topics_there(admin, topics).items()}


def how_far(
    ledger: Ledger, options: Mapping[str, Any], topics: list[str]
) -> tuple[int, int]:
    """How many offsets of topics the ledger has passed, and how many there are.

    Raises TopicMissingError.
    """
    with closing(KafkaAdminClient(**options)) as admin:
        ids = topic_ids(admin, topics)
    with closing(reader_of(options)) as reader:
        every = [
            TopicPartition(name, each)
            for name in topics
            for each in sorted(reader.partitions_for_topic(name) or ())
        ]
        begins = reader.beginning_offsets(every)
        ends = reader.end_offsets(every)
    passed = 0
    for each in every:
        name = tracking_name(each.topic, ids[each.topic], each.partition)
        last = ledger.process_recorder.max_tracking_id(name)
        # What has passed its time is waited for no more.
        passed += max(begins[each], 0 if last is None else last + 1)
    return passed, sum(ends.values())


def _begin(place: Place, passed: int | None, *, first: int, end: int) -> int:
    """The offset to go on from. Raises OffsetsLostError."""
    following = 0 if passed is None else passed + 1
    if following > end:
        raise OffsetsLostError(f"{place.topic}/{place.partition}")
    if following < first:
        # Their time had passed before they were read.
        _log.error(
            "inward.messages_gone",
            topic=place.topic,
            partition=place.partition,
            following=following,
            first=first,
        )
    return max(following, first)


def _end(lanes: Iterable[Lane]) -> None:
    """Let lanes finish what they have in hand."""
    ending = list(lanes)
    for lane in ending:
        lane.stop()
    until = time.monotonic() + RELEASE_S
    for lane in ending:
        if not lane.join(until - time.monotonic()):
            _log.warning(
                "inward.still_busy",
                topic=lane.place.topic,
                partition=lane.place.partition,
            )
