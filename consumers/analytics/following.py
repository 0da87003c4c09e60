"""Follows the topic of events and keeps a folder of Parquet level with it.

Positions are dense, so what is missing shows: a row is written only when every position
below it has been. The folder is at any moment the ledger up to one position, and its
counts are the ledger's as of that position. How far it has come is what the folder says
(``folder.Manifest``); nothing is committed to Kafka, and a record that comes twice is
passed over. It ends at the first error and is started again by whoever watches over it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord

from consumers import envelope
from consumers.analytics.columns import Rows
from consumers.analytics.folder import LARGEST_GROUP_ROWS, Folder, Origin
from consumers.envelope import Enveloped, EnvelopeError
from consumers.partitions import PartitionUnreadableError, reader_of
from consumers.positions import Published, read_published
from consumers.topic_admin import topics_there
from consumers.topics import EVENTS
from domain.resumptions import ReturnedLedger
from ledger.decoding import decoder_of

SAVE_EVERY_S = 10.0
"""How far a folder may stand behind: each saving makes a file."""
LARGEST_AHEAD = 2_000
"""Records that one partition may be ahead of the next position; then it waits. Twelve
of them are some 40 MB."""
FETCH_BYTES = 512 * 1024
"""Of one partition at a time."""
POLL_MS = 200
GAP_TIMEOUT_S = 60.0
"""A transaction shows in one partition after the other, within moments. A position
that is missing for so long is missing."""
CHECK_EVERY_S = 60.0
"""How often the topic is asked whether it is still the same."""
SWEEP_EVERY_S = 600.0

_log = structlog.get_logger()


class OtherOriginError(RuntimeError):
    """The topic is not the one that the folder was filled from; ``what`` differs."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class BegunLateError(RuntimeError):
    """Records that the folder lacks have passed their time in the topic."""


