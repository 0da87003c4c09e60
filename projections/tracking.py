"""Tracking: where each request stands, by number, by id, and as a list.

One row an event, with the event's name and effective time and where the request stood
after it: the rows of a request are its steps, as a citizen reads them, and the last
one tells where it stands. A row never changes. What hardly ever changes of a request,
and what it is found by, has a table of its own with the indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from domain.requests import Channel
from domain.services import Route
from domain.stages import Stage
from ledger.persistence.datastore import PostgresDatastore
from projections.copying import array_of, copy_lines
from projections.facts import Fact, happened_in
from projections.memory import Memory, Remembering
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.requests import (
    FOLDED_TOPICS,
    FoldedRequest,
    after_fact,
    folded_from,
    folded_sql,
    rfc3339_sql,
    unremembered,
)
from projections.scope import condition
from projections.situations import SITUATION, row_text
from projections.sorting import Column, both_ways
from projections.succession import SucceedingRows
from projections.tracked_requests import RequestState, Step, TrackedRequest
from projections.views import Write

_ASKED = (
    "tracking_number",
    "code_key",
    "service",
    "agency",
    "centre",
    "governorate",
    "channel",
    "delivery",
    "parties",
    "submitted_at",
)
"""What was asked for: a second version only where it was corrected."""
_CHANGING = (
    "next_act",
    "reason",
    "missing",
    "item",
    "clerk",
    "assigned_clerk",
    "since",
    "due_at",
    "answer_due_at",
    "payment_due_at",
    "expires_at",
    "ended_at",
    "version",
    "etag_version",
)
_STOOD = (*SITUATION, *_CHANGING)
"""Where it stood after each event."""
_REQUESTS = SucceedingRows(
    name="tracking_requests",
    key={"request_id": "uuid"},
    columns=("request_id", *_ASKED, "valid_from"),
)
_STEP = ("request_id", "step", "effective_at", *_STOOD, "valid_from")
_DDL = """
CREATE TABLE tracking_requests (
    request_id uuid NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    submitted_at timestamptz NOT NULL,
    tracking_number text NOT NULL,
    code_key text NOT NULL,
    service text NOT NULL,
    agency text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    channel text NOT NULL,
    delivery text NOT NULL,
    parties text[] NOT NULL,
    PRIMARY KEY (request_id, valid_from)
);
-- Not unique: two numbers of 60 bits may meet one day, and no view stops for that.
CREATE INDEX tracking_by_number ON tracking_requests (tracking_number);
CREATE INDEX tracking_by_centre
    ON tracking_requests (centre, submitted_at DESC, request_id DESC);
CREATE INDEX tracking_by_agency
    ON tracking_requests (agency, submitted_at DESC, request_id DESC);
