"""ClerkQueue: what a clerk does next, since when and until when; overdue first.

What waits for the agency, for the citizen and for the post is kept apart: visible,
and not counted as the clerk's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from domain.stages import WaitingFor
from ledger.persistence.datastore import PostgresDatastore
from projections.copying import array_of
from projections.facts import Fact
from projections.lasting import LEVEL, held, held_params
from projections.memory import Memory, Remembering
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.queue_items import (
    ORDERS,
    HeldItem,
    QueueFilter,
    QueueItem,
    QueueSort,
    item_of,
)
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
from projections.succession import SucceedingRows, Succession
from projections.views import Write

HELD_AT_ONCE = 2_000
"""Items of work that one look at whose they are gives: what is over waits a round."""
_UNSEEN = frozenset({"sijil.request.informed.v1", "sijil.request.warned.v1"})
"""Events that change nothing of what the queue shows."""
_POST = WaitingFor.POST.value
_NOBODY = WaitingFor.NOBODY.value

_KEPT_OF_IT = (
    "next_act",
    "tracking_number",
    "service",
    "agency",
    "centre",
    "governorate",
    "clerk",
    "token",
    "since",
    "etag_version",
    "lease_until",
    "submitted_at",
    "released_because",
    "delivery",
    "assigned_clerk",
    "due_at",
    "answer_due_at",
    "payment_due_at",
    "expires_at",
)
"""What queries show or filter by, and what the fold goes on from."""
_TABLE = SucceedingRows(
    name="clerk_queue",
    key={"request_id": "uuid"},
    columns=(
        "request_id",
        "waiting_for",
        "until",
        *SITUATION,
        *_KEPT_OF_IT,
        "valid_from",
    ),
)
_DDL = f"""
CREATE TABLE clerk_queue (
    request_id uuid NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    since timestamptz NOT NULL,
    until timestamptz,
    submitted_at timestamptz NOT NULL,
    token integer NOT NULL,
    etag_version integer NOT NULL,
    is_forwarded boolean NOT NULL,
    is_mailed boolean NOT NULL,
    is_fee_outstanding boolean NOT NULL,
    waiting_for text NOT NULL,
    next_act text NOT NULL,
    centre text NOT NULL,
    clerk text,
    agency text NOT NULL,
    governorate text NOT NULL,
    service text NOT NULL,
    tracking_number text NOT NULL,
    stage text NOT NULL,
    -- The body's own text: no query compares it.
    lease_until text,
    released_because text,
    -- What only the fold goes on from.
    has_paper boolean NOT NULL,
    wants_stamp boolean NOT NULL,
    needs_stamp boolean NOT NULL,
    is_postable boolean NOT NULL,
    is_posted boolean NOT NULL,
    is_information_needed boolean NOT NULL,
    is_information_asked boolean NOT NULL,
    is_returned boolean NOT NULL,
    delivery text NOT NULL,
    route text,
    fee_due text,
    outcome text,
    assigned_clerk text,
    due_at text,
    answer_due_at text,
    payment_due_at text,
    expires_at text,
    PRIMARY KEY (request_id, valid_from)
);
CREATE INDEX clerk_queue_of_centre ON clerk_queue (
    centre, waiting_for, coalesce(until, timestamptz '9999-12-31 00:00:00+00'), since,
    request_id
) WHERE valid_to IS NULL;
CREATE INDEX clerk_queue_of_clerk ON clerk_queue (
    clerk, centre, waiting_for, coalesce(until, timestamptz '9999-12-31 00:00:00+00'),
    since, request_id
) WHERE valid_to IS NULL;
-- What held long ago: see lasting.py. All askers of the queue have a centre.
CREATE INDEX clerk_queue_ended ON clerk_queue (
    centre, ({LEVEL}), valid_to, valid_from, clerk
) WHERE valid_to IS NOT NULL;
"""
_ALL = QueueFilter()
_ITEM = """
    request_id::text AS id, tracking_number, service, agency, centre, governorate,
    stage, clerk, token, next_act, waiting_for, since, until, etag_version, valid_from,
    lease_until
