"""A backup comes back byte for byte and into an empty ledger, or not at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from eventsourcing.persistence import PersistenceError

from domain.resumptions import ResumedBecause
from ledger.backup.form import BackupError, DamagedBackupError
from ledger.backup.restoring import LedgerNotEmptyError, restore
from ledger.backup.resuming import resume
from ledger.names import Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database, Server, fresh_database
from tests.ledger.backup.filled import (
    ENTRIES,
    back_up,
    command,
    contents,
    leaves,
    must_be_empty,
)
from tests.ledger.backup.forging import forged
from tests.running import REPOSITORY


def wait_for_a_lock(database: Database) -> None:
    """Until somebody waits for another's transaction in this database."""
    with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                cursor.execute(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity"
                    " WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock')"
                )
                if cursor.fetchone() == (True,):
                    return
                time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_all_comes_back_byte_for_byte(
    source: Database, backup: Path, database: Database
) -> None:
    written = contents(source)
    assert len(written["events"]) >= ENTRIES
    assert any("\t" in line for (line,) in written["commands"])
    told: list[int] = []
    opening, closing_ = restore(
        database.settings, backup, loaded=told.append, compared=told.append
    )
    assert contents(database) == written
    assert leaves(database) == leaves(source)
    assert (closing_.entries, closing_.commands, closing_.tracking) == tuple(
        map(len, (written["events"], written["commands"], written["tracking"]))
    )
    last = opening.position
    assert told[:2] == [256, 512]
    assert told[-1] == last
    old = LedgerReader(source.datastore(Role.READER)).head()
    new = LedgerReader(database.datastore(Role.READER)).head()
    assert (new.ledger_id, new.incarnation) == (old.ledger_id, old.incarnation)
    assert (new.position, new.recorded_at) == (old.position, old.recorded_at)
    assert (old.is_suspended, new.is_suspended) == (False, True)


def test_an_empty_ledger_comes_back_too(
    database: Database, server: Server, template: str, tmp_path: Path
) -> None:
    back_up(database, tmp_path / "empty")
    other = fresh_database(server, template)
    try:
        opening, closing_ = restore(other.settings, tmp_path / "empty")
        head = LedgerReader(other.datastore(Role.READER)).head()
        assert (head.ledger_id, head.position) == (opening.ledger_id, 0)
        assert head.recorded_at is None
        assert closing_.entries == closing_.commands == 0
        assert resume(other.settings, ResumedBecause.EXERCISE).position == 1
    finally:
        other.close()


class TestRefusals:
    def test_a_ledger_with_anything_in_it(
        self, backup: Path, database: Database
    ) -> None:
        recorder = PostgresProcessRecorder(database.datastore(Role.APP))
        recorder.append([ActToAppend(events=[], command=command(1))])
        before = contents(database)
        with pytest.raises(LedgerNotEmptyError):
            restore(database.settings, backup)
        assert contents(database) == before

    def test_a_ledger_that_takes_an_act_just_before(
        self, backup: Path, database: Database
    ) -> None:
        """The restore waits for the act, and has to see what it has put in."""
        errors: list[BaseException] = []

        def bring_back() -> None:
            try:
                restore(database.settings, backup)
            except BaseException as error:  # noqa: BLE001 -- whatever it was
                errors.append(error)

        # A command without events leaves the head's row as it is.
        with closing(psycopg2.connect(**database.settings.dsn(Role.OWNER))) as other:
            with other, other.cursor() as cursor:
                cursor.execute("SELECT FROM sijil.ledger_head FOR UPDATE")
                cursor.execute(
                    "INSERT INTO sijil.commands (id, actor, digest, recorded_at)"
                    " VALUES (%s, 'test', 'd', now())",
                    (str(uuid4()),),
                )
                restoring = threading.Thread(target=bring_back)
                restoring.start()
                wait_for_a_lock(database)
            before = contents(database)
            restoring.join(60)
        assert [type(each) for each in errors] == [LedgerNotEmptyError]
        assert contents(database) == before
        assert len(before["commands"]) == 1

    @pytest.mark.parametrize("role", [Role.APP, Role.RUNNER, Role.READER])
    def test_whoever_is_not_the_owner(
        self, backup: Path, database: Database, role: Role
    ) -> None:
        with pytest.raises(PersistenceError, match="permission denied"):
            restore(database.settings, backup, role=role)
        must_be_empty(database)

    def test_what_no_ledger_can_hold_is_refused_by_its_position(
        self, backup: Path, database: Database, tmp_path: Path
    ) -> None:
        made = forged(
            backup,
            tmp_path / "b",
            lambda entry: re.sub(rb"\n[12]\n", b"\n-1\n", entry, count=1),
        )
        with pytest.raises(BackupError) as raised:
            restore(database.settings, made)
        assert getattr(raised.value, "position", None) == 301
        must_be_empty(database)

    def test_what_the_database_reads_otherwise_is_not_kept(
        self, backup: Path, database: Database, tmp_path: Path
    ) -> None:
        """The same moment, otherwise written: what is stored has another leaf."""
        made = forged(
            backup, tmp_path / "b", lambda entry: entry.replace(b"Z\n", b"+00\n", 1)
        )
        with pytest.raises(DamagedBackupError, match="other leaves"):
            restore(database.settings, made)
        must_be_empty(database)


_RESTORE = """
import sys
from pathlib import Path
from ledger.backup.restoring import restore
from ledger.settings import LedgerSettings
restore(LedgerSettings.load(), Path(sys.argv[1]), loaded=print)
"""


def test_a_restore_that_is_killed_leaves_nothing_and_can_be_run_again(
    backup: Path, database: Database, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = database.settings
    environment = {
        **os.environ,
        "SIJIL_HOME": str(settings.home),
        "SIJIL_DATABASE_NAME": settings.database_name,
        "SIJIL_VAULT_DATABASE_NAME": settings.vault_database_name,
        "PYTHONUNBUFFERED": "1",
    }
    if database.server.url is not None:
        environment["SIJIL_DATABASE_URL"] = database.server.url
    half = backup.read_bytes()[: backup.stat().st_size * 2 // 3]
    stop = threading.Event()

    def feed() -> None:
        with suppress(BrokenPipeError), pipe.open("wb") as file:
            file.write(half)
            file.flush()
            stop.wait(60)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with subprocess.Popen(
        [sys.executable, "-c", _RESTORE, str(pipe)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"256\n"
        finally:
            process.kill()
            stop.set()
    feeder.join()
    must_be_empty(database)
    restore(settings, backup)
    assert len(leaves(database)) >= ENTRIES
