"""Claim: whoever is killed, each message has one effect, in its partition's order.

One broker and one embedded server of their own. Requests wait at their agency, and
each is answered twice on a topic of twelve partitions. Workers run by threes, every one
a group of its own, so that all of them have every partition and nothing but the marks
in the ledger keeps them apart. At random moments a worker is killed and another
started; now and then all database sessions are ended, the database is killed and comes
back, or the broker. Then the ledger is read: one answer a request, one refused attempt
for each second message, in the order of the offsets, nothing lost and nothing twice.

``python -m benchmarks.inward_under_kills [KILLS]``
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg2
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from benchmarks.append import installation
from benchmarks.bars import heading, table, written_down
from benchmarks.inward import Bench
from consumers.inward.messages import Correspondence
from consumers.inward.records import tracking_name
from consumers.inward.worker import topic_ids
from consumers.partitions import reader_of
from consumers.topics import AGENCY_REPLIES
from ledger.book import Ledger
from ledger.names import Role
from ledger.settings import LedgerSettings
from tests.consumers.inward.effects import faults
from tests.consumers.inward.process import Given, begin
from tests.kafka.broker import Cluster

KILLS = 300
AT_ONCE = 3
WAVE = 400
"""Requests whose answers are sent together; a new wave comes when one is used up."""
LONGEST_LIFE_S = 1.5
SESSIONS_EVERY, SERVER_EVERY, BROKER_EVERY = 7, 23, 41
"""Among so many kills of workers, one of these; they share no factor."""
FINISH_S = 600.0
SEED = 20261127
WORKER, SESSIONS = "a worker killed", "all database sessions ended"
SERVER, BROKER = "the database killed and started", "the broker killed and started"


class Trial:
    """Workers, and what is done to them."""

    def __init__(self, cluster: Cluster, settings: LedgerSettings, place: Path) -> None:
        self._cluster = cluster
        self._settings = settings
        self._server = settings.server()
        self._bench = Bench(cluster, settings, place)
        self._topic = self._bench.topic()
        self._chance = Random(SEED)  # noqa: S311 -- repeatable, no secret
        self._options = self._bench.options
        self._numbers = 0
        self.sent: dict[tuple[int, int], UUID] = {}
        self.blows: Counter[str] = Counter()
        with closing(KafkaAdminClient(**self._options)) as admin:
            topic_id = topic_ids(admin, [self._topic])[self._topic]
        self._marks = [
            tracking_name(self._topic, topic_id, each)
            for each in range(AGENCY_REPLIES.partitions)
        ]
        self._workers: list[BaseProcess] = []

    def run(self, kills: int) -> list[str]:
        """Strike so often, let it come to an end, and judge."""
        self._workers = [self._worker() for _ in range(AT_ONCE)]
        try:
            for number in range(1, kills + 1):
                if self._left() == 0:
                    self._wave()
                time.sleep(self._chance.random() * LONGEST_LIFE_S)
                self._strike(number)
            until = time.monotonic() + FINISH_S
            while self._left() and time.monotonic() < until:
                self._again()
                time.sleep(0.2)
        finally:
            for each in self._workers:
                each.kill()
                each.join()
        with closing(Ledger(self._settings)) as ledger:
            entries = list(ledger.reader.stream())
        return faults(entries, topic=self._topic, sent=self.sent)

    def _wave(self) -> None:
        waiting = self._bench.waiting(WAVE)
        for place, request_id in self._bench.send(self._topic, [*waiting, *waiting]):
            self.sent[place] = request_id

    def _worker(self) -> BaseProcess:
        self._numbers += 1
        return begin(
            Given(
                settings=self._settings,
                bootstrap=self._cluster.bootstrap,
                senders=self._bench.senders_file,
                topics={self._topic: Correspondence.REPLIES},
                group=f"{self._topic}-{self._numbers}",
            )
        )

    def _again(self) -> None:
        """Start again what has ended by itself, as a service manager does."""
        for place, worker in enumerate(self._workers):
            if not worker.is_alive():
                self._workers[place] = self._worker()

    def _strike(self, number: int) -> None:
        place = self._chance.randrange(AT_ONCE)
        self._workers[place].kill()
        self._workers[place].join()
        self._workers[place] = self._worker()
        self.blows[WORKER] += 1
        if number % SESSIONS_EVERY == 0:
            self._end_sessions()
        if number % SERVER_EVERY == 0:
            self._kill_the_server()
        if number % BROKER_EVERY == 0:
            node = self._cluster.nodes[0]
            node.kill()
            node.start()
            node.wait()
            self.blows[BROKER] += 1
        self._again()

    def _end_sessions(self) -> None:
        dsn = self._server.dsn(dbname=self._settings.database_name)
        with closing(psycopg2.connect(**dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = %s",
                    (Role.APP.login,),
                )
        self.blows[SESSIONS] += 1

    def _kill_the_server(self) -> None:
        pid = self._server.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        while self._server.pid() is not None:
            time.sleep(0.05)
        self._server.start()
        self.blows[SERVER] += 1

    def _left(self) -> int:
        """How many messages no worker has passed."""
        with closing(reader_of(self._options)) as reader:
            places = [
                TopicPartition(self._topic, each)
                for each in range(AGENCY_REPLIES.partitions)
            ]
            ends = sum(reader.end_offsets(places).values())
        with closing(Ledger(self._settings)) as ledger:
            marks = [ledger.process_recorder.max_tracking_id(n) for n in self._marks]
        return int(ends) - sum(1 + mark for mark in marks if mark is not None)


def main() -> None:
    """Strike, judge, print and keep; end with 1 where anything is wrong."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    with (
        tempfile.TemporaryDirectory(prefix="sijil-bench-") as folder,
        installation() as settings,
    ):
        cluster = Cluster(Path(folder), is_killed=True)
        cluster.start()
        try:
            trial = Trial(cluster, settings, Path(folder))
            found = trial.run(kills)
        finally:
            cluster.stop()
    lines = [
        *heading(
            "Workers of what comes in, under kills",
            [
                f"{len(trial.sent):,} messages, two for each request; {AT_ONCE}",
                "workers at once, each with every partition.",
            ],
        ),
        *table(("blow", "times"), [(n, str(t)) for n, t in trial.blows.items()]),
        "",
        f"Faults: {len(found)}." if found else "No message lost, doubled or overtaken.",
        *found[:20],
    ]
    written_down("inward-under-kills", "\n".join(lines) + "\n", is_trial=kills < KILLS)
    if found or not trial.sent:
        sys.exit("the claim does not hold")


if __name__ == "__main__":
    main()
