"""Versions of rows as a fold makes them, each ended by the next of its key.

The fast way to write a versioned table for views that every event passes through:
one UPDATE by primary key and one COPY a batch, with no object made for a change.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg2.extensions
from psycopg2 import sql

from ledger.copying import NOTHING, copied_text
from projections.copying import array_of, copy_lines, rfc3339_sql


@dataclass(frozen=True, kw_only=True)
class SucceedingRows:
    """A versioned table: ``key`` and its types, then the columns of a row.

    The primary key MUST be the key columns and ``valid_from``. ``columns`` are those of
    the lines that are put: all but ``valid_to``.
    """

    name: str
    key: dict[str, str]
    columns: tuple[str, ...]
    times: frozenset[str] = frozenset()
    """The columns that load gives as bodies write times."""
    numbers: frozenset[str] = frozenset()
    """The columns that load gives as the numbers or truths they are."""

    @cached_property
    def form(self) -> str:
        """What makes the line of a row that ``put_row`` takes."""
        return "\t".join(f"%({name})s" for name in self.columns)

    @cached_property
    def _load(self) -> str:
        key = ", ".join(self.key)
        arrays = ", ".join(f"%s::{type_}[]" for type_ in self.key.values())
        matches = " AND ".join(f"t.{name} = k.{name}" for name in self.key)
        return f"""
SELECT {", ".join(self._as_text(name) for name in self.columns)}
FROM unnest({arrays}) AS k ({key})
CROSS JOIN LATERAL (
    SELECT * FROM {self.name} t WHERE {matches} ORDER BY t.valid_from DESC LIMIT 1
) AS t
WHERE t.valid_to IS NULL
"""

    def _as_text(self, name: str) -> str:
        if name in self.times:
            return rfc3339_sql(f"t.{name}")
        return f"t.{name}" if name in self._numbers else f"t.{name}::text"

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return self.numbers | {"valid_from"}

    def load(
        self, cursor: psycopg2.extensions.cursor, keys: Collection[Any]
    ) -> Iterator[dict[str, Any]]:
        """The current rows of the keys, as ``put_row`` takes them.

        A key is its one text, or the tuple of its texts.
        """
        if not keys:
            return
        parts = [keys] if len(self.key) == 1 else list(zip(*keys, strict=True))
        cursor.execute(self._load, [array_of(part) for part in parts])
        for row in cursor.fetchall():
            yield {
                name: NOTHING
                if value is None
                else copied_text(value)
                if isinstance(value, str)
                else value
                for name, value in zip(self.columns, row, strict=True)
            }

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

    def put_row(
        self,
        key: Hashable,
        before: dict[str, Any] | None,
        position: int,
        row: dict[str, Any] | None,
    ) -> None:
        """As ``put``, of rows by the names of their columns, each as COPY takes it.

        ``before`` is the row that was current; ``row`` MUST be another, and learns its
        ``valid_from`` here.
        """
        line = None
        if row is not None:
            row["valid_from"] = position
            line = self._table.form % row
        since = None if before is None else before["valid_from"]
        self.put(key, since, position, line)

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
