"""The rows of a source, one after the other: CSV or JSON lines, plain or gzipped.

Nothing of a source is trusted: a line may be endless, a quote may stay open, bytes may
be of no encoding. What is wrong with one row is that row's fault, and the next is read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Self, TextIO, cast

from office.importing.mapping import FileShape

LONGEST_TEXT = 400
"""Characters of one value of a row: beyond it the row is refused, not cut."""
LONGEST_LINE = 1_000_000
"""Characters of one line: a longer one is passed over, so that memory is bounded."""
STDIN = "-"
_GZIP = b"\x1f\x8b"
_LINE_ENDS = ("\n", "\r")


class SourceError(ValueError):
    """The file cannot be read as this source at all, or no further."""


class SourceFormat(StrEnum):
    """How the rows of a source are written."""

    CSV = "csv"
    JSON_LINES = "jsonl"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row with the line it ends on: its values, or what is wrong with it."""

    line: int
    values: dict[str, str] | None
    fault: str | None = None


class _TooLongError(Exception):
    """A line beyond the longest."""


class _Lines:
    """The lines of a text with their number, none longer than the longest."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST_LINE and not line.endswith(_LINE_ENDS):
            while line and not line.endswith(_LINE_ENDS):
                line = self._text.readline(LONGEST_LINE)
            raise _TooLongError
        return line


class Source(ABC):
    """The rows of one source. Use it as a context; iterate once.

    Raises SourceError where the file has not the columns that are needed, or breaks.
    """

    def __init__(
        self, raw: IO[bytes], shape: FileShape, needed: Iterable[str], *, size: int
    ) -> None:
        self._closing = ExitStack()
        self._raw = raw
        self._size = size
        self._needed = frozenset(needed)
        self._shape = shape
        buffered = io.BufferedReader(cast("io.RawIOBase", raw))
        unpacked: Any = buffered
        if buffered.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
            unpacked = self._closing.enter_context(gzip.GzipFile(fileobj=buffered))
        encoding = shape.encoding
        is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
        self._lines = _Lines(
            io.TextIOWrapper(
                unpacked,
                encoding="utf-8-sig" if is_utf8 else encoding,
                errors="replace",
                newline="",
            )
        )

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, but not the standard input."""
        self._closing.close()
        if self._size:
            self._raw.close()

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read; None where its length is not known."""
        return self._raw.tell() / self._size if self._size else None

    def __iter__(self) -> Iterator[SourceRow]:
        """Each row, also those that cannot be read."""
        try:
            yield from self._rows()
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise SourceError(
                f"the file breaks off after line {self._lines.number}"
            ) from error

    @abstractmethod
    def _rows(self) -> Iterator[SourceRow]:
        """The rows of a file that is whole."""


class CsvSource(Source):
    """Comma-separated values with a line of names."""

    def _rows(self) -> Iterator[SourceRow]:
        reader = csv.reader(self._lines, delimiter=self._shape.delimiter)
        try:
            names = next(reader, [])
        except (csv.Error, _TooLongError) as error:
            raise SourceError("the first line is no line of names") from error
        missing = self._needed - set(names)
        if missing:
            raise SourceError(f"the file has no column {', '.join(sorted(missing))}")
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except _TooLongError:
                yield SourceRow(self._lines.number, None, "line-too-long")
                continue
            except csv.Error:
                yield SourceRow(self._lines.number, None, "not-csv")
                continue
            line = self._lines.number
            if not cells:
                continue
            if len(cells) != len(names):
                yield SourceRow(line, None, "wrong-number-of-columns")
            elif any(len(cell) > LONGEST_TEXT or "\0" in cell for cell in cells):
                values = dict(zip(names, cells, strict=True))
                yield SourceRow(line, values, "value-too-long-or-nul")
            else:
                yield SourceRow(line, dict(zip(names, cells, strict=True)))


class JsonLinesSource(Source):
    """One flat JSON object a line; a name that is absent is an empty column.

    Numbers keep the digits they are written with.
    """

    def _rows(self) -> Iterator[SourceRow]:
        nothing = dict.fromkeys(self._needed, "")
        while True:
            try:
                text = next(self._lines)
            except StopIteration:
                return
            except _TooLongError:
                yield SourceRow(self._lines.number, None, "line-too-long")
                continue
            line = self._lines.number
            if not text.strip():
                continue
            try:
                found = json.loads(text, parse_int=str, parse_float=str)
            except (ValueError, RecursionError):
                yield SourceRow(line, None, "not-json")
                continue
            if not isinstance(found, dict) or any(
                isinstance(value, dict | list) for value in found.values()
            ):
                yield SourceRow(line, None, "not-a-flat-object")
                continue
            values = {**nothing, **{name: _told(v) for name, v in found.items()}}
            is_odd = any(
                len(value) > LONGEST_TEXT or "\0" in value for value in values.values()
            )
            yield SourceRow(line, values, "value-too-long-or-nul" if is_odd else None)


def _told(value: str | bool | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value).lower()


def open_source(
    path: Path | str,
    shape: FileShape,
    needed: Iterable[str],
    *,
    written: SourceFormat | None = None,
) -> Source:
    """A source in a file, or on the standard input for ``-``.

    Without ``written`` the name says how: ``.jsonl`` or ``.ndjson``, with or without
    ``.gz``; all else is CSV. Whether it is gzipped its first bytes say.
    """
    name = str(path)
    if written is None:
        is_lines = name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))
        written = SourceFormat.JSON_LINES if is_lines else SourceFormat.CSV
    kind = JsonLinesSource if written is SourceFormat.JSON_LINES else CsvSource
    if name == STDIN:
        return kind(sys.stdin.buffer, shape, needed, size=0)
    raw = Path(path).open("rb", buffering=0)  # noqa: SIM115 -- the source closes it
    return kind(raw, shape, needed, size=Path(path).stat().st_size)
