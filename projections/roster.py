"""Roster: which clerk works at which centre, for which agencies, and on which days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg2.extensions

from domain.calendars import office_day
from domain.periods import Period, covers, ended
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.sorting import CodeSort, Column, both_ways
from projections.versioned import Change, VersionedTable, valid

_CLERK = "sijil.clerk."
_TABLE = VersionedTable(
    name="roster",
    key=("clerk_id",),
    values=(
        "code",
        "centre",
        "agencies",
        "version",
        "away_first",
        "away_last",
        "left_on",
    ),
    casts={
        "clerk_id": "uuid",
        "agencies": "text[]",
        "version": "integer",
        "away_first": "date[]",
        "away_last": "date[]",
        "left_on": "date",
    },
)
_DDL = """
CREATE TABLE roster (
    clerk_id uuid NOT NULL,
    code text NOT NULL,
    centre text NOT NULL,
    agencies text[] NOT NULL,
    version integer NOT NULL,
    away_first date[] NOT NULL,
    away_last date[] NOT NULL,
    left_on date,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (clerk_id, valid_from)
);
CREATE UNIQUE INDEX roster_current ON roster (clerk_id) WHERE valid_to IS NULL;
CREATE INDEX roster_of_centre ON roster (centre, code) WHERE valid_to IS NULL;
"""
_AVAILABLE = """(
    (left_on IS NULL OR %(day)s::date < left_on)
    AND NOT EXISTS (
        SELECT FROM unnest(away_first, away_last) AS away (first, last)
        WHERE away.first <= %(day)s::date
            AND (away.last IS NULL OR %(day)s::date <= away.last)
    )
)"""
_RESPONSIBLE = f"""
SELECT code FROM roster
WHERE centre = %(centre)s AND %(agency)s = ANY(agencies)
    AND (%(day)s::date IS NULL OR {_AVAILABLE}) AND {{valid}} ORDER BY code
"""
_COLUMNS = "code, centre, agencies, version, away_first, away_last, left_on"
_OF_CENTRE = f"""
SELECT {_COLUMNS} FROM roster
WHERE (%(centre)s::text IS NULL OR centre = %(centre)s) AND {{valid}} ORDER BY code
"""
_PAGE = f"""
SELECT {_COLUMNS} FROM roster
WHERE (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(agency)s::text IS NULL OR %(agency)s = ANY(agencies))
    AND {{valid}} AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""
_ONE = f"""
SELECT {_COLUMNS} FROM roster
WHERE (%(centre)s::text IS NULL OR centre = %(centre)s) AND code = %(code)s
    AND {{valid}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRow:
    """One clerk by code, with the codes of the agencies and the days of absence."""

    code: str
    centre: str
    agencies: tuple[str, ...]
    version: int
    absences: tuple[Period, ...] = ()
    left_on: date | None = None

    def is_available_on(self, day: date) -> bool:
        """Whether work may be given to the clerk on ``day``, as the domain says it."""
        has_left = self.left_on is not None and day >= self.left_on
        return not has_left and not covers(self.absences, day)


def _code(row: RosterRow) -> tuple[str]:
    return (row.code,)


_ORDERS = both_ways(
    CodeSort.FIRST, CodeSort.LAST, (Column("code", "text", str),), _code
)


class Roster:
    """The view: one current row a clerk."""

    name = "roster"
    version = 2
    tables = ("roster",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic.startswith(_CLERK)]
        rows: dict[str, dict[str, Any]] = {
            str(key): row
            for (key,), row in _TABLE.load(cursor, [(f.key,) for f in ours]).items()
        }
        changes = []
        for fact in ours:
            rows[fact.key] = row = _row_after(rows.get(fact.key), fact)
            changes.append(Change(position=fact.position, key=(fact.key,), row=row))
        _TABLE.write(cursor, changes)


def _row_after(row: dict[str, Any] | None, fact: Fact) -> dict[str, Any]:
    """The row of a clerk after one of the clerk's events."""
    data, happened = fact.data, fact.topic.removeprefix(_CLERK)
    if row is None:
        row = {"centre": None, "away_first": [], "away_last": [], "left_on": None}
    if happened == "appointed.v1":
        changes = _appointed(row, fact)
    elif happened == "made-responsible.v1":
        changes = {"agencies": [*row["agencies"], data["agency"]]}
    elif happened == "relieved.v1":
        changes = {"agencies": [e for e in row["agencies"] if e != data["agency"]]}
    elif happened == "left.v1":
        changes = {"left_on": date.fromisoformat(data["on"])}
    else:
        changes = _away_or_back(row, data)
    return {**row, **changes, "version": fact.entry.version}


