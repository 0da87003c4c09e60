"""A file that is not what was written is found out, and said where."""

from __future__ import annotations

import gzip
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from ledger.backup.form import BackupError, DamagedBackupError
from ledger.backup.reading import check_backup
from ledger.backup.restoring import restore
from tests.conftest import Database
from tests.ledger.backup.filled import ENTRIES, leaves, must_be_empty
from tests.ledger.backup.forging import bundle_with, rewritten


def test_other_files_are_no_backups(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("position", [1, 257, 590])
def test_a_changed_entry_is_named_by_its_position(
    backup: Path, database: Database, tmp_path: Path, position: int
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
    backup: Path, database: Database, tmp_path: Path, name: str, words: str
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
def test_a_missing_part_is_noticed(backup: Path, tmp_path: Path, missing: str) -> None:
    damaged = rewritten(
        backup,
        tmp_path / "damaged",
        lambda name, part: None if name == missing else part,
    )
    with pytest.raises(DamagedBackupError):
        check_backup(damaged)


def test_no_changed_byte_of_the_file_goes_unnoticed(
    backup: Path, tmp_path: Path
) -> None:
    """But for those that say nothing: when it was made, on what system, or the same.

    One in a thousand leaves all that is unpacked as it was (a repetition taken from
    another place that holds the same); that is no change.
    """
    whole, path = backup.read_bytes(), tmp_path / "damaged"
    unpacked = gzip.decompress(whole)
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
        if gzip.decompress(damaged) != unpacked:
            unnoticed.append(place)
    assert unnoticed == []


@pytest.mark.parametrize("name", ["tile/entries/001", "tile/0/000", "tracking.jsonl"])
def test_a_header_whose_sum_is_wrong_is_damage(
    backup: Path, database: Database, tmp_path: Path, name: str
) -> None:
    unpacked = bytearray(gzip.decompress(backup.read_bytes()))
    unpacked[unpacked.index(name.encode()) + 150] ^= 1
    path = tmp_path / "damaged"
    path.write_bytes(gzip.compress(unpacked))
    for read in (check_backup, lambda path: restore(database.settings, path)):
        with pytest.raises(DamagedBackupError, match="after position"):
            read(path)
    must_be_empty(database)


def test_a_file_that_was_cut_short_is_not_brought_back(
    backup: Path, database: Database, tmp_path: Path
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
