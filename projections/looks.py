"""Looks: who saw the values of a request's parties, when and what for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2.extensions
from psycopg2.extras import execute_values

from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.sorting import Column, PositionSort, both_ways
from projections.versioned import ROWS_A_STATEMENT

TOPIC = "sijil.read.looked.v1"
_DDL = """
CREATE TABLE looks (
    position bigint PRIMARY KEY,
    look_id uuid NOT NULL,
    request_id uuid NOT NULL,
    party uuid NOT NULL,
    purpose text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_place text NOT NULL,
    looked_at timestamptz NOT NULL
);
CREATE INDEX looks_at_party ON looks (party, position);
CREATE INDEX looks_by_id ON looks (look_id);
"""
_INSERT = "INSERT INTO looks VALUES %s"
_ROW = "(%s, %s::uuid, %s::uuid, %s::uuid, %s, %s, %s, %s, %s)"
_PAGE = """
SELECT position, purpose, actor_kind, actor_id, actor_place, looked_at FROM looks
WHERE position <= %(until)s AND {after}
    AND (party = ANY(%(parties)s::uuid[]) OR look_id = ANY(%(looks)s::uuid[]))
ORDER BY {by} LIMIT %(limit)s
"""
_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRow:
    """One look. Whom it is shown to decides whether they see ``actor_id``."""

    position: int
    purpose: str
    actor_kind: str
    actor_id: str
    actor_place: str
    looked_at: datetime


def _position(row: LookRow) -> tuple[int]:
    return (row.position,)


_ORDERS = both_ways(
    PositionSort.OLDEST,
    PositionSort.NEWEST,
    (Column("position", "bigint", int),),
    _position,
)


class Looks:
    """The view: one row a look."""

    name = "looks"
    version = 1
    tables = ("looks",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        rows = [_row(fact) for fact in facts if fact.topic == TOPIC]
        if rows:
            execute_values(
                cursor, _INSERT, rows, template=_ROW, page_size=ROWS_A_STATEMENT
            )


def _row(fact: Fact) -> tuple[Any, ...]:
    actor, data = fact.actor, fact.data
    return (
        fact.position,
        fact.key,
        data["request"],
        data["party"],
        data["purpose"],
        actor["kind"],
        actor["id"],
        actor["place"],
        fact.effective_at,
    )


class LooksQueries:
    """What can be asked of looks."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        parties: Iterable[UUID],
        *,
        looks: Iterable[UUID] = (),
        sort: PositionSort = PositionSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[LookRow]:
        """The looks at these parties, and ``looks`` by their ids; the newest first.

        Who may ask is decided before. Raises InvalidValueError for a bad cursor.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(after=further, by=order.by),
                {
                    **place,
                    "until": _LAST if as_of is None else as_of,
                    "parties": [str(party) for party in parties],
                    "looks": [str(look) for look in looks],
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [
                LookRow(
                    position=position,
                    purpose=purpose,
                    actor_kind=kind,
                    actor_id=actor,
                    actor_place=place,
                    looked_at=looked_at,
                )
                for position, purpose, kind, actor, place, looked_at in (
                    cursor.fetchall()
                )
            ]
        return order.page(rows, limit)
