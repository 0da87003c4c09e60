"""A backup comes back byte for byte, or not at all; and what it says is held to it."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from eventsourcing.persistence import PersistenceError, StoredEvent, Tracking

from domain.resumptions import ResumedBecause, ReturnedLedger
from ledger.backup.form import (
    CLOSING,
    BackupError,
    Closing,
    DamagedBackupError,
    Opening,
)
from ledger.backup.reading import check_backup
from ledger.backup.restoring import LedgerNotEmptyError, restore
from ledger.backup.resuming import NotSuspendedError, is_common, resume, suspend
from ledger.backup.writing import write_backup
from ledger.entries import leaf_hash
from ledger.names import Role
from ledger.persistence.append import (
    ActToAppend,
    Command,
    LedgerSuspendedError,
    Outcome,
)
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database, Server, fresh_database
from tests.running import REPOSITORY

ENTRIES = 600
"""Two full bundles and a part of a third."""
ODD_TOPICS = ("a\\tb", "\\N", "sijil.request.stamped.v1", "~ ~")
ODD_BODIES = (b"", b"\x00\n\t\\", "ختم".encode(), b"x" * 60_000, bytes(range(256)))
_TABLES = {
    "events": "position",
    "commands": "id",
    "tracking": "name",
}


def command(number: int) -> Command:
    return Command(
        id=UUID(int=number + 1), actor='clerk:"\\\t\n', digest=b"\x00%d" % number
    )


def act(number: int) -> ActToAppend:
    """One act: two events, or one without a command, or none at all."""
    events = [
        StoredEvent(
            UUID(int=number),
            version,
            ODD_TOPICS[number % len(ODD_TOPICS)],
            ODD_BODIES[number % len(ODD_BODIES)] if number < 30 else b"{%d}" % number,
        )
        for version in range(1, 1 + (0 if number % 7 == 3 else 1 + number % 2))
    ]
    return ActToAppend(
        events=events,
        command=None if number % 5 == 4 and events else command(number),
        tracking=Tracking(f"stream-{number % 3}", number) if number % 4 else None,
    )


def fill(database: Database, entries: int) -> None:
    recorder = PostgresProcessRecorder(database.datastore(Role.APP))
    reader = LedgerReader(database.datastore(Role.READER))
    number = 0
    while (missing := entries - reader.head().position) > 0:
        some = [act(number + each) for each in range(min(missing, 150))]
        number += len(some)
        assert {done.outcome for done in recorder.append(some)} == {Outcome.APPENDED}


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the ledger, as text, as the database writes it."""
    found = {}
    with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
        cursor = connection.cursor()
        for table, order in _TABLES.items():
            cursor.execute(f"SELECT t::text FROM sijil.{table} t ORDER BY {order}")
            found[table] = cursor.fetchall()
    return found


def leaves(database: Database) -> list[bytes]:
    reader = LedgerReader(database.datastore(Role.READER))
    return [entry.leaf_hash() for entry in reader.stream()]


def back_up(database: Database, path: Path) -> tuple[Opening, Closing]:
    return write_backup(database.datastore(Role.APP), path)


