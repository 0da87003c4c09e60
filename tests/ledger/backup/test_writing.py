"""A backup is written as it stands, while others append, and replaces no file."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from ledger.backup.form import BackupError
from ledger.backup.reading import check_backup
from ledger.backup.restoring import restore
from ledger.backup.writing import write_backup
from ledger.names import Role
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.conftest import Database, Server, fresh_database
from tests.ledger.backup.filled import act, back_up, contents, fill, leaves


def test_the_file_is_private_and_the_same_each_time(
    source: Database, backup: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert back_up(source, again) == check_backup(backup)
    assert again.read_bytes() == backup.read_bytes()
    # Nothing says when or where it was written: gzip has a place for both.
    assert backup.read_bytes()[3:8] == bytes(5)
    assert again.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["again"]


def test_others_find_the_leaves_without_us(source: Database, backup: Path) -> None:
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


def test_what_comes_meanwhile_is_left_out(
    database: Database, server: Server, template: str, tmp_path: Path
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


def test_a_file_that_is_there_is_left_as_it_is(
    source: Database, tmp_path: Path
) -> None:
    path = tmp_path / "there"
    path.write_text("mine", "utf-8")
    with pytest.raises(BackupError, match="is there already"):
        back_up(source, path)
    assert path.read_text("utf-8") == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["there"]


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
