"""A connection cut at any place: an act is stored once or not at all, and it is known.

The outcome of a lost answer is open until the command's id is asked, by sending the
same act again. Nothing but the right kind of error ever comes of a cut.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    PersistenceError,
    StoredEvent,
)

from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Command
from ledger.persistence.datastore import PostgresDatastore, is_away
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.load import stored
from tests.ledger.order import observe, violations
from tests.ledger.proxy import Proxy

LONG_S = 30.0
BODY = b"x" * 1_000
"""Thousands of these are more than any buffer between the server and us."""
PART = 100_000
"""Bytes of an answer that has a thousand of these."""
SENDERS = 8
CUTS = 15
MOST_TRIES = 5
SOME_BYTES = (0, 1, 5, 20, 60, 100, 120, 130, 140)
"""Places in the answer of an append, from its first byte to about its last."""


@pytest.fixture
def wire(database: Database) -> Iterator[Proxy]:
    with Proxy(database.dsn(Role.APP)) as made:
        yield made


@pytest.fixture
def store(wire: Proxy) -> Iterator[PostgresDatastore]:
    made = PostgresDatastore(wire.dsn, schema=LEDGER_SCHEMA, pool_size=2)
    yield made
    made.close()


class Sender:
    """Sends acts of two events each, and again until it is known what became of them.

    ``lost`` tells of each answer that did not come whether it was the store's doing.
    """

    def __init__(self, store: PostgresDatastore) -> None:
        self.recorder = PostgresProcessRecorder(store)
        self.acknowledged: list[tuple[str, int, int]] = []
        self.lost: list[bool] = []

    def send(self) -> None:
        command = Command(id=uuid4(), actor="sender", digest=b"d")
        aggregate, body = uuid4(), f"{command.id}/2".encode()
        events = [StoredEvent(aggregate, version, "t", body) for version in (1, 2)]
        for _ in range(MOST_TRIES):
            try:
                told = stored(self.recorder, events, command)
            except (OperationalError, InterfaceError) as error:
                self.lost.append(is_away(error))
                continue
            self.acknowledged.append((str(command.id), *told))
            return
        pytest.fail("the outcome of an act stayed open")


def must_be_sound(database: Database, sender: Sender, acts: int) -> None:
    seen = observe(database.superuser_dsn(), sender.acknowledged)
    assert violations(seen) == []
    assert all(sender.lost)
    assert len(seen.rows) == 2 * acts == 2 * len(sender.acknowledged)


def test_a_statement_that_never_arrived(
    database: Database, wire: Proxy, store: PostgresDatastore
) -> None:
    sender = Sender(store)
    sender.send()
    wire.cut_before_the_server()
    sender.send()
    assert wire.cuts == 1
    must_be_sound(database, sender, acts=2)


@pytest.mark.parametrize("after_bytes", SOME_BYTES)
def test_an_answer_that_was_lost_or_broke_off(
    database: Database, wire: Proxy, store: PostgresDatastore, after_bytes: int
) -> None:
    sender = Sender(store)
    sender.send()
    wire.cut_in_the_answer(after_bytes)
    sender.send()
    assert wire.cuts == 1
    must_be_sound(database, sender, acts=2)


def test_a_wire_that_is_cut_again_and_again_under_load(
    database: Database, wire: Proxy, store: PostgresDatastore
) -> None:
    """Many senders share each transaction that is cut: each learns its own outcome."""
    chance = random.Random(5)  # noqa: S311 -- a test's dice
    sender = Sender(store)
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            sender.send()

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for number in range(1, CUTS + 1):
        before = len(sender.acknowledged)
        (
            wire.cut_before_the_server,
            wire.cut_all,
            lambda: wire.cut_in_the_answer(chance.choice(SOME_BYTES)),
        )[number % 3]()
        wait_until(lambda n=number: wire.cuts == n)  # type: ignore[misc]
        wait_until(lambda n=before: len(sender.acknowledged) > n + SENDERS)  # type: ignore[misc]
    is_over.set()
    for thread in threads:
        thread.join()
    must_be_sound(database, sender, acts=len(sender.acknowledged))
    assert sender.lost == [], "the store sends again, and knows"


@contextmanager
def held_head(database: Database) -> Iterator[Any]:
    """The head's lock in other hands, so that an append that arrived has to wait."""
    with closing(psycopg2.connect(**database.superuser_dsn())) as other:
        other.cursor().execute("SELECT FROM sijil.ledger_head FOR UPDATE")
        yield other


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(database: Database) -> list[int]:
    """The sessions of the application that wait for a lock."""
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s"
            " AND datname = current_database() AND wait_event_type = 'Lock'",
            (Role.APP.login,),
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_statement_under_way_whose_sender_was_cut_off(
    database: Database, wire: Proxy, store: PostgresDatastore, *, is_ended: bool
) -> None:
    """The first statement lives on without its sender, and is done after the second
    was sent; or the server ends it. Both times the act is there once.
    """
    sender = Sender(store)
    sender.send()
    thread = threading.Thread(target=sender.send)
    with held_head(database) as other:
        thread.start()
        wait_until(lambda: len(waiting(database)) == 1)
        (first,) = waiting(database)
        wire.cut_all()
        # The act was sent again by now, and stands behind the one that was cut off.
        wait_until(lambda: len(waiting(database)) == 2)
        if is_ended:
            with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
                connection.cursor().execute(
                    "SELECT pg_terminate_backend(%s, 10000)", (first,)
                )
        other.rollback()
    thread.join()
    must_be_sound(database, sender, acts=2)