"""
_PAGE = f"""
SELECT {_ITEM} FROM clerk_queue
WHERE valid_to IS NULL AND {{conditions}}
ORDER BY {{by}} LIMIT %(limit)s
"""
_PAGE_AS_OF = f"""
SELECT {_ITEM} FROM ({{held}}) AS queue
ORDER BY {{by}} LIMIT %(limit)s
"""
_OPEN_WORK = """
SELECT clerk, count(*) FROM clerk_queue
WHERE valid_to IS NULL AND waiting_for = 'clerk' AND clerk = ANY(%s)
GROUP BY clerk
"""
_HELD_ITEM = """
    q.request_id::text, q.centre, q.agency, q.clerk, q.token, q.submitted_at,
    q.valid_from
"""
_HELD_ORDER = "ORDER BY q.submitted_at, q.request_id LIMIT %(limit)s"
_HELD = f"""
SELECT {_HELD_ITEM} FROM clerk_queue q
WHERE q.valid_to IS NULL AND q.waiting_for <> 'post' AND q.clerk = ANY(%(clerks)s)
    AND (%(agency)s::text IS NULL OR q.agency = %(agency)s)
{_HELD_ORDER}
"""
_ELSEWHERE = f"""
SELECT {_HELD_ITEM} FROM clerk_queue q
JOIN unnest(%(codes)s::text[], %(centres)s::text[]) AS roster (code, centre)
    ON q.clerk = roster.code AND q.centre <> roster.centre
