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
    # What later entries made or ended is left out, up to the one folded last. A
    # position behind that is of no entry: such a row is wrong, so it is compared.
    TableKind.VERSIONED: (
        "SELECT {columns} FROM {table}"
        " WHERE valid_from <= %(at)s OR valid_from > {level}"
    ),
    TableKind.STEPS: (
        "SELECT {columns} FROM {table}"
        " WHERE valid_from <= %(at)s OR valid_from > {level}"
    ),
    TableKind.APPENDED: (
        "SELECT {columns} FROM {table} WHERE position <= %(at)s OR position > {level}"
    ),
    TableKind.WORKING: "SELECT {columns} FROM {table}",
}
_ENDED = (
    "CASE WHEN valid_to <= %(at)s OR valid_to > {level} THEN valid_to END AS valid_to"
)
_ONLY_IN = """
SELECT count(*) OVER (), {key} FROM (({one}) EXCEPT ALL ({other})) d
ORDER BY {key} LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A schema with a view's tables, and the position of the last entry folded."""

    schema: str
    level: int


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
    live: Fold,
    folded: Fold,
    position: int,
) -> list[TableDifference]:
    """How the view's tables differ as of ``position``, which both have reached."""
    return [
        _difference(cursor, view.name, table, (live, folded), position)
        for table in view.tables
    ]


def _difference(
    cursor: psycopg2.extensions.cursor,
    view: str,
    table: str,
    folds: tuple[Fold, Fold],
    position: int,
) -> TableDifference:
    live, folded = folds
    columns = columns_of(cursor, f"{live.schema}.{table}")
    if columns != columns_of(cursor, f"{folded.schema}.{table}"):
        return TableDifference(view=view, table=table, is_other_shape=True)
    kind = kind_of(columns)
    if kind is TableKind.WORKING and not live.level == folded.level == position:
        return TableDifference(view=view, table=table, is_compared=False)
    cursor.execute(_KEY, (f"{live.schema}.{table}",))
    key = [name for (name,) in cursor.fetchall()] or list(columns)[:1]
    mine, theirs = (_rows(fold, table, columns, kind) for fold in folds)
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
    fold: Fold, table: str, columns: dict[str, str], kind: TableKind
) -> sql.Composed:
    """The statement for the rows of a table as they were at ``%(at)s``."""
    level = sql.Literal(fold.level)
    chosen: list[sql.Composable] = []
    for name, type_ in columns.items():
        column = sql.Identifier(name)
        if name == "valid_to" and kind is TableKind.VERSIONED:
            chosen.append(sql.SQL(_ENDED).format(level=level))
        elif type_ == "json":
            # PostgreSQL knows no equality of it; ours is that of what was written.
            chosen.append(sql.SQL("{0}::text AS {0}").format(column))
        else:
            chosen.append(column)
    return sql.SQL(_ROWS[kind]).format(
        columns=sql.SQL(", ").join(chosen),
        table=sql.Identifier(fold.schema, table),
        level=level,
    )
