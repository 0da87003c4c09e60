"""Tracking: where each request stands, by number, by id, and as a list.

The steps are what a citizen reads: what happened and when, by no clerk's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions
from psycopg2.extras import execute_values

from domain.access import Scope, Whereabouts
from domain.requests import Channel
from domain.services import Route
from domain.stages import Stage
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.requests import (
    CASTS,
    PREFIX,
    REQUEST_COLUMNS,
    STATE_COLUMNS,
    RequestState,
    state_after,
)
from projections.scope import condition
from projections.sorting import Column, both_ways
from projections.versioned import ROWS_A_STATEMENT, Change, VersionedTable, valid

_TABLE = VersionedTable(
    name="tracking", key=("request_id",), values=STATE_COLUMNS, casts=CASTS
)
_DDL = f"""
CREATE TABLE tracking (
    request_id uuid NOT NULL,
    {REQUEST_COLUMNS},
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, valid_from)
);
CREATE UNIQUE INDEX tracking_current ON tracking (request_id) WHERE valid_to IS NULL;
-- Not unique: two numbers of 60 bits may meet one day, and no view stops for that.
CREATE INDEX tracking_by_number ON tracking (tracking_number) WHERE valid_to IS NULL;
CREATE INDEX tracking_by_centre ON tracking (centre, submitted_at DESC, request_id DESC)
    WHERE valid_to IS NULL;
CREATE INDEX tracking_by_time ON tracking (submitted_at DESC, request_id DESC)
    WHERE valid_to IS NULL;
CREATE INDEX tracking_by_party ON tracking USING gin (parties) WHERE valid_to IS NULL;
CREATE TABLE tracking_steps (
    position bigint PRIMARY KEY,
    request_id uuid NOT NULL,
    step text NOT NULL,
    effective_at timestamptz NOT NULL
);
CREATE INDEX tracking_steps_of ON tracking_steps (request_id, position);
"""
_INSERT_STEPS = """
INSERT INTO tracking_steps (position, request_id, step, effective_at) VALUES %s
"""
_STEP = "(%s, %s::uuid, %s, %s)"
_COLUMNS = f"""
    request_id::text, {", ".join(STATE_COLUMNS)}, valid_from
"""
_BY_NUMBER = f"""
SELECT {_COLUMNS} FROM tracking
WHERE tracking_number = %(number)s AND {{valid}} ORDER BY submitted_at LIMIT 1
"""
_BY_ID = f"""
SELECT {_COLUMNS} FROM tracking
WHERE request_id = %(request_id)s::uuid AND {{valid}}
"""
_STEPS = """
SELECT step, effective_at FROM tracking_steps
WHERE request_id = %(request_id)s::uuid AND position <= %(until)s ORDER BY position
"""
_PAGE = f"""
SELECT {_COLUMNS} FROM tracking
WHERE {{valid}} AND {{scope}}
    AND (%(stage)s::text IS NULL OR stage = %(stage)s)
    AND (%(service)s::text IS NULL OR service = %(service)s)
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(agency)s::text IS NULL OR agency = %(agency)s)
    AND (%(governorate)s::text IS NULL OR governorate = %(governorate)s)
    AND (%(clerk)s::text IS NULL OR clerk = %(clerk)s)
    AND (%(route)s::text IS NULL OR route = %(route)s)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(since)s::timestamptz IS NULL OR submitted_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR submitted_at < %(until)s)
    AND (%(overdue_at)s::timestamptz IS NULL
        OR due_at < %(overdue_at)s AND stage IN ('waiting', 'in_progress'))
    AND {{after}}
