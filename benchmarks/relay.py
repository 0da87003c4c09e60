"""Claims: the relay runs at the broker's speed, the proof of a topic at a reader's.

One real Apache Kafka and one embedded ledger on this machine. In the same run:

- the relay of so many entries, with the statuses of the requests, beside a bare
  kafka-python producer that sends the same keys, values and headers to the same two
  topics with the same settings but without transactions;
- ``verify-topic`` over them, with and without the ledger, beside a bare consumer that
  only counts records;
- from the commit of an act to a consumer that reads committed records, at a steady
  rate of single acts.

``python -m benchmarks.relay [ENTRIES]``; rounds alternate, medians are kept.
"""

from __future__ import annotations

import dataclasses
import gc
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from kafka import KafkaProducer, TopicPartition

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.writers import BODY
from consumers import envelope
from consumers.partitions import reader_of, records_between
from consumers.relay import LARGEST_BATCH, Relay
from consumers.settings import KafkaSettings
from consumers.statuses import Statuses, headers_of
from consumers.topic_admin import TopicAdmin
from consumers.topics import EVENTS, RELAY_POSITION, REQUEST_STATUS, Topic
from consumers.verifying import FETCH_BYTES, TopicVerifier
from domain.ids import new_id
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Command
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.kafka.broker import Cluster

ENTRIES = 300_000
EVENTS_AN_AGGREGATE = 6
ROUNDS = 3
"""Odd, so that the median is a measured round."""
RELAY_MUST_BE = 0.7
VERIFY_MUST_BE = 0.5
RATE = 500
RATE_S = 20
LATENCY_MUST_BE_MS = 300
TOPIC = "sijil.request.informed.v1"
MOVES = {
    1: "sijil.request.submitted.v1",
    2: "sijil.request.accepted.v1",
    EVENTS_AN_AGGREGATE: "sijil.request.mailed.v1",
}
"""By version: the events that enter a stage, as many as a request has."""
SAID = b'{"effective_at":"2026-11-23T06:00:00.000000Z",' + BODY[1:]
"""A body that says when, and some 645 bytes."""


class Bench:
    """A broker, a ledger with entries in it, and what is measured on them."""

    def __init__(self, cluster: Cluster, settings: Any) -> None:
        self.options = KafkaSettings(kafka=cluster.bootstrap).client()
        self._admin = TopicAdmin(self.options, replication=1)
        self._admin.apply([RELAY_POSITION])
        self._number = 0
        app = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
        self.recorder = PostgresProcessRecorder(app)
        reading = PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
        self.reader = LedgerReader(reading)

    def topic(self, like: Topic = EVENTS) -> Topic:
        """A new, empty topic."""
        self._number += 1
        made = dataclasses.replace(like, name=f"{like.name}.bench-{self._number}")
        self._admin.apply([made])
        return made

    def fill(self, entries: int) -> int:
        """Entries of 600 bytes, six to an aggregate; how many."""
        for _ in range(0, entries, 1_200):
            ids = [new_id(datetime.now(UTC)) for _ in range(200)]
            acts = [
                _act([_event(each, version)])
                for version in range(1, EVENTS_AN_AGGREGATE + 1)
                for each in ids
            ]
            self.recorder.append(acts)
        return self.reader.head().position

    def relayed(self, topic: Topic, head: int) -> float:
        """Entries a second of the relay, from its start to its last commit."""
        stop = Event()

        def heard(position: int) -> None:
            if position >= head:
                stop.set()

        statuses = self.topic(REQUEST_STATUS)
        began = time.perf_counter()
        Relay(
            self.reader,
            self.options,
            topic=topic,
            statuses=statuses,
            published=heard,
        ).run(stop)
        return head / (time.perf_counter() - began)

    def sent_bare(
        self, topic: Topic, records: list[dict[str, Any]], moves: list[dict[str, Any]]
    ) -> float:
        """Entries a second of a producer that only sends, to its last answer."""
        statuses = self.topic(REQUEST_STATUS)
        began = time.perf_counter()
        producer = KafkaProducer(
            **self.options,
            acks="all",
            enable_idempotence=True,
            batch_size=262_144,
            linger_ms=5,
            metrics_enabled=False,
        )
        with closing(producer):
            sent = [producer.send(topic.name, **record) for record in records]
            sent += [producer.send(statuses.name, **record) for record in moves]
            for future in sent:
                future.get(60)
            spent_s = time.perf_counter() - began
        return len(records) / spent_s

    def counted(self, topic: Topic) -> float:
        """Records a second of a consumer that only counts."""
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        began = time.perf_counter()
        with closing(
            reader_of(
                self.options,
                max_partition_fetch_bytes=FETCH_BYTES,
                max_poll_records=10_000,
            )
        ) as reader:
            starts = reader.beginning_offsets(partitions)
            ends = reader.end_offsets(partitions)
            number = sum(
                len(records) for records, _ in records_between(reader, starts, ends)
            )
        return number / (time.perf_counter() - began)

    def verified(self, topic: Topic, ledger: LedgerReader | None) -> float:
        """Records a second of the proof."""
        began = time.perf_counter()
        verdict = TopicVerifier(self.options, topic=topic.name, ledger=ledger).verify()
        assert verdict.is_whole, verdict
        return verdict.records / (time.perf_counter() - began)

    def latencies_ms(self, topic: Topic) -> list[float]:
        """From an act's commit to its record at a consumer, at a steady rate."""
        stop = Event()
        relay = Thread(
            target=Relay(
                self.reader,
                self.options,
                topic=topic,
                statuses=self.topic(REQUEST_STATUS),
            ).run,
            args=(stop,),
        )
        relay.start()
        committed: dict[bytes, float] = {}
        spent: list[float] = []
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        reader = reader_of(self.options, fetch_max_wait_ms=100)
        reader.assign(partitions)
        behind = self.reader.head().position
        while sum(reader.end_offsets(partitions).values()) < behind:
            time.sleep(0.2)
        time.sleep(2.0)
        for each, end in reader.end_offsets(partitions).items():
            reader.seek(each, end)

        def write() -> None:
            began = time.perf_counter()
            for number in range(RATE * RATE_S):
                pause_s = began + number / RATE - time.perf_counter()
                if pause_s > 0:
                    time.sleep(pause_s)
                event = _event(new_id(datetime.now(UTC)), 1)
                self.recorder.append([_act([event])])
                committed[str(event.originator_id).encode()] = time.perf_counter()

        writer = Thread(target=write)
        writer.start()
        deadline = time.monotonic() + RATE_S + 30
        while len(spent) < RATE * RATE_S and time.monotonic() < deadline:
            for records in reader.poll(timeout_ms=50).values():
                now = time.perf_counter()
                for record in records:
                    # What was published before its commit was noted took no time.
                    at = committed.pop(record.key, now)
                    spent.append((now - at) * 1000)
        writer.join()
        stop.set()
        relay.join()
        reader.close()
        return sorted(spent)