def _appointed(row: dict[str, Any], fact: Fact) -> dict[str, Any]:
    """A new beginning, at another centre or after leaving, has no agencies."""
    day = office_day(fact.effective_at)
    has_left = row["left_on"] is not None and day >= row["left_on"]
    stays = row["centre"] == fact.data["centre"] and not has_left
    return {
        "code": fact.data["code"],
        "centre": fact.data["centre"],
        "agencies": row["agencies"] if stays else [],
        "left_on": None,
    }


def _away_or_back(row: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    absences = _absences(row)
    if "on" in data:
        absences = ended(absences, date.fromisoformat(data["on"]))
    else:
        last = data.get("last")
        absence = Period(
            first=date.fromisoformat(data["first"]),
            last=None if last is None else date.fromisoformat(last),
        )
        absences = (*absences, absence)
    return {
        "away_first": [absence.first for absence in absences],
        "away_last": [absence.last for absence in absences],
    }


def _absences(row: dict[str, Any]) -> tuple[Period, ...]:
    return tuple(
        Period(first=first, last=last)
        for first, last in zip(row["away_first"], row["away_last"], strict=True)
    )


def clerk_from(facts: Sequence[Fact]) -> RosterRow | None:
    """The clerk that these events of one clerk make, as the view would show it."""
    row: dict[str, Any] | None = None
    for fact in facts:
        row = _row_after(row, fact)
    if row is None:
        return None
    return _roster_row(tuple(row[name] for name in _TABLE.values))


class RosterQueries:
    """What can be asked of the roster."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def responsible_for(
        self,
        *,
        centre: str,
        agency: str,
        day: date | None = None,
        as_of: int | None = None,
    ) -> tuple[str, ...]:
        """The codes of the centre's clerks responsible for an agency, by code.

        With ``day``, without those who are away or have left on that day.
        """
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _RESPONSIBLE.format(valid=valid(as_of)),
                {"centre": centre, "agency": agency, "day": day, "as_of": as_of},
            )
            return tuple(code for (code,) in cursor.fetchall())

    def clerks(
        self, centre: str | None = None, *, as_of: int | None = None
    ) -> tuple[RosterRow, ...]:
        """The clerks of a centre, or of all, by code."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _OF_CENTRE.format(valid=valid(as_of)),
                {"centre": centre, "as_of": as_of},
            )
            return tuple(_roster_row(row) for row in cursor.fetchall())

    def page(
        self,
        centre: str | None = None,
        *,
        agency: str | None = None,
        sort: CodeSort = CodeSort.FIRST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[RosterRow]:
        """A page of the clerks by code. InvalidValueError: a bad cursor.

        ``agency`` keeps those who are responsible for it.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(valid=valid(as_of), after=further, by=order.by),
                {
                    **place,
                    "centre": centre,
                    "agency": agency,
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_roster_row(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def one(
        self, code: str, *, centre: str | None = None, as_of: int | None = None
    ) -> RosterRow | None:
        """The clerk with this code, of this centre where one is given, or None."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _ONE.format(valid=valid(as_of)),
                {"code": code, "centre": centre, "as_of": as_of},
            )
            row = cursor.fetchone()
        return None if row is None else _roster_row(row)


def _roster_row(row: tuple[Any, ...]) -> RosterRow:
    code, centre, agencies, version, away_first, away_last, left_on = row
    return RosterRow(
        code=code,
        centre=centre,
        agencies=tuple(agencies),
        version=version,
        absences=tuple(
            Period(first=first, last=last)
            for first, last in zip(away_first, away_last, strict=True)
        ),
        left_on=left_on,
    )
