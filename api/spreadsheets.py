"""Lists as CSV (RFC 4180): the same rows and values as JSON, for spreadsheets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile
from threading import BoundedSemaphore
from types import TracebackType, UnionType
from typing import IO, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel

from api.limits import RateLimitedError

MEDIA_TYPE = "text/csv"
MOST_ROWS = 50_000
"""Rows of one download: two minutes on a slow line; `next` goes on from there."""
DOWNLOADS_AT_ONCE = 4
"""Being made at once in one process: each has a worker and a connection meanwhile."""
RETRY_S = 5
"""When a download that found no place is worth another try: most take a second."""
_IN_MEMORY_BYTES = 1024 * 1024
"""A larger file goes to disk, so that four downloads cost four megabytes."""
_CHUNK_BYTES = 64 * 1024

BOM = "\ufeff"
"""Without it, spreadsheets read UTF-8 as the machine's old code page: Arabic is lost.

Readers of ours and of others drop it as ``utf-8-sig``. See docs/decisions.
"""
_RUNS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula, wide forms too."""
_QUOTE = "'"


class Downloads:
    """How many downloads may be made at once in one process."""

    def __init__(self, at_once: int = DOWNLOADS_AT_ONCE) -> None:
        self._places = BoundedSemaphore(at_once)

    def __enter__(self) -> Self:
        """Take a place. Raises RateLimitedError when there is none."""
        if not self._places.acquire(blocking=False):
            raise RateLimitedError(retry_after_s=RETRY_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the place back."""
        self._places.release()


def columns_of(
    kind: type[BaseModel], parts: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """The columns of a kind of item: the path of each, in the order of its fields.

    A field that is an object of ours is told in its fields, and one named in ``parts``
    in those; other objects and lists are one cell of JSON.
    """
    found: list[tuple[str, ...]] = []
    for name, field in kind.model_fields.items():
        inner = next((k for k in _kinds(field.annotation) if _is_model(k)), None)
        names = parts.get(name) or (() if inner is None else tuple(inner.model_fields))
        found += [(name, part) for part in names] or [(name,)]
    return tuple(found)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The kinds that a field may have: more than one where it may be null."""
    is_union = get_origin(annotation) in {Union, UnionType}
    return get_args(annotation) if is_union else (annotation,)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def written(
    columns: Sequence[tuple[str, ...]], items: Iterable[BaseModel]
) -> IO[bytes]:
    """A file of the items, at its beginning. The reader closes it."""
    with ExitStack() as until_whole:
        file = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        # What cannot be read to its end has no reader.
        until_whole.callback(file.close)
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        text.write(BOM)
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([".".join(path) for path in columns])
        for item in items:
            told = item.model_dump(mode="json")
            writer.writerow([_cell(_at(told, path)) for path in columns])
        text.flush()
        text.detach()
        file.seek(0)
        until_whole.pop_all()
    return file


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces; closed at its end, or when nobody reads on."""
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _at(told: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = told
    for name in path:
        value = None if value is None else value.get(name)
    return value


def _cell(value: Any) -> str:
    """A value as a cell: nothing for null, JSON's word for what is no text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _harmless(value)
    return json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    """A text that no spreadsheet runs: a quote in front, and one before a quote.

    So it can be undone: whoever reads drops the first quote.
    """
    is_risky = text[:1] in _RUNS or text.startswith(_QUOTE)
    return f"{_QUOTE}{text}" if text and is_risky else text
