"""The proof of a topic is worth what it catches: each fault is planted once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from consumers import envelope
from consumers.outward import partition_of
from consumers.partitions import last_records, settled_ends
from consumers.relay import Relay
from consumers.topic_admin import TopicMissingError
from consumers.topics import Topic
from consumers.verifying import Fault, Finding, TopicVerifier, Verdict
from tests.consumers.conftest import Book, relay_until

Row = list[Any]


class Planted:
    """A topic that is written record by record, as a wrong relay would."""

    def __init__(self, options: dict[str, Any], topic: Topic, book: Book) -> None:
        self.options, self.topic, self.book = options, topic, book
        self.source = envelope.source_of(book.reader.head().ledger_id).encode()

    def rows(self) -> list[tuple[Any, ...]]:
        head = self.book.reader.head().position
        return self.book.reader.rows(after=0, limit=head, until=head)

    def write(self, records: list[dict[str, Any]]) -> None:
        with closing(KafkaProducer(**self.options, linger_ms=5)) as producer:
            for future in [
                producer.send(self.topic.name, **record) for record in records
            ]:
                future.get(30)

    def record(self, row: tuple[Any, ...], **changed: Any) -> dict[str, Any]:
        key = row[2].encode()
        return {
            "key": key,
            "partition": partition_of(key, self.topic.partitions),
            "value": bytes(row[5]),
            "headers": envelope.headers_of(row, self.source),
            **changed,
        }

    def verdict(self, *, with_ledger: bool = False) -> Verdict:
        ledger = self.book.reader if with_ledger else None
        return TopicVerifier(
            self.options, topic=self.topic.name, ledger=ledger
        ).verify()


@pytest.fixture
def planted(options: dict[str, Any], topic: Topic, book: Book) -> Planted:
    book.add(10)
    return Planted(options, topic, book)


def faults(findings: Any) -> list[tuple[Fault, int | None]]:
    return [(each.fault, each.position) for each in findings]


def test_a_topic_written_rightly_is_whole(planted: Planted) -> None:
    planted.write([planted.record(row) for row in planted.rows()])
    verdict = planted.verdict()
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.records) == (1, 30, 30)
    assert planted.verdict(with_ledger=True).is_whole


@pytest.mark.parametrize("position", [1, 7, 29])
def test_a_missing_record_is_named(planted: Planted, position: int) -> None:
    rows = [row for row in planted.rows() if row[0] != position]
    planted.write([planted.record(row) for row in rows])
    assert faults(planted.verdict().findings) == [(Fault.MISSING, position)]


def test_a_missing_end_is_what_the_ledger_has_more(planted: Planted) -> None:
    planted.write([planted.record(row) for row in planted.rows()[:-2]])
    verdict = planted.verdict(with_ledger=True)
    assert verdict.is_whole
    assert (verdict.last, verdict.behind) == (28, 2)


def test_a_doubled_record_is_named(planted: Planted) -> None:
    rows = planted.rows()
    planted.write([planted.record(row) for row in [*rows, rows[11]]])
    assert (Fault.DOUBLED, 12) in faults(planted.verdict().findings)


def _other_body(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"value": record["value"].replace(b"said", b"sold")}


def _other_header(name: str, value: bytes) -> Callable[[Any], dict[str, Any]]:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        told = dict(record["headers"]) | {name: value}
        return record | {"headers": list(told.items())}

    return change


@pytest.mark.parametrize(
    "change",
    [
        _other_body,
        _other_header("ce_type", b"sijil.request.informed.v2"),
        _other_header("ce_time", b"2026-01-01T00:00:00.000000Z"),
        _other_header("ce_leafhash", b"0" * 64),
    ],
)
def test_a_changed_record_is_named(
    planted: Planted, change: Callable[[Any], dict[str, Any]]
) -> None:
    records = [planted.record(row) for row in planted.rows()]
    records[4] = change(records[4])
    planted.write(records)
    assert (Fault.CHANGED, 5) in faults(planted.verdict().findings)


def test_a_record_with_a_leaf_hash_of_its_own_is_caught_by_the_ledger(
    planted: Planted,
) -> None:
    rows = planted.rows()
    forged = (*rows[4][:5], b'{"data":{}}')
    records = [planted.record(row) for row in rows]
    records[4] = planted.record(forged)
    planted.write(records)
    assert planted.verdict().is_whole
    found = planted.verdict(with_ledger=True).findings
    assert faults(found) == [(Fault.CHANGED, 5)]
    assert found[0].detail == "not-the-ledgers"


def test_records_of_one_key_in_another_order_are_named(planted: Planted) -> None:
    rows = planted.rows()
    key = rows[0][2]
    (first, second, *_) = [n for n, row in enumerate(rows) if row[2] == key]
    rows[first], rows[second] = rows[second], rows[first]
    planted.write([planted.record(row) for row in rows])
    assert Fault.OUT_OF_ORDER in [each.fault for each in planted.verdict().findings]


def test_a_record_in_anothers_partition_is_named(planted: Planted) -> None:
    records = [planted.record(row) for row in planted.rows()]
    last = records[-1]
    last["partition"] = (last["partition"] + 1) % planted.topic.partitions
    planted.write(records)
    assert (Fault.WRONG_PARTITION, 30) in faults(planted.verdict().findings)


def test_a_record_of_another_ledger_is_named(planted: Planted) -> None:
    records = [planted.record(row) for row in planted.rows()]
    records[9] = _other_header("ce_source", b"urn:uuid:other")(records[9])
    planted.write(records)
    found = planted.verdict(with_ledger=True).findings
    assert (Fault.FOREIGN, 10) in faults(found)


@pytest.mark.parametrize("value", [b"{}", None, b"\x00\xff"])
def test_a_record_that_is_no_event_is_named_by_its_place(
    planted: Planted, value: bytes | None
) -> None:
    records = [planted.record(row) for row in planted.rows()]
    stray = {"key": b"stray", "value": value, "partition": 0, "headers": []}
    planted.write([*records, stray])
    (found,) = planted.verdict().findings
    assert (found.fault, found.partition) == (Fault.NOT_AN_EVENT, 0)
    assert found.offset is not None


def test_a_finding_in_words_names_the_place_and_no_value() -> None:
    finding = Finding(
        fault=Fault.CHANGED, position=5, partition=3, offset=8, detail="leaf-hash"
    )
    assert str(finding) == "changed: position 5 at 3/8 (leaf-hash)"


def cut(planted: Planted, partitions: range, *, leave: int) -> None:
    """Let all but the last offsets of those partitions pass that have any event."""
    asked = [TopicPartition(planted.topic.name, n) for n in partitions]
    # A transaction ends in each partition moments after the relay was told.
    ends = settled_ends(planted.options, asked)
    every = list(last_records(planted.options, asked))
    with closing(KafkaAdminClient(**planted.options)) as admin:
        admin.delete_records({each: max(1, ends[each] - leave) for each in every})


@pytest.fixture
def published(planted: Planted) -> Planted:
    planted.book.add(40)
    reader = planted.book.reader
    relay_until(
        Relay(reader, planted.options, topic=planted.topic), reader.head().position
    )
    return planted


@pytest.mark.parametrize("with_ledger", [True, False])
def test_what_has_passed_its_time_is_no_fault(
    published: Planted, *, with_ledger: bool
) -> None:
    """Whole from where the last of the partitions begins."""
    cut(published, range(12), leave=6)
    verdict = published.verdict(with_ledger=with_ledger)
    assert verdict.is_whole
    assert verdict.first is not None
    assert verdict.first > 1
    assert verdict.records < 150


def test_a_partition_of_which_all_is_gone_is_judged_by_the_ledger(
    published: Planted,
) -> None:
    cut(published, range(6), leave=0)
    found = published.verdict().findings
    assert {each.fault for each in found} == {Fault.NOT_PROVABLE}
    assert {each.partition for each in found} <= set(range(6))
    verdict = published.verdict(with_ledger=True)
    assert verdict.is_whole
    assert verdict.records < 150


def test_a_topic_that_is_not_there_is_no_empty_one(options: dict[str, Any]) -> None:
    with pytest.raises(TopicMissingError, match="not-there"):
        TopicVerifier(options, topic="sijil.not-there.v1").verify()