def _event(aggregate_id: UUID, version: int) -> StoredEvent:
    return StoredEvent(aggregate_id, version, MOVES.get(version, TOPIC), SAID)


def _act(events: list[StoredEvent]) -> ActToAppend:
    command = Command(id=new_id(datetime.now(UTC)), actor="bench", digest=b"d" * 32)
    return ActToAppend(events=events, command=command)


def main() -> None:
    """Measure, print and keep."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with (
        tempfile.TemporaryDirectory(prefix="sijil-bench-") as folder,
        installation() as settings,
    ):
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            bench = Bench(cluster, settings)
            lines, head = _rates(bench, entries)
            latency, said = _latency(bench)
        finally:
            cluster.stop()
    keep(
        "relay",
        title="The relay to Kafka",
        about=[
            f"{head:,} entries of {len(SAID)} bytes, their requests' statuses,",
            "one broker (Apache Kafka 4.4.0);",
            f"medians of {ROUNDS} rounds in turn.",
        ],
        header=("what", "ours, a second", "bare client, a second"),
        lines=[*lines, latency],
        more=[said],
        is_trial=entries < ENTRIES,
    )


def _rates(bench: Bench, entries: int) -> tuple[list[Line], int]:
    head = bench.fill(entries)
    source = envelope.source_of(bench.reader.head().ledger_id).encode()
    rows = bench.reader.rows(after=0, limit=head, until=head)
    records = [
        {
            "key": row[2].encode(),
            "value": row[5],
            "headers": envelope.headers_of(row, source),
        }
        for row in rows
    ]
    kind = Statuses(bench.reader)
    moves = [
        {
            "key": row[2].encode(),
            "value": value,
            "headers": headers_of(row, source),
        }
        for first in range(0, len(rows), LARGEST_BATCH)
        for row, value in kind.picked(rows[first : first + LARGEST_BATCH])
    ]
    # Collections that walk over what waits here are no part of either side.
    gc.freeze()
    relayed, bare, counted, alone, compared = [], [], [], [], []
    for _ in range(ROUNDS):
        topic = bench.topic()
        relayed.append(bench.relayed(topic, head))
        bare.append(bench.sent_bare(bench.topic(), records, moves))
        counted.append(bench.counted(topic))
        alone.append(bench.verified(topic, None))
        compared.append(bench.verified(topic, bench.reader))
    middle = statistics.median
    lines = [
        Line(
            name="the relay",
            ours=middle(relayed),
            rival=middle(bare),
            at_least=RELAY_MUST_BE,
        ),
        Line(
            name="verify-topic --alone",
            ours=middle(alone),
            rival=middle(counted),
            at_least=VERIFY_MUST_BE,
        ),
        Line(
            name="verify-topic with the ledger",
            ours=middle(compared),
            rival=middle(counted),
            at_least=VERIFY_MUST_BE,
        ),
    ]
    return lines, head


def _latency(bench: Bench) -> tuple[Line, str]:
    spent = bench.latencies_ms(bench.topic())
    assert len(spent) == RATE * RATE_S, f"only {len(spent):,} were seen"
    line = Line(
        name="commit to consumer, p99 in ms, of those allowed",
        ours=spent[int(len(spent) * 0.99)],
        rival=LATENCY_MUST_BE_MS,
        at_most=1.0,
    )
    said = (
        f"From commit to consumer {RATE * RATE_S:,} acts at {RATE}/s; median"
        f" {spent[len(spent) // 2]:.0f} ms."
    )
    return line, said


if __name__ == "__main__":
    main()