@pytest.fixture(scope="module")
def source(server: Server, template: str) -> Iterator[Database]:
    made = fresh_database(server, template)
    fill(made, ENTRIES)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def backup(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "ledger.sijil"
    back_up(source, path)
    return path


def rewritten(
    backup: Path, path: Path, change: Callable[[str, bytes], bytes | None]
) -> Path:
    """The same archive with parts changed, or left out; its own checksums are right."""
    with (
        tarfile.open(backup, "r:gz") as old,
        tarfile.open(path, "w:gz") as new,
    ):
        for about in old:
            file = old.extractfile(about)
            assert file is not None
            part = change(about.name, file.read())
            if part is not None:
                about.size = len(part)
                new.addfile(about, BytesIO(part))
    return path


def bundle_with(
    bundle: bytes, tile: bytes, number: int, change: Callable[[bytes], bytes]
) -> tuple[bytes, bytes]:
    """A bundle with one entry changed, and its tile as it then has to be."""
    at, parts, hashes = 0, [], []
    while at < len(bundle):
        size = int.from_bytes(bundle[at : at + 2], "big")
        entry = bundle[at + 2 : at + 2 + size]
        if len(parts) == number:
            entry = change(entry)
        parts.append(len(entry).to_bytes(2, "big") + entry)
        hashes.append(leaf_hash(entry))
        at += 2 + size
    return b"".join(parts), b"".join(hashes)


def forged(backup: Path, path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The backup with entry 301 changed by somebody who makes all digests anew."""
    with tarfile.open(backup, "r:gz") as old:
        parts = {}
        for about in old:
            file = old.extractfile(about)
            assert file is not None
            parts[about.name] = file.read()
    names = ("tile/entries/001", "tile/0/001")
    changed = bundle_with(*(parts[name] for name in names), 44, change)
    made = {**parts, **dict(zip(names, changed, strict=True))}
    first = rewritten(backup, path, lambda name, _: made[name])
    with pytest.raises(DamagedBackupError, match="its root is not") as raised:
        check_backup(first)
    root = str(raised.value).partition("(")[2][:64].encode()
    old_root = Closing.of(parts[CLOSING]).root.encode()
    final = path.with_suffix(".final")
    rewritten(first, final, lambda _, part: part.replace(old_root, root))
    check_backup(final)
    return final


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


def must_be_empty(database: Database) -> None:
    assert contents(database) == {table: [] for table in _TABLES}
    assert LedgerReader(database.datastore(Role.READER)).head().position == 0


class TestRoundTrip:
    def test_all_comes_back_byte_for_byte(
        self, source: Database, backup: Path, database: Database
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

    def test_the_file_is_private_and_the_same_each_time(
        self, source: Database, backup: Path, tmp_path: Path
    ) -> None:
        again = tmp_path / "again"
        assert back_up(source, again) == check_backup(backup)
        assert again.read_bytes() == backup.read_bytes()
        # Nothing says when or where it was written: gzip has a place for both.
        assert backup.read_bytes()[3:8] == bytes(5)
        assert again.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in tmp_path.iterdir()] == ["again"]

    def test_others_find_the_leaves_without_us(
        self, source: Database, backup: Path
    ) -> None:
        """The tiles are those of C2SP tlog-tiles, whose reader knows nothing of us."""
        with tarfile.open(backup, "r:gz") as archive:
            names = archive.getnames()
            tiles = [name for name in names if name.startswith("tile/0/")]
            last = len(leaves(source)) % 256
            assert tiles == ["tile/0/000", "tile/0/001", f"tile/0/002.p/{last}"]
            found = b"".join(
                archive.extractfile(name).read()  # type: ignore[union-attr]
                for name in tiles
            )
        assert found == b"".join(leaves(source))

    def test_an_empty_ledger_comes_back_too(
        self, database: Database, server: Server, template: str, tmp_path: Path
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

    def test_what_comes_meanwhile_is_left_out(
        self, database: Database, server: Server, template: str, tmp_path: Path
    ) -> None:
        """A mark of a stream beyond the entries would lose its messages for ever."""
        fill(database, 20)
        before = contents(database)
        recorder = PostgresProcessRecorder(database.datastore(Role.APP))

        def more(_: int) -> None:
            recorder.append([act(1_000), act(1_001), act(1_003), act(1_004)])

        write_backup(database.datastore(Role.APP), tmp_path / "b", written=more)
        assert len(contents(database)["commands"]) > len(before["commands"])
        other = fresh_database(server, template)
        try:
            restore(other.settings, tmp_path / "b")
            assert contents(other) == before
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

    def test_a_file_that_is_there(self, source: Database, tmp_path: Path) -> None:
        path = tmp_path / "there"
        path.write_text("mine", "utf-8")
        with pytest.raises(BackupError, match="is there already"):
            back_up(source, path)
        assert path.read_text("utf-8") == "mine"
        assert [each.name for each in tmp_path.iterdir()] == ["there"]

    def test_other_files(self, tmp_path: Path) -> None:
        path = tmp_path / "other"
        for content in (b"", b"PK\x03\x04", gzip.compress(b"hello" * 999)):
            path.write_bytes(content)
            with pytest.raises(BackupError):
                check_backup(path)
        with tarfile.open(path, "w:gz") as archive:
            about = tarfile.TarInfo("opening.json")
            about.size = 2
            archive.addfile(about, BytesIO(b"{}"))
        with pytest.raises(BackupError, match="sijil-backup/v1"):
            check_backup(path)


class TestDamage:
    @pytest.mark.parametrize("position", [1, 257, 590])
    def test_a_changed_entry_is_named_by_its_position(
        self, backup: Path, database: Database, tmp_path: Path, position: int
    ) -> None:
        index, number = divmod(position - 1, 256)

        def change(name: str, part: bytes) -> bytes:
            if not name.startswith(f"tile/entries/{index:03d}"):
                return part
            made, _ = bundle_with(
                part, b"", number, lambda entry: entry[:-1] + bytes([entry[-1] ^ 1])
            )
            return made

        damaged = rewritten(backup, tmp_path / "damaged", change)
        for read in (check_backup, lambda path: restore(database.settings, path)):
            with pytest.raises(DamagedBackupError) as raised:
                read(damaged)
            assert raised.value.position == position
            assert f"at position {position}:" in str(raised.value)
        must_be_empty(database)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("commands/000000001.jsonl", "commands_sha256"),
            ("tracking.jsonl", "tracking_sha256"),
        ],
    )
    def test_a_changed_line_is_named_by_its_kind(
        self, backup: Path, database: Database, tmp_path: Path, name: str, words: str
    ) -> None:
        damaged = rewritten(
            backup,
            tmp_path / "damaged",
            lambda each, part: part.replace(b"1", b"2", 1) if each == name else part,
        )
        with pytest.raises(DamagedBackupError, match=words):
            check_backup(damaged)
        with pytest.raises(DamagedBackupError, match=words):
            restore(database.settings, damaged)
        must_be_empty(database)

    @pytest.mark.parametrize(
        "missing",
        ["tile/entries/001", "tile/0/000", "tracking.jsonl", "closing.json"],
    )
    def test_a_missing_part_is_noticed(
        self, backup: Path, tmp_path: Path, missing: str
    ) -> None:
        damaged = rewritten(
            backup,
            tmp_path / "damaged",
            lambda name, part: None if name == missing else part,
        )
        with pytest.raises(DamagedBackupError):
            check_backup(damaged)

    def test_no_changed_byte_of_the_file_goes_unnoticed(
        self, backup: Path, tmp_path: Path
    ) -> None:
        """But for those of the header that say nothing: when, and on what system."""
        whole, path = backup.read_bytes(), tmp_path / "damaged"
        places = [0, 1, 2, *range(10, len(whole), len(whole) // 60), len(whole) - 1]
        unnoticed = []
        for place in places:
            damaged = bytearray(whole)
            damaged[place] ^= 0x10
            path.write_bytes(damaged)
            try:
                check_backup(path)
            except BackupError:
                continue
            unnoticed.append(place)
        assert unnoticed == []

    def test_a_file_that_was_cut_short_is_not_brought_back(
        self, backup: Path, database: Database, tmp_path: Path
    ) -> None:
        whole, path = backup.read_bytes(), tmp_path / "short"
        for size in (0, 9, 200, len(whole) // 2, len(whole) - 8, len(whole) - 1):
            path.write_bytes(whole[:size])
            with pytest.raises(BackupError):
                check_backup(path)
        path.write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(DamagedBackupError, match=r"cut short after position [1-9]"):
            restore(database.settings, path)
        must_be_empty(database)
        restore(database.settings, backup)
        assert len(leaves(database)) >= ENTRIES

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


@pytest.fixture
def returned(backup: Path, database: Database) -> Database:
    restore(database.settings, backup)
    return database


class TestReturn:
    def test_it_waits_for_its_operator_and_goes_on_as_another_incarnation(
        self, returned: Database
    ) -> None:
        recorder = PostgresProcessRecorder(returned.datastore(Role.APP))
        reader = LedgerReader(returned.datastore(Role.READER))
        last = reader.head().position
        with pytest.raises(LedgerSuspendedError):
            recorder.append([act(5_000)])
        assert reader.entry(last) is not None
        done = resume(returned.settings, ResumedBecause.RESTORED)
        head = reader.head()
        assert (done.incarnation, done.position) == (2, last + 1)
        assert (head.incarnation, head.position) == (2, last + 1)
        assert not head.is_suspended
        entry = reader.entry(last + 1)
        assert entry is not None
        assert entry.topic == "sijil.ledger.resumed.v1"
        assert b'"data":{"incarnation":2,"reason":"restored"}' in entry.body
        (appended,) = recorder.append([act(5_000)])
        assert appended.first_position == last + 2

    def test_a_command_sent_again_has_the_outcome_it_had(
        self, source: Database, returned: Database
    ) -> None:
        resume(returned.settings, ResumedBecause.RESTORED)
        acts = [each for each in map(act, range(300)) if each.command is not None]
        answers = [
            PostgresProcessRecorder(each.datastore(Role.APP)).append(acts)
            for each in (source, returned)
        ]
        assert answers[0] == answers[1]
        assert {each.outcome for each in answers[0]} == {Outcome.REPEATED}

    def test_what_takes_acts_is_not_resumed(self, returned: Database) -> None:
        resume(returned.settings, ResumedBecause.RESTORED)
        reader = LedgerReader(returned.datastore(Role.READER))
        before = reader.head()
        with pytest.raises(NotSuspendedError):
            resume(returned.settings, ResumedBecause.OTHER)
        assert reader.head() == before
        suspend(returned.settings)
        assert reader.head().is_suspended
        assert resume(returned.settings, ResumedBecause.OTHER).incarnation == 3

    def test_an_incarnation_that_others_know_is_not_given_again(
        self, returned: Database
    ) -> None:
        done = resume(returned.settings, ResumedBecause.RESTORED, after=6)
        assert done.incarnation == 7
        reader = LedgerReader(returned.datastore(Role.READER))
        (entry,) = reader.aggregate(ReturnedLedger.id_of(done.ledger_id))
        assert b'"incarnation":7' in entry.body

    def test_who_saw_no_more_than_came_back_has_followed_this_ledger(
        self, returned: Database
    ) -> None:
        reader = LedgerReader(returned.datastore(Role.READER))
        ledger_id, last = reader.head().ledger_id, reader.head().position

        def common(incarnation: int, position: int, **other: UUID) -> bool:
            return is_common(
                reader,
                ledger_id=other.get("ledger_id", ledger_id),
                incarnation=incarnation,
                position=position,
            )

        assert common(1, last)
        assert not common(1, last + 1)
        resume(returned.settings, ResumedBecause.RESTORED)
        recorder = PostgresProcessRecorder(returned.datastore(Role.APP))
        recorder.append([act(5_000)])
        assert common(1, last)
        assert common(1, 0)
        # What stood there before was lost: another entry has the position now.
        assert not common(1, last + 1)
        assert not common(1, last + 2)
        assert common(2, last + 2)
        assert not common(3, 1)
        assert not common(1, last, ledger_id=uuid4())
        suspend(returned.settings)
        resume(returned.settings, ResumedBecause.RESTORED, after=8)
        assert not common(1, last), "nobody says where the incarnations between began"
        assert not common(2, last + 2)

    def test_who_followed_an_incarnation_that_was_lost_has_not(
        self, returned: Database
    ) -> None:
        """An older backup had made a second one; this ledger has nothing of it."""
        reader = LedgerReader(returned.datastore(Role.READER))
        last = reader.head().position
        done = resume(returned.settings, ResumedBecause.RESTORED, after=2)
        assert done.incarnation == 3

        def common(incarnation: int) -> bool:
            return is_common(
                reader,
                ledger_id=done.ledger_id,
                incarnation=incarnation,
                position=last - 50,
            )

        assert not common(2), "what it saw may be of the incarnation that was lost"
        assert not common(0)
        assert common(3)

    def test_who_followed_an_incarnation_that_came_back_has(
        self, returned: Database
    ) -> None:
        reader = LedgerReader(returned.datastore(Role.READER))
        second = resume(returned.settings, ResumedBecause.RESTORED)
        suspend(returned.settings)
        resume(returned.settings, ResumedBecause.RESTORED)
        assert is_common(
            reader,
            ledger_id=second.ledger_id,
            incarnation=second.incarnation,
            position=second.position,
        )


def test_reading_and_writing_take_no_more_memory_for_more(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of a part goes with it: the archive's module keeps a list of all."""
    fill(database, 300)
    path = tmp_path / "b"
    archives: list[Any] = []
    opened = tarfile.open
    monkeypatch.setattr(
        tarfile,
        "open",
        lambda *args, **more: archives.append(opened(*args, **more)) or archives[-1],
    )
    back_up(database, path)
    check_backup(path)
    assert len(archives) == 2
    assert [len(each.members) for each in archives] == [0, 0]
