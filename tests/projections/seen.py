"""What views show, as numbers to hold against each other: now, then, and as of then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg2.extensions

from domain.access import Scope
from ledger.persistence.datastore import PostgresDatastore
from projections.clerk_queue import ClerkQueueQueries
from projections.governorate_counts import CountBy, GovernorateCountsQueries
from projections.schema import VIEWS
from projections.tables import TableKind, columns_of, kind_of
from projections.tracking import TrackingQueries

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVERYTHING = Scope()
PAGE = 100
FIRST, LAST = date(2026, 10, 1), date(2026, 12, 31)

Sum = tuple[int, str]
"""How many rows, and the sum of their hashes: the same for the same rows."""

_LEVELS = "SELECT view, position FROM progress"
# Where a row ended is not shown, and comes later.
_SHOWN = """
SELECT count(*), coalesce(sum(hashtextextended(
    (to_jsonb(t) - 'valid_to')::text, 0)::numeric), 0)::text
FROM {table} t WHERE {which}
"""
_WHOLE = """
SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text
FROM {table} t
"""
_AS_OF = {
    TableKind.VERSIONED: (
        "valid_from <= %(at)s AND (valid_to IS NULL OR valid_to > %(at)s)"
    ),
    TableKind.STEPS: "valid_from <= %(at)s",
    TableKind.APPENDED: "position <= %(at)s",
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the tables of a view showed, and what was answered from them, at a time."""

    view: str
    position: int
    tables: dict[str, Sum]
    answers: dict[str, Any]


class Looking:
    """Looks at the live views as anybody does who may read them."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        queue = ClerkQueueQueries(datastore)
        counts = GovernorateCountsQueries(datastore)
        tracking = TrackingQueries(datastore)
        by = (CountBy.GOVERNORATE, CountBy.SERVICE)
        self._asked: dict[str, dict[str, Callable[[int | None], Any]]] = {
            "clerk_queue": {
                "queue": lambda at: queue.page(
                    EVERYTHING, now=NOW, limit=PAGE, as_of=at
                ),
            },
            "governorate_counts": {
                "stocks": lambda at: counts.stocks(EVERYTHING, by=by, as_of=at),
                "flows": lambda at: counts.flows(
                    EVERYTHING, first=FIRST, last=LAST, as_of=at
                ),
            },
            "tracking": {
                "requests": lambda at: tracking.page(EVERYTHING, limit=PAGE, as_of=at),
            },
        }

    def now(self) -> list[Seen]:
        """What each view shows, at the position where it is just now."""
        answers = self._answers()
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # First who they are, then the snapshot: a switch between the two would
            # show tables whose rows the snapshot is too old for.
            tables = ", ".join(table for view in VIEWS for table in view.tables)
            cursor.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
            levels = _levels(cursor)
            return [
                Seen(
                    view=view.name,
                    position=levels[view.name],
                    tables={
                        table: _shown(cursor, table, _is_shown(cursor, table))
                        for table in view.tables
                    },
                    answers=answers.get((view.name, levels[view.name]), {}),
                )
                for view in VIEWS
            ]

    def differing(self, then: Seen) -> list[str]:
        """What is told otherwise now, as of the position where it was seen."""
        found = []
        with self._datastore.transaction(commit=False) as cursor:
            for table, shown in then.tables.items():
                as_of = _AS_OF.get(kind_of(columns_of(cursor, table)))
                if as_of is None:
                    # It keeps no past.
                    continue
                if _shown(cursor, table, as_of, at=then.position) != shown:
                    found.append(f"{table} as of {then.position} is another")
        for name, answered in then.answers.items():
            if self._asked[then.view][name](then.position) != answered:
                found.append(f"{name} as of {then.position} is another")
        return found

    def _answers(self) -> dict[tuple[str, int], dict[str, Any]]:
        """What is answered, by view and position; none of a view that just moves."""
        answers: dict[tuple[str, int], dict[str, Any]] = {}
        for view, asked in self._asked.items():
            before = self._levels()[view]
            told = {name: ask(None) for name, ask in asked.items()}
            if self._levels()[view] == before:
                answers[view, before] = told
        return answers

    def _levels(self) -> dict[str, int]:
        with self._datastore.autocommit() as cursor:
            return _levels(cursor)


def whole(cursor: psycopg2.extensions.cursor) -> dict[str, Sum]:
    """Every row of every view with all its columns, as sums by table."""
    found = {}
    for view in VIEWS:
        for table in view.tables:
            cursor.execute(_WHOLE.format(table=table))
            found[table] = _sum(cursor)
    return found


def _levels(cursor: psycopg2.extensions.cursor) -> dict[str, int]:
    cursor.execute(_LEVELS)
    return dict(cursor.fetchall())


def _is_shown(cursor: psycopg2.extensions.cursor, table: str) -> str:
    is_versioned = kind_of(columns_of(cursor, table)) is TableKind.VERSIONED
    return "valid_to IS NULL" if is_versioned else "true"


def _shown(
    cursor: psycopg2.extensions.cursor, table: str, which: str, **given: int
) -> Sum:
    cursor.execute(_SHOWN.format(table=table, which=which), given)
    return _sum(cursor)


def _sum(cursor: psycopg2.extensions.cursor) -> Sum:
    (count, hashes) = cursor.fetchone() or (0, "0")
    return int(count), str(hashes)
