"""The folder of Parquet files: which files count is what its manifest says.

A file has the entries of one recorded day (UTC) from one position to another, without a
hole, and its name says so. Recorded times rise with positions, so a day is one stretch
of the ledger, over for ever once the next has begun.

The manifest is replaced whole, by one rename: it names the files that count and the
offsets to go on from. So a row is there, once, for whoever reads it, at any moment:
between a file and the manifest that names it, and while many files become one. What a
crash leaves beside it is removed by the next writer (decision 0039).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from consumers.analytics.columns import LARGEST_MEMORY_BYTES, SCHEMA, Rows

FORM = 1
"""Of the manifest and the columns; another one is another folder."""
MANIFEST = "manifest.json"
LARGEST_GROUP_ROWS = 50_000
"""A row group: what a reader decodes at once, some 20 MB."""
MOST_SMALL_FILES = 32
"""Of a day that is not over; so many become one. Each costs a reader an opening."""
KEPT_FOR = timedelta(hours=1)
"""How long a file that others replaced stays, for who reads an older manifest."""


class FolderBrokenError(RuntimeError):
    """The folder is not as its manifest says; the words say what is wrong."""


class FolderTakenError(RuntimeError):
    """Another process writes into the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file that counts: every position from ``first`` to ``last``, once."""

    day: date
    first: int
    last: int
    size_bytes: int = 0

    @property
    def path(self) -> str:
        """Where it is, below the folder. Its parent tells the day to every tool."""
        return f"recorded_day={self.day}/{self.first:012d}-{self.last:012d}.parquet"

    @property
    def rows(self) -> int:
        """How many entries it has."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A file that others have replaced, and since when."""

    path: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the rows came from; a folder is of one and never of another.

    ``source`` is the ledger, as records name it. ``incarnation`` is the newest that is
    known, and None where nobody said which; it alone rises, as the ledger is resumed.
    """

    topic: str
    topic_id: str
    source: str
    incarnation: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder has: every position from 1 to ``position``, once.

    ``offsets``: by partition, where the first record stands that may be missing here.
    """

    origin: Origin
    position: int = 0
    leaf_hash: str = ""
    offsets: dict[int, int] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    retired: tuple[Retired, ...] = ()

    def to_bytes(self) -> bytes:
        """As it is stored."""
        said: dict[str, Any] = {
            "form": FORM,
            "topic": self.origin.topic,
            "topic_id": self.origin.topic_id,
            "source": self.origin.source,
            "incarnation": self.origin.incarnation,
            "position": self.position,
            "leaf_hash": self.leaf_hash,
            "offsets": {str(each): at for each, at in sorted(self.offsets.items())},
            "files": [
                {
                    "path": each.path,
                    "day": each.day,
                    "first": each.first,
                    "last": each.last,
                    "size_bytes": each.size_bytes,
                }
                for each in self.files
            ],
            "retired": [
                {"path": each.path, "since": each.since} for each in self.retired
            ],
        }
        return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    @classmethod
    def of(cls, stored: bytes) -> Self:
        """What a stored manifest says. Raises FolderBrokenError."""
        try:
            said = orjson.loads(stored)
            if said["form"] != FORM:
                raise FolderBrokenError(f"its manifest is of form {said['form']}")
            return cls(
                origin=Origin(
                    topic=said["topic"],
                    topic_id=said["topic_id"],
                    source=said["source"],
                    incarnation=said["incarnation"],
                ),
                position=said["position"],
                leaf_hash=said["leaf_hash"],
                offsets={int(each): at for each, at in said["offsets"].items()},
                files=tuple(
                    File(
                        day=date.fromisoformat(each["day"]),
                        first=each["first"],
                        last=each["last"],
                        size_bytes=each["size_bytes"],
                    )
                    for each in said["files"]
                ),
                retired=tuple(
                    Retired(
                        path=each["path"],
                        since=datetime.fromisoformat(each["since"]),
                    )
                    for each in said["retired"]
                ),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FolderBrokenError("its manifest cannot be read") from error


def manifest_of(place: Path) -> Manifest | None:
    """What a folder has now; None for one that nobody has written to.

    Raises FolderBrokenError where the files do not add up to what it says.
    """
    try:
        stored = (place / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    made = Manifest.of(stored)
    reached = 0
    for each in made.files:
        if each.first != reached + 1 or each.last < each.first:
            raise FolderBrokenError(f"nothing has position {reached + 1}")
        reached = each.last
    if reached != made.position:
        raise FolderBrokenError(f"it ends at {reached}, not at {made.position}")
    return made


class Folder:
    """The one writer of a folder, for as long as ``opened`` lasts."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.manifest = manifest_of(place)

    @classmethod
    @contextmanager
    def opened(cls, place: Path) -> Iterator[Self]:
        """The folder, ours alone. Raises FolderTakenError and FolderBrokenError."""
        place.mkdir(mode=0o750, parents=True, exist_ok=True)
        with (place / "lock").open("w") as lock:
            try:
                # The kernel lets go of it however its holder ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderTakenError(str(place)) from error
            made = cls(place)
            made._must_be_whole()
            made.sweep(datetime.now(UTC))
            yield made

    def _must_be_whole(self) -> None:
        for each in self._files:
            try:
                size_bytes = (self.place / each.path).stat().st_size
            except FileNotFoundError as error:
                raise FolderBrokenError(f"{each.path} is missing") from error
            if size_bytes != each.size_bytes:
                raise FolderBrokenError(f"{each.path} is not as it was written")

    @property
    def position(self) -> int:
        """The last position that it has."""
        return 0 if self.manifest is None else self.manifest.position

    @property
    def _files(self) -> tuple[File, ...]:
        return () if self.manifest is None else self.manifest.files

    def append(self, rows: Rows, *, origin: Origin, offsets: dict[int, int]) -> None:
        """Add the rows that come next; they are there, durably, or not at all."""
        before = self.manifest or Manifest(origin=origin)
        if rows.first != before.position + 1:
            raise FolderBrokenError(f"{rows.first} does not follow {before.position}")
        made = File(day=rows.day, first=rows.first, last=rows.last)
        made = self._write(made, [rows.table()])
        self._replace(
            replace(
                before,
                origin=replace(before.origin, incarnation=origin.incarnation),
                position=rows.last,
                leaf_hash=rows.last_leaf_hash.hex(),
                offsets=dict(offsets),
                files=(*before.files, made),
            )
        )

    def merge(self, now: datetime) -> bool:
        """Make one file of many where that is due; whether something was."""
        for several in self._due():
            whole = File(
                day=several[0].day, first=several[0].first, last=several[-1].last
            )
            whole = self._write(whole, self._tables(several))
            manifest = self.manifest
            if manifest is None:
                return False
            replaced = set(several)
            at = manifest.files.index(several[0])
            kept = [each for each in manifest.files if each not in replaced]
            self._replace(
                replace(
                    manifest,
                    files=(*kept[:at], whole, *kept[at:]),
                    retired=(
                        *manifest.retired,
                        *(Retired(path=each.path, since=now) for each in several),
                    ),
                )
            )
            return True
        return False

    def _due(self) -> Iterator[list[File]]:
        """Files that are to become one: a day that is over, many small ones."""
        days: dict[date, list[File]] = {}
        for each in self._files:
            days.setdefault(each.day, []).append(each)
        *over, last = days.values() if days else [[]]
        for files in over:
            if len(files) > 1:
                yield files
        small: list[File] = []
        for each in last:
            if each.rows >= LARGEST_GROUP_ROWS:
                small = []
                continue
            small.append(each)
            if len(small) == MOST_SMALL_FILES:
                yield small
                return

    def _tables(self, files: Sequence[File]) -> Iterator[pa.Table]:
        """The rows of files that stand side by side, a row group at a time."""
        held: list[pa.Table] = []
        for each in files:
            with pq.ParquetFile(self.place / each.path) as stored:
                for batch in stored.iter_batches(LARGEST_GROUP_ROWS):
                    if held and _is_enough([*held, batch]):
                        yield pa.concat_tables(held)
                        held = []
                    held.append(pa.Table.from_batches([batch]).cast(SCHEMA))
        if held:
            yield pa.concat_tables(held)

    def _write(self, file: File, tables: Iterable[pa.Table]) -> File:
        """Write a file durably, under a name that nobody reads until it is whole."""
        target = self.place / file.path
        if not target.parent.exists():
            target.parent.mkdir(mode=0o750)
            _settle(self.place)
        draft = target.with_name(f".{target.name}.part")
        rows = 0
        with draft.open("wb") as stream:
            with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=LARGEST_GROUP_ROWS)
                    rows += table.num_rows
            _flush(stream)
        if rows != file.rows:
            draft.unlink()
            raise FolderBrokenError(f"{file.path} would have {rows} rows")
        draft.rename(target)
        _settle(target.parent)
        return replace(file, size_bytes=target.stat().st_size)

    def _replace(self, manifest: Manifest) -> None:
        draft = self.place / f".{MANIFEST}.part"
        with draft.open("wb") as stream:
            stream.write(manifest.to_bytes())
            _flush(stream)
        draft.rename(self.place / MANIFEST)
        _settle(self.place)
        self.manifest = manifest

    def sweep(self, now: datetime) -> None:
        """Remove what a crash left, and what was replaced long enough ago."""
        manifest = self.manifest
        kept: set[str] = set()
        if manifest is not None:
            old = {e.path for e in manifest.retired if now - e.since >= KEPT_FOR}
            if old:
                # First forgotten, then removed: what is left by a crash is swept.
                left = tuple(e for e in manifest.retired if e.path not in old)
                self._replace(replace(manifest, retired=left))
            kept = {e.path for e in manifest.files}
            kept |= {e.path for e in manifest.retired} - old
        for pattern in ("recorded_day=*/*.parquet", "recorded_day=*/.*.part"):
            for found in self.place.glob(pattern):
                if str(found.relative_to(self.place)) not in kept:
                    found.unlink()
        for day in self.place.glob("recorded_day=*"):
            with suppress(OSError):
                # Only an empty one goes.
                day.rmdir()


def _is_enough(tables: Sequence[pa.Table | pa.RecordBatch]) -> bool:
    rows: int = sum(each.num_rows for each in tables)
    size_bytes: int = sum(each.nbytes for each in tables)
    return rows > LARGEST_GROUP_ROWS or size_bytes > LARGEST_MEMORY_BYTES


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _settle(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
