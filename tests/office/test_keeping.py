"""A home knows an earlier ledger when it sees one, and no act gets into it."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from pydantic import SecretStr

from api.cli import backups
from domain.resumptions import ResumedBecause
from ledger.backup.resuming import resume
from ledger.mark import Mark, has_returned, read_mark, write_mark
from ledger.names import Role
from ledger.persistence.append import ActToAppend, LedgerSuspendedError
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office import keeping
from office.errors import OperatorError
from office.house import House
from office.keeping import keep_mark, must_not_have_returned
from tests.conftest import Database
from tests.own_server import own_database, own_home


class Kept:
    """A ledger of some entries and a home beside it, which another test has not."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database = database
        self.reader = LedgerReader(database.datastore(Role.READER))
        self.recorder = PostgresProcessRecorder(database.datastore(Role.APP))
        # Another home, with the passwords that the one of the server has.
        self.settings = database.settings.model_copy(
            update={
                "home": home,
                "database_url": SecretStr(url_of(database)),
            }
        )

    def append(self, count: int = 1) -> None:
        self.recorder.append(
            [
                ActToAppend(events=[StoredEvent(uuid4(), 1, "t", b"x")])
                for _ in range(count)
            ]
        )

    def mark(self, **changes: int | str) -> Mark:
        """A mark of the head, or of something else."""
        mark = Mark.of(self.reader.head())
        fields = {name: getattr(mark, name) for name in Mark.__slots__}
        made = Mark(**{**fields, **changes})
        write_mark(self.settings.home, made)
        return made

    def keep_for_a_moment(self) -> None:
        """The runner's part, once round."""
        stop = threading.Event()
        stop.wait = lambda _=None: stop.set() or True  # type: ignore[method-assign,assignment]
        with House(self.settings) as house:
            keep_mark(house, stop)


def url_of(database: Database) -> str:
    dsn = database.superuser_dsn()
    return " ".join(f"{name}='{dsn[name]}'" for name in ("host", "port") if name in dsn)


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> Kept:
    made = Kept(database, tmp_path / "home")
    made.append(5)
    return made


def test_the_runner_notes_how_far_the_ledger_is(kept: Kept) -> None:
    assert read_mark(kept.settings.home, kept.reader.head().ledger_id) is None
    for _ in range(2):
        kept.keep_for_a_moment()
        head = kept.reader.head()
        assert read_mark(kept.settings.home, head.ledger_id) == Mark.of(head)
        assert not has_returned(kept.reader, kept.settings.home)
        must_not_have_returned(kept.settings)
        kept.append()
    files = list((kept.settings.home / "marks").iterdir())
    assert [file.name for file in files] == [f"{head.ledger_id}.json"]
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert not kept.reader.head().is_suspended


LOST = (
    {"position": 6, "recorded_at": "2026-11-23T08:14:05.473912Z"},
    {"recorded_at": "2026-11-23T08:14:05.473912Z"},
    {"incarnation": 2},
)
"""What the home has seen: one entry more, another at the end, another incarnation."""


@pytest.mark.parametrize("seen", LOST)
def test_an_earlier_ledger_is_suspended_and_goes_on_once_resumed(
    kept: Kept, seen: dict[str, int | str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = kept.mark(**seen)
    assert has_returned(kept.reader, kept.settings.home)
    must_not_have_returned(kept.settings)
    with pytest.raises(LedgerSuspendedError):
        kept.append()
    # The mark stays what it is until somebody has decided.
    kept.keep_for_a_moment()
    assert read_mark(kept.settings.home, mark.ledger_id) == mark
    monkeypatch.setattr(LedgerSettings, "load", lambda: kept.settings)
    backups.resume(reason=ResumedBecause.RESTORED)
    assert kept.reader.head().incarnation == mark.incarnation + 1
    kept.append()
    assert not has_returned(kept.reader, kept.settings.home)
    kept.keep_for_a_moment()
    assert read_mark(kept.settings.home, mark.ledger_id) == Mark.of(kept.reader.head())


@pytest.mark.parametrize("seen", LOST)
def test_a_running_runner_notices_it_too(
    kept: Kept, seen: dict[str, int | str]
) -> None:
    kept.mark(**seen)
    kept.keep_for_a_moment()
    assert kept.reader.head().is_suspended


def test_who_does_not_know_the_owner_does_not_start(kept: Kept) -> None:
    kept.mark(position=6)
    without = kept.settings.model_copy(update={"owner_password": None})
    with pytest.raises(OperatorError, match="earlier one"):
        must_not_have_returned(without)
    assert not kept.reader.head().is_suspended


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"position": "x"}', b"\xff"])
def test_a_garbled_mark_says_nothing(kept: Kept, said: bytes) -> None:
    mark = kept.mark(position=9)
    file = kept.settings.home / "marks" / f"{mark.ledger_id}.json"
    file.write_bytes(said)
    assert read_mark(kept.settings.home, mark.ledger_id) is None
    assert not has_returned(kept.reader, kept.settings.home)


def test_another_ledger_is_none_of_the_marks_business(kept: Kept) -> None:
    kept.mark(position=9, ledger_id=UUID(int=7))  # type: ignore[arg-type]
    assert not has_returned(kept.reader, kept.settings.home)


def test_a_home_that_cannot_be_written_stops_nothing(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.settings.home.mkdir()
    (kept.settings.home / "marks").write_text("no folder", "utf-8")
    kept.keep_for_a_moment()
    assert "mark.not_kept" in "".join(capsys.readouterr())
    must_not_have_returned(kept.settings)


def test_a_copy_of_the_servers_files_is_noticed() -> None:
    """The whole way: a base backup of yesterday in the place of today's database."""
    with own_home() as home, own_database(home) as database:
        embedded, settings = database.server.embedded, database.settings

        def append(count: int) -> None:
            store = database.datastore(Role.APP)
            PostgresProcessRecorder(store).append(
                [
                    ActToAppend(events=[StoredEvent(uuid4(), 1, "t", b"x")])
                    for _ in range(count)
                ]
            )

        append(3)
        embedded.stop()
        copy = embedded.data.with_name("copy")
        subprocess.run(["cp", "-a", embedded.data, copy], check=True)
        embedded.start()
        append(2)
        reader = LedgerReader(database.datastore(Role.READER))
        write_mark(settings.home, Mark.of(reader.head()))
        embedded.stop()
        subprocess.run(["rm", "-r", embedded.data], check=True)
        copy.rename(embedded.data)
        embedded.start()
        must_not_have_returned(settings)
        assert reader.head().position == 3
        with pytest.raises(LedgerSuspendedError):
            append(1)
        resume(settings, ResumedBecause.RESTORED)
        must_not_have_returned(settings)
        append(1)
        assert reader.head().position == 5


def test_a_database_that_is_away_is_asked_again_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = kept.settings.model_copy(
        update={"database_url": SecretStr("host=127.0.0.1 port=1")}
    )
    monkeypatch.setitem(
        keeping.PostgresDatastore.__init__.__kwdefaults__, "connect_wait_s", 0.1
    )
    must_not_have_returned(nowhere)
    assert "mark.not_compared" in "".join(capsys.readouterr())
