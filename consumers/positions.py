"""How far each outward topic has come, as the compacted position topic says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka import TopicPartition

from consumers.partitions import reader_of, records_between
from consumers.topic_admin import TopicMissingError
from consumers.topics import RELAY_POSITION
from ledger.bodies import canonical, read_body


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


def read_published(options: Mapping[str, Any]) -> dict[str, Published]:
    """How far each outward topic has come, by its name.

    Raises TopicMissingError where there is no position topic.
    """
    partition = TopicPartition(RELAY_POSITION.name, 0)
    reader = reader_of(options)
    try:
        if not reader.partitions_for_topic(RELAY_POSITION.name):
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
