"""The store in trouble: it waits where that is safe, else fails clearly, and recovers.

Each test breaks something of a real server and mends it again. Our process is never
restarted: the same pool, recorder, reader and followers have to go on.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from eventsourcing.persistence import (
    OperationalError,
    PersistenceError,
    StoredEvent,
)

from ledger.embedded import EmbeddedServer
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import (
    ActToAppend,
    ClockSkewError,
    Command,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import PostgresDatastore, is_away
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.load import LONG_S, WRITERS, Load, wait_until
from tests.ledger.order import observe, violations
from tests.own_server import own_database, own_home

DISK_FULL = "53100"
ROOM_FOR_ROWS_BYTES = 4 * 2**20
"""Less than the 16 MB of a segment of the log of changes."""
SMALL_DISK = "200m"
"""Room for a new cluster and its log of changes, and quickly filled."""


@pytest.fixture(scope="module")
def kept() -> Iterator[Database]:
    with own_home() as home, own_database(home) as made:
        yield made


@pytest.fixture
def own(kept: Database) -> Iterator[Database]:
    """A database on a server of our own; whole again and empty for each test."""
    server = kept.server.embedded
    server.start()
    ask(
        server,
        "ALTER ROLE sijil_app CONNECTION LIMIT -1",
        "ALTER ROLE sijil_app RESET ALL",
        f"ALTER DATABASE {kept.name} ALLOW_CONNECTIONS true",
        f"ALTER DATABASE {kept.name} RESET ALL",
    )
    ask(
        server,
        "SET session_replication_role = replica;"
        "TRUNCATE sijil.events, sijil.commands, sijil.tracking;"
        "UPDATE sijil.ledger_head SET position = 0, recorded_at = '-infinity'",
        dbname=kept.name,
    )
    yield kept
    for datastore in kept.open:
        datastore.close()
    kept.open.clear()


def ask(server: EmbeddedServer, *statements: str, dbname: str = "postgres") -> Any:
    """Statements of the superuser; the first value of the last, where it has one."""
    with (
        closing(psycopg2.connect(**server.dsn(dbname=dbname))) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


class TestAServerThatGoes:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
    def test_and_comes_back_under_load(self, own: Database, how: int) -> None:
        """Fast, immediate and killed: SIGINT, SIGQUIT, SIGKILL of the postmaster.

        Whoever sends meanwhile has to wait, and gets an answer and no error.
        """
        server = own.server.embedded
        with Load(own) as load:
            for _ in range(2):
                pid = server.pid()
                assert pid is not None
                os.kill(pid, how)
                wait_until(lambda: server.pid() is None)
                server.start()
                load.wait_for_more()
            load.must_be_sound()
        assert load.failures == []

    def test_is_waited_for_by_who_asks_meanwhile(self, own: Database) -> None:
        """A restart costs a caller time and no error: nothing was sent before."""
        server = own.server.embedded
        reader = LedgerReader(own.datastore(Role.READER, connect_wait_s=LONG_S))
        assert reader.head().position == 0
        server.stop()
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(reader.head().position))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert found == []
        server.start()
        for thread in threads:
            thread.join()
        assert found == [0] * 5

    def test_and_stays_away_fails_each_caller_at_once_after_a_while(
        self, own: Database
    ) -> None:
        """The wait is one for all, counted from the first who missed the server."""
        server = own.server.embedded
        reader = LedgerReader(own.datastore(Role.READER, connect_wait_s=0.5))
        server.stop()
        began = time.monotonic()
        with pytest.raises(OperationalError):
            reader.head()
        assert time.monotonic() - began >= 0.5
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(OperationalError):
                reader.head()
        # Had each waited as well, it would be ten seconds.
        assert time.monotonic() - began < 5
        server.start()
        assert reader.head().position == 0
        # It counts anew: the next outage is waited for again.
        server.stop()
        began = time.monotonic()
        with pytest.raises(OperationalError):
            reader.head()
        assert time.monotonic() - began >= 0.5

    def test_refuses_a_wrong_password_without_a_wait(self, own: Database) -> None:
        wrong = {**own.dsn(Role.READER), "password": "wrong"}
        store = PostgresDatastore(wrong, schema=LEDGER_SCHEMA, connect_wait_s=LONG_S)
        with pytest.raises(OperationalError):
            LedgerReader(store).head()
        store.close()


class TestSessionsThatEnd:
    def test_all_at_once_and_for_a_while_none_can_be_had(self, own: Database) -> None:
        """A failover: every connection drops, and new ones are refused until later."""
        server = own.server.embedded
        with Load(own, patience_s=0.2) as load:
            for _ in range(3):
                ask(
                    server,
                    f"ALTER DATABASE {own.name} ALLOW_CONNECTIONS false",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{own.name}'",
                )
                time.sleep(0.5)
                ask(server, f"ALTER DATABASE {own.name} ALLOW_CONNECTIONS true")
                load.wait_for_more()
            load.must_be_sound()
        assert load.failures

    def test_a_server_that_became_a_standby_is_left(self, own: Database) -> None:
        """It answers, and takes nothing: its sessions are given up, not kept."""
        server = own.server.embedded
        with Load(own, patience_s=0.2) as load:
            ask(
                server,
                f"ALTER DATABASE {own.name} SET default_transaction_read_only = on",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{own.name}'",
            )
            wait_until(lambda: len(load.failures) > WRITERS)
            ask(server, f"ALTER DATABASE {own.name} RESET ALL")
            load.wait_for_more()
            load.must_be_sound()

    def test_because_a_transaction_was_silent_too_long(self, own: Database) -> None:
        store = own.datastore(Role.APP, idle_in_transaction_timeout_ms=100)
        for _ in range(3):
            with pytest.raises(OperationalError) as caught, store.transaction() as tx:
                tx.execute("SELECT 1")
                time.sleep(0.3)
                tx.execute("SELECT 1")
            assert is_away(caught.value)
            # Not in a transaction, which may be silent too long again.
            with store.autocommit() as cursor:
                cursor.execute("SELECT 1")

    def test_in_the_middle_of_a_statement_by_a_limit_of_the_server(
        self, own: Database
    ) -> None:
        """Its word for it has an SQLSTATE that the driver takes for a fault inside."""
        server = own.server.embedded
        ask(server, "ALTER ROLE sijil_app SET transaction_timeout = '100ms'")
        store = own.datastore(Role.APP)
        with pytest.raises(OperationalError) as caught, store.autocommit() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
        assert is_away(caught.value)
        # A new session may take longer to begin.
        ask(server, "ALTER ROLE sijil_app RESET ALL")
        with store.autocommit() as cursor:
            cursor.execute("SELECT 1")

    def test_a_commit_of_a_session_that_ended_is_no_success(
        self, own: Database
    ) -> None:
        store = own.datastore(Role.APP, idle_in_transaction_timeout_ms=100)
        with pytest.raises(OperationalError), store.transaction() as tx:
            tx.execute("SELECT 1")
            time.sleep(0.3)


class TestAFullTableOfConnections:
    def test_callers_take_turns_on_those_there_are(self, own: Database) -> None:
        """A pool that may have more than the server gives: it works with fewer."""
        server = own.server.embedded
        ask(server, "ALTER ROLE sijil_app CONNECTION LIMIT 2")
        store = own.datastore(Role.APP, pool_size=8, connect_wait_s=LONG_S)
        done: list[int] = []

        def read() -> None:
            for _ in range(20):
                with store.autocommit() as cursor:
                    cursor.execute("SELECT pg_sleep(0.001)")
                    done.append(1)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 160

    def test_that_never_has_room_fails_clearly_and_recovers(
        self, own: Database
    ) -> None:
        server = own.server.embedded
        with Load(own, patience_s=0.2) as load, ExitStack() as others:
            before = len(load.failures)
            # Others take every place but those kept for the superuser; the store may
            # be quick to take one of them back, so they try until it has none.
            while len(load.failures) <= before + WRITERS:
                ask(
                    server,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'sijil_app'",
                )
                with suppress(psycopg2.OperationalError):
                    while True:
                        other = psycopg2.connect(**own.dsn(Role.RUNNER))
                        others.enter_context(closing(other))
                time.sleep(0.3)
            others.close()
            load.wait_for_more()
            load.must_be_sound()


class TestAFullDisk:
    @pytest.fixture
    def small(self) -> Iterator[tuple[Database, Path]]:
        """A ledger whose whole server lives on a small disk of its own."""
        with own_home() as home, small_disk(home.parent / "disk") as disk:
            disk.chmod(0o711)
            with own_database(disk / "home") as database:
                yield database, disk

    @pytest.mark.parametrize("is_of_the_log", [False, True])
    def test_refuses_what_it_cannot_keep_and_takes_it_when_there_is_room(
        self, small: tuple[Database, Path], *, is_of_the_log: bool
    ) -> None:
        """No room for rows: acts are refused. None for the log: the server ends."""
        database, disk = small
        server, ballast = database.server.embedded, disk / "ballast"
        store = database.datastore(Role.APP, connect_wait_s=0.2)
        recorder = PostgresProcessRecorder(store, limits=CommitterLimits(retry_s=0.2))
        reader = LedgerReader(store)
        acknowledged: list[tuple[str, int, int]] = []

        def send() -> None:
            command = Command(id=uuid4(), actor="writer", digest=b"d")
            body = f"{command.id}/20".encode()
            aggregate = uuid4()
            events = [StoredEvent(aggregate, n, "t" * 100, body) for n in range(1, 21)]
            positions = recorder.insert_events(events, command=command)
            assert positions is not None
            acknowledged.append((str(command.id), positions[0], positions[-1]))

        send()
        fill(ballast)
        if is_of_the_log:
            os.truncate(ballast, ballast.stat().st_size - ROOM_FOR_ROWS_BYTES)
        failed: list[PersistenceError] = []
        deadline = time.monotonic() + LONG_S
        while len(failed) < 3:
            assert time.monotonic() < deadline
            try:
                send()
                if is_of_the_log:
                    ask(server, "SELECT pg_switch_wal()")
            except PersistenceError as error:
                failed.append(error)
            except psycopg2.OperationalError:
                continue
        assert all(is_away(error) for error in failed)
        if is_of_the_log:
            assert "PANIC" in server.log.read_text()
        else:
            codes = {getattr(error.__cause__, "pgcode", None) for error in failed}
            assert codes == {DISK_FULL}
        ballast.unlink()
        # A server that found no room for its log has ended, and is started again.
        server.start()
        wait_until(lambda: is_reading(reader))
        for _ in range(20):
            send()
        seen = observe(database.superuser_dsn(), acknowledged)
        assert violations(seen) == []


def is_reading(reader: LedgerReader) -> bool:
    try:
        return reader.head().position > 0
    except OperationalError:
        return False


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system with a bound of its own; skips where none may be mounted."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a full disk needs a small one, and only root may mount it")
    folder.mkdir()
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(ballast: Path) -> None:
    """Take all the room that is left."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4_096)
        except OSError:
            return