CREATE INDEX tracking_by_time ON tracking_requests (submitted_at DESC, request_id DESC);
CREATE INDEX tracking_by_party ON tracking_requests USING gin (parties);
CREATE TABLE tracking (
    request_id uuid NOT NULL,
    valid_from bigint NOT NULL,
    version integer NOT NULL,
    etag_version integer NOT NULL,
    is_fee_outstanding boolean NOT NULL,
    is_forwarded boolean NOT NULL,
    is_mailed boolean NOT NULL,
    is_information_needed boolean NOT NULL,
    is_information_asked boolean NOT NULL,
    is_returned boolean NOT NULL,
    has_paper boolean NOT NULL,
    wants_stamp boolean NOT NULL,
    needs_stamp boolean NOT NULL,
    is_postable boolean NOT NULL,
    is_posted boolean NOT NULL,
    step text NOT NULL,
    stage text NOT NULL,
    next_act text NOT NULL,
    route text,
    fee_due text,
    outcome text,
    reason text,
    missing text[],
    item text,
    clerk text,
    assigned_clerk text,
    -- Times as the bodies have them: a request's versions are found by its id.
    effective_at text NOT NULL,
    since text NOT NULL,
    due_at text,
    answer_due_at text,
    payment_due_at text,
    expires_at text,
    ended_at text,
    PRIMARY KEY (request_id, valid_from)
);
"""
_READ_ASKED = ", ".join(f"r.{name}" for name in _ASKED)
_READ_STOOD = ", ".join(f"t.{name}" for name in _STOOD)
_ONE = f"""
SELECT r.request_id::text, {_READ_ASKED}, {_READ_STOOD}, t.position
FROM tracking_requests r
CROSS JOIN LATERAL (
    SELECT valid_from AS position, {", ".join(_STOOD)} FROM tracking t
    WHERE t.request_id = r.request_id AND t.valid_from <= %(as_of)s
    ORDER BY t.valid_from DESC LIMIT 1
) AS t
WHERE r.valid_from <= %(as_of)s AND (r.valid_to IS NULL OR r.valid_to > %(as_of)s)
"""
_BY_NUMBER = f"""
{_ONE} AND r.tracking_number = %(number)s ORDER BY r.submitted_at LIMIT 1
"""
_BY_ID = f"{_ONE} AND r.request_id = %(request_id)s::uuid"
_STEPS = """
SELECT step, effective_at FROM tracking
WHERE request_id = %(request_id)s::uuid AND valid_from <= %(as_of)s ORDER BY valid_from
"""
_PAGE = f"""
{_ONE} AND {{conditions}}
ORDER BY {{by}}
LIMIT %(limit)s
"""
_ONLY = {
    "since": "submitted_at >= %(since)s",
    "until": "submitted_at < %(until)s",
    "overdue_at": """
        due_at::timestamptz < %(overdue_at)s AND stage IN ('waiting', 'in_progress')
    """,
}
"""The parts of a filter that are no equality with the column of the same name."""
_LAST = 2**63 - 1
"""As of now: after every position there will ever be."""
_KEPT = {
    **{name: f"r.{name}" for name in _ASKED},
    **{name: f"t.{name}" for name in _STOOD},
    "submitted_at": rfc3339_sql("r.submitted_at"),
    "parties": "r.parties::text",
    "missing": "t.missing::text",
}
_NOT_KEPT = {
    **dict.fromkeys(("lease_until", "released_because"), "NULL"),
    "token": "0",
    "waiting_for": "''",
}
"""What says who does the work: the queue's, and no part of where a request stands."""
_LOAD = f"""
SELECT k.request_id::text, r.valid_from, {folded_sql(_KEPT, _NOT_KEPT)}
FROM unnest(%s::uuid[]) AS k (request_id)
CROSS JOIN LATERAL (
    SELECT * FROM tracking_requests r WHERE r.request_id = k.request_id
    ORDER BY r.valid_from DESC LIMIT 1
) AS r
CROSS JOIN LATERAL (
    SELECT * FROM tracking t WHERE t.request_id = k.request_id
    ORDER BY t.valid_from DESC LIMIT 1
) AS t
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


class Tracking(Remembering[FoldedRequest]):
    """The view: a step for each event of a request, and what was asked for."""

    name = "tracking"
    version = 8
    tables = ("tracking", "tracking_requests")
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = _ours(facts)
        memory = self.memory()
        _load(cursor, unremembered(ours, memory), memory)
        _written(ours, memory)(cursor)

    def plan(self, facts: Sequence[Fact]) -> Write | None:
        """The steps of a batch whose requests are all remembered."""
        ours = _ours(facts)
        memory = self.memory()
        return None if unremembered(ours, memory) else _written(ours, memory)


def _ours(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.topic in FOLDED_TOPICS]


def _written(facts: Sequence[Fact], memory: Memory[FoldedRequest]) -> Write:
    """What writes the steps of a batch, and what was asked for."""
    requests = memory.young
    asked_rows = _REQUESTS.begin()
    steps: list[str] = []
    for fact in facts:
        key = fact.key
        topic = fact.topic
        before = requests.get(key)
        was = None
        if topic in _ASKED_ANEW and before is not None:
            was = (before.agency, before.delivery)
        request = after_fact(before, fact)
        if request is None:
            continue
        position = fact.position
        if request is not before:
            requests[key] = request
            if before is not None:
                request.asked_since = before.asked_since
            asked_anew = True
        else:
            asked_anew = was is not None and was != (
                request.agency,
                request.delivery,
            )
        if asked_anew:
            line = _asked_line(key, request, position)
            asked_rows.put(key, request.asked_since, position, line)
            request.asked_since = position
        steps.append(_line(key, request, fact))

    def write(cursor: psycopg2.extensions.cursor) -> None:
        asked_rows.write(cursor)
        copy_lines(cursor, "tracking", _STEP, steps)

    return write


_ASKED_ANEW = frozenset({"sijil.request.accepted.v1", "sijil.request.corrected.v1"})
"""Events that may change what was asked for: the agency, or where the paper goes."""


def _line(key: str, r: FoldedRequest, fact: Fact) -> str:
    return (
        f"{key}\t{happened_in(fact.topic)}\t{fact.effective_text}"
        f"\t{row_text(r.situation)}\t{r.next_act}\t{r.reason}\t{r.missing}\t{r.item}"
        f"\t{r.clerk}\t{r.assigned_clerk}\t{r.since}\t{r.due_at}\t{r.answer_due_at}"
        f"\t{r.payment_due_at}\t{r.expires_at}\t{r.ended_at}\t{r.version}"
        f"\t{r.etag_version}\t{fact.position}"
    )


def _asked_line(key: str, r: FoldedRequest, position: int) -> str:
    return (
        f"{key}\t{r.tracking_number}\t{r.code_key}\t{r.service}\t{r.agency}"
        f"\t{r.centre}\t{r.governorate}\t{r.channel}\t{r.delivery}\t{r.parties}"
        f"\t{r.submitted_at}\t{position}"
    )


def _load(
    cursor: psycopg2.extensions.cursor,
    missing: set[str],
    memory: Memory[FoldedRequest],
) -> None:
    """Remember requests as they stand."""
    if not missing:
        return
    cursor.execute(_LOAD, (array_of(missing),))
    for key, asked_since, *values in cursor.fetchall():
        request = memory.young[key] = folded_from(values)
        request.asked_since = asked_since


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
                    "as_of": _LAST if as_of is None else as_of,
                },
            )
            return tuple(
                Step(name=name, effective_at=datetime.fromisoformat(effective_at))
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
        given = {
            name: value
            for name in only.__slots__
            if (value := getattr(only, name)) is not None
        }
        conditions = [_ONLY.get(name, f"{name} = %({name})s") for name in given]
        params |= place | given
        params |= {
            "as_of": _LAST if as_of is None else as_of,
            "limit": page_size(limit) + 1,
        }
        query = _PAGE.format(
            conditions=" AND ".join((scoped, further, *conditions)), by=order.by
        )
        with self._datastore.autocommit() as cursor:
            cursor.execute(query, params)
            rows = [_tracked(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def _one(
        self, query: str, params: dict[str, Any], as_of: int | None
    ) -> TrackedRequest | None:
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                query, {**params, "as_of": _LAST if as_of is None else as_of}
            )
            row = cursor.fetchone()
        return None if row is None else _tracked(row)


_STATE = (*_ASKED, *_STOOD)
_TIMES = (
    "since",
    "due_at",
    "answer_due_at",
    "payment_due_at",
    "expires_at",
    "ended_at",
)
"""Times that the table has as text."""


def _tracked(row: tuple[Any, ...]) -> TrackedRequest:
    values = dict(zip(_STATE, row[1:-1], strict=True))
    for name in _TIMES:
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    values["parties"] = tuple(values["parties"])
    return TrackedRequest(
        request_id=UUID(row[0]), state=RequestState(**values), position=row[-1]
    )
