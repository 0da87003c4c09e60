"""What can be asked of the times: medians, shares inside the limits, the oldest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import orjson
from psycopg2 import sql

from domain.access import Scope
from domain.working_minutes import minute_at
from ledger.persistence.datastore import PostgresDatastore
from projections.lasting import OPEN_THEN, held, held_params, open_then
from projections.office_days import not_yet_at
from projections.scope import of_places
from projections.turnaround.calendars import Calendars

_NEWEST = 2**63 - 1

# percentile_disc takes a value that was measured: the one of the nearest rank.
_ENDED = """
SELECT {columns} count(*),
    {whole}, {centre}, {agency}, {answer},
    count(*) FILTER (WHERE is_in_time),
    count(*) FILTER (WHERE is_answer_in_time)
FROM (
    SELECT *, to_char(day, 'YYYY-MM') AS month,
        centre_minutes + coalesce(agency_minutes, 0) AS whole_minutes
    FROM turnaround_ended
    WHERE day BETWEEN %(first)s AND %(last)s AND position <= %(as_of)s
        AND ended_at < %(before)s AND centre_minutes IS NOT NULL AND {scope}
) AS completed
{grouped}
"""
_PART = (
    "count({0}_minutes), percentile_disc(ARRAY[0.5, 0.9])"
    " WITHIN GROUP (ORDER BY {0}_minutes)"
)
_RECEIVED = """
SELECT {columns} {post}
FROM (
    SELECT *, to_char(day, 'YYYY-MM') AS month FROM turnaround_received
    WHERE day BETWEEN %(first)s AND %(last)s AND position <= %(as_of)s
        AND received_at < %(before)s AND {scope}
) AS received
{grouped}
"""
# Open then: in progress as it was known, or known to have ended later than that.
_OPEN_COLUMNS = "governorate, centre, agency, service, calendars, accepted_at, stops"
_IS_OPEN = "stage = 'in_progress' AND accepted_at < %(before)s AND {scope}"
_OPEN_NOW = f"""
SELECT {_OPEN_COLUMNS} FROM turnaround_open WHERE valid_to IS NULL AND {_IS_OPEN}
"""
_OPEN_LATER = open_then(
    "turnaround_ended", _OPEN_COLUMNS, "position <= %(as_of)s AND {scope}"
)
# Without a stop of the clock the first accepted is the oldest; the others are few.
_OPEN = """
WITH open AS (({held}) UNION ALL ({later}))
SELECT {columns} calendars, min(accepted_at), NULL, count(*)
FROM open WHERE stops IS NULL GROUP BY {columns} calendars
UNION ALL
SELECT {columns} calendars, accepted_at, stops, 1 FROM open WHERE stops IS NOT NULL
"""
_CALENDARS = """
SELECT year, version, facts FROM turnaround_calendars
WHERE position <= %s ORDER BY position
"""


class TurnaroundBy(StrEnum):
    """What times may be grouped by; day and month are those of the completion."""

    GOVERNORATE = "governorate"
    CENTRE = "centre"
    AGENCY = "agency"
    SERVICE = "service"
    DAY = "day"
    MONTH = "month"


_PERIODS = frozenset({TurnaroundBy.DAY, TurnaroundBy.MONTH})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Working minutes of the ``n`` that were measured; None where none was.

    Both are minutes that somebody took: the percentiles are of the nearest rank.
    """

    n: int
    median: int | None
    p90: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of the ``n`` that had a limit kept it."""

    n: int
    inside: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of one group's requests completed in the period, and what is open.

    ``whole`` is acceptance to completion, ``centre`` and ``agency`` are its parts;
    ``first_answer`` is the agency's until its first answer; ``post`` runs after the
    completion. What is open belongs to no period: by day or month it is None.
    """

    group: dict[str, str]
    completed: int
    whole: Part
    centre: Part
    agency: Part
    post: Part
    first_answer: Part
    inside_limit: Share
    first_answer_inside_limit: Share
    open: int | None
    oldest_open: int | None


_NOTHING = Part(n=0, median=None, p90=None)
_NO_SHARE = Share(n=0, inside=0)
_Group = tuple[str, ...]