class TestClocks:
    def test_set_back_on_the_server(self, own: Database) -> None:
        """Up to a minute time still rises; beyond it nothing is stored until mended."""
        server = own.server.embedded
        store = own.datastore(Role.APP)
        recorder = PostgresProcessRecorder(store)
        acknowledged: list[tuple[str, int, int]] = []

        def send() -> datetime:
            command = Command(id=uuid4(), actor="writer", digest=b"d")
            event = StoredEvent(uuid4(), 1, "t", f"{command.id}/1".encode())
            (position,) = recorder.insert_events([event], command=command) or ()
            acknowledged.append((str(command.id), position, position))
            entry = LedgerReader(store).entry(position)
            assert entry is not None
            return entry.recorded_at

        def last_entry(ahead: str) -> None:
            # As the ledger sees it, its clock is behind by as much.
            ask(
                server,
                "UPDATE sijil.ledger_head"
                f" SET recorded_at = clock_timestamp() + interval '{ahead}'",
                dbname=own.name,
            )

        first = send()
        last_entry("40 seconds")
        second, third = send(), send()
        assert first < second < third == second + timedelta(microseconds=1)
        last_entry("70 seconds")
        for _ in range(3):
            with pytest.raises(ClockSkewError):
                send()
        assert len(acknowledged) == 3
        last_entry("41 seconds")
        assert send() > third
        assert violations(observe(own.superuser_dsn(), acknowledged)) == []

    def test_set_wrong_at_the_caller(self, own: Database) -> None:
        recorder = PostgresProcessRecorder(own.datastore(Role.APP))
        reader = LedgerReader(own.datastore(Role.READER))
        event = StoredEvent(uuid4(), 1, "t", b"x/1")
        act = [ActToAppend(events=[event])]
        for minutes in (-2, 2):
            clock = datetime.now(UTC) + timedelta(minutes=minutes)
            with pytest.raises(ClockSkewError):
                recorder.append(act, clock=clock)
        assert reader.head().position == 0
        (done,) = recorder.append(act, clock=datetime.now(UTC))
        assert done.first_position == 1


def test_a_server_that_does_not_answer_keeps_nobody_from_a_connection(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one caller waits to be let in, others take and give back what is open."""
    store = own.datastore(Role.APP, pool_size=2)
    real = PostgresDatastore._new_connection
    slow = threading.Event()

    def stuck(self: PostgresDatastore) -> Any:
        if threading.current_thread() is not threading.main_thread():
            slow.wait(LONG_S)
        return real(self)

    with store.autocommit() as cursor:
        cursor.execute("SELECT 1")
        monkeypatch.setattr(PostgresDatastore, "_new_connection", stuck)

        def other() -> None:
            with store.autocommit() as mine:
                mine.execute("SELECT 1")

        thread = threading.Thread(target=other)
        thread.start()
        wait_until(lambda: store._pool.num_in_use == 2)
    began = time.monotonic()
    with store.autocommit() as cursor:
        cursor.execute("SELECT 1")
    assert time.monotonic() - began < LONG_S / 2
    slow.set()
    thread.join()
