"""The public status of each request: as the ledger has it, and proved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer

from consumers import envelope
from consumers.outward import partition_of
from consumers.positions import read_published
from consumers.relay import Relay
from consumers.statuses import LEAVES, Statuses, headers_of, status_of
from consumers.topics import REQUEST_STATUS, Topic
from consumers.verifying import Fault, Verdict
from consumers.verifying_statuses import StatusVerifier
from domain.stages import FINAL_STAGES, Stage
from ledger.bodies import read_body
from ledger.bundles import BareRow
from ledger.names import VIEWS_SCHEMA, Role
from office.house import ViewsRoom
from projections.stages import ENTERED
from projections.tracking import TrackingQueries
from tests.consumers.conftest import (
    Book,
    Lives,
    made_again,
    new_topic,
    records_of,
    relay_until,
)

Told = dict[bytes, dict[str, Any]]


def told(options: dict[str, Any], topic: Topic) -> Told:
    """What a reader of the topic knows in the end: the last of each key."""
    return {each.key: read_body(each.value) for each in records_of(options, topic)}


def rows_of(lives: Lives) -> list[BareRow]:
    return lives.reader.rows(after=0, limit=lives.head, until=lives.head)


def verdict(options: dict[str, Any], lives: Lives, topic: Topic) -> Verdict:
    return StatusVerifier(options, lives.reader, topic=topic.name).verify()


def test_every_request_has_the_status_that_tracking_shows(
    options: dict[str, Any], lives: Lives
) -> None:
    room = ViewsRoom(lives.database.settings)
    room.runner.catch_up()
    room.close()
    tracking = TrackingQueries(
        lives.database.datastore(Role.READER, schema=VIEWS_SCHEMA)
    )
    said = told(options, lives.statuses)
    requests = {row[2] for row in rows_of(lives) if row[4] in ENTERED}
    assert {key.decode() for key in said} == requests
    for status in said.values():
        seen = tracking.by_id(status["request_id"])
        assert seen is not None
        assert status["stage"] == seen.stage
        if seen.stage in FINAL_STAGES:
            since = seen.state.ended_at
        elif seen.stage is Stage.WAITING:
            since = seen.state.submitted_at
        else:
            continue
        assert status["since"] == f"{since:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert len({status["stage"] for status in said.values()}) >= 6


def test_what_came_back_and_left_again_is_completed_since_it_first_left(
    options: dict[str, Any], lives: Lives
) -> None:
    left: dict[str, list[BareRow]] = {}
    for row in rows_of(lives):
        if row[4] in LEAVES:
            left.setdefault(row[2], []).append(row)
    again = {thing: rows for thing, rows in left.items() if len(rows) > 1}
    assert again, "the history has none"
    said = told(options, lives.statuses)
    for thing, rows in again.items():
        first = read_body(rows[0][5])["effective_at"]
        assert said[thing.encode()]["since"] == first


def test_a_transaction_tells_of_a_request_once_whatever_its_size(
    lives: Lives,
) -> None:
    rows = rows_of(lives)
    kind = Statuses(lives.reader)
    at_once = {row[2]: value for row, value in kind.picked(rows)}
    one_by_one = [each for row in rows for each in kind.picked([row])]
    assert {row[2]: value for row, value in one_by_one} == at_once
    assert len(one_by_one) > len(at_once)
    positions = [row[0] for row, _ in kind.picked(rows)]
    assert positions == sorted(positions)


def test_a_body_that_is_none_of_ours_has_no_status() -> None:
    for body in (b"\xff", b"[]", b"{}", b'{"effective_at":"t","data":7}'):
        assert status_of("id", "sijil.request.result-told.v1", body) is None


def test_statuses_are_filled_beside_a_topic_of_events_that_is_there(
    options: dict[str, Any], lives: Lives
) -> None:
    """As where an earlier release has published the events alone."""
    statuses = new_topic(options, REQUEST_STATUS)
    relay = Relay(lives.reader, options, topic=lives.topic, statuses=statuses)
    relay_until(relay, lives.head)
    assert told(options, statuses) == told(options, lives.statuses)
    number = len(records_of(options, statuses))
    # A second one reads again from where the last partition stands, and sends nothing.
    relay = Relay(lives.reader, options, topic=None, statuses=statuses)
    relay_until(relay, lives.head)
    assert len(records_of(options, statuses)) == number
    assert verdict(options, lives, statuses).is_whole
    assert read_published(options)[statuses.name].position == lives.head


def test_a_topic_of_statuses_that_was_made_again_is_filled_again(
    options: dict[str, Any], lives: Lives
) -> None:
    statuses = new_topic(options, REQUEST_STATUS)
    relay_until(Relay(lives.reader, options, topic=None, statuses=statuses), lives.head)
    made_again(options, statuses)
    relay_until(Relay(lives.reader, options, topic=None, statuses=statuses), lives.head)
    assert told(options, statuses) == told(options, lives.statuses)


class Planted:
    """A topic of statuses that is written record by record, as a wrong relay would."""

    def __init__(self, options: dict[str, Any], lives: Lives) -> None:
        self.options, self.lives = options, lives
        self.topic = new_topic(options, REQUEST_STATUS)
        source = envelope.source_of(lives.reader.head().ledger_id).encode()
        self.records = [
            self.record(row, value, source)
            for row, value in Statuses(lives.reader).picked(rows_of(lives))
        ]

    def record(self, row: BareRow, value: bytes, source: bytes) -> dict[str, Any]:
        key = row[2].encode()
        return {
            "key": key,
            "partition": partition_of(key, self.topic.partitions),
            "value": value,
            "headers": headers_of(row, source),
        }

    def found(self) -> list[tuple[Fault, int | None]]:
        with closing(KafkaProducer(**self.options, linger_ms=5)) as producer:
            for future in [
                producer.send(self.topic.name, **each) for each in self.records
            ]:
                future.get(30)
        found = verdict(self.options, self.lives, self.topic).findings
        return [(each.fault, each.position) for each in found]


def position_of(record: dict[str, Any]) -> int:
    return int(dict(record["headers"])["ce_sequence"])


def header(record: dict[str, Any], name: str, text: bytes) -> None:
    said = dict(record["headers"]) | {name: text}
    record["headers"] = list(said.items())


def _value(planted: Planted) -> Any:
    record = planted.records[10]
    record["value"] = record["value"].replace(b'"stage":"', b'"stage":"x')
    return Fault.CHANGED, position_of(record)


def _since(planted: Planted) -> Any:
    record = planted.records[11]
    record["value"] = record["value"].replace(b'"since":"202', b'"since":"203')
    return Fault.CHANGED, position_of(record)


def _leaf_hash(planted: Planted) -> Any:
    header(planted.records[12], "ce_leafhash", b"0" * 64)
    return Fault.CHANGED, position_of(planted.records[12])


def _not_there(planted: Planted) -> Any:
    record = planted.records.pop(5)
    return Fault.MISSING, position_of(record)


def _another_ledger(planted: Planted) -> Any:
    header(planted.records[14], "ce_source", b"urn:uuid:another")
    return Fault.FOREIGN, position_of(planted.records[14])


def _taken_back(planted: Planted) -> Any:
    planted.records.append(planted.records[15] | {"value": None})
    return Fault.NOT_AN_EVENT, None


def _doubled(planted: Planted) -> Any:
    planted.records.append(planted.records[16])
    return Fault.DOUBLED, position_of(planted.records[16])


def _another_partition(planted: Planted) -> Any:
    record = planted.records[-1]
    record["partition"] = (record["partition"] + 1) % planted.topic.partitions
    return Fault.WRONG_PARTITION, position_of(record)


def _older_last(planted: Planted) -> Any:
    """An earlier stage of the request, after its newest."""
    newest = planted.records[-1]
    thing = newest["key"].decode()
    row = next(
        row
        for row in rows_of(planted.lives)
        if row[2] == thing and row[4] in ENTERED and row[0] != position_of(newest)
    )
    status = status_of(thing, row[4], row[5])
    assert status is not None
    source = dict(newest["headers"])["ce_source"]
    planted.records.append(planted.record(row, status.to_bytes(), source))
    return Fault.OUT_OF_ORDER, row[0]


def _left_again(planted: Planted) -> Any:
    """A second leaving, taken for the beginning of the stage."""
    seen: set[str] = set()
    for row in rows_of(planted.lives):
        if row[4] in LEAVES and row[2] in seen:
            status = status_of(row[2], row[4], row[5])
            assert status is not None
            source = dict(planted.records[0]["headers"])["ce_source"]
            planted.records.append(planted.record(row, status.to_bytes(), source))
            planted.records.sort(key=position_of)
            return Fault.CHANGED, row[0]
        if row[4] in LEAVES:
            seen.add(row[2])
    raise AssertionError("the history has none")


def test_a_topic_written_rightly_is_whole(
    options: dict[str, Any], lives: Lives
) -> None:
    assert Planted(options, lives).found() == []
    proved = verdict(options, lives, lives.statuses)
    assert proved.is_whole
    assert (proved.behind, proved.records) == (0, proved.compared)


@pytest.mark.parametrize(
    "plants",
    [
        [_left_again, _older_last],
        [
            *(_value, _since, _leaf_hash, _another_ledger, _another_partition),
            # At the end: it moves the others.
            *(_doubled, _taken_back, _not_there),
        ],
    ],
)
def test_every_fault_is_named(
    options: dict[str, Any], lives: Lives, plants: list[Callable[[Planted], Any]]
) -> None:
    planted = Planted(options, lives)
    expected = {plant(planted) for plant in plants}
    # What another ledger's record says, this one's lacks.
    also = {
        (Fault.MISSING, place) for fault, place in expected if fault is Fault.FOREIGN
    }
    assert set(planted.found()) == expected | also


def test_what_the_ledger_has_more_is_behind_and_no_fault(
    options: dict[str, Any], book: Book
) -> None:
    statuses = new_topic(options, REQUEST_STATUS)
    head = book.add(3)
    proved = StatusVerifier(options, book.reader, topic=statuses.name).verify()
    assert (proved.records, proved.last, proved.findings) == (0, None, [])
    assert proved.behind == 6
    relay_until(Relay(book.reader, options, topic=None, statuses=statuses), head)
    book.add(2)
    proved = StatusVerifier(options, book.reader, topic=statuses.name).verify()
    assert proved.is_whole
    # In one transaction: submitted and accepted are one record.
    assert (proved.records, proved.behind) == (3, 4)


def test_a_move_whose_later_one_is_above_what_was_read_first_is_no_fault(
    options: dict[str, Any], lives: Lives
) -> None:
    """As where a reader sees a transaction in one partition and not yet in another."""
    planted = Planted(options, lives)
    assert planted.found() == []
    verifier = StatusVerifier(options, lives.reader, topic=planted.topic.name)
    assert verifier.verify().is_whole
    for place in sorted(position_of(record) for record in planted.records):
        verifier._judge(place - 1)
    assert verifier._findings == []
    # But where the later one is not there either, it is.
    moved = {row[2] for row in rows_of(lives) if row[4].endswith("accepted.v1")}
    newest = next(
        record for record in planted.records if record["key"].decode() in moved
    )
    place = position_of(newest)
    verifier._positions._bits[place >> 3] &= ~(1 << (place & 7))
    verifier._judge(place - 1)
    assert [each.fault for each in verifier._findings] == [Fault.MISSING]
