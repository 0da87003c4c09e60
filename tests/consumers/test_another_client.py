"""Who reads with another client finds what the description says, and all of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import ValidationError

from consumers.topics import (
    DEAD_LETTERS,
    EVENTS,
    RELAY_POSITION,
    REQUEST_STATUS,
    TOPICS,
)
from tests.consumers.conftest import Lives
from tests.consumers.stranger import Record, document, must_fit, read_all, schema_of

URN = "urn:sijil:schema:"


def check_cloud_event(record: Record, channel: str) -> dict[str, str]:
    """Hold a record with CloudEvents headers against the description; the headers."""
    told = record.told
    must_fit(record, channel, told["ce_type"])
    assert told["ce_dataschema"] == f"{URN}{told['ce_type']}"
    assert record.key == told["ce_subject"].encode()
    assert told["ce_partitionkey"] == told["ce_subject"]
    return told


def check_event(record: Record) -> tuple[int, str]:
    """Hold an event against the description; its position and type."""
    told = check_cloud_event(record, EVENTS.name)
    key = told["ce_subject"]
    assert told["ce_id"].startswith(f"{key}/")
    # As docs/reference/contract.md has it, with nothing of ours.
    version = told["ce_id"].removeprefix(f"{key}/")
    lines = ("sijil-entry/v1", told["ce_sequence"], told["ce_time"], key, version)
    head = "".join(f"{line}\n" for line in (*lines, told["ce_type"])).encode()
    assert record.value is not None
    leaf = hashlib.sha256(b"\0" + head + record.value).hexdigest()
    assert leaf == told["ce_leafhash"]
    return int(told["ce_sequence"]), told["ce_type"]


def test_every_record_is_as_described_and_none_is_missing_or_doubled(
    options: dict[str, Any], lives: Lives
) -> None:
    records = read_all(options, lives.topic.name)
    found = [check_event(record) for record in records]
    assert sorted(position for position, _ in found) == [*range(1, lives.head + 1)]
    assert len({type_ for _, type_ in found}) > 25
    last: dict[bytes | None, int] = {}
    for record, (position, _) in zip(records, found, strict=True):
        assert position > last.get(record.key, 0)
        last[record.key] = position


def test_every_status_is_as_described_and_every_request_has_one(
    options: dict[str, Any], lives: Lives
) -> None:
    events = {
        record.told["ce_sequence"]: record.told
        for record in read_all(options, lives.topic.name)
    }
    last: dict[str, int] = {}
    for record in read_all(options, lives.statuses.name):
        told = check_cloud_event(record, REQUEST_STATUS.name)
        key = told["ce_subject"]
        assert record.said["request_id"] == key
        # It says which event it follows from, and has an id of its own.
        event = events[told["ce_sequence"]]
        own = {"ce_type", "ce_dataschema", "ce_id"}
        assert {name for name in told if told[name] != event[name]} == own
        assert told["ce_id"] == f"status/{event['ce_id']}"
        assert int(told["ce_sequence"]) > last.get(key, 0)
        last[key] = int(told["ce_sequence"])
    submitted = "sijil.request.submitted.v1"
    assert set(last) == {
        told["ce_subject"] for told in events.values() if told["ce_type"] == submitted
    }


def test_every_position_is_as_described_and_the_last_is_the_ledgers(
    options: dict[str, Any], lives: Lives
) -> None:
    ledger = lives.reader.head()
    names = {lives.topic.name.encode(), lives.statuses.name.encode()}
    last: dict[bytes, Any] = {}
    for record in read_all(options, RELAY_POSITION.name):
        # Other tests have topics of their own.
        if record.key not in names:
            continue
        must_fit(record, RELAY_POSITION.name, RELAY_POSITION.name)
        assert record.said["position"] >= last.get(record.key, record.said)["position"]
        last[record.key] = record.said
    assert set(last) == names
    for value in last.values():
        assert value["position"] == lives.head
        assert value["ledger_id"] == str(ledger.ledger_id)
        assert value["incarnation"] == ledger.incarnation
    assert len({value["topic_id"] for value in last.values()}) == len(names)


def test_no_kind_of_topic_is_left_out_here() -> None:
    """What comes inward and its dead letters: inward/test_another_client.py."""
    inward = {topic.name for topic in TOPICS if topic.is_restricted}
    here = {EVENTS.name, REQUEST_STATUS.name, RELAY_POSITION.name}
    assert DEAD_LETTERS.name in inward
    assert set(document()["channels"]) == here | inward


def test_who_reads_what_was_not_committed_sees_what_is_no_event(
    options: dict[str, Any], lives: Lives
) -> None:
    records = read_all(options, lives.topic.name, "read_uncommitted")
    strays = [each for each in records if each.headers == (("sijil_closing", b"1"),)]
    assert len(records) == lives.head + len(strays)
    assert len(strays) >= lives.topic.partitions
    with pytest.raises(ValidationError):
        schema_of("event-headers").validate(strays[0].told)


def test_a_status_that_is_not_as_described_is_noticed(
    options: dict[str, Any], lives: Lives
) -> None:
    record = read_all(options, lives.statuses.name)[0]
    check_cloud_event(record, REQUEST_STATUS.name)
    without = {name: fact for name, fact in record.said.items() if name != "since"}
    planted = [
        replace(record, value=json.dumps(without).encode()),
        replace(record, value=json.dumps({**record.said, "stage": 7}).encode()),
        replace(record, value=None),
        replace(record, key=b"citizen"),
        *(
            replace(record, headers=record.headers[:n] + record.headers[n + 1 :])
            for n in range(len(record.headers))
        ),
    ]
    for wrong in planted:
        with pytest.raises((ValidationError, AssertionError, KeyError)):
            check_cloud_event(wrong, REQUEST_STATUS.name)
