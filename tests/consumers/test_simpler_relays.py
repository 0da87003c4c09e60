"""The check finds what simpler relays lose and double, and ours does neither.

What a restarted broker does to them in one of many rounds is set up here by hand;
benchmarks/relay_under_kills.py waits for it to happen.
"""

from __future__ import annotations

import dataclasses
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from consumers import envelope
from consumers.outward import partition_of
from consumers.positions import read_published
from consumers.relay import Relay
from consumers.topics import RELAY_POSITION, Topic
from consumers.verifying import Fault, TopicVerifier, Verdict
from tests.consumers.conftest import Book, relay_until
from tests.consumers.simpler_relays import BelievingRelay, TrustingRelay


class Losing:
    """A producer that loses one record of a topic, and says so by its future only.

    As the client does with a batch that reaches its delivery timeout.
    """

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.has_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def send(self, topic: str, **record: Any) -> Any:
        if topic != self._topic or self.has_lost or record["key"] == b"closing":
            return self._producer.send(topic, **record)
        self.has_lost = True
        return Lost()


class Lost:
    """What was to come of a record that will never be written."""

    def get(self, *_: object) -> None:
        raise KafkaTimeoutError("the batch reached its delivery timeout")


def losing(kind: type[Relay], book: Book, options: dict[str, Any], topic: Topic) -> Any:
    """A relay of that kind whose first record is lost."""

    class Unlucky(kind):  # type: ignore[misc, valid-type] -- each kind in turn
        def _producer(self) -> Any:
            self.made = Losing(super()._producer(), topic.name)
            return self.made

    return Unlucky(book.reader, options, topic=topic)


def verdict_on(options: dict[str, Any], topic: Topic, book: Book) -> Verdict:
    return TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()


def test_who_trusts_a_commit_loses_a_record_and_is_found_out(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(40)
    relay_until(losing(TrustingRelay, book, options, topic), head)
    verdict = verdict_on(options, topic, book)
    assert [each.fault for each in verdict.findings] == [Fault.MISSING]
    assert verdict.records == head - 1


def test_who_looks_at_each_future_ends_and_loses_nothing(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(40)
    unlucky = losing(Relay, book, options, topic)
    with pytest.raises(KafkaTimeoutError):
        relay_until(unlucky, head)
    assert unlucky.made.has_lost
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = verdict_on(options, topic, book)
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.records) == (1, head, head)


def with_a_torn_commit(
    options: dict[str, Any], topic: Topic, book: Book, *, is_recorded: bool
) -> int:
    """A commit of which only a part took effect; the head after it.

    Where it is recorded, the position and no event came through; else one partition's
    events, and neither the others' nor the position.
    """
    published = book.add(20)
    relay_until(Relay(book.reader, options, topic=topic), published)
    head = book.add(40)
    if is_recorded:
        said = dataclasses.replace(read_published(options)[topic.name], position=head)
        key, value = topic.name.encode(), said.to_bytes()
        records = [{"topic": RELAY_POSITION.name, "key": key, "value": value}]
    else:
        source = envelope.source_of(book.reader.head().ledger_id).encode()
        rows = book.reader.rows(after=published, limit=head, until=head)
        keys = [row[2].encode() for row in rows]
        # Some partition, and one that has entries: which, the aggregates' ids decide.
        torn = partition_of(keys[-1], topic.partitions)
        records = [
            {
                "topic": topic.name,
                "partition": torn,
                "key": key,
                "value": row[5],
                "headers": envelope.headers_of(row, source),
            }
            for key, row in zip(keys, rows, strict=True)
            if partition_of(key, topic.partitions) == torn
        ]
    with closing(KafkaProducer(**options)) as producer:
        for record in records:
            producer.send(**record)
        producer.flush()
    return head


@pytest.mark.parametrize(
    ("is_recorded", "fault"), [(True, Fault.MISSING), (False, Fault.DOUBLED)]
)
def test_who_believes_its_record_is_found_out(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    is_recorded: bool,
    fault: Fault,
) -> None:
    with_a_torn_commit(options, topic, book, is_recorded=is_recorded)
    head = book.add(10)
    relay_until(BelievingRelay(book.reader, options, topic=topic), head)
    findings = verdict_on(options, topic, book).findings
    assert findings
    assert {each.fault for each in findings} == {fault}


@pytest.mark.parametrize("is_recorded", [True, False])
def test_who_asks_the_partitions_makes_a_torn_commit_whole(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    is_recorded: bool,
) -> None:
    with_a_torn_commit(options, topic, book, is_recorded=is_recorded)
    head = book.add(10)
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = verdict_on(options, topic, book)
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.records) == (1, head, head)
