"""What stands on the topic of the agencies' replies, and how far it was passed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from consumers.inward.records import tracking_name
from consumers.inward.worker import topic_ids
from consumers.partitions import reader_of, records_between
from consumers.topics import AGENCY_REPLIES
from ledger.persistence.recorders import PostgresProcessRecorder

_PLACES = [
    TopicPartition(AGENCY_REPLIES.name, each)
    for each in range(AGENCY_REPLIES.partitions)
]


def messages(options: Mapping[str, Any]) -> dict[tuple[int, int], UUID]:
    """The request of each by its place: a sender that broke off cannot tell."""
    with closing(reader_of(options)) as reader:
        starts = reader.beginning_offsets(_PLACES)
        ends = reader.end_offsets(_PLACES)
        return {
            (record.partition, record.offset): UUID(record.key.decode())
            for records, _ in records_between(reader, starts, ends)
            for record in records
        }


def not_passed(
    options: Mapping[str, Any], recorder: PostgresProcessRecorder
) -> list[tuple[int, int]]:
    """Of partitions with more than was passed: one above its last, and the end."""
    name = AGENCY_REPLIES.name
    with closing(KafkaAdminClient(**options)) as admin:
        topic_id = topic_ids(admin, [name])[name]
    with closing(reader_of(options)) as reader:
        ends = reader.end_offsets(_PLACES)
    found = []
    for each, end in ends.items():
        mark = recorder.max_tracking_id(tracking_name(name, topic_id, each.partition))
        passed = 0 if mark is None else mark + 1
        if passed != end:
            found.append((passed, end))
    return found