def test_a_read_cut_at_any_byte_is_a_store_that_is_away(
    database: Database, wire: Proxy, store: PostgresDatastore
) -> None:
    """Wherever an answer breaks off, no half of it and no other error comes out."""
    text = "x" * 200
    for after_bytes in range(0, 280, 7):
        with store.autocommit() as cursor:
            cursor.execute("SELECT 1")
        wire.cut_in_the_answer(after_bytes)
        with pytest.raises(PersistenceError) as caught, store.autocommit() as cursor:
            cursor.execute("SELECT %s", (text,))
            assert cursor.fetchall() == [(text,)]
            # The whole answer was shorter: the cut waits for the next one.
            cursor.execute("SELECT %s", (text,))
        assert is_away(caught.value)
    assert wire.cuts == 40


def test_a_stream_cut_in_the_middle_says_so(
    database: Database, wire: Proxy, store: PostgresDatastore
) -> None:
    """What was read before is good; the rest is asked for again, from there."""
    number = 5_000
    # Not by the wire: the driver keeps the interpreter while it ends a COPY, and the
    # wire is a thread of this process.
    PostgresProcessRecorder(database.datastore(Role.APP)).append(
        [
            ActToAppend(events=[StoredEvent(uuid4(), 1, "t", BODY)])
            for _ in range(number)
        ]
    )
    reader = LedgerReader(store)
    seen: list[int] = []

    def read(after: int) -> None:
        for entry in reader.stream(after=after):
            if not seen:
                # Not between two answers: then the next one comes by another line.
                wire.cut_in_the_answer(PART)
            seen.append(entry.position)

    with pytest.raises(OperationalError):
        read(after=0)
    assert 0 < len(seen) < number
    read(after=seen[-1])
    assert seen == list(range(1, number + 1))


def test_followers_go_on_after_a_cut(
    database: Database, wire: Proxy, store: PostgresDatastore
) -> None:
    ours: list[int] = []
    librarys: list[int] = []
    stop = threading.Event()
    sender = Sender(database.datastore(Role.APP))

    def follow() -> None:
        for batch in LedgerReader(store).follow(after=0, stop=stop):
            ours.extend(entry.position for entry in batch)

    with PostgresProcessRecorder(store).subscribe(gt=0) as subscription:
        threads = [
            threading.Thread(target=follow),
            threading.Thread(
                target=lambda: librarys.extend(each.id for each in subscription)
            ),
        ]
        for thread in threads:
            thread.start()
        for number in range(1, 4):
            sender.send()
            wanted = 2 * number
            wait_until(lambda n=wanted: len(ours) == len(librarys) == n)  # type: ignore[misc]
            wire.cut_all()
        stop.set()
        subscription.stop()
        for thread in threads:
            thread.join()
    assert ours == librarys == list(range(1, 7))
