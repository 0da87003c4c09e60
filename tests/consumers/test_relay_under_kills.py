"""Broker and relay killed at random moments: the topic is whole afterwards.

A short version of benchmarks/relay_under_kills.py, with a broker of its own. Its power
is cut as well: then the ends of partitions are gone that it had said it has.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest
from kafka.errors import KafkaError

from consumers.partitions import PartitionUnreadableError
from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin, TopicMissingError
from consumers.topics import EVENTS, RELAY_POSITION
from consumers.verifying import TopicVerifier
from consumers.verifying_statuses import StatusVerifier
from tests.consumers.conftest import Book, until
from tests.consumers.relay_processes import begin
from tests.kafka.broker import Cluster, lose_the_end
from tests.kafka.shared import one_node

ROUNDS = 6
"""Each takes a restart of the broker, some five seconds."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with one_node(tmp_path / "kafka", is_killed=True) as made:
        yield made


class Supervised:
    """`sijil relay`, started again whenever it has ended."""

    def __init__(self, book: Book, bootstrap: str, log: Path) -> None:
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._database = book.database
        self._bootstrap = bootstrap
        self._log = log
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.starts += 1
            self.process = begin(self._database, self._bootstrap, self._log)
            self.process.wait()
            self._stop.wait(0.2)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def stop(self) -> None:
        self._stop.set()
        if self.process is not None:
            self.process.terminate()
        self._thread.join()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_topic_is_whole_after_kills_of_broker_and_relay(
    cluster: Cluster, book: Book, tmp_path: Path
) -> None:
    random = Random(11)  # noqa: S311 -- repeatable, no secret
    options = KafkaSettings(kafka=cluster.bootstrap).client()
    with closing(TopicAdmin(options, replication=1)) as admin:
        admin.apply()
    node = cluster.nodes[0]
    stop = Event()

    def write() -> None:
        while not stop.is_set():
            book.add(10, 2)
            time.sleep(0.05)

    writer = Thread(target=write)
    writer.start()
    supervised = Supervised(book, cluster.bootstrap, tmp_path / "relay.log")
    lost = 0
    try:
        for number in range(ROUNDS):
            time.sleep(1.0 + 2 * random.random())
            if number % 3 == 1:
                supervised.kill()
            if number % 3 != 1 or random.random() < 0.5:
                node.kill()
                if number % 3 == 2:
                    lost += lose_the_end(node, RELAY_POSITION.name, 0, 20_000)
                    for partition in random.sample(range(EVENTS.partitions), 4):
                        size = random.randrange(40_000)
                        lost += lose_the_end(node, EVENTS.name, partition, size)
                node.start()
                node.wait()
        stop.set()
        writer.join()
        head = book.reader.head().position

        def is_level() -> bool:
            try:
                verdict = TopicVerifier(options).verify()
            except (KafkaError, PartitionUnreadableError, TopicMissingError):
                # The broker is only just back.
                return False
            # What was lost is missing until a relay has found it out.
            return verdict.last == head and not verdict.findings

        until(is_level, 240)
    finally:
        stop.set()
        writer.join()
        supervised.stop()
    verdict = TopicVerifier(options, ledger=book.reader).verify()
    assert verdict.findings == []
    assert (verdict.first, verdict.last, verdict.records) == (1, head, head)
    proved = StatusVerifier(options, book.reader).verify()
    assert proved.findings == []
    assert (proved.behind, proved.records > 0) == (0, True)
    assert supervised.starts > 1
    assert lost
