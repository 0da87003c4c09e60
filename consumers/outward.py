"""The topics that the relay fills: what each gets of the ledger's rows, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from kafka import KafkaProducer, TopicPartition
from kafka.partitioner.default import murmur2

from consumers import envelope
from ledger.bundles import BareRow

_NO_ID = UUID(int=0)


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as every client computes it by default (murmur2)."""
    number: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return number


class Kind(Protocol):
    """What a topic gets of the ledger's rows: which of them, and how they are told."""

    def picked(self, rows: Sequence[BareRow]) -> Iterable[tuple[BareRow, bytes]]:
        """The rows that become records, each with the value, in order."""

    def headers(self, row: BareRow, source: bytes) -> envelope.Headers:
        """The headers of a row's record."""


class Events:
    """Every row as it is."""

    def picked(self, rows: Sequence[BareRow]) -> Iterable[tuple[BareRow, bytes]]:
        """All of them; the value is the body."""
        return ((row, row[5]) for row in rows)

    def headers(self, row: BareRow, source: bytes) -> envelope.Headers:
        """The entry's own."""
        return envelope.headers_of(row, source)


@dataclass(slots=True, kw_only=True)
class Outward:
    """One topic that is filled: how wide it is, and how far each partition has come."""

    name: str
    kind: Kind
    topic_id: UUID = _NO_ID
    width: int = 0
    last: dict[int, int] = field(default_factory=dict)

    @property
    def partitions(self) -> list[TopicPartition]:
        """All of them."""
        return [TopicPartition(self.name, each) for each in range(self.width)]


def send(
    producer: KafkaProducer,
    outward: Outward,
    rows: Sequence[BareRow],
    source: bytes,
    sent: list[Any],
) -> dict[int, int]:
    """Send what a topic's partitions lack; how far each of them comes by it."""
    reached = dict(outward.last)
    for row, value in outward.kind.picked(rows):
        key = row[2].encode()
        partition = partition_of(key, outward.width)
        if row[0] <= reached[partition]:
            continue
        sent.append(
            producer.send(
                outward.name,
                partition=partition,
                key=key,
                value=value,
                headers=outward.kind.headers(row, source),
                timestamp_ms=row[1] // 1000,
            )
        )
        reached[partition] = row[0]
    return reached
