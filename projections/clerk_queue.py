"""ClerkQueue: what a clerk does next, since when and until when; overdue first.

Work that waits for the agency is kept apart: visible, not counted as the clerk's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from domain.stages import NextAct, Stage, WaitingFor
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.requests import (
    CASTS,
    PREFIX,
    REQUEST_COLUMNS,
    STATE_COLUMNS,
    RequestState,
    state_after,
)
from projections.scope import condition
from projections.versioned import Change, VersionedTable, valid

_RECEIVED = frozenset(
    f"{PREFIX}{name}.v1" for name in ("delivered", "collected", "handed-over")
)
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Sorts items without a due time last."""

_TABLE = VersionedTable(
    name="clerk_queue",
    key=("request_id",),
    values=(*STATE_COLUMNS, "next_act", "waiting_for", "until"),
    casts={**CASTS, "until": "timestamptz"},
)
_DDL = f"""
CREATE TABLE clerk_queue (
    request_id uuid NOT NULL,
    {REQUEST_COLUMNS},
    next_act text NOT NULL,
    waiting_for text NOT NULL,
    until timestamptz,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, valid_from)
);
CREATE UNIQUE INDEX clerk_queue_current ON clerk_queue (request_id)
    WHERE valid_to IS NULL;
CREATE INDEX clerk_queue_of_centre ON clerk_queue (
    centre, waiting_for, coalesce(until, timestamptz '9999-12-31 00:00:00+00'), since,
    request_id
) WHERE valid_to IS NULL;
CREATE INDEX clerk_queue_of_clerk ON clerk_queue (
    clerk, waiting_for, coalesce(until, timestamptz '9999-12-31 00:00:00+00'), since,
    request_id
) WHERE valid_to IS NULL;
CREATE INDEX clerk_queue_ended ON clerk_queue (valid_from, valid_to);
"""
_PAGE = """
SELECT
    request_id::text, tracking_number, service, agency, centre, governorate, stage,
    clerk, token, next_act, waiting_for, since, until, etag_version, valid_from,
    lease_until
FROM clerk_queue
WHERE {valid} AND {scope}
    AND (%(clerk)s::text IS NULL OR clerk = %(clerk)s)
    AND (NOT %(is_unassigned)s OR clerk IS NULL)
    AND waiting_for = %(waiting_for)s
    AND (
        coalesce(until, timestamptz '9999-12-31 00:00:00+00'), since, request_id
    ) > (%(until)s::timestamptz, %(since)s::timestamptz, %(request_id)s::uuid)
ORDER BY
    coalesce(until, timestamptz '9999-12-31 00:00:00+00'), since, request_id
LIMIT %(limit)s
"""
_FIRST = ("0001-01-01T00:00:00+00:00",) * 2 + ("00000000-0000-0000-0000-000000000000",)
_OPEN_WORK = """
SELECT clerk, count(*) FROM clerk_queue
WHERE valid_to IS NULL AND waiting_for = 'clerk' AND clerk = ANY(%s)
GROUP BY clerk
"""


