"""GovernorateCounts: how many requests stand where, and how many moved on which day.

The stages are disjoint and add up to what was submitted, always: every move takes one
from the stage it leaves and adds one to the stage it enters. Moves are appended, some
three for a request. Once in a block of positions the sums of all moves so far are
appended beside them: what stands where, and what moved on which day. So any recorded
moment is the newest sums before it and the few moves since; nothing is replayed and no
row ever changes. What can be asked stands beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg2.extensions

from domain.stages import Stage
from projections.copying import append_rows
from projections.facts import Fact
from projections.office_days import day_of
from projections.requests import PREFIX, SUBMITTED
from projections.stages import ENTERED, stage_told

BLOCK = 16_384
"""Positions between two sums: a reader adds up at most the moves of one block, some
five thousand, and the sums stay fewer than the moves."""

_ACCEPTED = f"{PREFIX}accepted.v1"

_DDL = """
CREATE TABLE governorate_moves (
    position bigint NOT NULL,
    request_id uuid NOT NULL,
    effective_at timestamptz NOT NULL,
    -- The office's day: a column, because every database has its own time zones.
    day date NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    -- A request that changes its agency leaves in one row and enters in another.
    stage_left text,
    stage_entered text,
    CHECK (stage_left IS DISTINCT FROM stage_entered)
);
CREATE INDEX governorate_moves_by_position ON governorate_moves (position);
CREATE INDEX governorate_moves_of_request
    ON governorate_moves (request_id, position);
CREATE INDEX governorate_moves_by_time ON governorate_moves (effective_at);
-- Everything that moved before a position, added up: what stands where.
CREATE TABLE governorate_stocks (
    position bigint NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    -- A stage that more had left than entered could not be counted.
    requests bigint NOT NULL CHECK (requests > 0),
    PRIMARY KEY (position, governorate, centre, agency, service, stage)
);
-- What moved between the sums before and a position, added up by day.
CREATE TABLE governorate_days (
    position bigint NOT NULL,
    day date NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    entered bigint NOT NULL,
    left_again bigint NOT NULL,
    PRIMARY KEY (day, position, governorate, centre, agency, service, stage)
);
"""
_PLACES = """
SELECT wanted.id::text, governorate, centre, agency, service, stage_entered
FROM unnest(%s::uuid[]) AS wanted (id), LATERAL (
    SELECT * FROM governorate_moves
    WHERE request_id = wanted.id AND stage_entered IS NOT NULL
    ORDER BY position DESC LIMIT 1
) AS newest
"""
_BEFORE = """
SELECT
    (SELECT max(position) FROM governorate_moves),
    (SELECT coalesce(max(position), 0) FROM governorate_stocks)
"""
_ADD_STOCKS = """
INSERT INTO governorate_stocks
SELECT %(until)s, governorate, centre, agency, service, stage, sum(requests)
FROM (
    SELECT governorate, centre, agency, service, stage, requests
    FROM governorate_stocks WHERE position = %(since)s
    UNION ALL
    SELECT governorate, centre, agency, service, stage_entered, 1
    FROM governorate_moves WHERE position >= %(since)s AND position < %(until)s
        AND stage_entered IS NOT NULL
    UNION ALL
    SELECT governorate, centre, agency, service, stage_left, -1
    FROM governorate_moves WHERE position >= %(since)s AND position < %(until)s
        AND stage_left IS NOT NULL
) AS added
GROUP BY governorate, centre, agency, service, stage HAVING sum(requests) <> 0
"""
_ADD_DAYS = """
INSERT INTO governorate_days
SELECT %(until)s, day, governorate, centre, agency, service, stage,
    sum(entered), sum(left_again)
FROM (
    SELECT day, governorate, centre, agency, service, stage_entered AS stage,
        1 AS entered, 0 AS left_again
    FROM governorate_moves WHERE position >= %(since)s AND position < %(until)s
        AND stage_entered IS NOT NULL
    UNION ALL
    SELECT day, governorate, centre, agency, service, stage_left, 0, 1
    FROM governorate_moves WHERE position >= %(since)s AND position < %(until)s
        AND stage_left IS NOT NULL
) AS added
GROUP BY day, governorate, centre, agency, service, stage
"""
_COLUMNS = (
    "position",
    "request_id",
    "effective_at",
    "day",
    "governorate",
    "centre",
    "agency",
    "service",
    "stage_left",
    "stage_entered",
)


class _Place(NamedTuple):
    """Where a request is counted now."""

    governorate: str
    centre: str
    agency: str
    service: str
    stage: str


class GovernorateCounts:
    """The view: moves from stage to stage, and once a block the sums of them."""

    name = "governorate_counts"
    version = 3
    tables = ("governorate_moves", "governorate_stocks", "governorate_days")
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        rows = _moves(cursor, [fact for fact in facts if fact.topic in ENTERED])
        if not rows:
            return
        cursor.execute(_BEFORE)
        previous, since = cursor.fetchone() or (None, 0)
        append_rows(cursor, "governorate_moves", _COLUMNS, rows)
        # The first move of a block adds up what came before it, wherever the batch
        # was cut; a batch is shorter than a block.
        for row in rows:
            position = row[0]
            if previous is not None and position // BLOCK > previous // BLOCK:
                for statement in (_ADD_STOCKS, _ADD_DAYS):
                    cursor.execute(statement, {"since": since, "until": position})
                since = position
            previous = position


_Row = tuple[int, str, str, str, str, str, str, str, str | None, str | None]


def _moves(cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> list[_Row]:
    """The rows of the facts that move their requests."""
    begun = {fact.key for fact in facts if fact.topic == SUBMITTED}
    places = _known(cursor, sorted({fact.key for fact in facts} - begun))
    rows: list[_Row] = []
    for fact in facts:
        topic = fact.topic
        key = fact.key
        if topic == SUBMITTED:
            data = fact.data
            left = None
            place = _Place(
                data["governorate"],
                data["centre"],
                data["agency"],
                data["service"],
                Stage.WAITING.value,
            )
        elif (before := places.get(key)) is None:
            continue
        else:
            left = before.stage
            entered = ENTERED[topic] or stage_told(fact.data)
            if left == entered:
                continue
            place = before._replace(stage=entered)
            if (
                topic == _ACCEPTED
                and (agency := fact.data["terms"]["agency"]) != before.agency
            ):
                rows.append(_row(fact, before, left, None))
                place = place._replace(agency=agency)
                left = None
        rows.append(_row(fact, place, left, place.stage))
        places[key] = place
    return rows


def _row(fact: Fact, place: _Place, left: str | None, entered: str | None) -> _Row:
    effective_at = fact.effective_text
    return (
        fact.position,
        fact.key,
        effective_at,
        day_of(effective_at),
        place.governorate,
        place.centre,
        place.agency,
        place.service,
        left,
        entered,
    )


def _known(
    cursor: psycopg2.extensions.cursor, keys: Sequence[str]
) -> dict[str, _Place]:
    """Where the requests were counted last."""
    if not keys:
        return {}
    cursor.execute(_PLACES, (keys,))
    return {row[0]: _Place(*row[1:]) for row in cursor.fetchall()}
