"""Proves that a topic has everything, once, in order and unaltered.

From the topic alone: positions are dense from the first retained one, every entry has
its leaf hash, and within a partition, and so within an aggregate, positions rise. With
a ledger at hand also that each entry is the ledger's own, and that none is missing at
the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from consumers import envelope
from consumers.envelope import Enveloped, EnvelopeError
from consumers.outward import partition_of
from consumers.partitions import reader_of, records_between, settled_ends
from consumers.topic_admin import TopicMissingError
from consumers.topics import EVENTS
from ledger.reader import LedgerReader

FETCH_BYTES = 4 * 2**20
"""Of one partition at a time: some seven thousand records."""


class Fault(StrEnum):
    """What can be wrong with a topic."""

    MISSING = "missing"
    DOUBLED = "doubled"
    CHANGED = "changed"
    FOREIGN = "foreign"
    OUT_OF_ORDER = "out-of-order"
    WRONG_PARTITION = "wrong-partition"
    NOT_AN_EVENT = "not-an-event"
    NOT_PROVABLE = "not-provable"
    """All records of a partition have passed their time: only a ledger could tell
    which entries they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and where: a position, or a record's place."""

    fault: Fault
    position: int | None
    partition: int | None
    offset: int | None
    detail: str = ""

    def __str__(self) -> str:
        """In words, without a value of the record."""
        place = ""
        if self.partition is not None:
            place = f" partition {self.partition}"
        if self.offset is not None:
            place = f" at {self.partition}/{self.offset}"
        which = "" if self.position is None else f" position {self.position}"
        why = f" ({self.detail})" if self.detail else ""
        return f"{self.fault}:{which}{place}{why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found. ``first`` and ``last`` bound the positions that were proved.

    ``behind`` is how many entries the ledger has above them: not published yet, or
    gone from the end.
    """

    topic: str
    records: int
    first: int | None
    last: int | None
    compared: int
    behind: int
    findings: Sequence[Finding]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


MOST_FINDINGS = 20
"""After so many the rest is counted no more: the topic is wrong."""


class Positions:
    """Which positions were seen: one bit each, 38 MB for 300 million."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.first: int | None = None
        self.last = 0

    def add(self, position: int) -> bool:
        """Whether it is new."""
        place, bit = position >> 3, 1 << (position & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(max(4096, place + 1 - len(self._bits))))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        self.last = max(self.last, position)
        if self.first is None or position < self.first:
            self.first = position
        return True

    def has(self, position: int) -> bool:
        """Whether it was seen."""
        place = position >> 3
        return place < len(self._bits) and bool(
            self._bits[place] & (1 << (position & 7))
        )

    def missing(self, first: int, last: int) -> Iterator[int]:
        """The positions between two, both inclusive, that were not seen."""
        position = first
        while position <= last:
            byte = self._bits[position >> 3] if position >> 3 < len(self._bits) else 0
            if byte == 0xFF and position & 7 == 0:  # noqa: PLR2004 -- eight at once
                position += 8
                continue
            if not byte & (1 << (position & 7)):
                yield position
            position += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What of a topic was there when its reading began.

    ``last`` is the highest position. What has passed its time is gone partition by
    partition, so a topic is whole from ``first`` on, where the last of them begins;
    ``gone`` are those of which every record has passed.
    """

    first: int
    last: int
    gone: frozenset[int]


class Verifier(ABC):
    """Reads one topic once, to its end, and keeps what is wrong with it.

    ``until`` is the position up to which nothing may be missing, from 1 on. With 0 what
    has passed its time is no fault, and neither is what the ledger has more.
    """

    def __init__(
        self, options: Mapping[str, Any], *, topic: str, until: int = 0
    ) -> None:
        self._options = options
        self._topic = topic
        self._until = until
        self._width = 0
        self._positions = Positions()
        self._findings: list[Finding] = []
        self._last: dict[int, int] = {}
        self._records = 0

    @abstractmethod
    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        """Look at a batch of one partition."""

    def _read(self) -> Begun:
        """Take in every record, from the first retained one to the end now."""
        with closing(
            reader_of(
                self._options,
                max_partition_fetch_bytes=FETCH_BYTES,
                max_poll_records=10_000,
            )
        ) as reader:
            partitions = reader.partitions_for_topic(self._topic)
            if not partitions:
                raise TopicMissingError(self._topic)
            self._width = len(partitions)
            every = [TopicPartition(self._topic, each) for each in sorted(partitions)]
            starts = reader.beginning_offsets(every)
            ends = settled_ends(self._options, every)
            begins: dict[TopicPartition, int] = {}
            for batch, partition in records_between(reader, starts, ends):
                begins.setdefault(partition, _position(batch[0]))
                self._records += len(batch)
                self._take(batch)
                if self._is_enough:
                    break
            last = self._positions.last
            # A relay at work: of its last transaction some partitions show nothing yet.
            settled = settled_ends(self._options, every)
            for batch, _ in records_between(reader, ends, settled):
                self._records += len(batch)
                self._take(batch)
        late = {each for each in every if starts[each] > 0}
        return Begun(
            first=max((begins.get(each, 0) for each in late), default=0) or 1,
            last=last,
            gone=frozenset(each.partition for each in late - set(begins)),
        )

    def _stands(self, record: ConsumerRecord, position: int) -> None:
        """Find what is wrong with the place of a record, and keep it as seen."""
        if partition_of(record.key, self._width) != record.partition:
            self._find(Fault.WRONG_PARTITION, position, record)
        before = self._last.get(record.partition, 0)
        if not self._positions.add(position):
            self._find(Fault.DOUBLED, position, record)
        elif position < before:
            self._find(Fault.OUT_OF_ORDER, position, record)
        self._last[record.partition] = max(position, before)

    @property
    def _is_enough(self) -> bool:
        return len(self._findings) >= MOST_FINDINGS

    def _find(
        self,
        fault: Fault,
        position: int | None,
        record: ConsumerRecord | None = None,
        detail: str = "",
    ) -> None:
        self._findings.append(
            Finding(
                fault=fault,
                position=position,
                partition=None if record is None else record.partition,
                offset=None if record is None else record.offset,
                detail=detail,
            )
        )


class TopicVerifier(Verifier):
    """Verifies a topic of events. ``ledger`` is the one it claims to hold, or None."""

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        topic: str = EVENTS.name,
        ledger: LedgerReader | None = None,
        until: int = 0,
    ) -> None:
        super().__init__(options, topic=topic, until=until)
        self._ledger = ledger
        self._sources: set[str] = set()
        self._compared = 0

    def verify(self) -> Verdict:
        """Read the topic from its first retained record to its end now, and judge.

        Raises TopicMissingError, and PartitionUnreadableError where a transaction
        hangs before the end.
        """
        # Before the topic's end is asked: what is published meanwhile is not behind.
        head = None if self._ledger is None else self._ledger.head()
        if head is not None:
            self._sources.add(envelope.source_of(head.ledger_id))
        begun = self._read()
        self._judge(begun)
        is_any = self._positions.first is not None
        first, last = (begun.first, begun.last) if is_any else (None, None)
        return Verdict(
            topic=self._topic,
            records=self._records,
            first=first,
            last=last,
            compared=self._compared,
            behind=max(0, (head.position if head else 0) - (last or 0)),
            findings=self._findings[:MOST_FINDINGS],
        )

    def _judge(self, begun: Begun) -> None:
        """Whether every position is there that has to be."""
        if self._until:
            last = max(begun.last, self._until)
            begun = Begun(first=1, last=last, gone=frozenset())
        elif self._positions.first is None:
            return
        if begun.gone and self._ledger is None:
            self._findings += [
                Finding(
                    fault=Fault.NOT_PROVABLE,
                    position=None,
                    partition=partition,
                    offset=None,
                )
                for partition in sorted(begun.gone)
            ]
            return
        for position in self._positions.missing(begun.first, begun.last):
            if self._is_enough:
                break
            if begun.gone and self._partition_of(position) in begun.gone:
                continue
            self._find(Fault.MISSING, position)

    def _partition_of(self, position: int) -> int | None:
        """Which partition the ledger's entry at a position belongs to."""
        entry = None if self._ledger is None else self._ledger.entry(position)
        if entry is None:
            return None
        return partition_of(str(entry.aggregate_id).encode(), self._width)

    # One batch ------------------------------------------------------------------

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        entries = []
        for record in records:
            told = self._read_one(record)
            if told is not None:
                entries.append((told, record))
        if self._ledger is not None and entries:
            self._compare(self._ledger, entries)

    def _read_one(self, record: ConsumerRecord) -> Enveloped | None:
        """The entry of a record where nothing is wrong with it."""
        try:
            told = envelope.read(record.key, record.value, record.headers)
        except EnvelopeError as error:
            self._find(Fault.NOT_AN_EVENT, None, record, error.code)
            return None
        position = told.position
        self._sources.add(told.source)
        if len(self._sources) > 1:
            self._sources.discard(told.source)
            self._find(Fault.FOREIGN, position, record, "another-source")
            return None
        if not told.is_unaltered:
            self._find(Fault.CHANGED, position, record, "leaf-hash")
            return None
        self._stands(record, position)
        return told

    def _compare(
        self, ledger: LedgerReader, entries: Sequence[tuple[Enveloped, ConsumerRecord]]
    ) -> None:
        """Whether the ledger has the very same entries."""
        stored = ledger.rows_at([told.position for told, _ in entries])
        for told, record in entries:
            if not told.is_of(stored.get(told.position)):
                self._find(Fault.CHANGED, told.position, record, "not-the-ledgers")
        self._compared += len(entries)


def _position(record: ConsumerRecord) -> int:
    return envelope.position_of(record.headers) or 0
