"""Writing a backup: the ledger up to one position, while others go on appending."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from eventsourcing.persistence import OperationalError

from ledger.backup.form import (
    BUNDLE_ENTRIES,
    CLOSING,
    OPENING,
    PART_COMMANDS,
    TRACKING,
    BackupError,
    Closing,
    Lines,
    Opening,
    Remembered,
    bundle_names,
    commands_name,
    time_text,
    tracking_line,
)
from ledger.bundles import recorded_text
from ledger.entries import entry_bytes, leaf_hash
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.tree import Tree

GZIP_LEVEL = 4
"""A third of the time of the default for a tenth more bytes."""
ENTRIES_A_READ = 16 * BUNDLE_ENTRIES

# One statement, one snapshot: how far streams were taken in belongs to this head. A
# later mark would make a restored ledger pass over messages that it has lost.
_HEAD = """
SELECT h.ledger_id::text, h.incarnation, h.position,
    nullif(h.recorded_at, '-infinity'), t.name, t.position
FROM ledger_head h LEFT JOIN tracking t ON true ORDER BY t.name
"""
# What came later is left out: an act without events counts by its time, which is that
# of the entry before it.
_COMMANDS = """
SELECT id::text, actor, digest, first_position, last_position,
    nullif(recorded_at, '-infinity')
FROM commands
WHERE (%(after)s::uuid IS NULL OR id > %(after)s::uuid) AND CASE
    WHEN last_position IS NOT NULL THEN last_position <= %(until)s
    ELSE recorded_at <= coalesce(%(recorded_at)s::timestamptz, '-infinity')
END
ORDER BY id LIMIT %(limit)s
"""


def write_backup(
    datastore: PostgresDatastore,
    path: Path,
    *,
    written: Callable[[int], None] = lambda _: None,
) -> tuple[Opening, Closing]:
    """Write the ledger as it stands to a new file of mode 0600; what it holds.

    ``datastore`` is of a role that reads the whole ledger. ``written`` hears each
    position reached. The file has its name only when it is whole and on the disk.
    Raises BackupError where the file is there already.
    """
    opening, marks = _opening(datastore)
    with _new_file(path) as archive:
        archive.add(OPENING, opening.to_bytes())
        tree = _write_entries(archive, datastore, opening.position, written)
        commands = _write_commands(archive, datastore, opening)
        tracking = Lines()
        lines = b"".join(tracking_line(name, position) for name, position in marks)
        tracking.add(lines)
        archive.add(TRACKING, lines)
        closing = Closing(
            entries=tree.size,
            root=tree.root().hex(),
            commands=commands.count,
            commands_sha256=commands.sha256,
            tracking=tracking.count,
            tracking_sha256=tracking.sha256,
        )
        archive.add(CLOSING, closing.to_bytes())
    return opening, closing


class _Archive:
    """A tar archive under gzip, whose bytes depend on nothing but what is in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._gzip = gzip.GzipFile(
            filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0
        )
        self._tar = tarfile.open(  # noqa: SIM115 -- closed below, before the gzip is
            fileobj=self._gzip, mode="w|", format=tarfile.USTAR_FORMAT
        )

    def add(self, name: str, part: bytes) -> None:
        """Add a part."""
        about = tarfile.TarInfo(name)
        about.size = len(part)
        about.mode = 0o600
        self._tar.addfile(about, BytesIO(part))
        # The module would remember millions of them.
        self._tar.members.clear()  # type: ignore[attr-defined]

    def close(self) -> None:
        """End the archive."""
        self._tar.close()
        self._gzip.close()


@contextmanager
def _new_file(path: Path) -> Iterator[_Archive]:
    """An archive that gets its name at the end; nothing of it stays after an error."""
    if path.exists():
        raise BackupError(f"{path} is there already; a backup replaces no file")
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".part"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            archive = _Archive(file)
            yield archive
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError as error:
            raise BackupError(
                f"{path} is there already; a backup replaces no file"
            ) from error
        _sync_folder(path.parent)
    finally:
        Path(name).unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _opening(
    datastore: PostgresDatastore,
) -> tuple[Opening, list[tuple[str, int]]]:
    with datastore.autocommit() as cursor:
        cursor.execute(_HEAD)
        rows = cursor.fetchall()
    if not rows:
        raise OperationalError("the ledger has no head")
    ledger_id, incarnation, position, recorded_at = rows[0][:4]
    opening = Opening(
        ledger_id=UUID(ledger_id),
        incarnation=incarnation,
        position=position,
        recorded_at=time_text(recorded_at),
    )
    return opening, [(row[4], row[5]) for row in rows if row[4] is not None]


def _write_entries(
    archive: _Archive,
    datastore: PostgresDatastore,
    until: int,
    written: Callable[[int], None],
) -> Tree:
    """Bundles of 256 entries, each with its leaf hashes; the tree over all of them."""
    reader = LedgerReader(datastore)
    tree = Tree()
    while tree.size < until:
        rows = reader.rows(after=tree.size, limit=ENTRIES_A_READ, until=until)
        if not rows or rows[0][0] != tree.size + 1:
            raise BackupError(f"the ledger has no entry at position {tree.size + 1}")
        for first in range(0, len(rows), BUNDLE_ENTRIES):
            some = rows[first : first + BUNDLE_ENTRIES]
            bundle: list[bytes] = []
            leaves: list[bytes] = []
            index = tree.size // BUNDLE_ENTRIES
            for position, recorded, thing, version, topic, body in some:
                entry = entry_bytes(
                    position, recorded_text(recorded), thing, version, topic, body
                )
                leaf = leaf_hash(entry)
                bundle += (len(entry).to_bytes(2, "big"), entry)
                leaves.append(leaf)
            tree.add_all(leaves)
            entries_name, tile_name = bundle_names(index, len(some))
            archive.add(entries_name, b"".join(bundle))
            archive.add(tile_name, b"".join(leaves))
        written(tree.size)
    return tree


def _write_commands(
    archive: _Archive, datastore: PostgresDatastore, opening: Opening
) -> Lines:
    commands = Lines()
    asked = {
        "after": None,
        "until": opening.position,
        "recorded_at": opening.recorded_at,
        "limit": PART_COMMANDS,
    }
    number = 0
    while True:
        with datastore.autocommit() as cursor:
            cursor.execute(_COMMANDS, asked)
            rows = cursor.fetchall()
        if not rows:
            return commands
        number += 1
        part = b"".join(
            Remembered(
                id=thing,
                actor=actor,
                digest=bytes(digest),
                first_position=first,
                last_position=last,
                recorded_at=time_text(recorded_at),
            ).to_bytes()
            for thing, actor, digest, first, last, recorded_at in rows
        )
        commands.add(part)
        archive.add(commands_name(number), part)
        asked["after"] = rows[-1][0]
