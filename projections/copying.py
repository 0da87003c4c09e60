"""Rows by COPY, as the views write them: one statement a batch, whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg2.extensions
from psycopg2 import sql

from ledger.bodies import rfc3339
from ledger.copying import NOTHING, copied_text, copy_in

_TO_QUOTE = re.compile(r'[{}"\\ \t\n\r\v\f]')
_UNQUOTED = frozenset('{}",\\ \t\n\r\v\f')


def append_rows(
    cursor: psycopg2.extensions.cursor,
    table: str,
    columns: Sequence[str],
    rows: Collection[Sequence[Any]],
) -> None:
    """Insert rows by one COPY; none sends nothing.

    A value is a text (passed as it is, for PostgreSQL to read as the column's type),
    an integer, a bool, bytes, a datetime, a list of texts, or None.
    """
    tabs = len(columns) - 1
    copy_lines(cursor, table, columns, [_line(row, tabs) for row in rows])


def copied(value: Any) -> Any:
    """A parsed body with every text in its objects as COPY takes it.

    Lists are left as they are: array_of quotes their elements first.
    """
    if isinstance(value, str):
        return copied_text(value)
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return value


def copy_lines(
    cursor: psycopg2.extensions.cursor,
    table: str,
    columns: Sequence[str],
    lines: Sequence[str],
) -> None:
    """Insert rows that stand ready by one COPY; none sends nothing.

    A line has its columns between tabs, each as COPY takes it. It MUST be made of what
    ``Fact.copied_data`` or ``copied_text`` gave, of numbers, and of NOTHING.
    """
    if not lines:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    copy_in(cursor, statement, "\n".join(lines).encode())


def array_of(values: Iterable[Any]) -> str:
    """The PostgreSQL array of these values, as a text to be cast."""
    each = values if isinstance(values, list) else list(values)
    text = ",".join([v if v.__class__ is str else _element(v) for v in each])
    if not _is_plain(text, len(each)):
        text = ",".join(map(_element, each))
    return f"{{{text}}}"


def _is_plain(text: str, elements: int) -> bool:
    """Whether the elements of an array mean what they are without any quotes.

    Looked at together: most arrays are ids and positions by the thousand.
    """
    return (
        text.count(",") == elements - 1
        and _TO_QUOTE.search(text) is None
        and ",," not in f",{text},"
        and "null" not in text.lower()
    )


def rfc3339_sql(column: str) -> str:
    """A timestamptz as the body's own text, for a fold to go on from."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _line(row: Sequence[Any], tabs: int) -> str:
    """One row in COPY's text format."""
    text = "\t".join(
        [
            value
            if value.__class__ is str
            else NOTHING
            if value is None
            else _TEXTS[value.__class__](value)
            if value.__class__ in _TEXTS
            else str(value)
            for value in row
        ]
    )
    # Nearly every row is right as it stands: its only backslashes are those of NULL.
    if (
        ("\\" not in text or text.count("\\") == row.count(None))
        and text.count("\t") == tabs
        and "\n" not in text
        and "\r" not in text
    ):
        return text
    return "\t".join([_escaped(value) for value in row])


def _escaped(value: Any) -> str:
    if value is None:
        return NOTHING
    return copied_text(_TEXTS.get(value.__class__, str)(value))


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value if value.__class__ is str else _TEXTS.get(value.__class__, str)(value)
    if _UNQUOTED.isdisjoint(text) and text and text.upper() != "NULL":
        return text
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


_TEXTS: dict[type[Any], Callable[[Any], str]] = {
    bytes: lambda value: f"\\x{value.hex()}",
    bool: lambda value: "t" if value else "f",
    datetime: rfc3339,
    list: array_of,
    tuple: array_of,
}
