"""What held long ago is found without reading what happened since.

Each question is explained over a history of tens of thousands of rows, and held to the
rows and pages that it read: a scan of the history would read nearly all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from domain.access import Scope
from domain.stages import NextAct
from ledger.names import VIEWS_SCHEMA
from projections.agency_inbox import (
    AgencyInbox,
    AgencyInboxQueries,
    InboxFilter,
    InboxState,
)
from projections.clerk_queue import ClerkQueue, ClerkQueueQueries
from projections.roster import Roster
from projections.supervisor_desk import SupervisorDesk, SupervisorDeskQueries
from projections.turnaround import Turnaround, TurnaroundBy, TurnaroundQueries
from tests.conftest import Server, fresh_database
from tests.projections.desks import EVERYTHING, Desks

ROWS = 20_000
"""Of each table: all but the newest have ended, most after some 100 positions."""
THEN = ROWS // 10
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)
NOW = BEGUN + timedelta(minutes=THEN)
_EACH = f"""
FROM (
    SELECT i AS began, i + 1 + (i * 7919) % 200 + 5000 * (i % 500 = 0)::int AS ended,
        timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute' AS at,
        md5(i::text)::uuid AS id, 'SY-' || (i % 14) AS governorate,
        'C-' || (i % 14) AS centre, 'AG-' || (i % 20) AS agency
    FROM generate_series(1, {ROWS}) AS i
) AS each
"""
_UNTIL = f"CASE WHEN ended <= {ROWS} THEN ended END"
_FILLED = f"""
INSERT INTO clerk_queue (
    request_id, valid_from, valid_to, since, until, submitted_at, token, etag_version,
    is_forwarded, is_mailed, is_fee_outstanding, waiting_for, next_act, centre, clerk,
    agency, governorate, service, tracking_number, stage, has_paper, wants_stamp,
    needs_stamp, is_postable, is_posted, is_information_needed, is_information_asked,
    is_returned, delivery
)
SELECT id, began, {_UNTIL}, at, at, at, 1, 1, true, false, false, 'clerk',
    CASE WHEN began % 50 = 0 THEN 'deal_with_return' ELSE 'accept' END, centre,
    CASE WHEN began % 9 > 0 THEN 'clk-' || began % 30 END, agency, governorate,
    'S-1', 'T', 'waiting', true, true, true, true, true, true, true, true, 'home'
{_EACH};
INSERT INTO agency_inbox (
    request_id, agency, governorate, centre, service, tracking_number, forwarded_at,
    answer_due_at, state, since, valid_from, valid_to
)
SELECT id, agency, governorate, centre, 'S-1', 'T', at, at,
    CASE WHEN began % 5 > 0 THEN 'unanswered' ELSE 'waiting' END, at, began, {_UNTIL}
{_EACH}
UNION ALL
SELECT id, agency, governorate, centre, 'S-1', 'T', at, at, 'answered',
    at + (ended - began) * interval '1 minute', ended, NULL
{_EACH} WHERE ended <= {ROWS};
INSERT INTO turnaround_open (
    request_id, governorate, centre, agency, service, stage, accepted_at, calendars,
    valid_from, valid_to
)
SELECT id, governorate, centre, agency, 'S-1', 'in_progress', at, '', began, {_UNTIL}
{_EACH};
INSERT INTO turnaround_ended (
    position, governorate, centre, agency, service, stage, day, accepted_at, ended_at,
    calendars, centre_minutes
)
SELECT row_number() OVER (ORDER BY ended), governorate, centre, agency, 'S-1',
    'completed_issued', date '2024-01-01', at,
    at + (ended - began) * interval '1 minute', '', 1
{_EACH} WHERE ended <= {ROWS};
"""
TABLES = ("clerk_queue", "agency_inbox", "turnaround_open", "turnaround_ended")
HELD_THEN = "SELECT count(*) FROM clerk_queue WHERE valid_from <= %s AND valid_to > %s"


class Explained:
    """A datastore whose questions are explained instead of answered."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks
        self.plans: list[dict[str, Any]] = []

    @contextmanager
    def autocommit(self) -> Iterator[Any]:
        with self._desks.read.autocommit() as cursor:
            yield _Explaining(cursor, self.plans)


