"""Rows that held long ago, found by how long they lasted, however old the ledger is.

What held at a position began before it and ended after it. Rows of one class lasted
between one power of four and the next, so those that held ended within one short
stretch: each class has its own to look at, in an index by class and end. See
docs/decisions/0026-old-rows-by-how-long-they-lasted.md.
"""

from __future__ import annotations

from typing import Any

_LAST_LEVEL = 26
"""Four to the 27th positions: no ledger gets there."""
_LEVELS = list(range(_LAST_LEVEL + 1))
_LONGEST = [4 ** (level + 1) for level in _LEVELS]
"""The most positions that a row of each class can have lasted."""
_FAR = 2**62
"""After every position, and still a bigint with the longest added to it."""
_LAST_LEVEL_S = 16
"""Four to the 17th seconds: five hundred years."""

LEVEL = "floor(ln((valid_to - valid_from)::float8) / ln(4::float8))"
"""The class of a row that ended, as the indexes have it."""
LEVEL_S = (
    "floor(ln(extract(epoch FROM ended_at - accepted_at)::float8 + 1) / ln(4::float8))"
)
"""The class of what began and ended at times, by its seconds and one."""


def held(
    table: str, columns: str, conditions: str, *, at: str = "", first: str = ""
) -> str:
    """A query for the rows of a versioned table that held as of ``%(as_of)s``.

    The table MUST have an index that begins with ``LEVEL`` and ``valid_to`` where
    ``valid_to`` is not NULL; or, before these, with the column ``at``: then all values
    of it that any row ended under are looked at one by one. ``first`` is the order and
    limit of whoever wants the first of them: where most that held still hold, as what
    was answered does, no more of it is read.
    """
    begin = places = is_there = ""
    if at:
        begin, places = _values(table, at), "places CROSS JOIN "
        is_there = f"{at} = places.value AND "
    return f"""{begin}
(
    SELECT {columns} FROM {table}
    WHERE valid_to IS NULL AND valid_from <= %(as_of)s AND {conditions} {first}
)
UNION ALL
SELECT ended.*
FROM {places}unnest(%(levels)s::float8[], %(longest)s::bigint[])
    AS class (level, longest)
CROSS JOIN LATERAL (
    SELECT {columns} FROM {table}
    WHERE valid_to IS NOT NULL AND {is_there}{LEVEL} = level
        AND valid_to > %(as_of)s AND valid_to <= %(as_of)s + longest
        AND valid_from <= %(as_of)s AND {conditions}
    -- Class by class: joined at once, all that ended since would be read.
    OFFSET 0
) AS ended
"""


def held_params(as_of: int) -> dict[str, Any]:
    """The parameters of ``held``."""
    return {"as_of": min(as_of, _FAR), "levels": _LEVELS, "longest": _LONGEST}


def _values(table: str, column: str) -> str:
    """The values of a column that an index of ended rows begins with, one by one."""
    found = f"SELECT {column} FROM {table} WHERE valid_to IS NOT NULL"
    return f"""
WITH RECURSIVE places (value) AS (
    ({found} ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT ({found} AND {column} > places.value ORDER BY {column} LIMIT 1)
    FROM places WHERE places.value IS NOT NULL
)"""


def open_then(table: str, columns: str, conditions: str) -> str:
    """A query for what was accepted before ``%(before)s`` and ended at it or after.

    The table MUST have an index that begins with ``LEVEL_S`` and ``ended_at``.
    """
    return f"""
SELECT ended.*
FROM unnest(%(levels_s)s::float8[], %(longest_s)s::float8[]) AS class (level, longest)
CROSS JOIN LATERAL (
    SELECT {columns} FROM {table}
    WHERE {LEVEL_S} = level AND ended_at >= %(before)s
        AND ended_at <= %(before)s::timestamptz + make_interval(secs => longest)
        AND accepted_at < %(before)s AND {conditions}
    OFFSET 0
) AS ended
"""


OPEN_THEN = {
    "levels_s": list(range(_LAST_LEVEL_S + 1)),
    "longest_s": [float(4 ** (level + 1)) for level in range(_LAST_LEVEL_S + 1)],
}
"""The parameters of ``open_then``, but for the time."""
