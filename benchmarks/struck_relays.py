"""Relays, workers, a broker and a ledger at work, what strikes them, and the judge."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import TypeVar
from uuid import UUID

import psycopg2
from eventsourcing.persistence import PersistenceError
from kafka.errors import KafkaError

from benchmarks.blows import (
    ALL_NODES,
    BETWEEN,
    BROKER,
    ENDED,
    FULL,
    LONG_STOPPED,
    MID_COMMIT,
    MISSED,
    OFTEN,
    POWER,
    RELAY,
    SERVER,
    STANDBY,
    STOPPED,
    WORKER,
    WRITTEN_DOWN,
)
from benchmarks.inward import SENDERS, Bench
from benchmarks.replies import messages, not_passed
from benchmarks.small_disks import mounted, unmounted
from consumers.broker.nodes import Node
from consumers.inward.messages import Correspondence
from consumers.partitions import (
    PartitionUnreadableError,
)
from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin, TopicMissingError
from consumers.topics import AGENCY_REPLIES, EVENTS, RELAY_POSITION
from consumers.verifying import TopicVerifier, Verdict
from consumers.verifying_statuses import StatusVerifier
from ledger.reader import LedgerReader
from office.errors import (
    LedgerBusyError,
    LedgerUnavailableError,
    OutcomeUnknownError,
)
from tests.conftest import Database
from tests.consumers.conftest import Book
from tests.consumers.inward import process as workers
from tests.consumers.inward.effects import faults
from tests.consumers.simpler_relays import Given, begin
from tests.kafka.broker import Cluster, lose_the_end
from tests.own_server import own_database, own_home

_SELDOM_EVERY = 40
"""Rounds to one long stop of each kind: it lasts as long as many others."""
STOP_S = (1.0, 6.0)
BETWEEN_S = 27.0
LONG_STOP_S = 60.0
"""A delivery may take 25 s, a transaction 30 s (consumers.relay)."""
FULL_S = (2.0, 6.0)
LOST_BYTES = 20_000
"""At most, of each partition: a few transactions."""
LONGEST_REST_S = 2.0
AIM_S = 30.0
"""How long the middle of a commit is waited for."""
WAVE = 40
"""Requests whose lives come in together, with two answers each."""
WAVE_PAUSE_S = 3.0
LIVES_AT_ONCE = 12
LIVES_PAUSE_S = 0.2
"""Over a hundred entries a second: a relay is in a commit most of the time, and all of
the topic is read in seconds after hundreds of rounds."""
LOOK_S = 300.0
"""How long the topic may take to be readable, or level."""
SEED = 20261127


_AWAY = (
    KafkaError,
    LedgerBusyError,
    LedgerUnavailableError,
    OutcomeUnknownError,
    PersistenceError,
    psycopg2.Error,
)
"""What says that the store or the broker is away, in whose words ever."""
T = TypeVar("T")


class Trial:
    """Everybody at work; ``blows`` strike them in turn, shuffled each time."""

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        place: Path,
        *,
        which: str,
        blows: Sequence[str],
        left_out: Sequence[str],
    ) -> None:
        self.blows: Counter[str] = Counter()
        self.left_out = left_out
        self.sent: dict[tuple[int, int], UUID] = {}
        self.starts = 0
        self.head = 0
        self._database = database
        self._settings = database.settings
        self._cluster = cluster
        self._place = place
        self._which = which
        self._kinds = blows
        self._next: list[str] = []
        self._chance = Random(SEED)  # noqa: S311 -- repeatable, no secret
        self._options = KafkaSettings(kafka=cluster.bootstrap).client()
        copies = min(3, len(cluster.nodes))
        with closing(TopicAdmin(self._options, replication=copies)) as admin:
            admin.apply()
        self._bench = Bench(cluster, self._settings, place)
        self._senders = place / "senders.toml"
        self._senders.write_text(SENDERS, encoding="utf-8")
        self._senders.chmod(0o600)
        self._book = Book(database)
        self._stop = Event()
        self._numbers = 0
        self._waves = 0
        self._rounds = 1
        self._committing = place / "committing"
        self._ending = place / "ending"
        self._relays = [self._relay() for _ in range(2)]
        self._workers = [self._worker() for _ in range(2)]
        self._threads = [
            Thread(target=self._live, args=(self._some_entries, LIVES_PAUSE_S)),
            Thread(target=self._live, args=(self._whole_lives, WAVE_PAUSE_S)),
            Thread(target=self._live, args=(self._start_again, 0.2)),
        ]
        for each in self._threads:
            each.start()

    # At work ----------------------------------------------------------------------

    def _relay(self) -> BaseProcess:
        self.starts += 1
        return begin(
            Given(
                settings=self._settings,
                bootstrap=self._cluster.bootstrap,
                which=self._which,
                committing=self._committing,
                ending=self._ending,
                log=self._place / "relays.log",
            )
        )

    def _worker(self) -> BaseProcess:
        self._numbers += 1
        return workers.begin(
            workers.Given(
                settings=self._settings,
                bootstrap=self._cluster.bootstrap,
                senders=self._senders,
                topics={AGENCY_REPLIES.name: Correspondence.REPLIES},
                group=f"struck-{self._numbers}",
            )
        )

    def _live(self, once: Callable[[], None], pause_s: float) -> None:
        while not self._stop.is_set():
            # The database is away, or the broker: what came in whole is there.
            with suppress(*_AWAY):
                once()
            self._stop.wait(pause_s)

    def _some_entries(self) -> None:
        self._book.add(LIVES_AT_ONCE, 2)

    def _whole_lives(self) -> None:
        waiting = self._bench.waiting(WAVE)
        self._bench.send(AGENCY_REPLIES.name, [*waiting, *waiting])
        self._waves += 1

    def _start_again(self) -> None:
        """Start what has ended, as a service manager does."""
        for all_, another in (
            (self._relays, self._relay),
            (self._workers, self._worker),
        ):
            for place, each in enumerate(all_):
                if not each.is_alive():
                    all_[place] = another()

    def _start_nodes_again(self) -> None:
        """Start a node that ended by itself, as a service manager does, and say so.

        One that finds something wrong with its disk ends, some time after it served.
        """
        for node in self._cluster.nodes:
            if node.pid is None:
                last = node.log.read_text(encoding="utf-8", errors="replace")[-600:]
                free_mb = shutil.disk_usage(node.folder).free >> 20
                print(
                    f"node {node.number} had ended, {free_mb} MB free:\n{last}",
                    flush=True,
                )
                self.blows[ENDED] += 1
                node.start()
                node.wait()

    # Blows ------------------------------------------------------------------------

    def strike(self) -> None:
        """One blow, and its end."""
        self._start_nodes_again()
        time.sleep(self._chance.random() * LONGEST_REST_S)
        if not self._next:
            self._next = self._chance.sample(self._kinds, len(self._kinds))
        seldom = {0: LONG_STOPPED, _SELDOM_EVERY // 2: BETWEEN}
        is_all = STOPPED in self._kinds
        blow = seldom.get(self._rounds % _SELDOM_EVERY) if is_all else None
        blow = blow or self._next.pop()
        self._rounds += 1
        {
            BROKER: self._kill_a_node,
            MID_COMMIT: self._kill_in_a_commit,
            WRITTEN_DOWN: self._kill_at_a_written_commit,
            POWER: self._cut_the_power,
            ALL_NODES: self._kill_all,
            STOPPED: lambda: self._stop_a_node(self._chance.uniform(*STOP_S)),
            BETWEEN: lambda: self._stop_a_node(BETWEEN_S),
            LONG_STOPPED: lambda: self._stop_a_node(LONG_STOP_S),
            FULL: self._fill_the_disk,
            RELAY: self._kill_the_relays,
            STANDBY: lambda: self._chance.choice(self._relays).kill(),
            WORKER: lambda: self._chance.choice(self._workers).kill(),
            SERVER: self._kill_the_server,
        }[blow]()
        self.blows[blow] += 1

    def _kill_a_node(self) -> None:
        node = self._chance.choice(self._cluster.nodes)
        node.kill()
        node.start()
        node.wait()

    def _kill_in_a_commit(self) -> None:
        deadline = time.monotonic() + AIM_S
        # Left by one that was killed in the middle of it.
        self._committing.unlink(missing_ok=True)
        while not self._committing.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(self._chance.random() * 0.02)
        self._kill_a_node()

    def _kill_at_a_written_commit(self) -> None:
        """The coordinator has it in its log, and the partitions do not have it yet.

        A node that comes back then may write the commit off for some of them. The
        relays die with it: else the next commit would make it good.
        """
        logs = {
            node: list(node.folder.glob("data/__transaction_state-*/*.log"))
            for node in self._cluster.nodes
        }
        deadline = time.monotonic() + AIM_S
        for mark in (self._committing, self._ending):
            mark.unlink(missing_ok=True)
        while not self._committing.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        before = now = _sizes(logs)
        # Without a sleep: what matters is over in a few milliseconds.
        while not self._ending.exists() and time.monotonic() < deadline:
            before = _sizes(logs)
        while now == before and time.monotonic() < deadline:
            now = _sizes(logs)
        grown = [node for node in logs if now[node] != before[node]][:1]
        for node in grown:
            node.kill()
        self.blows[MISSED] += not grown
        for relay in self._relays:
            relay.kill()
        for node in grown:
            node.start()
            node.wait()

    def _cut_the_power(self) -> None:
        """What a single node had said it has is not on its disk: the relay is not told.

        Of its next record the node says that some before it are missing.
        """
        node = self._cluster.nodes[0]
        node.kill()
        lose_the_end(node, RELAY_POSITION.name, 0, LOST_BYTES)
        for partition in range(EVENTS.partitions):
            size = self._chance.randrange(LOST_BYTES)
            lose_the_end(node, EVENTS.name, partition, size)
        node.start()
        node.wait()

    def _kill_all(self) -> None:
        self._cluster.kill()
        for node in self._cluster.nodes:
            node.start()
        for node in self._cluster.nodes:
            node.wait()

    def _stop_a_node(self, for_s: float) -> None:
        pid = self._chance.choice(self._cluster.nodes).pid
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(for_s)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _fill_the_disk(self) -> None:
        """Leave no room for the first node, then give it back.

        A node that gave up over it is started again.
        """
        node = self._cluster.nodes[0]
        ballast = node.folder / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        time.sleep(self._chance.uniform(*FULL_S))
        ballast.unlink()
        node.kill()
        node.start()
        node.wait()

    def _kill_the_relays(self) -> None:
        for each in list(self._relays):
            each.kill()
            time.sleep(self._chance.random())

    def _kill_the_server(self) -> None:
        server = self._settings.server()
        pid = server.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        while server.pid() is not None:
            time.sleep(0.05)
        server.start()

    # The judge --------------------------------------------------------------------

    def findings(self, *, is_alone: bool = False) -> list[str]:
        """What ``verify-topic`` finds wrong now; alone it asks no ledger."""
        found = self._verdict(None if is_alone else self._book.reader).findings
        return [str(each) for each in found]

    def _verdict(self, ledger: LedgerReader | None) -> Verdict:
        # Each time another verifier: it keeps what it has read.
        return self._told(lambda: TopicVerifier(self._options, ledger=ledger).verify())

    def _told(self, ask: Callable[[], T]) -> T:
        """As soon as it can be told: after a blow nothing may be there to be read."""
        deadline = time.monotonic() + LOOK_S
        while True:
            try:
                return ask()
            except (*_AWAY, PartitionUnreadableError, TopicMissingError):
                if time.monotonic() > deadline:
                    raise
            self._start_nodes_again()
            time.sleep(0.5)

    def end(self) -> list[str]:
        """Let all come to its end; what is wrong then."""
        # A few blows in a row may have struck every wave of messages.
        patience = time.monotonic() + LOOK_S
        while not self._waves and time.monotonic() < patience:
            time.sleep(0.1)
        for each in self._threads[:2]:
            self._end_thread(each)
        self._stop.clear()
        self._start_nodes_again()
        again = Thread(target=self._live, args=(self._start_again, 0.2))
        again.start()
        self._threads = [again]
        self.sent = self._told(lambda: messages(self._options))
        deadline = time.monotonic() + LOOK_S

        def left() -> list[tuple[int, int]]:
            return not_passed(self._options, self._book.recorder)

        while (behind := self._told(left)) and time.monotonic() < deadline:
            self._start_nodes_again()
            time.sleep(0.5)
        wrong = [f"marks and ends {behind}"] if behind else []
        self.head = self._book.reader.head().position
        verdict = self._verdict(self._book.reader)
        # What a power cut took is missing until a relay has noticed.
        is_cut = bool(self.blows[POWER])
        while (
            (verdict.behind and not verdict.findings) or (is_cut and verdict.findings)
        ) and time.monotonic() < deadline:
            time.sleep(0.5)
            verdict = self._verdict(self._book.reader)
        wrong += [str(each) for each in verdict.findings]
        told = (verdict.first, verdict.last, verdict.records)
        if told != (1, self.head, self.head):
            wrong.append(f"first, last, records {told} of {self.head}")
        proved = self._told(
            lambda: StatusVerifier(self._options, self._book.reader).verify()
        )
        wrong += [f"status: {each}" for each in proved.findings]
        if proved.behind:
            wrong.append(f"{proved.behind} statuses are behind")
        entries = list(self._book.reader.stream())
        wrong += faults(entries, topic=AGENCY_REPLIES.name, sent=self.sent)
        if not self.sent:
            wrong.append("no message came in")
        return wrong

    def _end_thread(self, thread: Thread) -> None:
        self._stop.set()
        thread.join()

    def close(self) -> None:
        """End every process and thread."""
        for each in self._threads:
            self._end_thread(each)
        for process in [*self._relays, *self._workers]:
            process.kill()
            process.join()


def _sizes(logs: Mapping[Node, Sequence[Path]]) -> dict[Node, int]:
    """How many bytes each node has written down of transactions."""
    return {
        node: sum(each.stat().st_size for each in files) for node, files in logs.items()
    }


@contextmanager
def trial(
    *, nodes: int, which: str = "the relay", blows: Sequence[str] = ()
) -> Iterator[Trial]:
    """A trial on a cluster and a server of its own, all gone afterwards."""
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="sijil-struck-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        place = Path(folder)
        cluster = Cluster(place / "kafka", nodes=nodes, is_killed=True)
        first = cluster.nodes[0].folder
        first.mkdir(parents=True)
        kinds = list(blows or OFTEN)
        left_out = []
        if nodes > 1 and not blows:
            kinds.append(ALL_NODES)
        if FULL in kinds:
            if mounted(first):
                stack.callback(unmounted, first)
            else:
                kinds.remove(FULL)
                left_out = [FULL]
        stack.callback(cluster.kill)
        cluster.start()
        database = stack.enter_context(own_database(stack.enter_context(own_home())))
        struck = Trial(
            database, cluster, place, which=which, blows=kinds, left_out=left_out
        )
        stack.callback(struck.close)
        yield struck
