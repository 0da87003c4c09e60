"""Reading a backup once from its begin to its end, checking all of it on the way."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.backup.form import (
    BUNDLE_ENTRIES,
    CLOSING,
    LARGEST_PART_BYTES,
    LEAF_BYTES,
    OPENING,
    TRACKING,
    BackupError,
    Closing,
    DamagedBackupError,
    Lines,
    Opening,
    Remembered,
    bundle_names,
    commands_name,
    json_object,
)
from ledger.entries import leaf_hash
from ledger.tree import Tree

_MAGIC = b"sijil-entry/v1"
_FIELDS = 7
"""An entry's six lines of head, and the body."""
_GZIP_MAGIC = b"\x1f\x8b"
_READ_BYTES = 2**16

EntryFields = list[bytes]
"""The magic line, position, recorded time, aggregate id, version, topic, and body."""


class Backup:
    """A backup being read, from its begin to its end.

    Its parts MUST be asked for in this order, each to its end: ``entries``,
    ``commands``, ``tracking``, ``close_well``. Raises DamagedBackupError as soon as
    something is not what was written, and BackupError for other files.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._tree = Tree()
        self._commands = Lines()
        self._tracking = Lines()
        self._ahead: tuple[str, bytes] | None = None
        try:
            _must_be_gzip(path, self._file.peek(2)[:2])
            self._gzip = gzip.GzipFile(fileobj=self._file, mode="rb")
            with self._as_damage():
                self._tar = tarfile.open(  # noqa: SIM115 -- nothing to close but the file
                    fileobj=self._gzip, mode="r|"
                )
            self.opening = Opening.of(self._part(OPENING))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """The backup itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def entries(self) -> Iterator[list[EntryFields]]:
        """The entries in their order, at most 256 at a time, each as its fields."""
        while self._tree.size < self.opening.position:
            rest = self.opening.position - self._tree.size
            names = bundle_names(
                self._tree.size // BUNDLE_ENTRIES, min(rest, BUNDLE_ENTRIES)
            )
            bundle, leaves = (self._part(name) for name in names)
            yield self._checked(bundle, leaves, min(rest, BUNDLE_ENTRIES))

    def commands(self) -> Iterator[list[Remembered]]:
        """The commands by their ids, some at a time."""
        number = 1
        while self._peek() == commands_name(number):
            part = self._part(commands_name(number))
            self._commands.add(part)
            yield [Remembered.of(line) for line in part.splitlines()]
            number += 1

    def tracking(self) -> list[tuple[str, int]]:
        """How far each followed stream was taken in."""
        part = self._part(TRACKING)
        self._tracking.add(part)
        said = [json_object(line) for line in part.splitlines()]
        try:
            return [(each["name"], int(each["position"])) for each in said]
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBackupError("tracking is not as it should be") from error

    def close_well(self) -> Closing:
        """What the file closes with, after all of it was found to come to just that."""
        closing = Closing.of(self._part(CLOSING))
        if self._peek() is not None:
            raise DamagedBackupError(f"it goes on with {self._peek()}")
        with self._as_damage():
            # The last bytes of the file are a check of all the others.
            while self._gzip.read(_READ_BYTES):
                pass
        found = Closing(
            entries=self._tree.size,
            root=self._tree.root().hex(),
            commands=self._commands.count,
            commands_sha256=self._commands.sha256,
            tracking=self._tracking.count,
            tracking_sha256=self._tracking.sha256,
        )
        for name in Closing.__slots__:
            if getattr(found, name) != getattr(closing, name):
                raise DamagedBackupError(
                    f"its {name} is not what it closes with "
                    f"({getattr(found, name)}, not {getattr(closing, name)})"
                )
        return closing

    def _checked(self, bundle: bytes, leaves: bytes, count: int) -> list[EntryFields]:
        """The entries of a bundle, each held against its leaf hash and its position."""
        found: list[EntryFields] = []
        hashes: list[bytes] = []
        at = 0
        for number in range(count):
            position = self._tree.size + number + 1
            size = int.from_bytes(bundle[at : at + 2], "big")
            entry = bundle[at + 2 : at + 2 + size]
            at += 2 + size
            leaf = leaf_hash(entry)
            if leaf != leaves[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]:
                raise DamagedBackupError(
                    "the entry has another leaf hash", position=position
                )
            fields = entry.split(b"\n", _FIELDS - 1)
            if len(fields) != _FIELDS or fields[:2] != [_MAGIC, b"%d" % position]:
                raise DamagedBackupError("there is no such entry", position=position)
            found.append(fields)
            hashes.append(leaf)
        self._tree.add_all(hashes)
        if at != len(bundle) or len(leaves) != count * LEAF_BYTES:
            raise DamagedBackupError(
                "its bundle is longer than its entries", position=self._tree.size
            )
        return found

    def _peek(self) -> str | None:
        """The name of the next part; None after the last."""
        if self._ahead is None:
            with self._as_damage():
                self._ahead = self._next()
        return None if self._ahead is None else self._ahead[0]

    def _part(self, name: str) -> bytes:
        found = self._peek()
        if found is None or self._ahead is None:
            raise self._cut_short()
        if found != name:
            raise DamagedBackupError(f"{found} stands where {name} should")
        part, self._ahead = self._ahead[1], None
        return part

    def _next(self) -> tuple[str, bytes] | None:
        about = self._tar.next()
        # The module would remember millions of them.
        self._tar.members.clear()  # type: ignore[attr-defined]
        if about is None:
            return None
        if about.size > LARGEST_PART_BYTES:
            raise DamagedBackupError(f"{about.name} is larger than any part")
        file = self._tar.extractfile(about)
        if file is None:
            raise DamagedBackupError(f"{about.name} is no file")
        part = file.read()
        if len(part) != about.size:
            raise self._cut_short()
        return about.name, part

    @contextmanager
    def _as_damage(self) -> Iterator[None]:
        try:
            yield
        except EOFError as error:
            raise self._cut_short() from error
        except (tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedBackupError(
                f"what comes after position {self._tree.size} cannot be read"
            ) from error

    def _cut_short(self) -> DamagedBackupError:
        return DamagedBackupError(f"it is cut short after position {self._tree.size}")


def _must_be_gzip(path: Path, begin: bytes) -> None:
    if begin != _GZIP_MAGIC:
        raise BackupError(f"{path} is no backup")


def check_backup(
    path: Path, *, read: Callable[[int], None] = lambda _: None
) -> tuple[Opening, Closing]:
    """What a backup holds, after all of it was read and found whole.

    ``read`` hears each position reached. Raises BackupError for any other file.
    """
    with Backup(path) as backup:
        position = 0
        for some in backup.entries():
            position += len(some)
            read(position)
        for _ in backup.commands():
            pass
        backup.tracking()
        return backup.opening, backup.close_well()
