"""A real Kafka for the tests of the streams, and ledgers with something in them."""

from __future__ import annotations

import dataclasses
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent
from kafka import TopicPartition

from consumers.partitions import reader_of, records_between, settled_ends
from consumers.positions import read_published
from consumers.relay import Relay
from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin
from consumers.topics import EVENTS, RELAY_POSITION, REQUEST_STATUS, Topic
from domain.ids import new_id
from ledger.names import Role
from ledger.persistence.append import ActToAppend, Command
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database, Server, fresh_database, run_folder
from tests.kafka import shared
from tests.projections.whole_histories import whole_history

_NUMBERS = count(1)
TOPIC = "sijil.request.informed.v1"
ENTERING = {1: "sijil.request.submitted.v1", 2: "sijil.request.accepted.v1"}
"""What the first entries of each aggregate are: two that enter a stage."""


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What clients of this run's broker are made with."""
    at = shared.bootstrap(run_folder(tmp_path_factory))
    made = KafkaSettings(kafka=at).client()
    with closing(TopicAdmin(made, replication=1)) as admin:
        admin.apply([RELAY_POSITION])
    return made


@pytest.fixture(autouse=True)
def _leaves_nothing_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test with Kafka left open fails that test, and no later one.

    A socket that is dropped unclosed is an error by its warning, at the moment when the
    collector comes by.
    """
    yield
    if "options" in request.fixturenames:
        gc.collect()


def new_topic(options: dict[str, Any], like: Topic = EVENTS) -> Topic:
    """An empty topic that nobody else has."""
    name = f"{like.name}.{os.getpid()}-{next(_NUMBERS)}"
    made = dataclasses.replace(like, name=name)
    with closing(TopicAdmin(options, replication=1)) as admin:
        admin.apply([made])
    return made


def deleted(options: dict[str, Any], topic: Topic) -> None:
    """Delete a topic."""
    with closing(TopicAdmin(options, replication=1)) as admin:
        admin._admin.delete_topics([topic.name])
        until(lambda: bool(admin.differences([topic])))


def made_again(options: dict[str, Any], topic: Topic) -> None:
    """Delete a topic, and make it anew under its name."""
    deleted(options, topic)
    with closing(TopicAdmin(options, replication=1)) as admin:
        admin.apply([topic])


def records_of(options: dict[str, Any], topic: Topic) -> list[Any]:
    """Every record of a topic, to its end now."""
    partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
    with closing(reader_of(options)) as reader:
        starts = reader.beginning_offsets(partitions)
        ends = settled_ends(options, partitions)
        return [
            record
            for records, _ in records_between(reader, starts, ends)
            for record in records
        ]


def published_of(options: dict[str, Any], topic: Topic) -> int:
    """How far a topic has come, as its relay says; 0 where none has said so."""
    said = read_published(options).get(topic.name)
    return 0 if said is None else said.position


@pytest.fixture
def topic(options: dict[str, Any]) -> Topic:
    """An empty topic of events of this test's own."""
    return new_topic(options)


class Book:
    """A ledger that entries are put into, many to an aggregate."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.recorder = PostgresProcessRecorder(database.datastore(Role.APP))
        self.reader = LedgerReader(database.datastore(Role.READER))

    def add(self, aggregates: int, events: int = 3) -> int:
        """Some aggregates with so many events each, side by side; the head."""
        ids = [new_id(datetime.now(UTC)) for _ in range(aggregates)]
        for version in range(1, events + 1):
            self.recorder.append([_act(each, version) for each in ids])
        return self.reader.head().position


def _act(aggregate_id: UUID, version: int) -> ActToAppend:
    body = b'{"data":{"said":"%s"},"effective_at":"2026-11-23T06:00:00.000000Z"}' % (
        "ختم".encode() * (version % 5)
    )
    event = StoredEvent(aggregate_id, version, ENTERING.get(version, TOPIC), body)
    command = Command(id=new_id(datetime.now(UTC)), actor="test", digest=b"d")
    return ActToAppend(events=[event], command=command)


@pytest.fixture
def book(database: Database) -> Book:
    """An empty ledger of this test's own."""
    return Book(database)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lives:
    """Requests of every kind in a ledger, and all of it in a topic; only to be read."""

    database: Database
    reader: LedgerReader
    topic: Topic
    statuses: Topic
    head: int


@pytest.fixture(scope="session")
def lives(options: dict[str, Any], server: Server, template: str) -> Iterator[Lives]:
    database = fresh_database(server, template)
    try:
        book = Book(database)
        events, statuses = new_topic(options), new_topic(options, REQUEST_STATUS)
        whole_history(book.recorder, requests=80, seed=10)
        head = book.reader.head().position
        relay_until(Relay(book.reader, options, topic=events, statuses=statuses), head)
        for each in (events, statuses):
            settled_ends(
                options, [TopicPartition(each.name, n) for n in range(each.partitions)]
            )
        yield Lives(
            database=database,
            reader=book.reader,
            topic=events,
            statuses=statuses,
            head=head,
        )
    finally:
        database.close()


def until(true: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def relay_until(relay_: Relay, position: int) -> None:
    """Run a relay until it has published a position."""
    relay_.run(Event(), until=position)


class Running:
    """A relay in a thread of its own."""

    def __init__(self, made: Relay) -> None:
        self.error: BaseException | None = None
        self._stop = Event()
        self._thread = Thread(target=self._run, args=(made,))
        self._thread.start()

    def _run(self, made: Relay) -> None:
        try:
            made.run(self._stop)
        except Exception as error:  # noqa: BLE001 -- looked at by the test
            self.error = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


@pytest.fixture
def running() -> Iterator[list[Running]]:
    """Relays to be stopped at the end of the test."""
    started: list[Running] = []
    yield started
    for each in started:
        each.stop()
