"""What partitions have is found behind markers and aborted records, however many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from consumers.partitions import close_hanging, last_records
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
