"""The four kinds of a view's tables, which say how to look at one as of a position."""

from __future__ import annotations

from enum import StrEnum

import psycopg2.extensions

_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


class TableKind(StrEnum):
    """What an older state of a table is.

    Versioned: the rows valid at the position. Steps: of each request the last row up
    to it, since the next row ends one and no column says so. Appended: the rows up to
    it, since rows never change. Working: it is gone; such a table is compared at the
    head only.
    """

    VERSIONED = "versioned"
    STEPS = "steps"
    APPENDED = "appended"
    WORKING = "working"


def columns_of(cursor: psycopg2.extensions.cursor, table: str) -> dict[str, str]:
    """The columns of a table on the search_path in their order, with their types."""
    cursor.execute(_COLUMNS, (table,))
    return {str(name): str(type_) for name, type_ in cursor.fetchall()}


def kind_of(columns: dict[str, str]) -> TableKind:
    """The kind of the table with these columns."""
    if {"valid_from", "valid_to"} <= columns.keys():
        return TableKind.VERSIONED
    if {"request_id", "valid_from"} <= columns.keys():
        return TableKind.STEPS
    return TableKind.APPENDED if "position" in columns else TableKind.WORKING