WHERE q.valid_to IS NULL AND q.waiting_for <> 'post'
{_HELD_ORDER}
"""
_UNASSIGNED = f"""
SELECT {_HELD_ITEM} FROM clerk_queue q
WHERE q.valid_to IS NULL AND q.waiting_for <> 'post' AND q.clerk IS NULL
    AND q.released_because IS DISTINCT FROM 'supervisor'
    AND (
        NOT %(is_staffed)s
        OR (q.centre, q.agency) IN (
            SELECT * FROM unnest(%(centres)s::text[], %(agencies)s::text[])
        )
    )
{_HELD_ORDER}
"""
_KEPT = {
    **{name: f"q.{name}" for name in (*SITUATION, *_KEPT_OF_IT)},
    "submitted_at": rfc3339_sql("q.submitted_at"),
    "since": rfc3339_sql("q.since"),
    # To the rules nobody has to move what is in the post.
    "waiting_for": "replace(q.waiting_for, 'post', 'nobody')",
}
_NOT_KEPT = {
    **dict.fromkeys(("code_key", "channel"), "''"),
    **dict.fromkeys(("reason", "missing", "item", "ended_at"), "NULL"),
    "parties": "'{}'",
    "version": "0",
}
"""What the queue neither shows nor decides by."""
_LOAD = f"""
SELECT k.request_id::text, q.valid_from, {folded_sql(_KEPT, _NOT_KEPT)}
FROM unnest(%s::uuid[]) AS k (request_id)
CROSS JOIN LATERAL (
    SELECT * FROM clerk_queue q WHERE q.request_id = k.request_id
    ORDER BY q.valid_from DESC LIMIT 1
) AS q
WHERE q.valid_to IS NULL
"""
_SEEN = FOLDED_TOPICS - _UNSEEN


class ClerkQueue(Remembering[FoldedRequest | None]):
    """The view: one current row for every request that is not at its end.

    Paper in the post may come back and be work again, so its row waits for the post
    until somebody has received it.
    """

    name = "clerk_queue"
    version = 8
    tables = ("clerk_queue",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = _ours(facts)
        memory = self.memory()
        _load(cursor, unremembered(ours, memory), memory)
        _rows(ours, memory).write(cursor)

    def plan(self, facts: Sequence[Fact]) -> Write | None:
        """The rows of a batch whose requests are all remembered."""
        ours = _ours(facts)
        memory = self.memory()
        return None if unremembered(ours, memory) else _rows(ours, memory).write


def _ours(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.topic in _SEEN]


def _rows(facts: Sequence[Fact], memory: Memory[FoldedRequest | None]) -> Succession:
    requests = memory.young
    rows = _TABLE.begin()
    for fact in facts:
        key = fact.key
        before = requests.get(key)
        request = after_fact(before, fact)
        if request is None:
            continue
        position = fact.position
        since = None if before is None else before.row_since
        waiting_for = request.waiting_for
        if waiting_for == _NOBODY:
            if not request.situation.is_in_the_post:
                requests[key] = None
                rows.put(key, since, position, None)
                continue
            waiting_for = _POST
        requests[key] = request
        rows.put(key, since, position, _line(key, waiting_for, request, position))
        request.row_since = position
    return rows


def _line(key: str, waiting_for: str, r: FoldedRequest, position: int) -> str:
    return (
        f"{key}\t{waiting_for}\t{r.until}\t{row_text(r.situation)}\t{r.next_act}"
        f"\t{r.tracking_number}\t{r.service}\t{r.agency}\t{r.centre}\t{r.governorate}"
        f"\t{r.clerk}\t{r.token}\t{r.since}\t{r.etag_version}\t{r.lease_until}"
        f"\t{r.submitted_at}\t{r.released_because}\t{r.delivery}\t{r.assigned_clerk}"
        f"\t{r.due_at}\t{r.answer_due_at}\t{r.payment_due_at}\t{r.expires_at}"
        f"\t{position}"
    )


def _load(
    cursor: psycopg2.extensions.cursor,
    missing: set[str],
    memory: Memory[FoldedRequest | None],
) -> None:
    """Remember requests as their rows have them, and since when; None has no row."""
    if not missing:
        return
    memory.young |= dict.fromkeys(missing)
    cursor.execute(_LOAD, (array_of(missing),))
    for key, row_since, *values in cursor.fetchall():
        request = memory.young[key] = folded_from(values)
        request.row_since = row_since


def held_work(columns: str, conditions: str) -> str:
    """A query for the rows that held as of ``%(as_of)s``; with ``held_params``."""
    # The index begins with the centre: what does not name one asks of each in turn.
    at = "" if "centre =" in conditions else "centre"
    return held("clerk_queue", columns, conditions, at=at)


class ClerkQueueQueries:
    """What can be asked of the queue."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        scope: Scope,
        *,
        now: datetime,
        only: QueueFilter = _ALL,
        sort: QueueSort = QueueSort.DUE,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
        **more: Any,
    ) -> Page[QueueItem]:
        """Work in the order it is due: what is overdue stands first.

        ``now`` decides what is overdue; ``more`` are parts of ``only`` by their names;
        without ``waiting_for`` it is all but what is in the post. Raises
        InvalidValueError for a bad cursor.
        """
        if scope.parties is not None:
            # The queue is the staff's: a citizen has no row in it.
            return Page(items=(), next=None)
        order = ORDERS[sort]
        scoped, params = condition(scope)
        narrowed, parts = (replace(only, **more) if more else only).conditions()
        further, place = order.after(after)
        params |= {**parts, **place, "limit": page_size(limit) + 1}
        conditions = " AND ".join([scoped, *narrowed, further])
        query = _PAGE.format(conditions=conditions, by=order.by)
        if as_of is not None:
            query = _PAGE_AS_OF.format(held=held_work("*", conditions), by=order.by)
            params |= held_params(as_of)
        with self._datastore.autocommit() as cursor:
            cursor.execute(query, params)
            items = [item_of(row, now) for row in cursor.fetchall()]
        return order.page(items, limit)

    def held_by(
        self, clerks: Sequence[str], *, agency: str | None = None
    ) -> tuple[HeldItem, ...]:
        """Open work that any of the clerks has, of one agency or of all.

        The oldest first, and at most HELD_AT_ONCE of it; so the two below.
        """
        return self._held(_HELD, {"clerks": list(clerks), "agency": agency})

    def held_elsewhere(self, places: Mapping[str, str]) -> tuple[HeldItem, ...]:
        """Open work of clerks who are at another centre by now.

        ``places`` gives each clerk's centre.
        """
        return self._held(
            _ELSEWHERE, {"codes": list(places), "centres": list(places.values())}
        )

    def unassigned(
        self, staffed: Collection[tuple[str, str]] | None = None
    ) -> tuple[HeldItem, ...]:
        """Open work that nobody has, but for what a supervisor took back.

        ``staffed`` are centres and agencies that somebody could take it for.
        """
        pairs = sorted(staffed or ())
        return self._held(
            _UNASSIGNED,
            {
                "is_staffed": staffed is not None,
                "centres": [centre for centre, _ in pairs],
                "agencies": [agency for _, agency in pairs],
            },
        )

    def _held(self, query: str, params: dict[str, Any]) -> tuple[HeldItem, ...]:
        with self._datastore.autocommit() as cursor:
            cursor.execute(query, {**params, "limit": HELD_AT_ONCE})
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
