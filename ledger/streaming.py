"""Reading millions of entries: window after window by position, in constant memory.

A server-side cursor would keep a transaction open for as long as its reader takes: it
holds a connection of the pool, keeps the server from cleaning up behind it, and is
ended when the reader thinks for a minute. What stands up to a position never changes
and never grows (docs/reference/contract.md, "Append"), so statements of their own, up
to one position, show the same rows as one snapshot, at the same speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DataError

from ledger.persistence.datastore import PostgresDatastore

ROWS_A_FETCH = 1_000
"""Rows brought at once: some 600 kB of entries."""
POSITIONS_A_WINDOW = 20_000
"""Positions that are searched for topics at once: a scan of the index by position.

Without a bound the planner may sort the whole ledger for the first thousand of a topic.
"""

Row = tuple[Any, ...]

ENTRY = "position, recorded_at, aggregate_id::text, version, topic, body"
"""What an Entry has, the id as text, the body as a memoryview."""
EVENT = "position, aggregate_id::text, version, topic, convert_from(body, 'UTF8')"
"""What an event is decoded from. A text is fetched in half the time of the bytes."""
_EVENT_AS_STORED = "position, aggregate_id::text, version, topic, body"
_HEAD = "SELECT position FROM ledger_head"
_WINDOW = """
FROM events WHERE position > %(after)s AND position <= %(until)s
ORDER BY position LIMIT %(limit)s
"""
_WINDOW_OF_TOPICS = """
FROM events
WHERE position > %(after)s AND position <= %(until)s AND topic = ANY(%(topics)s)
ORDER BY position LIMIT %(limit)s
"""
_AGGREGATE = """
FROM events
WHERE aggregate_id = %(aggregate_id)s::uuid AND version > %(version)s
    AND position > %(after)s AND position <= %(until)s
    AND (%(topics)s::text[] IS NULL OR topic = ANY(%(topics)s::text[]))
ORDER BY version LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is read: above ``after``, up to ``until``, of topics, of one aggregate."""

    after: int = 0
    until: int | None = None
    topics: Sequence[str] = ()
    aggregate_id: UUID | None = None


def batches(
    datastore: PostgresDatastore, selection: Selection, columns: str
) -> Iterator[list[Row]]:
    """The rows of a selection in order, some at a time; no batch is empty.

    Between two batches nothing is held: no connection, no transaction.
    """
    until = _until(datastore, selection)
    if selection.aggregate_id is not None:
        return _of_aggregate(datastore, selection, until, columns)
    return _by_position(datastore, selection, until, columns)


def _until(datastore: PostgresDatastore, selection: Selection) -> int:
    """Where the stream ends: never above what is visible when it begins."""
    with datastore.autocommit() as cursor:
        cursor.execute(_HEAD)
        (head,) = cursor.fetchone() or (0,)
    return int(head) if selection.until is None else min(selection.until, int(head))


def _by_position(
    datastore: PostgresDatastore, selection: Selection, until: int, columns: str
) -> Iterator[list[Row]]:
    statement = _WINDOW_OF_TOPICS if selection.topics else _WINDOW
    after = selection.after
    while after < until:
        end = min(until, after + POSITIONS_A_WINDOW)
        asked = {"after": after, "until": end, "topics": list(selection.topics)}
        rows = _fetched(datastore, statement, asked, columns)
        after = end if len(rows) < ROWS_A_FETCH else rows[-1][0]
        if rows:
            yield rows


def _of_aggregate(
    datastore: PostgresDatastore, selection: Selection, until: int, columns: str
) -> Iterator[list[Row]]:
    asked = {
        "aggregate_id": str(selection.aggregate_id),
        "version": -1,
        "after": selection.after,
        "until": until,
        "topics": list(selection.topics) or None,
    }
    while rows := _fetched(datastore, _AGGREGATE, asked, columns):
        yield rows
        if len(rows) < ROWS_A_FETCH:
            return
        asked["version"] = rows[-1][-3]


def _fetched(
    datastore: PostgresDatastore, statement: str, asked: dict[str, Any], columns: str
) -> list[Row]:
    """One fetch. Where a body is not UTF-8, all come as stored: the caller judges."""
    asked = {**asked, "limit": ROWS_A_FETCH}
    try:
        with datastore.autocommit() as cursor:
            cursor.execute(f"SELECT {columns} {statement}", asked)
            return cursor.fetchall()
    except DataError:
        if columns != EVENT:
            raise
        rows = _fetched(datastore, statement, asked, _EVENT_AS_STORED)
        return [(*row[:-1], bytes(row[-1])) for row in rows]
