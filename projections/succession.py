"""Versions of rows as a fold makes them, each ended by the next of its key.

The fast way to write a versioned table for views that every event passes through:
one UPDATE by primary key and one COPY a batch, with no object made for a change.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import psycopg2.extensions
from psycopg2 import sql

from projections.copying import append_rows, array_of

_NONE = str(None)
"""How formatting writes None, and so what COPY is told to take for NULL."""
_CHUNK_BYTES = 1 << 20
"""What the driver sends at a time: its own 8 kB would ask us 700 times a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedingRows:
    """A versioned table: ``key`` and its types, then the columns of a row.

    The primary key MUST be the key columns and ``valid_from``, and the rows that are
    put MUST have all columns but ``valid_to``, in the order of ``columns``.
    """

    name: str
    key: dict[str, str]
    columns: tuple[str, ...]

    def begin(self, current: dict[Any, int]) -> Succession:
        """The versions of a batch; ``current`` says since when each key's row holds."""
        return Succession(self, current)


class Succession:
    """The rows of one batch. Facts MUST come in the order of their positions."""

    __slots__ = ("_current", "_ended", "_open", "_rows", "_table")

    def __init__(self, table: SucceedingRows, current: dict[Any, int]) -> None:
        self._table = table
        self._current = current
        self._ended: list[tuple[Any, int, int]] = []
        self._open: dict[Any, tuple[Any, ...]] = {}
        self._rows: list[tuple[Any, ...]] = []

    def put(self, key: Hashable, position: int, row: tuple[Any, ...] | None) -> None:
        """A key's row from ``position`` on; None: it has none any more."""
        last = self._open.get(key)
        if last is not None:
            self._rows.append((*last, position))
        else:
            since = self._current.pop(key, None)
            if since is not None:
                self._ended.append((key, since, position))
        if row is not None:
            self._open[key] = row
        elif last is not None:
            del self._open[key]

    def write(self, cursor: psycopg2.extensions.cursor) -> None:
        """End the rows that were current before, and insert those of the batch."""
        if self._ended:
            self._end(cursor)
        rows = self._rows
        rows += [(*row, None) for row in self._open.values()]
        copy_plain_rows(
            cursor, self._table.name, (*self._table.columns, "valid_to"), rows
        )

    def _end(self, cursor: psycopg2.extensions.cursor) -> None:
        key = self._table.key
        names = (*key, "valid_from")
        query = sql.SQL(
            "UPDATE {table} t SET valid_to = k.ended"
            " FROM unnest({arrays}) k ({names}, ended) WHERE {matches}"
        ).format(
            table=sql.Identifier(self._table.name),
            arrays=sql.SQL(", ").join(
                sql.SQL(f"%s::{type_}[]")
                for type_ in (*key.values(), "bigint", "bigint")
            ),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            matches=sql.SQL(" AND ").join(
                sql.SQL("t.{name} = k.{name}").format(name=sql.Identifier(name))
                for name in names
            ),
        )
        keys = [each[0] for each in self._ended]
        parts = [keys] if len(key) == 1 else list(zip(*keys, strict=True))
        since = [each[1] for each in self._ended]
        ended = [each[2] for each in self._ended]
        cursor.execute(query, [array_of(part) for part in (*parts, since, ended)])


def copy_plain_rows(
    cursor: psycopg2.extensions.cursor,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert rows of texts, integers, truths and Nones by one COPY.

    A third of the time of append_rows, which looks at each value: here each row is
    formatted at once, and the whole text is looked through for what would have wanted
    an escape. Where something does, append_rows writes it all.
    """
    if not rows:
        return
    form = "\t".join(["%s"] * len(columns))
    text = "\n".join([form % row for row in rows])
    is_plain = (
        "\\" not in text
        and "\r" not in text
        and text.count("\n") == len(rows) - 1
        and text.count("\t") == len(rows) * (len(columns) - 1)
        and text.count(_NONE) == sum([row.count(None) for row in rows])
    )
    if not is_plain:
        append_rows(cursor, table, columns, rows)
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (NULL {})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Literal(_NONE),
    )
    cursor.copy_expert(statement, BytesIO(text.encode()), _CHUNK_BYTES)