class PositionMissingError(RuntimeError):
    """The topic lacks a position that it should have."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class RecordUnusableError(RuntimeError):
    """A record is no entry, or an altered one."""

    def __init__(self, partition: int, offset: int, why: str) -> None:
        super().__init__(f"{partition}/{offset}: {why}")


@dataclass(frozen=True, slots=True)
class _Held:
    """An entry that waits for the ones before it, and where its record stands."""

    told: Enveloped
    partition: int
    offset: int


class Follower:
    """Keeps one folder level with one topic. One thread's own, used once.

    ``options`` are those of every client (KafkaSettings.client); ``saved`` hears each
    position that the folder has come to, and ``at_work`` several times a second that it
    is alive.
    """

    def __init__(
        self,
        folder: Folder,
        options: Mapping[str, Any],
        *,
        topic: str = EVENTS.name,
        saved: Callable[[int], None] | None = None,
        at_work: Callable[[], object] = lambda: None,
        save_every_s: float = SAVE_EVERY_S,
        gap_timeout_s: float = GAP_TIMEOUT_S,
    ) -> None:
        self._folder = folder
        self._save_every_s = save_every_s
        self._gap_timeout_s = gap_timeout_s
        self._options = options
        self._topic = topic
        self._heard = saved
        self._at_work = at_work
        self._rows = Rows()
        self._rows_since = 0.0
        self._next = folder.position + 1
        self._held: dict[int, _Held] = {}
        self._ahead: Counter[int] = Counter()
        self._waiting: set[TopicPartition] = set()
        manifest = folder.manifest
        self._origin = None if manifest is None else manifest.origin
        self._seen = {} if manifest is None else dict(manifest.offsets)
        self._topic_id = ""
        self._published: Published | None = None
        self._moved = self._checked = self._swept = time.monotonic()

    def run(self, stop: Event, *, until_level: bool = False) -> None:
        """Follow until ``stop`` is set, or until the folder has what the topic had.

        Raises TopicMissingError, OtherOriginError, BegunLateError,
        PositionMissingError, RecordUnusableError and PartitionUnreadableError; whatever
        was saved before is whole.
        """
        number = self._look()
        self._published = self._said()
        self._must_be_of_the_origin()
        every = [TopicPartition(self._topic, each) for each in range(number)]
        with closing(
            reader_of(
                self._options,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=FETCH_BYTES * 4,
                max_poll_records=LARGEST_AHEAD,
            )
        ) as reader:
            ends = self._begin(reader, every)
            _log.info("analytics.begins", topic=self._topic, after=self._next - 1)
            self._moved = time.monotonic()
            while not stop.is_set():
                self._at_work()
                self._poll(reader, every)
                if until_level and self._is_level(ends):
                    break
                if (
                    len(self._rows)
                    and time.monotonic() - self._rows_since > self._save_every_s
                ):
                    self._save()
                self._look_after(until_level=until_level)
            self._save()

    # Beginning, and whether it is still the same --------------------------------

    def _look(self) -> int:
        """Whether the topic is still the one that it was; its number of partitions."""
        with closing(KafkaAdminClient(**self._options)) as admin:
            there = topics_there(admin, [self._topic])[self._topic]
        topic_id = str(there.topic_id)
        before = self._origin.topic_id if self._origin else self._topic_id
        if self._origin is not None and self._origin.topic != self._topic:
            raise OtherOriginError("topic")
        if before not in {"", topic_id}:
            raise OtherOriginError("topic's id")
        self._topic_id = topic_id
        self._checked = time.monotonic()
        return there.partitions

    def _said(self) -> Published | None:
        """How far the relay says that this very topic has come."""
        said = read_published(self._options).get(self._topic)
        return said if said and str(said.topic_id) == self._topic_id else None

    def _must_be_of_the_origin(self) -> None:
        if self._origin is None or self._published is None:
            return
        if self._origin.source != envelope.source_of(self._published.ledger_id):
            raise OtherOriginError("ledger")
        # A higher one may have begun behind what the folder has: then its first entry
        # comes, and is taken in. The relay refuses a topic with more than came back.
        known, now = self._origin.incarnation, self._published.incarnation
        if known is None or now == known:
            return
        if now < known or self._published.position < self._next - 1:
            raise OtherOriginError("ledger's incarnation")

    def _begin(
        self, reader: KafkaConsumer, every: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Stand where the folder ends; where the partitions end now."""
        begins = reader.beginning_offsets(every)
        ends: dict[TopicPartition, int] = reader.end_offsets(every)
        reader.assign(every)
        for each in every:
            at = self._seen.setdefault(each.partition, 0)
            if at < begins[each]:
                raise BegunLateError(self._topic)
            if at > ends[each]:
                raise OtherOriginError("topic's length")
            reader.seek(each, at)
        return ends

    # Records --------------------------------------------------------------------

    def _poll(self, reader: KafkaConsumer, every: list[TopicPartition]) -> None:
        before = self._next, dict(self._seen)
        for records in reader.poll(timeout_ms=POLL_MS).values():
            for record in records:
                self._take(record)
        self._release()
        for each in every:
            if each not in self._waiting:
                # Behind the last record may stand markers, which are no records.
                at = reader.position(each)
                self._seen[each.partition] = max(at, self._seen[each.partition])
        self._let_wait(reader, every)
        if (self._next, self._seen) != before:
            self._moved = time.monotonic()
        elif self._held and time.monotonic() - self._moved > self._gap_timeout_s:
            raise PositionMissingError(self._next)

    def _let_wait(self, reader: KafkaConsumer, every: list[TopicPartition]) -> None:
        """Read no further where too much is held, until the others have come up.

        By assigning the rest: what kafka-python 3.0 has fetched of a paused partition
        may never come after it was resumed.
        """
        ahead = {e for e in every if self._ahead[e.partition] > LARGEST_AHEAD}
        still = {e for e in self._waiting if self._ahead[e.partition]}
        if (waiting := ahead | still) == self._waiting:
            return
        self._waiting = waiting
        read = [each for each in every if each not in waiting]
        if not read:
            raise PositionMissingError(self._next)
        reader.assign(read)
        for each in read:
            reader.seek(each, self._seen[each.partition])

    def _take(self, record: ConsumerRecord) -> None:
        at = record.partition, record.offset
        try:
            told = envelope.read(record.key, record.value, record.headers)
        except EnvelopeError as error:
            raise RecordUnusableError(*at, error.code) from error
        if not told.is_unaltered:
            raise RecordUnusableError(*at, "leaf-hash")
        self._must_be_the_same(told)
        self._seen[record.partition] = record.offset + 1
        position = told.position
        held = self._held.get(position)
        if held is not None and held.told.leaf_hash != told.leaf_hash:
            raise RecordUnusableError(*at, "two-of-one-position")
        if position < self._next and _incarnation_of(told) > self._incarnation():
            # The folder has another entry there, of what was lost.
            raise OtherOriginError("ledger's history")
        if position < self._next or held is not None:
            # It came before: what was on its way at the last saving comes again.
            return
        self._held[position] = _Held(told, *at)
        self._ahead[record.partition] += 1

    def _must_be_the_same(self, told: Enveloped) -> None:
        if self._origin is None:
            said = self._published
            self._origin = Origin(
                topic=self._topic,
                topic_id=self._topic_id,
                source=told.source,
                incarnation=None if said is None else said.incarnation,
            )
            self._must_be_of_the_origin()
        if told.source != self._origin.source:
            raise OtherOriginError("ledger")
        manifest = self._folder.manifest
        if (
            manifest is not None
            and told.position == manifest.position
            and told.leaf_hash.hex() != manifest.leaf_hash
        ):
            raise OtherOriginError("ledger's history")

    def _release(self) -> None:
        """Take in what comes next without a hole."""
        while (found := self._held.pop(self._next, None)) is not None:
            if not self._rows.takes(found.told):
                # It counts as not seen yet, for it is not in what is saved.
                self._held[self._next] = found
                self._save()
                del self._held[self._next]
            self._ahead[found.partition] -= 1
            if not len(self._rows):
                self._rows_since = time.monotonic()
            self._rows.add(found.told)
            self._next += 1
            self._begin_incarnation(_incarnation_of(found.told))
            if len(self._rows) >= LARGEST_GROUP_ROWS:
                self._save()

    def _incarnation(self) -> int:
        """The newest one that the folder's rows are known to be of."""
        return 0 if self._origin is None else self._origin.incarnation or 0

    def _begin_incarnation(self, number: int) -> None:
        if self._origin is not None and number > self._incarnation():
            self._origin = replace(self._origin, incarnation=number)

    def _is_level(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything has been read that there was at the beginning."""
        is_read = all(self._seen[each.partition] >= end for each, end in ends.items())
        published = 0 if self._published is None else self._published.position
        if is_read and not self._held and self._next > published:
            return True
        if time.monotonic() - self._moved > self._gap_timeout_s:
            if is_read:
                raise PositionMissingError(self._next)
            raise PartitionUnreadableError
        return False

    # Saving ---------------------------------------------------------------------

    def _save(self) -> None:
        """Give the folder what was taken in, with where to go on."""
        rows, self._rows = self._rows, Rows()
        if not len(rows) or self._origin is None:
            return
        offsets = dict(self._seen)
        for each in self._held.values():
            offsets[each.partition] = min(offsets[each.partition], each.offset)
        self._folder.append(rows, origin=self._origin, offsets=offsets)
        _log.info("analytics.saved", position=rows.last, rows=len(rows))
        if self._heard is not None:
            self._heard(rows.last)

    def _look_after(self, *, until_level: bool) -> None:
        """What is due beside the reading: one thing of it at a time."""
        if self._folder.merge(datetime.now(UTC)):
            _log.info("analytics.merged", position=self._folder.position)
        now = time.monotonic()
        if now - self._swept > SWEEP_EVERY_S:
            self._swept = now
            self._folder.sweep(datetime.now(UTC))
        if not until_level and now - self._checked > CHECK_EVERY_S:
            self._look()


def _incarnation_of(told: Enveloped) -> int:
    """The incarnation that begins with the entry; 0 for any other entry."""
    if told.topic != ReturnedLedger.Resumed.TOPIC:
        return 0
    entry = told.entry
    begun = decoder_of(entry.topic)(entry.aggregate_id, entry.version, entry.body)
    return int(begun.incarnation)  # type: ignore[attr-defined]
