"""Reading and following by position: order, waking, falling back, healing."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extensions
import pytest
from eventsourcing.persistence import (
    ConnectionUnavailableError,
    OperationalError,
    StoredEvent,
)

from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence import subscription
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database

LONG_S = 30.0
"""A bound no healthy machine comes near."""


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP))


def add(recorder: PostgresProcessRecorder, number: int = 1, size: int = 10) -> None:
    acts = [
        ActToAppend(events=[StoredEvent(uuid4(), 1, f"t{n % 3}", b"x" * size)])
        for n in range(number)
    ]
    recorder.append(acts)


@contextmanager
def following(
    reader: LedgerReader, *, after: int = 0, poll_s: float = LONG_S
) -> Iterator[list[int]]:
    seen: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        for batch in reader.follow(after=after, stop=stop, poll_s=poll_s):
            seen.extend(entry.position for entry in batch)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def wait_until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONG_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def terminate(database: Database, role: Role) -> None:
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE usename = %s AND datname = current_database()",
            (role.login,),
        )


class TestReading:
    def test_entries_come_by_position_and_topic(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        add(recorder, 9)
        reader = LedgerReader(database.datastore(Role.READER))
        assert [e.position for e in reader.entries(after=2, limit=3)] == [3, 4, 5]
        assert [e.position for e in reader.entries(after=0, limit=9, until=2)] == [1, 2]
        of_topic = reader.entries(after=0, limit=9, topics=["t0"])
        assert [e.position for e in of_topic] == [1, 4, 7]
        assert reader.entry(4) == of_topic[1]
        assert reader.entry(10) is None
        assert reader.aggregate(of_topic[0].aggregate_id) == [of_topic[0]]

    def test_an_empty_ledger_has_a_head_at_0(self, database: Database) -> None:
        head = LedgerReader(database.datastore(Role.READER)).head()
        assert (head.position, head.recorded_at, head.incarnation) == (0, None, 1)

    def test_as_of_a_time_is_as_of_a_position(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        add(recorder, 20)
        reader = LedgerReader(database.datastore(Role.READER))
        entries = list(reader.stream())
        tick = timedelta(microseconds=1)
        for entry in entries:
            assert reader.position_at(entry.recorded_at) == entry.position
            assert reader.position_at(entry.recorded_at - tick) == entry.position - 1
        assert reader.position_at(entries[-1].recorded_at + timedelta(days=1)) == 20
        assert reader.position_at(entries[0].recorded_at - timedelta(days=1)) == 0

    def test_a_stream_keeps_constant_memory(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        for _ in range(6):
            add(recorder, 1_000, size=2_000)
        reader = LedgerReader(database.datastore(Role.READER))

        def peak(until: int) -> int:
            tracemalloc.start()
            assert sum(1 for _ in reader.stream(until=until)) == until
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(1_000)
        assert peak(6_000) < 1.5 * peak(2_000)


class TestFollowing:
    def test_a_follower_sees_everything_in_order(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        add(recorder, 5)
        with following(LedgerReader(database.datastore(Role.READER))) as seen:
            for _ in range(10):
                add(recorder, 3)
            assert wait_until(lambda: len(seen) == 35)
        assert seen == list(range(1, 36))

    def test_notify_wakes_long_before_the_poll(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        reader = LedgerReader(database.datastore(Role.READER))
        with following(reader, poll_s=1e6) as seen:
            for number in range(1, 4):
                add(recorder)
                assert wait_until(lambda number=number: len(seen) == number)  # type: ignore[misc]

    def test_a_lost_notification_only_delays(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(subscription, "channel", lambda _schema: "nobody_speaks")
        reader = LedgerReader(database.datastore(Role.READER))
        with following(reader, poll_s=0.2) as seen:
            add(recorder)
            assert wait_until(lambda: seen == [1])

    def test_a_follower_outlives_its_connections(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        reader = LedgerReader(database.datastore(Role.READER))
        with following(reader, poll_s=0.2) as seen:
            for number in range(1, 4):
                terminate(database, Role.READER)
                add(recorder)
                assert wait_until(lambda number=number: len(seen) == number)  # type: ignore[misc]

    def test_a_lost_connection_is_listened_on_again_without_waiting_for_the_poll(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        reader = LedgerReader(database.datastore(Role.READER))
        with following(reader, poll_s=1e6) as seen:
            add(recorder)
            assert wait_until(lambda: seen == [1])
            terminate(database, Role.READER)
            add(recorder)
            assert wait_until(lambda: seen == [1, 2])


class CountingCursor(psycopg2.extensions.cursor):
    """A cursor that counts every statement of this process."""

    statements = 0

    def execute(self, *args: Any) -> None:
        CountingCursor.statements += 1
        super().execute(*args)


POLL_S = 0.25
IDLE_S = 2.5


class TestIdling:
    @pytest.fixture
    def counted(self, database: Database) -> Iterator[PostgresDatastore]:
        """A datastore whose statements are counted."""
        dsn = database.dsn(Role.READER) | {"cursor_factory": CountingCursor}
        store = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=5)
        yield store
        store.close()

    def test_many_idle_followers_send_one_statement_an_interval(
        self, counted: PostgresDatastore, recorder: PostgresProcessRecorder
    ) -> None:
        reader = LedgerReader(counted)
        add(recorder, 3)
        with ExitStack() as stack:
            seen = [
                stack.enter_context(following(reader, poll_s=POLL_S)) for _ in range(8)
            ]
            assert wait_until(lambda: all(len(each) == 3 for each in seen))
            time.sleep(2 * POLL_S)
            began, before = time.monotonic(), CountingCursor.statements
            time.sleep(IDLE_S)
            idle = CountingCursor.statements - before
            # A busy machine lets us sleep longer.
            passed_s = time.monotonic() - began
            # Not asleep either: the poll goes on, and what comes is seen by all.
            add(recorder)
            assert wait_until(lambda: all(len(each) == 4 for each in seen))
        assert 1 <= idle <= passed_s / POLL_S + 2

    def test_followers_of_a_process_share_one_listening_connection(
        self,
        database: Database,
        counted: PostgresDatastore,
        recorder: PostgresProcessRecorder,
    ) -> None:
        reader = LedgerReader(counted)
        add(recorder)
        with (
            closing(psycopg2.connect(**database.superuser_dsn())) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = True

            def listening() -> int:
                """Connections that last did what a listener does every interval."""
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
                    " AND datname = current_database() AND query = %s",
                    (Role.READER.login, "SELECT position FROM ledger_head"),
                )
                (found,) = cursor.fetchone() or (0,)
                return int(found)

            with following(reader) as one, following(reader) as two:
                assert wait_until(lambda: one == two == [1])
                assert wait_until(lambda: listening() == 1)
                time.sleep(0.3)
                assert listening() == 1
            # The last one out has closed it.
            assert wait_until(lambda: listening() == 0)

    def test_pulses_tick_even_when_nothing_comes(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        add(recorder)
        stop = threading.Event()
        reader = LedgerReader(database.datastore(Role.READER))
        began = time.monotonic()
        for number, _ in enumerate(reader.pulses(stop=stop, poll_s=0.2)):
            if number == 5:
                stop.set()
        # The first two come at once; no two for one interval.
        assert time.monotonic() - began >= 4 * 0.2


class TestDatastore:
    def test_the_pool_blocks_and_then_says_so(self, database: Database) -> None:
        store = database.datastore(
            Role.APP, pool_size=1, max_overflow=1, pool_timeout_s=0.2
        )
        with (
            store.transaction(),
            store.transaction(),
            pytest.raises(ConnectionUnavailableError),
            store.transaction(),
        ):
            pass
        with store.transaction() as cursor:
            cursor.execute("SELECT 1")

    def test_dead_connections_are_replaced(self, database: Database) -> None:
        store = database.datastore(Role.APP, pool_size=3)
        with store.transaction(), store.transaction(), store.transaction():
            pass
        terminate(database, Role.APP)
        for _ in range(5):
            with store.autocommit() as cursor:
                cursor.execute("SELECT 1")

    def test_a_statement_killed_under_way_is_an_operational_error(
        self, database: Database
    ) -> None:
        store = database.datastore(Role.APP)
        killer = threading.Timer(0.2, terminate, (database, Role.APP))
        with pytest.raises(OperationalError), store.autocommit() as cursor:
            killer.start()
            cursor.execute("SELECT pg_sleep(30)")
        killer.join()
        with store.autocommit() as cursor:
            cursor.execute("SELECT 1")

    def test_an_error_undoes_its_transaction(self, database: Database) -> None:
        store = database.datastore(Role.RUNNER, schema="sijil_views")
        with pytest.raises(ZeroDivisionError), store.transaction() as cursor:
            cursor.execute("DELETE FROM progress")
            raise ZeroDivisionError
        with store.autocommit() as cursor:
            cursor.execute("SELECT count(*) FROM progress")
            row = cursor.fetchone()
        assert row is not None
        assert row[0] > 0

    def test_errors_repeat_no_values(self, database: Database) -> None:
        owner = database.datastore(Role.OWNER)
        with pytest.raises(Exception) as caught, owner.transaction() as cursor:  # noqa: PT011
            cursor.execute(
                "INSERT INTO commands VALUES (gen_random_uuid(), NULL,"
                " 'marked-value', NULL, NULL, now())"
            )
        assert "marked-value" not in str(caught.value)
