"""Many entries in one message: what followers of millions read, without their cost.

The driver brings bytes as hexadecimal text and every value as an object of its own, a
row at a time. Here the server puts the columns of a batch side by side and sends one
binary COPY row: its bodies come as they are stored, and the interpreter's lock is let
go a few times a batch instead of once a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct

import psycopg2.extensions

_BUNDLE = """
COPY (
    SELECT array_agg(position),
        array_agg(recorded_at), array_agg(version), string_agg(aggregate_id::text, ''),
        string_agg(topic, E'\\n'), array_agg(length(body)), string_agg(body, '')
    FROM (
        SELECT position, recorded_at, aggregate_id, version, topic, body FROM events
        WHERE position > %(after)s AND position <= %(until)s
            AND (%(topics)s::text[] IS NULL OR topic = ANY(%(topics)s::text[]))
        ORDER BY position LIMIT %(limit)s
    ) AS entries
) TO STDOUT (FORMAT binary)
"""
_HEADER_BYTES = 21
"""The signature, the flags, no extension, and the number of the row's columns."""
_ARRAY_HEADER_BYTES = 20
"""Dimensions, whether there are NULLs, type, length and lower bound."""
_COLUMNS = 7
_POSTGRES_EPOCH_US = 946_684_800_000_000
"""Binary times count from the year 2000."""
_ID_CHARACTERS = 36
_SIZE = Struct(">i")
_INTEGER = Struct(">4xi")
_BIGINT = Struct(">4xq")


BareRow = tuple[int, int, str, int, str, bytes]
"""One entry as it came: position, recorded time in microseconds since 1970 (UTC),
aggregate id, version, topic and body."""


def recorded_text(microseconds: int) -> str:
    """The contract's text of a time in microseconds since 1970: RFC 3339, UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=1_024)
def _second(seconds: int) -> str:
    """A whole second: what is recorded at one time is recorded together."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Sink:
    """What the driver takes for a file to write to."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.write = self.parts.append

    def read(self, _: int = -1) -> bytes:
        """Nothing: it is written to."""
        return b""


def bundled(
    cursor: psycopg2.extensions.cursor,
    *,
    after: int,
    until: int,
    limit: int,
    topics: Sequence[str] = (),
) -> list[BareRow]:
    """At most ``limit`` entries above ``after`` up to ``until``, in order."""
    sink = _Sink()
    asked = {
        "after": after,
        "until": until,
        "limit": limit,
        "topics": list(topics) or None,
    }
    cursor.copy_expert(cursor.mogrify(_BUNDLE, asked), sink)
    return _rows(b"".join(sink.parts))


def _rows(message: bytes) -> list[BareRow]:
    columns = list(_columns(message))
    if not columns:
        return []
    positions, recorded, versions, ids, topics, sizes, bodies = columns
    # Topics are printable ASCII by a CHECK, ids hexadecimal: a line feed is in neither.
    keys = str(ids, "ascii")
    texts = str(topics, "ascii").split("\n")
    known = {topic: topic for topic in texts}
    rows = []
    begins = id_begins = 0
    for (size,), (position,), (at,), (version,), topic in zip(
        _INTEGER.iter_unpack(sizes[_ARRAY_HEADER_BYTES:]),
        _BIGINT.iter_unpack(positions[_ARRAY_HEADER_BYTES:]),
        _BIGINT.iter_unpack(recorded[_ARRAY_HEADER_BYTES:]),
        _INTEGER.iter_unpack(versions[_ARRAY_HEADER_BYTES:]),
        texts,
        strict=True,
    ):
        ends = begins + size
        id_ends = id_begins + _ID_CHARACTERS
        rows.append(
            (
                position,
                at + _POSTGRES_EPOCH_US,
                keys[id_begins:id_ends],
                version,
                known[topic],
                bytes(bodies[begins:ends]),
            )
        )
        begins, id_begins = ends, id_ends
    return rows


def _columns(message: bytes) -> Iterator[memoryview]:
    """The columns of the one row; none where nothing was found."""
    seen = memoryview(message)
    at = _HEADER_BYTES
    for _ in range(_COLUMNS):
        (size,) = _SIZE.unpack_from(message, at)
        at += _SIZE.size
        if size < 0:
            return
        yield seen[at : at + size]
        at += size
