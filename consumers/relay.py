"""The relay: follows the ledger by position and publishes every entry once.

What has been published is what the partitions say, never what the relay remembers: at
every start it closes what hangs, reads each partition's last record, and sends to each
only what lies above it. Within a partition records stand in the ledger's order, so this
can neither skip nor double. It ends at the first error and is started again by whoever
watches over it; nothing is repaired in place (decision 0028).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Event
from typing import Any
from uuid import UUID

import structlog
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.partitioner.default import murmur2

from consumers import envelope
from consumers.partitions import (
    close_hanging,
    last_records,
    reader_of,
    records_between,
)
from consumers.topics import EVENTS, RELAY_POSITION, Topic
from ledger.bodies import canonical, read_body
from ledger.bundles import BareRow, recorded_text
from ledger.reader import Head, LedgerReader

TRANSACTIONAL_ID = "sijil-relay"
"""One for all relays of a ledger: whoever comes last fences off who was before."""
LARGEST_BATCH = 2_000
"""Entries of one transaction: some 2 MB, a fifth of a second."""
LEAST_PAUSE_S = 0.04
"""Between two transactions that follow live: each costs the broker a marker in every
partition, and nobody sees a delay of this length."""
TRANSACTION_TIMEOUT_MS = 30_000
"""When the broker itself ends the transaction of a relay that went silent."""
DELIVERY_TIMEOUT_MS = 25_000
"""How long one record may take to be written, all retries in it."""
FUTURE_TIMEOUT_S = 30.0

_log = structlog.get_logger()


class TopicMissingError(RuntimeError):
    """A topic is not there; ``sijil topics apply`` makes it."""


class TurnLostError(RuntimeError):
    """Another relay may publish by now: the connection that held the turn is gone."""


class OtherLedgerError(RuntimeError):
    """The topic holds what this ledger does not: another one, or a later past of it.

    A ledger that came back from a backup is an earlier head. Who follows a topic must
    not be led from one history into another; a new topic begins the new one.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How far a topic has come, as the record on the position topic says."""

    ledger_id: UUID
    incarnation: int
    position: int
    topic_id: UUID

    def to_bytes(self) -> bytes:
        """The record's value."""
        return canonical(
            {
                "incarnation": self.incarnation,
                "ledger_id": str(self.ledger_id),
                "position": self.position,
                "topic_id": str(self.topic_id),
            }
        )

    @classmethod
    def of(cls, value: bytes) -> Published:
        """What a record's value says."""
        said = read_body(value)
        return cls(
            ledger_id=UUID(said["ledger_id"]),
            incarnation=said["incarnation"],
            position=said["position"],
            topic_id=UUID(said["topic_id"]),
        )


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as every client computes it by default (murmur2)."""
    number: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return number


class Relay:
    """Publishes one ledger to one topic. One thread's own, used once.

    ``options`` are those of every client (KafkaSettings.client). ``goes_on`` says
    before each transaction whether the turn is still ours; ``published`` hears the
    position after each.
    """

    def __init__(
        self,
        reader: LedgerReader,
        options: Mapping[str, Any],
        *,
        topic: Topic = EVENTS,
        goes_on: Callable[[], bool] = lambda: True,
        published: Callable[[int], None] | None = None,
    ) -> None:
        self._reader = reader
        self._options = options
        self._topic = topic.name
        self._goes_on = goes_on
        self._heard = published
        self._last: dict[int, int] = {}
        self._published_at = 0.0

    def run(self, stop: Event) -> None:
        """Publish all there is and follow, until ``stop`` is set.

        Raises whatever went wrong; the process MUST end then, because a producer that
        failed does not go away.
        """
        producer = self._producer()
        producer.init_transactions()
        head, topic_id, number = self._prepare(producer)
        after = min(self._last.values())
        _log.info("relay.begins", topic=self._topic, after=after, head=head.position)
        with ThreadPoolExecutor(1, thread_name_prefix="relay-reading") as reading:
            for _ in self._reader.pulses(stop=stop):
                _must_be_the_same(head, self._reader.head())
                ahead = self._read(reading, after)
                while rows := ahead.result():
                    if not self._goes_on():
                        raise TurnLostError
                    last = rows[-1][0]
                    ahead = self._read(reading, last)
                    self._publish(producer, rows, head, topic_id, number)
                    after = last
                    if stop.is_set():
                        break
                if stop.is_set():
                    break
        producer.close(timeout=FUTURE_TIMEOUT_S)

    # Beginning ------------------------------------------------------------------

    def _producer(self) -> KafkaProducer:
        return KafkaProducer(
            **self._options,
            transactional_id=f"{TRANSACTIONAL_ID}:{self._topic}",
            # Given, so that a setting that excludes it is an error, not a warning.
            enable_idempotence=True,
            acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
            max_block_ms=TRANSACTION_TIMEOUT_MS,
            batch_size=262_144,
            linger_ms=5,
            retry_backoff_ms=20,
            allow_auto_create_topics=False,
            # Numbers that nobody reads cost a tenth of the time.
            metrics_enabled=False,
        )

    def _prepare(self, producer: KafkaProducer) -> tuple[Head, UUID, int]:
        """Learn what every partition has; the head, the topic's id and its width."""
        head = self._reader.head()
        topic_id, number = self._topic_as_it_is()
        partitions = [TopicPartition(self._topic, each) for each in range(number)]
        position = TopicPartition(RELAY_POSITION.name, 0)
        close_hanging(producer, self._options, [*partitions, position])
        said = self._said()
        self._must_be_ours(said, head, topic_id)
        records = last_records(self._options, partitions)
        for each in partitions:
            record = records.get(each)
            if record is None:
                self._last[each.partition] = self._where_nothing_is(
                    each, said, topic_id
                )
            else:
                self._last[each.partition] = self._must_be_of_the_ledger(record)
        return head, topic_id, number

    def _topic_as_it_is(self) -> tuple[UUID, int]:
        admin = KafkaAdminClient(**self._options)
        try:
            told = {
                each["name"]: each
                for each in admin.describe_topics([self._topic, RELAY_POSITION.name])
                if each["error_code"] == 0
            }
        finally:
            admin.close()
        for name in (self._topic, RELAY_POSITION.name):
            if name not in told:
                raise TopicMissingError(name)
        return UUID(str(told[self._topic]["topic_id"])), len(
            told[self._topic]["partitions"]
        )

    def _said(self) -> Published | None:
        """What the last position record of this topic says, or None."""
        return read_published(self._options).get(self._topic)

    def _must_be_ours(self, said: Published | None, head: Head, topic_id: UUID) -> None:
        if said is None:
            return
        if said.topic_id != topic_id:
            # Deleted and made again: its partitions say that they are empty, and the
            # whole ledger goes in anew.
            _log.warning(
                "relay.topic_was_made_again", topic=self._topic, until=said.position
            )
        elif (said.ledger_id, said.incarnation) != (head.ledger_id, head.incarnation):
            raise OtherLedgerError(self._topic)

    def _where_nothing_is(
        self, partition: TopicPartition, said: Published | None, topic_id: UUID
    ) -> int:
        """Where a partition without records stands: at its beginning, or retained away.

        Only the position record can tell of records that are all gone by their age.
        """
        reader = reader_of(self._options)
        try:
            begin = reader.beginning_offsets([partition])[partition]
        finally:
            reader.close()
        if begin == 0 or said is None or said.topic_id != topic_id:
            return 0
        return said.position

    def _must_be_of_the_ledger(self, record: Any) -> int:
        """The position of a partition's last record, which the ledger has just so."""
        told = envelope.read(record.key, record.value, record.headers)
        entry = self._reader.entry(told.entry.position)
        if entry is None or entry.leaf_hash() != told.leaf_hash:
            raise OtherLedgerError(self._topic)
        return told.entry.position

    # Publishing -----------------------------------------------------------------

    def _read(self, pool: ThreadPoolExecutor, after: int) -> Future[list[BareRow]]:
        """The next rows, read while the ones before are on their way."""
        return pool.submit(
            self._reader.rows, after=after, limit=LARGEST_BATCH, until=2**63 - 1
        )

    def _publish(
        self,
        producer: KafkaProducer,
        rows: list[BareRow],
        head: Head,
        topic_id: UUID,
        number: int,
    ) -> None:
        """One transaction: the entries that their partitions lack, and the position."""
        pause_s = self._published_at + LEAST_PAUSE_S - time.monotonic()
        if pause_s > 0 and len(rows) < LARGEST_BATCH:
            time.sleep(pause_s)
        source = envelope.source_of(head.ledger_id).encode()
        reached = dict(self._last)
        producer.begin_transaction()
        sent = []
        for row in rows:
            key = row[2].encode()
            partition = partition_of(key, number)
            position = row[0]
            if position <= reached[partition]:
                continue
            sent.append(
                producer.send(
                    self._topic,
                    partition=partition,
                    key=key,
                    value=row[5],
                    headers=envelope.headers_of(row, source),
                    timestamp_ms=row[1] // 1000,
                )
            )
            reached[partition] = position
        last = rows[-1][0]
        published = Published(
            ledger_id=head.ledger_id,
            incarnation=head.incarnation,
            position=last,
            topic_id=topic_id,
        )
        sent.append(
            producer.send(
                RELAY_POSITION.name,
                partition=0,
                key=self._topic.encode(),
                value=published.to_bytes(),
                headers=[("sijil_recorded", recorded_text(rows[-1][1]).encode())],
            )
        )
        producer.flush(FUTURE_TIMEOUT_S)
        # A commit may say yes over a record that was lost; the record's own future
        # never does.
        for future in sent:
            future.get(FUTURE_TIMEOUT_S)
        producer.commit_transaction()
        self._last = reached
        self._published_at = time.monotonic()
        if self._heard is not None:
            self._heard(last)


def _must_be_the_same(before: Head, now: Head) -> None:
    """A relay follows one incarnation; a restored ledger is another history."""
    if (before.ledger_id, before.incarnation) != (now.ledger_id, now.incarnation):
        raise OtherLedgerError(str(now.ledger_id))


def read_published(options: Mapping[str, Any]) -> dict[str, Published]:
    """How far each outward topic has come, by its name.

    Raises TopicMissingError where there is no position topic.
    """
    partition = TopicPartition(RELAY_POSITION.name, 0)
    reader = reader_of(options)
    try:
        if reader.partitions_for_topic(RELAY_POSITION.name) is None:
            raise TopicMissingError(RELAY_POSITION.name)
        starts = reader.beginning_offsets([partition])
        ends = reader.end_offsets([partition])
        said: dict[str, Published] = {}
        for records, _ in records_between(reader, starts, ends):
            for record in records:
                name = record.key.decode()
                if record.value is None:
                    # An operator took it away: the partitions alone say what there is.
                    said.pop(name, None)
                else:
                    said[name] = Published.of(record.value)
        return said
    finally:
        reader.close()
