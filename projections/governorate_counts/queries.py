"""What can be asked of the counts: where requests stand, and what moved on a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from psycopg2 import sql

from domain.access import Scope
from domain.calendars import office_day
from domain.errors import InvalidValueError
from domain.stages import Stage
from ledger.persistence.datastore import PostgresDatastore
from projections.office_days import DAY, midnight, not_yet_at
from projections.scope import of_places

_NEWEST = 2**63 - 1

# Rows never change, so the sums may be older than what is then added to them.
_SUMS = "SELECT coalesce(max(position), 0) FROM governorate_stocks WHERE position <= %s"
# The sums that were made last at that position, and what has moved since.
_STOCKS = """
SELECT {columns}, sum(requests)::bigint FROM (
    SELECT {places}, stage, requests FROM governorate_stocks
    WHERE position = %(sums)s AND {scope}
    UNION ALL
    SELECT {places}, stage_entered, 1 FROM governorate_moves
    WHERE position >= %(sums)s AND position <= %(as_of)s
        AND stage_entered IS NOT NULL AND {scope} AND {happened}
    UNION ALL
    SELECT {places}, stage_left, -1 FROM governorate_moves
    WHERE position >= %(sums)s AND position <= %(as_of)s
        AND stage_left IS NOT NULL AND {scope} AND {happened}
    {undone}
) AS added
GROUP BY {columns} HAVING sum(requests) <> 0
"""
# What was known, but had not happened yet: whole days, and the rest of one day.
_UNDONE = """
    UNION ALL
    SELECT {places}, stage, left_again - entered FROM governorate_days
    WHERE day >= %(days_from)s AND position <= %(sums)s AND {scope}
    UNION ALL
    SELECT {places}, stage_entered, -1 FROM governorate_moves
    WHERE effective_at >= %(before)s AND effective_at < %(rest_until)s
        AND position < %(sums)s AND stage_entered IS NOT NULL AND {scope}
    UNION ALL
    SELECT {places}, stage_left, 1 FROM governorate_moves
    WHERE effective_at >= %(before)s AND effective_at < %(rest_until)s
        AND position < %(sums)s AND stage_left IS NOT NULL AND {scope}
"""
_FLOWS = """
SELECT {columns}, sum(requests)::bigint FROM (
    SELECT day, {places}, stage, entered AS requests FROM governorate_days
    WHERE position <= %(sums)s AND day BETWEEN %(first)s AND %(last)s AND {scope}
    UNION ALL
    SELECT day, {places}, stage_entered, 1 FROM governorate_moves
    WHERE position >= %(sums)s AND position <= %(as_of)s AND stage_entered IS NOT NULL
        AND day BETWEEN %(first)s AND %(last)s AND {scope}
) AS added
GROUP BY {columns} HAVING sum(requests) <> 0
"""


class CountBy(StrEnum):
    """What counts may be grouped by."""

    GOVERNORATE = "governorate"
    CENTRE = "centre"
    AGENCY = "agency"
    SERVICE = "service"
    DAY = "day"


_PLACES = tuple(str(by) for by in CountBy if by is not CountBy.DAY)


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
        effective_at: datetime | date | None = None,
    ) -> tuple[Count, ...]:
        """How many requests stand where; an empty ``by`` is the national total.

        ``as_of`` is what was known at a position, ``effective_at`` what had happened by
        a time, or by the end of a day on the office's calendar; both together: what
        had happened by then, as it was known at the position. Raises InvalidValueError
        when asked by day: stocks have no day of their own.
        """
        if CountBy.DAY in by:
            raise InvalidValueError(field="by", reason="stocks-have-no-day")
        bounds = {} if effective_at is None else _bounds(effective_at)
        has_happened = "effective_at < %(before)s" if bounds else "true"
        found = self._count(
            _STOCKS.replace("{undone}", _UNDONE if bounds else ""),
            scope,
            by,
            {"as_of": as_of, **bounds},
            happened=has_happened,
        )
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
        asked = {"as_of": as_of, "first": first, "last": last}
        return tuple(
            _count_of(
                group, stages, submitted=stages.get(Stage.WAITING, 0), waiting=None
            )
            for group, stages in self._count(_FLOWS, scope, by, asked)
        )

    def _count(
        self,
        statement: str,
        scope: Scope,
        by: Sequence[CountBy],
        asked: dict[str, Any],
        *,
        happened: str = "true",
    ) -> list[tuple[dict[str, str], dict[str, int]]]:
        """Each group, in order, with its count by stage."""
        names = tuple(dict.fromkeys(str(name) for name in by))
        scoped, places = of_places(scope)
        query = sql.SQL(statement).format(
            columns=_names((*names, "stage")),
            places=_names(_PLACES),
            scope=sql.SQL(scoped),
            happened=sql.SQL(happened),
        )
        if asked["as_of"] is None:
            asked = {**asked, "as_of": _NEWEST}
        groups: dict[tuple[str, ...], dict[str, int]] = {}
        with self._datastore.autocommit() as cursor:
            cursor.execute(_SUMS, (asked["as_of"],))
            (sums,) = cursor.fetchone() or (0,)
            cursor.execute(query, {**places, **asked, "sums": sums})
            for *group, stage, requests in cursor.fetchall():
                key = tuple(str(part) for part in group)
                groups.setdefault(key, {})[stage] = int(requests)
        return [
            (dict(zip(names, key, strict=True)), groups[key]) for key in sorted(groups)
        ]


def _bounds(effective_at: datetime | date) -> dict[str, Any]:
    """From when on things had not happened yet, as whole days and the rest of one.

    Raises InvalidValueError for a time that no calendar has a day after.
    """
    before = not_yet_at(effective_at)
    try:
        days_from = office_day(before)
        if before != midnight(days_from):
            days_from += DAY
        rest_until = midnight(days_from)
    except OverflowError as error:
        raise InvalidValueError(field="effective_at", reason="range") from error
    return {"before": before, "rest_until": rest_until, "days_from": days_from}


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


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
