"""Two relays: one is at work, the other stands by and takes over by itself.

Both are processes, and neither is started again: what goes on, the other does.
"""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg2
import pytest

from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin
from consumers.topics import EVENTS
from consumers.verifying import TopicVerifier
from consumers.verifying_statuses import StatusVerifier
from ledger.names import Lock
from tests.conftest import Server, fresh_database
from tests.consumers.conftest import Book, published_of, until
from tests.consumers.relay_processes import begin
from tests.kafka.shared import one_node

AT_WORK_S = 60.0
"""How long two processes may take on a busy machine for anything but to take over."""
TAKES_OVER_S = 28.0
"""A start and what it publishes, on a busy machine. Less than TRANSACTION_TIMEOUT_MS:
nobody may wait until the broker itself ends what the other left open."""
MORE = 50
"""Entries that somebody has to have published to be at work."""
_HOLDER = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objid = %s
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A ledger and a cluster with the topics of the catalogue; each test adds to it."""

    book: Book
    bootstrap: str
    options: dict[str, Any]

    def position(self) -> int:
        """How far the topic of events has come."""
        return published_of(self.options, EVENTS)

    def goes_on(self, timeout_s: float = AT_WORK_S) -> None:
        """Wait until somebody has published more."""
        before = self.position()
        until(lambda: self.position() >= before + MORE, timeout_s)

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Entries come in all the while."""
        stop = Event()

        def write() -> None:
            while not stop.wait(0.05):
                self.book.add(5, 2)

        writer = Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            stop.set()
            writer.join()

    def end_the_session_with_the_turn(self) -> None:
        """As a failover does, or an operator; the lock is free then."""
        dsn = self.book.database.superuser_dsn()
        with closing(psycopg2.connect(**dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(_HOLDER, (Lock.RELAY.value,))
                assert cursor.fetchall() == [(True,)]

    def must_become_whole(self) -> None:
        """Level with the ledger, every entry once, every status the ledger's."""
        head = self.book.reader.head().position
        until(lambda: self.position() == head, AT_WORK_S)
        verdict = TopicVerifier(self.options, ledger=self.book.reader).verify()
        assert verdict.findings == []
        told = (verdict.first, verdict.last, verdict.records, verdict.compared)
        assert told == (1, head, head, head)
        proved = StatusVerifier(self.options, self.book.reader).verify()
        assert (proved.findings, proved.behind) == ([], 0)


@pytest.fixture(scope="module")
def place(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with one_node(tmp_path_factory.mktemp("standing-by") / "kafka") as cluster:
        options = KafkaSettings(kafka=cluster.bootstrap).client()
        with closing(TopicAdmin(options, replication=1)) as admin:
            admin.apply()
        with closing(fresh_database(server, template)) as database:
            yield Place(
                book=Book(database), bootstrap=cluster.bootstrap, options=options
            )


class One:
    """One relay of the two, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def has_begun(self) -> bool:
        return '"relay.begins"' in self.said()

    def stands_by(self) -> bool:
        return '"relay.stands_by"' in self.said()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Two:
    """Two relays: the one that got the turn, and the other."""

    active: One
    standby: One


@pytest.fixture
def two(place: Place, tmp_path: Path) -> Iterator[Two]:
    """Both started at once; the active one has published, while entries came in."""
    relays = []
    for number in range(2):
        log = tmp_path / f"relay-{number}.log"
        process = begin(place.book.database, place.bootstrap, log)
        relays.append(One(process, log))
    try:
        until(
            lambda: (
                any(each.has_begun() for each in relays)
                and any(each.stands_by() for each in relays)
            ),
            AT_WORK_S,
        )
        active, standby = sorted(relays, key=One.stands_by)
        with place.appending():
            place.goes_on()
        # The other has published nothing, nor fenced off who did.
        assert not standby.has_begun()
        assert active.process.poll() is standby.process.poll() is None
        yield Two(active=active, standby=standby)
    finally:
        for each in relays:
            each.process.kill()
            each.process.wait()


def takes_over(relay: One, place: Place) -> None:
    """Wait until a relay has begun, and somebody has published more."""
    began = time.monotonic()
    until(relay.has_begun, TAKES_OVER_S)
    place.goes_on(TAKES_OVER_S - (time.monotonic() - began))


def test_who_stands_by_takes_over_from_a_relay_that_was_killed(
    place: Place, two: Two
) -> None:
    with place.appending():
        place.goes_on()
        two.active.process.kill()
        takes_over(two.standby, place)
    place.must_become_whole()
    assert two.standby.process.poll() is None


def test_a_relay_that_lost_its_turn_ends_before_anybody_else_publishes(
    place: Place, two: Two
) -> None:
    with place.appending():
        # Not even to fence it off is anybody there: it finds out by itself.
        two.standby.process.send_signal(signal.SIGSTOP)
        place.end_the_session_with_the_turn()
        assert two.active.process.wait(AT_WORK_S) == 2
        assert "because of TurnLostError" in two.active.said()
        assert not two.standby.has_begun()
        two.standby.process.send_signal(signal.SIGCONT)
        takes_over(two.standby, place)
    place.must_become_whole()
    assert two.standby.process.poll() is None


def test_a_relay_that_slept_while_another_took_over_publishes_nothing_more(
    place: Place, two: Two
) -> None:
    with place.appending():
        place.goes_on()
        two.active.process.send_signal(signal.SIGSTOP)
        place.end_the_session_with_the_turn()
        takes_over(two.standby, place)
        two.active.process.send_signal(signal.SIGCONT)
        # By what name it is told depends on where it slept; it ends by any.
        assert two.active.process.wait(AT_WORK_S) == 2
        place.goes_on()
    place.must_become_whole()
    assert two.standby.process.poll() is None
