"""Comparing a view's rows with those of another fold, row by row, as of a position."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg2.extensions
from psycopg2 import sql

from projections.tables import TableKind, columns_of, kind_of
from projections.views import View

KEYS_SHOWN = 5
"""Rows named of each kind of difference: enough to look at, few enough to read."""

_KEY = """
SELECT a.attname::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
ORDER BY array_position(i.indkey::int2[], a.attnum)
"""
_ROWS = {
    # A row that a later entry ended was current then.
    TableKind.VERSIONED: "SELECT {columns} FROM {table} WHERE valid_from <= %(at)s",
    TableKind.APPENDED: "SELECT {columns} FROM {table} WHERE position <= %(at)s",
    TableKind.WORKING: "SELECT {columns} FROM {table}",
}
_ENDED = "CASE WHEN valid_to <= %(at)s THEN valid_to END AS valid_to"
_ONLY_IN = """
SELECT count(*) OVER (), {key} FROM (({one}) EXCEPT ALL ({other})) d
ORDER BY {key} LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDifference:
    """How one table differs. Keys are ``column=value``; views hold no person's values.

    ``is_compared`` is False for a table that keeps no past, away from the head.
    """

    view: str
    table: str
    is_compared: bool = True
    only_live: int = 0
    only_folded: int = 0
    keys: tuple[str, ...] = ()
    is_other_shape: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing differs, as far as it was compared."""
        return not (self.only_live or self.only_folded or self.is_other_shape)


def differences(
    cursor: psycopg2.extensions.cursor,
    view: View,
    *,
    live: str,
    folded: str,
    position: int,
    is_head: bool,
) -> list[TableDifference]:
    """How the view's tables in schema ``live`` differ from those in ``folded``.

    Both as of ``position``; ``is_head`` says that both stand exactly there.
    """
    return [
        _difference(cursor, view.name, table, (live, folded), position, is_head=is_head)
        for table in view.tables
    ]


def _difference(
    cursor: psycopg2.extensions.cursor,
    view: str,
    table: str,
    schemas: tuple[str, str],
    position: int,
    *,
    is_head: bool,
) -> TableDifference:
    live, folded = schemas
    columns = columns_of(cursor, f"{live}.{table}")
    if columns != columns_of(cursor, f"{folded}.{table}"):
        return TableDifference(view=view, table=table, is_other_shape=True)
    kind = kind_of(columns)
    if kind is TableKind.WORKING and not is_head:
        return TableDifference(view=view, table=table, is_compared=False)
    cursor.execute(_KEY, (f"{live}.{table}",))
    key = [name for (name,) in cursor.fetchall()] or list(columns)[:1]
    mine, theirs = (_rows(schema, table, columns, kind) for schema in schemas)
    names = sql.SQL(", ").join(map(sql.Identifier, key))
    counts, keys = [], []
    for one, other, where in ((mine, theirs, "live"), (theirs, mine, "folded")):
        query = sql.SQL(_ONLY_IN).format(one=one, other=other, key=names)
        cursor.execute(query, {"at": position, "shown": KEYS_SHOWN})
        found = cursor.fetchall()
        counts.append(found[0][0] if found else 0)
        for row in found:
            named = zip(key, row[1:], strict=True)
            told = " ".join(f"{name}={value}" for name, value in named)
            keys.append(f"only {where}: {told}")
    return TableDifference(
        view=view,
        table=table,
        only_live=counts[0],
        only_folded=counts[1],
        keys=tuple(keys),
    )


def _rows(
    schema: str, table: str, columns: dict[str, str], kind: TableKind
) -> sql.Composed:
    """The statement for the rows of a table as they were at ``%(at)s``."""
    chosen: list[sql.Composable] = []
    for name, type_ in columns.items():
        column = sql.Identifier(name)
        if name == "valid_to" and kind is TableKind.VERSIONED:
            chosen.append(sql.SQL(_ENDED))
        elif type_ == "json":
            # PostgreSQL knows no equality of it; ours is that of what was written.
            chosen.append(sql.SQL("{0}::text AS {0}").format(column))
        else:
            chosen.append(column)
    return sql.SQL(_ROWS[kind]).format(
        columns=sql.SQL(", ").join(chosen), table=sql.Identifier(schema, table)
    )