class _Explaining:
    """A cursor that keeps the plans of what it is asked, and finds nothing."""

    def __init__(self, cursor: Any, plans: list[dict[str, Any]]) -> None:
        self._cursor = cursor
        self._plans = plans

    def execute(self, query: Any, params: Any = None) -> None:
        text = query if isinstance(query, str) else query.as_string(self._cursor)
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}"
        self._cursor.execute(explain, params)
        [[told]] = self._cursor.fetchall()
        self._plans.append(told[0]["Plan"])

    def fetchall(self) -> list[Any]:
        return []


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_read(plan: dict[str, Any]) -> float:
    """The rows of the big tables that a plan looked at, whether it took them or not."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        * node["Actual Loops"]
        for node in nodes(plan)
        if node.get("Relation Name") in TABLES
    )


def pages_read(plan: dict[str, Any]) -> int:
    found: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found


def scanned(plan: dict[str, Any]) -> set[str]:
    """The big tables that were read from one end to the other."""
    return {
        node["Relation Name"]
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES
    }


@pytest.fixture(scope="module")
def filled(server: Server, template: str) -> Iterator[Desks]:
    database = fresh_database(server, template)
    views = (ClerkQueue(), AgencyInbox(), Turnaround(), SupervisorDesk(), Roster())
    try:
        desks = Desks(database, views)
        desks.runner.catch_up()
        with desks.written.autocommit() as cursor:
            cursor.execute(_FILLED)
        with (
            closing(psycopg2.connect(**database.superuser_dsn())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            # What a server does by itself, sooner or later.
            named = ", ".join(f"{VIEWS_SCHEMA}.{table}" for table in TABLES)
            cursor.execute(f"ANALYZE {named}")
        yield desks
    finally:
        database.close()


CIV = Scope(agency="AG-3", only_forwarded=True)
LOCAL = Scope(agency="AG-3", governorate="SY-3", only_forwarded=True)
CENTRE = Scope(centre="C-3")
Ask = Callable[[Any], object]


def inbox(scope: Scope, state: InboxState, at: int | None = THEN) -> Ask:
    return lambda store: AgencyInboxQueries(store).page(
        scope, now=NOW, only=InboxFilter(state=state), as_of=at, known_by=NOW
    )


def load(scope: Scope, at: int | None = THEN) -> Ask:
    return lambda store: SupervisorDeskQueries(store).load(
        scope, now=NOW, day=NOW.date(), as_of=at
    )


def work(scope: Scope, **only: Any) -> Ask:
    return lambda store: ClerkQueueQueries(store).page(
        scope, now=NOW, waiting_for=None, as_of=THEN, **only
    )


def times(at: int | None, effective_at: datetime | None = None) -> Ask:
    return lambda store: TurnaroundQueries(store).times(
        EVERYTHING,
        # No day on which anything was completed: only what was open is read.
        first=date(2020, 1, 1),
        last=date(2020, 1, 2),
        now=NOW,
        by=(TurnaroundBy.CENTRE,),
        as_of=at,
        effective_at=effective_at,
    )


def totals(scope: Scope, at: int | None = THEN) -> Ask:
    return lambda store: AgencyInboxQueries(store).totals(scope, now=NOW, as_of=at)


QUESTIONS: dict[str, Ask] = {
    **{
        f"inbox of {who}, {state}": inbox(scope, state)
        for who, scope in (
            ("an agency", CIV),
            ("an agency somewhere", LOCAL),
            ("a centre", CENTRE),
            ("all", EVERYTHING),
        )
        for state in InboxState
    },
    "inbox of all now, answered": inbox(EVERYTHING, InboxState.ANSWERED, None),
    "totals of all": totals(EVERYTHING),
    "totals of all now": totals(EVERYTHING, None),
    "load of a centre": load(CENTRE),
    "load of all": load(EVERYTHING),
    "load of all now": load(EVERYTHING, None),
    "unassigned at a centre": work(CENTRE, is_unassigned=True),
    "unassigned anywhere": work(EVERYTHING, is_unassigned=True),
    "returned post anywhere": work(EVERYTHING, next_act=NextAct.DEAL_WITH_RETURN),
    "oldest open as of a position": times(THEN),
    "oldest open at a time, as known now": times(None, NOW),
    "oldest open now": times(None),
}


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_what_held_long_ago_is_found_by_an_index(filled: Desks, name: str) -> None:
    with filled.read.autocommit() as cursor:
        cursor.execute(HELD_THEN, (THEN, THEN))
        [[stock]] = cursor.fetchall()
    assert 100 < stock < 200
    store = Explained(filled)
    QUESTIONS[name](store)
    assert store.plans
    assert not set().union(*map(scanned, store.plans))
    # Four of a class may have ended in its stretch for each that held.
    assert sum(map(rows_read, store.plans)) < 6 * stock < ROWS / 15
    assert sum(map(pages_read, store.plans)) < ROWS / 10


def test_a_scan_of_history_would_be_seen(filled: Desks) -> None:
    store = Explained(filled)
    with store.autocommit() as cursor:
        cursor.execute(
            "SELECT * FROM clerk_queue WHERE valid_from <= %(as_of)s"
            " AND (valid_to IS NULL OR valid_to > %(as_of)s)",
            {"as_of": ROWS // 2},
        )
    [plan] = store.plans
    assert scanned(plan) == {"clerk_queue"}
    assert rows_read(plan) == ROWS
