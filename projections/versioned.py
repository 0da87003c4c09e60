"""Versioned rows: each valid from one position to another, written set-wise.

A table of this kind has its key columns, its value columns, ``valid_from`` (the
position that made the row) and ``valid_to`` (the one that ended it, NULL while it is
current). "As of position p" is ``valid_from <= p`` and not ended by p.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions
from psycopg2 import sql

from projections.copying import append_rows, array_of

CURRENT = "valid_to IS NULL"
AS_OF = "valid_from <= %(as_of)s AND (valid_to IS NULL OR valid_to > %(as_of)s)"
ROWS_A_STATEMENT = 1_000
"""Rows one INSERT of a view that does not COPY carries."""

Key = tuple[Any, ...]
Row = Mapping[str, Any]


def valid(as_of: int | None) -> str:
    """The condition for the rows that are valid now, or as of ``%(as_of)s``."""
    return CURRENT if as_of is None else AS_OF


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a fact made of one key: its new row, or None when it has none any more."""

    position: int
    key: Key
    row: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedTable:
    """One versioned table, by the names of its columns.

    ``casts`` gives the PostgreSQL type of the key columns that are not text; those of
    other columns are the table's own.
    """

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    casts: Mapping[str, str]

    def load(
        self, cursor: psycopg2.extensions.cursor, keys: Iterable[Key]
    ) -> dict[Key, dict[str, Any]]:
        """The current rows of the keys, by key."""
        wanted = list(set(keys))
        if not wanted:
            return {}
        columns = (*self.key, *self.values)
        query = sql.SQL(
            "SELECT {columns} FROM {table} t JOIN {keys} USING ({key})"
            " WHERE t.valid_to IS NULL"
        ).format(
            columns=_names(columns),
            table=sql.Identifier(self.name),
            keys=self._unnested(self.key),
            key=_names(self.key),
        )
        cursor.execute(query, [array_of(part) for part in zip(*wanted, strict=True)])
        width = len(self.key)
        return {
            row[:width]: dict(zip(self.values, row[width:], strict=True))
            for row in cursor.fetchall()
        }

    def write(
        self, cursor: psycopg2.extensions.cursor, changes: Sequence[Change]
    ) -> None:
        """End the rows that changed and insert their versions, in two statements.

        Changes MUST come in the order of their positions.
        """
        by_key: dict[Key, list[Change]] = {}
        for change in changes:
            of_key = by_key.setdefault(change.key, [])
            if of_key and of_key[-1].position == change.position:
                of_key.pop()
            of_key.append(change)
        if not by_key:
            return
        self._end(cursor, [(*key, of[0].position) for key, of in by_key.items()])
        rows = []
        for key, of_key in by_key.items():
            ends = [change.position for change in of_key[1:]]
            for change, end in zip(of_key, [*ends, None], strict=True):
                if change.row is not None:
                    values = [change.row[name] for name in self.values]
                    rows.append((*key, *values, change.position, end))
        columns = (*self.key, *self.values, "valid_from", "valid_to")
        append_rows(cursor, self.name, columns, rows)

    def _end(
        self, cursor: psycopg2.extensions.cursor, ended: Sequence[tuple[Any, ...]]
    ) -> None:
        matches = sql.SQL(" AND ").join(
            sql.SQL("t.{name} = k.{name}").format(name=sql.Identifier(name))
            for name in self.key
        )
        query = sql.SQL(
            "UPDATE {table} t SET valid_to = k.valid_from FROM {keys}"
            " WHERE {matches} AND t.valid_to IS NULL"
        ).format(
            table=sql.Identifier(self.name),
            keys=self._unnested((*self.key, "valid_from")),
            matches=matches,
        )
        cursor.execute(query, [array_of(part) for part in zip(*ended, strict=True)])

    def _unnested(self, columns: Sequence[str]) -> sql.Composed:
        """The table ``k`` of some columns, an array of text a parameter each."""
        types = {"valid_from": "bigint", **self.casts}
        arrays = sql.SQL(", ").join(
            sql.SQL(f"%s::{types.get(column, 'text')}[]") for column in columns
        )
        return sql.SQL("unnest({}) k ({})").format(arrays, _names(columns))


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
