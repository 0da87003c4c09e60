"""What partitions have is found behind markers and aborted records, however many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from consumers.partitions import (
    close_hanging,
    last_records,
    reader_of,
    records_between,
    settled_ends,
)
from consumers.topics import Topic


@pytest.fixture
def producer(options: dict[str, Any], topic: Topic) -> Iterator[KafkaProducer]:
    with closing(
        KafkaProducer(**options, transactional_id=topic.name, linger_ms=5)
    ) as made:
        made.init_transactions()
        yield made


def every(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, n) for n in range(topic.partitions)]


@pytest.mark.parametrize("closings", [1, 12])
def test_the_last_record_is_found_behind_many_markers(
    options: dict[str, Any], topic: Topic, producer: KafkaProducer, closings: int
) -> None:
    partitions = every(topic)
    producer.begin_transaction()
    sent = [
        producer.send(topic.name, partition=number, key=b"k", value=b"%d" % value)
        for number in range(4)
        for value in range(3)
    ]
    for future in sent:
        future.get(30)
    producer.commit_transaction()
    for _ in range(closings):
        close_hanging(producer, options, partitions)
    found = last_records(options, partitions)
    assert {each.partition for each in found} == {0, 1, 2, 3}
    assert {record.value for record in found.values()} == {b"2"}


def test_a_partition_without_records_has_no_last_one(
    options: dict[str, Any], topic: Topic, producer: KafkaProducer
) -> None:
    assert last_records(options, every(topic)) == {}
    close_hanging(producer, options, every(topic))
    assert last_records(options, every(topic)) == {}


def test_what_was_left_in_the_middle_of_a_fetch_is_read_on_with(
    options: dict[str, Any], topic: Topic, producer: KafkaProducer
) -> None:
    """As who reads what was written while it was reading: of all partitions at once."""
    partitions = every(topic)
    producer.begin_transaction()
    for value in range(60):
        for each in partitions:
            producer.send(topic.name, partition=each.partition, value=b"%d" % value)
    producer.commit_transaction()
    ends = settled_ends(options, partitions)
    places = [dict.fromkeys(partitions, n) for n in (0, 20, 40)]
    read: Counter[tuple[int, bytes]] = Counter()
    # Few at a time, so that each fetch is given out in pieces.
    with closing(reader_of(options, max_poll_records=7)) as reader:
        for starts, until in pairwise([*places, ends]):
            for records, at in records_between(reader, starts, until, timeout_s=10):
                read.update((at.partition, record.value) for record in records)
    assert read == {
        (each.partition, b"%d" % value): 1 for each in partitions for value in range(60)
    }
