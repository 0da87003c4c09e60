"""GovernorateCounts: how many requests stand where, and how many moved on which day.

Stocks are counted by stage; the stages are disjoint and add up to what was submitted.
Flows are counted by the effective day on the office's clock. What was not measured is
None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extras import execute_values

from domain.access import Scope
from domain.calendars import office_day
from domain.errors import InvalidValueError
from domain.requests import Answer
from domain.stages import Stage
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.requests import PREFIX
from projections.versioned import ROWS_A_STATEMENT, Change, VersionedTable, valid

_PLACE = ("governorate", "centre", "agency", "service")
_STOCKS = VersionedTable(
    name="governorate_stocks",
    key=(*_PLACE, "stage"),
    values=("requests",),
    casts={"requests": "bigint"},
)
_FLOWS = VersionedTable(
    name="governorate_flows",
    key=("day", *_PLACE, "stage"),
    values=("requests",),
    casts={"requests": "bigint", "day": "date"},
)
_DDL = """
CREATE TABLE governorate_stocks (
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    requests bigint NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (governorate, centre, agency, service, stage, valid_from)
);
CREATE UNIQUE INDEX governorate_stocks_current
    ON governorate_stocks (governorate, centre, agency, service, stage)
    WHERE valid_to IS NULL;
CREATE TABLE governorate_flows (
    day date NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    requests bigint NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (day, governorate, centre, agency, service, stage, valid_from)
);
CREATE UNIQUE INDEX governorate_flows_current
    ON governorate_flows (day, governorate, centre, agency, service, stage)
    WHERE valid_to IS NULL;
-- Where each request stands, so that a move knows what it leaves. Not versioned.
CREATE TABLE governorate_places (
    request_id uuid PRIMARY KEY,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL
);
"""
_PLACES = """
SELECT request_id::text, governorate, centre, agency, service, stage
FROM governorate_places WHERE request_id = ANY(%s::uuid[])
"""
_KEEP_PLACES = """
INSERT INTO governorate_places VALUES %s
ON CONFLICT (request_id) DO UPDATE SET stage = excluded.stage
"""
_PLACE_ROW = "(%s::uuid, %s, %s, %s, %s, %s)"
_COUNT = """
SELECT {columns}, sum(requests)::bigint FROM {table}
WHERE {valid} AND {scope} AND {days} GROUP BY {columns}
"""


class CountBy(StrEnum):
    """What counts may be grouped by."""

    GOVERNORATE = "governorate"
    CENTRE = "centre"
    AGENCY = "agency"
    SERVICE = "service"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The requests of one group, by stage.

    ``group`` maps what was grouped by to this group's value. For stocks ``submitted``
    is the sum of all stages; for flows it is how many were submitted on those days,
    and ``waiting`` is None because no flow of it is measured.
    """

    group: dict[str, str]
    submitted: int
    waiting: int | None
    not_accepted: int
    in_progress: int
    completed_issued: int
    completed_refused: int
    withdrawn: int
    expired: int

    @property
    def completed(self) -> int:
        """The number that once was 44,000: issued and refused."""
        return self.completed_issued + self.completed_refused


class GovernorateCounts:
    """The view: counters by place and stage, and by day, place and stage entered."""

    name = "governorate_counts"
    version = 2
    tables = ("governorate_stocks", "governorate_flows", "governorate_places")
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic.startswith(PREFIX)]
        moves = self._moves(cursor, ours)
        stocks: list[tuple[int, tuple[Any, ...], int]] = []
        flows: list[tuple[int, tuple[Any, ...], int]] = []
        for fact, place, left, entered in moves:
            if left is not None:
                stocks.append((fact.position, (*place, left), -1))
            stocks.append((fact.position, (*place, entered), 1))
            day = office_day(fact.effective_at)
            flows.append((fact.position, (day, *place, entered), 1))
        _add(cursor, _STOCKS, stocks)
        _add(cursor, _FLOWS, flows)

    def _moves(
        self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]
    ) -> list[tuple[Fact, tuple[str, ...], str | None, str]]:
        """Each fact that moves its request: place, stage left, stage entered."""
        cursor.execute(_PLACES, (sorted({fact.key for fact in facts}),))
        places: dict[str, tuple[str, ...]] = {
            row[0]: tuple(row[1:]) for row in cursor.fetchall()
        }
        moves = []
        for fact in facts:
            entered = _entered(fact)
            if entered is None:
                continue
            if entered is Stage.WAITING:
                place = tuple(fact.data[name] for name in _PLACE)
                left = None
            elif fact.key in places:
                *place_, left = places[fact.key]
                place = tuple(place_)
            else:
                continue
            if left != entered:
                moves.append((fact, place, left, str(entered)))
                places[fact.key] = (*place, entered)
        touched = {fact.key for fact, *_ in moves}
        if touched:
            execute_values(
                cursor,
                _KEEP_PLACES,
                [(key, *places[key]) for key in sorted(touched)],
                template=_PLACE_ROW,
                page_size=ROWS_A_STATEMENT,
            )
        return moves


