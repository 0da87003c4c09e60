"""Who reads with another client finds what the description says, and all of it.

librdkafka is another implementation of the protocol, of transactions and of headers.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from jsonschema import Draft7Validator, ValidationError

from consumers.schemas import EVENT_HEADERS, URN
from tests.consumers.conftest import Lives
from tests.docs.pages import REFERENCE

READ_TIMEOUT_S = 30.0


def read_all(options: dict[str, Any], topic: str, level: str) -> list[Any]:
    """Every record of a topic, from its beginning to its end now."""
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(options["bootstrap_servers"]),
            "group.id": "another-client",
            "isolation.level": level,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    with closing(consumer):
        told = consumer.list_topics(topic, timeout=READ_TIMEOUT_S).topics[topic]
        open_ = set(told.partitions)
        consumer.assign(
            [TopicPartition(topic, each, OFFSET_BEGINNING) for each in open_]
        )
        records = []
        while open_:
            record = consumer.poll(READ_TIMEOUT_S)
            assert record is not None, "nothing comes"
            error = record.error()
            if error is None:
                records.append(record)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                open_.discard(record.partition())
    return records


def headers_of(record: Any) -> dict[str, str]:
    pairs = record.headers() or []
    told = {name: text.decode("ascii") for name, text in pairs}
    assert len(told) == len(pairs), "a header stands twice"
    return told


def schema_of(urn: str) -> Draft7Validator:
    """The schema in the repository that an id leads to, as a stranger finds it."""
    path = REFERENCE / "schemas" / f"{urn.removeprefix(URN)}.json"
    schema = json.loads(path.read_bytes())
    assert schema["$id"] == urn
    return Draft7Validator(schema)


def check(record: Any, known: dict[str, Draft7Validator]) -> tuple[int, str]:
    """Hold a record against the description; its position and type."""
    told = headers_of(record)
    urns = (f"{URN}{EVENT_HEADERS}", told.get("ce_dataschema", ""))
    for urn in urns:
        if urn not in known:
            known[urn] = schema_of(urn)
    known[urns[0]].validate(told)
    known[urns[1]].validate(json.loads(record.value()))
    assert urns[1] == f"{URN}{told['ce_type']}"
    key = record.key().decode("ascii")
    assert key == told["ce_subject"] == told["ce_partitionkey"]
    assert told["ce_id"].startswith(f"{key}/")
    # As docs/reference/contract.md has it, with nothing of ours.
    version = told["ce_id"].removeprefix(f"{key}/")
    lines = ("sijil-entry/v1", told["ce_sequence"], told["ce_time"], key, version)
    head = "".join(f"{line}\n" for line in (*lines, told["ce_type"])).encode()
    leaf = hashlib.sha256(b"\0" + head + record.value()).hexdigest()
    assert leaf == told["ce_leafhash"]
    return int(told["ce_sequence"]), told["ce_type"]


def test_every_record_is_as_described_and_none_is_missing_or_doubled(
    options: dict[str, Any], lives: Lives
) -> None:
    records = read_all(options, lives.topic.name, "read_committed")
    known: dict[str, Draft7Validator] = {}
    found = [check(record, known) for record in records]
    assert sorted(position for position, _ in found) == [*range(1, lives.head + 1)]
    assert len({type_ for _, type_ in found}) > 25
    last: dict[bytes, int] = {}
    for record, (position, _) in zip(records, found, strict=True):
        assert position > last.get(record.key(), 0)
        last[record.key()] = position


def test_who_reads_what_was_not_committed_sees_what_is_no_event(
    options: dict[str, Any], lives: Lives
) -> None:
    records = read_all(options, lives.topic.name, "read_uncommitted")
    strays = [
        each for each in records if dict(each.headers()) == {"sijil_closing": b"1"}
    ]
    assert len(records) == lives.head + len(strays)
    assert len(strays) >= lives.topic.partitions
    with pytest.raises(ValidationError):
        schema_of(f"{URN}{EVENT_HEADERS}").validate(headers_of(strays[0]))
