"""Many entries in one message: what followers of millions read, without their cost.

The driver brings bytes as hexadecimal text and every value as an object of its own, a
row at a time. Here the server puts the columns of a batch side by side and sends one
binary COPY row: its bodies come as they are stored, and the interpreter's lock is let
go a few times a batch instead of once a row.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import accumulate, pairwise
from struct import Struct

import psycopg2.extensions

_BUNDLE = """
COPY (
    SELECT string_agg(int8send(position), ''),
        string_agg(timestamptz_send(recorded_at), ''),
        string_agg(int4send(version), ''), string_agg(aggregate_id::text, ''),
        string_agg(topic, E'\\n'), string_agg(int4send(length(body)), ''),
        string_agg(body, '')
    FROM (
        SELECT position, recorded_at, aggregate_id, version, topic, body FROM events
        WHERE position > %(after)s AND position <= %(until)s
            AND (%(topics)s::text[] IS NULL OR topic = ANY(%(topics)s::text[]))
            AND (
                %(positions)s::bigint[] IS NULL
                OR position = ANY(%(positions)s::bigint[])
            )
        ORDER BY position LIMIT %(limit)s
    ) AS entries
) TO STDOUT (FORMAT binary)
"""
_HEADER_BYTES = 21
"""The signature, the flags, no extension, and the number of the row's columns."""
_COLUMNS = 7
_POSTGRES_EPOCH_US = 946_684_800_000_000
"""Binary times count from the year 2000."""
_ID_CHARACTERS = 36
_SIZE = Struct(">i")


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


def bundled(
    cursor: psycopg2.extensions.cursor,
    *,
    after: int,
    until: int,
    limit: int,
    topics: Sequence[str] = (),
    positions: Sequence[int] = (),
) -> list[BareRow]:
    """At most ``limit`` entries above ``after`` up to ``until``, in order.

    All of them, or those of some topics, or at some positions.
    """
    message = BytesIO()
    asked = {
        "after": after,
        "until": until,
        "limit": limit,
        "topics": list(topics) or None,
        "positions": list(positions) or None,
    }
    cursor.copy_expert(cursor.mogrify(_BUNDLE, asked), message)
    return _rows(message.getvalue())


def _rows(message: bytes) -> list[BareRow]:
    columns = list(_columns(message))
    if not columns:
        return []
    positions, recorded, versions, ids, topics, sizes, bodies = columns
    # Topics are printable ASCII by a CHECK, ids hexadecimal: a line feed is in neither.
    keys = str(ids, "ascii")
    texts = str(topics, "ascii").split("\n")
    known = {topic: topic for topic in texts}
    whole = bytes(bodies)
    ends = list(accumulate(_numbers("i", sizes), initial=0))
    return list(
        zip(
            _numbers("q", positions),
            [at + _POSTGRES_EPOCH_US for at in _numbers("q", recorded)],
            [
                keys[at : at + _ID_CHARACTERS]
                for at in range(0, len(keys), _ID_CHARACTERS)
            ],
            _numbers("i", versions),
            [known[topic] for topic in texts],
            [whole[begin:end] for begin, end in pairwise(ends)],
            strict=True,
        )
    )


def _numbers(kind: str, column: memoryview) -> array[int]:
    """The numbers of a column, which come in the network's order."""
    numbers = array(kind, bytes(column))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


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