def _entered(fact: Fact) -> Stage | None:  # noqa: PLR0911 -- one case an event
    """The stage a fact moves its request to, or None."""
    match fact.topic.removeprefix(PREFIX).rpartition(".v")[0]:
        case "submitted":
            return Stage.WAITING
        case "accepted":
            return Stage.IN_PROGRESS
        case "not-accepted":
            return Stage.NOT_ACCEPTED
        case "mailed" | "handed-over":
            return Stage.COMPLETED_ISSUED
        case "result-told":
            is_issued = fact.data["outcome"] == Answer.ISSUED
            return Stage.COMPLETED_ISSUED if is_issued else Stage.COMPLETED_REFUSED
        case "withdrawn":
            return Stage.WITHDRAWN
        case "expired":
            return Stage.EXPIRED
        case _:
            return None


def _add(
    cursor: psycopg2.extensions.cursor,
    table: VersionedTable,
    steps: Sequence[tuple[int, tuple[Any, ...], int]],
) -> None:
    """Move counters by steps of (position, key, difference)."""
    counts = {
        tuple(key): row["requests"]
        for key, row in table.load(cursor, [key for _, key, _ in steps]).items()
    }
    changes = []
    for position, key, difference in steps:
        counts[key] = counts.get(key, 0) + difference
        changes.append(
            Change(position=position, key=key, row={"requests": counts[key]})
        )
    table.write(cursor, changes)


class GovernorateCountsQueries:
    """What can be asked of the counts."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def stocks(
        self,
        scope: Scope,
        *,
        by: Sequence[CountBy] = (CountBy.GOVERNORATE,),
        as_of: int | None = None,
    ) -> tuple[Count, ...]:
        """How many requests stand where; an empty ``by`` is the national total.

        Raises InvalidValueError when asked by day: stocks have no day of their own.
        """
        if CountBy.DAY in by:
            raise InvalidValueError(field="by", reason="stocks-have-no-day")
        found = self._count("governorate_stocks", scope, by, as_of, None)
        return tuple(
            _count_of(
                group,
                stages,
                submitted=sum(stages.values()),
                waiting=stages.get(Stage.WAITING, 0),
            )
            for group, stages in found
        )

    def flows(
        self,
        scope: Scope,
        *,
        first: date,
        last: date,
        by: Sequence[CountBy] = (CountBy.DAY,),
        as_of: int | None = None,
    ) -> tuple[Count, ...]:
        """How many requests entered each stage from ``first`` to ``last`` inclusive."""
        found = self._count("governorate_flows", scope, by, as_of, (first, last))
        return tuple(
            _count_of(
                group, stages, submitted=stages.get(Stage.WAITING, 0), waiting=None
            )
            for group, stages in found
        )

    def _count(
        self,
        table: str,
        scope: Scope,
        by: Sequence[CountBy],
        as_of: int | None,
        days: tuple[date, date] | None,
    ) -> list[tuple[dict[str, str], dict[str, int]]]:
        names = tuple(dict.fromkeys(str(name) for name in by))
        columns = sql.SQL(", ").join(
            [sql.Identifier(name) for name in (*names, "stage")]
        )
        places = {name: getattr(scope, name) for name in ("centre", "governorate")}
        places["agency"] = scope.agency
        scoped = [sql.SQL("true")] + [
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name, value in places.items()
            if value is not None
        ]
        if scope.parties is not None:
            # Counts are of places, never of one person's requests.
            scoped = [sql.SQL("false")]
        query = sql.SQL(_COUNT).format(
            columns=columns,
            table=sql.Identifier(table),
            valid=sql.SQL(valid(as_of)),
            scope=sql.SQL(" AND ").join(scoped),
            days=sql.SQL("day BETWEEN %(first)s AND %(last)s" if days else "true"),
        )
        first, last = days or (None, None)
        groups: dict[tuple[str, ...], dict[str, int]] = {}
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                query, {**places, "as_of": as_of, "first": first, "last": last}
            )
            for *group, stage, requests in cursor.fetchall():
                key = tuple(str(part) for part in group)
                groups.setdefault(key, {})[stage] = int(requests)
        return [
            (dict(zip(names, key, strict=True)), groups[key]) for key in sorted(groups)
        ]


def _count_of(
    group: dict[str, str],
    stages: dict[str, int],
    *,
    submitted: int,
    waiting: int | None,
) -> Count:
    return Count(
        group=group,
        submitted=submitted,
        waiting=waiting,
        not_accepted=stages.get(Stage.NOT_ACCEPTED, 0),
        in_progress=stages.get(Stage.IN_PROGRESS, 0),
        completed_issued=stages.get(Stage.COMPLETED_ISSUED, 0),
        completed_refused=stages.get(Stage.COMPLETED_REFUSED, 0),
        withdrawn=stages.get(Stage.WITHDRAWN, 0),
        expired=stages.get(Stage.EXPIRED, 0),
    )