_HELD = """
SELECT request_id::text, centre, agency, clerk, token, submitted_at, valid_from
FROM clerk_queue
WHERE valid_to IS NULL AND waiting_for <> 'nobody' AND clerk = ANY(%(clerks)s)
    AND (%(agency)s::text IS NULL OR agency = %(agency)s)
ORDER BY submitted_at, request_id
"""
_ELSEWHERE = """
SELECT q.request_id::text, q.centre, q.agency, q.clerk, q.token, q.submitted_at,
    q.valid_from
FROM clerk_queue q
JOIN unnest(%(codes)s::text[], %(centres)s::text[]) AS roster (code, centre)
    ON q.clerk = roster.code AND q.centre <> roster.centre
WHERE q.valid_to IS NULL
ORDER BY q.submitted_at, q.request_id
"""
_UNASSIGNED = """
SELECT request_id::text, centre, agency, clerk, token, submitted_at, valid_from
FROM clerk_queue
WHERE valid_to IS NULL AND waiting_for <> 'nobody' AND clerk IS NULL
    AND released_because IS DISTINCT FROM 'supervisor'
ORDER BY submitted_at, request_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldItem:
    """One piece of open work and who has it: None is nobody.

    ``token`` is that of the latest assignment, claim or release; ``position`` the
    entry that made the row.
    """

    request_id: UUID
    centre: str
    agency: str
    clerk: str | None
    token: int
    submitted_at: datetime
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """One piece of work. ``position`` is the entry that made it what it is."""

    request_id: UUID
    tracking_number: str
    service: str
    agency: str
    centre: str
    governorate: str
    stage: Stage
    clerk: str | None
    token: int
    next_act: NextAct
    waiting_for: WaitingFor
    since: datetime
    until: datetime | None
    is_overdue: bool
    etag_version: int
    position: int
    lease_until: datetime | None = None


class ClerkQueue:
    """The view: one current row for every request that is not at its end.

    Paper in the post may come back and be work again, so its row waits for nobody
    until somebody has received it.
    """

    name = "clerk_queue"
    version = 6
    tables = ("clerk_queue",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic.startswith(PREFIX)]
        rows = _TABLE.load(cursor, [(fact.key,) for fact in ours])
        states: dict[str, RequestState | None] = {
            str(key): RequestState(**{name: row[name] for name in STATE_COLUMNS})
            for (key,), row in rows.items()
        }
        changes = []
        for fact in ours:
            before = states.get(fact.key)
            state = state_after(before, fact)
            row = None if state is None else _row(state, fact)
            states[fact.key] = state if row is not None else None
            if before is not None or row is not None:
                changes.append(Change(position=fact.position, key=(fact.key,), row=row))
        _TABLE.write(cursor, changes)


def _row(state: RequestState, fact: Fact) -> dict[str, Any] | None:
    standing = state.standing
    is_in_the_post = state.is_mailed and fact.topic not in _RECEIVED
    if standing.next_act is NextAct.NOTHING and not is_in_the_post:
        return None
    return {
        **state.row(),
        "next_act": standing.next_act,
        "waiting_for": standing.waiting_for,
        "until": state.until,
    }


class ClerkQueueQueries:
    """What can be asked of the queue."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        scope: Scope,
        *,
        now: datetime,
        clerk: str | None = None,
        is_unassigned: bool = False,
        waiting_for: WaitingFor = WaitingFor.CLERK,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[QueueItem]:
        """Work in the order it is due: what is overdue stands first.

        ``now`` decides what is overdue. Raises InvalidValueError for a bad cursor.
        """
        until, since, request_id = (
            decode_cursor(after, datetime, datetime, UUID) or _FIRST
        )
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(valid=valid(as_of), scope=scoped),
                {
                    **params,
                    "as_of": as_of,
                    "clerk": clerk,
                    "is_unassigned": is_unassigned,
                    "waiting_for": waiting_for,
                    "until": until,
                    "since": since,
                    "request_id": request_id,
                    "limit": page_size(limit) + 1,
                },
            )
            items = [_item(row, now) for row in cursor.fetchall()]
        return paged(
            items,
            limit,
            lambda item: (
                (item.until or _NEVER).isoformat(),
                item.since.isoformat(),
                str(item.request_id),
            ),
        )

    def held_by(
        self, clerks: Sequence[str], *, agency: str | None = None
    ) -> tuple[HeldItem, ...]:
        """All open work that any of the clerks has, of one agency or of all."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_HELD, {"clerks": list(clerks), "agency": agency})
            return tuple(_held(row) for row in cursor.fetchall())

    def held_elsewhere(self, places: Mapping[str, str]) -> tuple[HeldItem, ...]:
        """All open work of clerks who are at another centre by now.

        ``places`` gives each clerk's centre.
        """
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _ELSEWHERE,
                {"codes": list(places), "centres": list(places.values())},
            )
            return tuple(_held(row) for row in cursor.fetchall())

    def unassigned(self) -> tuple[HeldItem, ...]:
        """All open work that nobody has, but for what a supervisor took back."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_UNASSIGNED)
            return tuple(_held(row) for row in cursor.fetchall())

    def open_work(self, clerks: Sequence[str]) -> dict[str, int]:
        """How many items each of the clerks has to move now."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_OPEN_WORK, (list(clerks),))
            found = dict(cursor.fetchall())
        return {clerk: found.get(clerk, 0) for clerk in clerks}


def _held(row: tuple[Any, ...]) -> HeldItem:
    return HeldItem(
        request_id=UUID(row[0]),
        centre=row[1],
        agency=row[2],
        clerk=row[3],
        token=row[4],
        submitted_at=row[5],
        position=row[6],
    )


def _item(row: tuple[Any, ...], now: datetime) -> QueueItem:
    until = row[12]
    return QueueItem(
        request_id=UUID(row[0]),
        tracking_number=row[1],
        service=row[2],
        agency=row[3],
        centre=row[4],
        governorate=row[5],
        stage=Stage(row[6]),
        clerk=row[7],
        token=row[8],
        next_act=NextAct(row[9]),
        waiting_for=WaitingFor(row[10]),
        since=row[11],
        until=until,
        is_overdue=until is not None and until < now,
        etag_version=row[13],
        position=row[14],
        lease_until=row[15],
    )