class TurnaroundQueries:
    """What can be asked of the times."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def times(
        self,
        scope: Scope,
        *,
        first: date,
        last: date,
        now: datetime,
        by: Sequence[TurnaroundBy] = (TurnaroundBy.GOVERNORATE,),
        as_of: int | None = None,
        effective_at: datetime | date | None = None,
    ) -> tuple[Times, ...]:
        """The times of what was completed from ``first`` to ``last``, by group.

        ``now`` is when the open ones are as old as told, unless ``effective_at`` says.
        Raises InvalidValueError for a time that no calendar has.
        """
        names = tuple(dict.fromkeys(str(name) for name in by))
        scoped, places = of_places(scope)
        asked: dict[str, Any] = {
            **places,
            "first": first,
            "last": last,
            "as_of": _NEWEST if as_of is None else as_of,
            "before": not_yet_at(now if effective_at is None else effective_at),
            **OPEN_THEN,
        }
        if as_of is not None:
            asked |= held_params(as_of)
        queries = _statements(names, scoped, is_past=as_of is not None)
        width = len(names)
        with self._datastore.autocommit() as cursor:
            cursor.execute(queries["ended"], asked)
            ended = {_key(row, width): row[width:] for row in cursor.fetchall()}
            cursor.execute(queries["received"], asked)
            posted = {_key(row, width): _part(row, width) for row in cursor.fetchall()}
            if _PERIODS.isdisjoint(by):
                cursor.execute(_CALENDARS, (asked["as_of"],))
                calendars = Calendars(cursor.fetchall())
                cursor.execute(queries["open"], asked)
                ages = _ages(
                    cursor.fetchall(), width, calendars, minute_at(asked["before"])
                )
            else:
                ages = None
        groups = ended.keys() | posted.keys() | (ages or {}).keys()
        return tuple(
            _times(
                dict(zip(names, key, strict=True)),
                ended.get(key),
                posted.get(key, _NOTHING),
                None if ages is None else ages.get(key, (0, None)),
            )
            for key in sorted(groups)
            if width or ended[key][0] or (ages or {}).get(key)
        )


def _statements(
    names: Sequence[str], scoped: str, *, is_past: bool
) -> dict[str, sql.Composed]:
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    columns = sql.SQL("{}, ").format(listed) if names else sql.SQL("")
    grouped = sql.SQL("GROUP BY {}").format(listed) if names else sql.SQL("")
    is_open = _IS_OPEN.format(scope=scoped)
    rows = (
        held("turnaround_open", _OPEN_COLUMNS, is_open)
        if is_past
        else _OPEN_NOW.format(scope=scoped)
    )
    shared = {
        "columns": columns,
        "grouped": grouped,
        "scope": sql.SQL(scoped),
        "held": sql.SQL(rows),
        "later": sql.SQL(_OPEN_LATER.format(scope=scoped)),
        **{
            name: sql.SQL(_PART.format(name))
            for name in ("whole", "centre", "agency", "answer", "post")
        },
    }
    return {
        name: sql.SQL(statement).format(**shared)
        for name, statement in (
            ("ended", _ENDED),
            ("received", _RECEIVED),
            ("open", _OPEN),
        )
    }


def _key(row: Sequence[Any], width: int) -> _Group:
    return tuple(str(part) for part in row[:width])


def _part(row: Sequence[Any], at: int) -> Part:
    n, ranks = row[at], row[at + 1]
    median, p90 = ranks or (None, None)
    return Part(n=n, median=median, p90=p90)


def _ages(
    rows: Sequence[Sequence[Any]], width: int, calendars: Calendars, until: int
) -> dict[_Group, tuple[int, int | None]]:
    """How many are open in each group, and the working minutes of the oldest."""
    found: dict[_Group, tuple[int, int | None]] = {}
    for row in rows:
        named, accepted_at, stops, requests = row[width:]
        working = calendars.over(named)
        age = working.between(minute_at(accepted_at), until)
        for begun, ended in orjson.loads(stops) if stops else ():
            to = until if ended is None else min(ended, until)
            age -= working.between(begun, to)
        key = _key(row, width)
        count, oldest = found.get(key, (0, None))
        found[key] = (count + requests, max(age, oldest or 0))
    return found


def _times(
    group: dict[str, str],
    ended: Sequence[Any] | None,
    post: Part,
    age: tuple[int, int | None] | None,
) -> Times:
    count, oldest = age or (None, None)
    if ended is None:
        parts = [_NOTHING] * 4
        completed, inside, answered = 0, _NO_SHARE, _NO_SHARE
    else:
        completed = ended[0]
        parts = [_part(ended, at) for at in (1, 3, 5, 7)]
        inside = Share(n=completed, inside=ended[9])
        answered = Share(n=parts[3].n, inside=ended[10])
    whole, centre, agency, answer = parts
    return Times(
        group=group,
        completed=completed,
        whole=whole,
        centre=centre,
        agency=agency,
        post=post,
        first_answer=answer,
        inside_limit=inside,
        first_answer_inside_limit=answered,
        open=count,
        oldest_open=oldest,
    )