ORDER BY {{by}}
LIMIT %(limit)s
"""


class TrackingSort(StrEnum):
    """The orders of the list of requests."""

    OLDEST = "submitted_at"
    NEWEST = "-submitted_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingFilter:
    """Which requests a list has: those that every given part holds for.

    ``since`` and ``until`` bound the submission, the later one exclusive;
    ``overdue_at`` keeps those that are open and were due before it.
    """

    stage: Stage | None = None
    service: str | None = None
    centre: str | None = None
    agency: str | None = None
    governorate: str | None = None
    clerk: str | None = None
    route: Route | None = None
    channel: Channel | None = None
    since: datetime | None = None
    until: datetime | None = None
    overdue_at: datetime | None = None


_ALL = TrackingFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened, by its event's name, at its effective time."""

    name: str
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRequest:
    """Where one request stands. ``position`` is the newest entry seen of it."""

    request_id: UUID
    state: RequestState
    position: int

    @property
    def stage(self) -> Stage:
        """The stage it is in."""
        return Stage(self.state.stage)

    @property
    def whereabouts(self) -> Whereabouts:
        """What decides who may see it."""
        state = self.state
        return Whereabouts(
            centre=state.centre,
            governorate=state.governorate,
            agency=state.agency,
            is_forwarded=state.is_forwarded,
            is_mailed=state.is_mailed,
            is_fee_outstanding=state.is_fee_outstanding,
            parties=frozenset(state.parties),
        )


def _place(row: TrackedRequest) -> tuple[str, str]:
    return row.state.submitted_at.isoformat(), str(row.request_id)


_ORDERS = both_ways(
    TrackingSort.OLDEST,
    TrackingSort.NEWEST,
    (
        Column("submitted_at", "timestamptz", datetime),
        Column("request_id", "uuid", UUID),
    ),
    _place,
)


def cursor_after(row: TrackedRequest) -> str:
    """The cursor to what comes after a row, the newest first."""
    return _ORDERS[TrackingSort.NEWEST].cursor(row)


class Tracking:
    """The view: one current row a request, and a row for each of its steps."""

    name = "tracking"
    version = 5
    tables = ("tracking", "tracking_steps")
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic.startswith(PREFIX)]
        rows = _TABLE.load(cursor, [(fact.key,) for fact in ours])
        states: dict[str, RequestState | None] = {
            str(key): RequestState(**row) for (key,), row in rows.items()
        }
        changes = []
        for fact in ours:
            state = state_after(states.get(fact.key), fact)
            states[fact.key] = state
            if state is not None:
                changes.append(
                    Change(position=fact.position, key=(fact.key,), row=state.row())
                )
        _TABLE.write(cursor, changes)
        steps = [
            (
                fact.position,
                fact.key,
                fact.topic.removeprefix(PREFIX).rpartition(".v")[0],
                fact.effective_at,
            )
            for fact in ours
        ]
        if steps:
            execute_values(
                cursor, _INSERT_STEPS, steps, template=_STEP, page_size=ROWS_A_STATEMENT
            )


class TrackingQueries:
    """What can be asked of tracking."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def by_number(
        self, number: str, *, as_of: int | None = None
    ) -> TrackedRequest | None:
        """The request with this tracking number, or None."""
        return self._one(_BY_NUMBER, {"number": number}, as_of)

    def by_id(
        self, request_id: UUID, *, as_of: int | None = None
    ) -> TrackedRequest | None:
        """The request with this id, or None."""
        return self._one(_BY_ID, {"request_id": str(request_id)}, as_of)

    def steps(self, request_id: UUID, *, as_of: int | None = None) -> tuple[Step, ...]:
        """What happened to a request, in the order it was recorded."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _STEPS,
                {
                    "request_id": str(request_id),
                    "until": 2**63 - 1 if as_of is None else as_of,
                },
            )
            return tuple(
                Step(name=name, effective_at=effective_at)
                for name, effective_at in cursor.fetchall()
            )

    def page(
        self,
        scope: Scope,
        *,
        only: TrackingFilter = _ALL,
        sort: TrackingSort = TrackingSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[TrackedRequest]:
        """Requests in scope, the newest first. InvalidValueError for a bad cursor."""
        order = _ORDERS[sort]
        further, place = order.after(after)
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(
                    valid=valid(as_of), scope=scoped, after=further, by=order.by
                ),
                {
                    **params,
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_tracked(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def _one(
        self, query: str, params: dict[str, Any], as_of: int | None
    ) -> TrackedRequest | None:
        with self._datastore.autocommit() as cursor:
            cursor.execute(query.format(valid=valid(as_of)), {**params, "as_of": as_of})
            row = cursor.fetchone()
        return None if row is None else _tracked(row)


def _tracked(row: tuple[Any, ...]) -> TrackedRequest:
    return TrackedRequest(
        request_id=UUID(row[0]),
        state=RequestState(**dict(zip(STATE_COLUMNS, row[1:-1], strict=True))),
        position=row[-1],
    )
