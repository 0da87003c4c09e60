"""Versions of rows as a fold makes them, each ended by the next of its key.

The fast way to write a versioned table for views that every event passes through:
one UPDATE by primary key and one COPY a batch, with no object made for a change.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions
from psycopg2 import sql

from projections.copying import NOTHING, array_of, copy_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedingRows:
    """A versioned table: ``key`` and its types, then the columns of a row.

    The primary key MUST be the key columns and ``valid_from``. ``columns`` are those of
    the lines that are put: all but ``valid_to``.
    """

    name: str
    key: dict[str, str]
    columns: tuple[str, ...]

    def begin(self) -> Succession:
        """The versions of a batch."""
        return Succession(self)


class Succession:
    """The rows of one batch. Facts MUST come in the order of their positions."""

    __slots__ = ("_ended", "_lines", "_open", "_table")

    def __init__(self, table: SucceedingRows) -> None:
        self._table = table
        self._ended: list[tuple[Any, int, int]] = []
        self._open: dict[Any, str] = {}
        self._lines: list[str] = []

    def put(
        self, key: Hashable, since: int | None, position: int, line: str | None
    ) -> None:
        """A key's row from ``position`` on; None: it has none any more.

        ``since`` is where the row began that was current until now; None: there was
        none. ``line`` is a row for copy_lines without its last column, ``valid_to``.
        """
        last = self._open.get(key)
        if last is not None:
            self._lines.append(f"{last}\t{position}")
        elif since is not None:
            self._ended.append((key, since, position))
        if line is not None:
            self._open[key] = line
        elif last is not None:
            del self._open[key]

    def write(self, cursor: psycopg2.extensions.cursor) -> None:
        """End the rows that were current before, and insert those of the batch."""
        if self._ended:
            self._end(cursor)
        lines = self._lines
        lines += [f"{line}\t{NOTHING}" for line in self._open.values()]
        copy_lines(cursor, self._table.name, (*self._table.columns, "valid_to"), lines)

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
