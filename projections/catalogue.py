"""Catalogue: services, agencies, centres, calendars, stamps, and when they rest.

A thing rests while it is suspended, closed, withdrawn or not open yet. Its rests are
days; whether it rests today is asked when it is read, because no event says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg2.extensions

from domain.calendars import office_day
from domain.periods import Period
from ledger.bodies import canonical
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.sorting import CodeSort, Column, both_ways
from projections.versioned import Change, VersionedTable, valid

KINDS = ("agency", "calendar", "centre", "service", "stamp")
NOT_OPEN_YET = "not_open_yet"
"""The reason of a new centre's rest before its first day."""
_SAYING = {
    "sijil.agency.published.v1": ("agency", "code"),
    "sijil.calendar.published.v1": ("calendar", "year"),
    "sijil.centre.opened.v1": ("centre", "code"),
    "sijil.service.published.v1": ("service", "code"),
    "sijil.stamp.issued.v1": ("stamp", "serial"),
}
"""Events that say what a thing is, and the fact that is its code."""
_RESTING = {
    "sijil.agency.closed.v1": "on",
    "sijil.centre.closed.v1": "on",
    "sijil.service.suspended.v1": "first",
    "sijil.stamp.withdrawn.v1": "on",
}
"""Events that begin a rest, and the fact that is its first day."""
_RESUMED = "sijil.service.resumed.v1"
_TABLE = VersionedTable(
    name="catalogue",
    key=("thing_id",),
    values=("kind", "code", "centre", "version", "facts", "rests"),
    casts={"thing_id": "uuid", "version": "integer"},
)
_DDL = """
CREATE TABLE catalogue (
    thing_id uuid NOT NULL,
    kind text NOT NULL,
    code text NOT NULL,
    centre text,
    version integer NOT NULL,
    facts text NOT NULL,
    rests text NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (thing_id, valid_from)
);
CREATE UNIQUE INDEX catalogue_current ON catalogue (thing_id) WHERE valid_to IS NULL;
CREATE INDEX catalogue_by_code ON catalogue (kind, code);
"""
_PAGE = """
SELECT code, version, facts, rests FROM catalogue
WHERE kind = %(kind)s
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(agency)s::text IS NULL OR facts::jsonb ->> 'agency' = %(agency)s)
    AND (%(governorate)s::text IS NULL
        OR facts::jsonb ->> 'governorate' = %(governorate)s)
    AND {valid} AND {after}
ORDER BY {by} LIMIT %(limit)s
"""
_ONE = """
SELECT code, version, facts, rests FROM catalogue
WHERE kind = %(kind)s AND code = %(code)s
    AND (%(centre)s::text IS NULL OR centre = %(centre)s) AND {valid}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Days on which a thing is not there; without ``last`` until somebody ends it."""

    first: date
    last: date | None
    reason: str

    def includes(self, day: date) -> bool:
        """Whether ``day`` lies in it."""
        return Period(first=self.first, last=self.last).includes(day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One thing: its code, version, facts as its event has them, and its rests."""

    code: str
    version: int
    facts: dict[str, Any]
    rests: tuple[Rest, ...] = ()

    def is_active_on(self, day: date) -> bool:
        """Whether the thing is offered, open or valid on ``day``."""
        return not any(rest.includes(day) for rest in self.rests)


def _code(row: Published) -> tuple[str]:
    return (row.code,)


_ORDERS = both_ways(
    CodeSort.FIRST, CodeSort.LAST, (Column("code", "text", str),), _code
)


class Catalogue:
    """The view: one current row for each published thing."""

    name = "catalogue"
    version = 2
    tables = ("catalogue",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [
            fact
            for fact in facts
            if fact.topic in {*_SAYING, *_RESTING} or fact.topic == _RESUMED
        ]
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
    """The row of a thing after one of its events."""
    rests = () if row is None else _rests(row["rests"])
    if fact.topic in _SAYING:
        kind, code = _SAYING[fact.topic]
        row = {
            "kind": kind,
            "code": str(fact.data[code]),
            "centre": fact.data.get("centre"),
            "facts": canonical(fact.data).decode(),
        }
        rests = _rests_of_what_was_said(kind, rests, fact)
    elif fact.topic == _RESUMED:
        rests = _ended(rests, date.fromisoformat(fact.data["on"]))
    else:
        last = fact.data.get("last")
        begun = Rest(
            first=date.fromisoformat(fact.data[_RESTING[fact.topic]]),
            last=None if last is None else date.fromisoformat(last),
            reason=fact.data["reason"],
        )
        rests = (*rests, begun)
    return {**(row or {}), "version": fact.entry.version, "rests": _text(rests)}


def _rests_of_what_was_said(
    kind: str, rests: tuple[Rest, ...], fact: Fact
) -> tuple[Rest, ...]:
    """Published or opened again, a closed place is open and needs no closing."""
    day = office_day(fact.effective_at)
    if kind == "centre":
        if "opens_on" not in fact.data:
            return rests
        opens_on = date.fromisoformat(fact.data["opens_on"])
        if fact.entry.version == 1:
            first = Rest(first=day, last=None, reason=NOT_OPEN_YET)
            return _ended((first,), opens_on)
        day = opens_on
    elif kind != "agency":
        return rests
    return tuple(rest for rest in _ended(rests, day) if rest.first < day)


def _ended(rests: Sequence[Rest], on: date) -> tuple[Rest, ...]:
    """As domain.periods.ended: the one that includes ``on`` ends the day before."""
    left = []
    for rest in rests:
        if not rest.includes(on):
            left.append(rest)
        elif rest.first < on:
            eve = on - timedelta(days=1)
            left.append(Rest(first=rest.first, last=eve, reason=rest.reason))
    return tuple(left)


def _text(rests: Sequence[Rest]) -> str:
    return json.dumps(
        [
            [
                rest.first.isoformat(),
                None if rest.last is None else rest.last.isoformat(),
                rest.reason,
            ]
            for rest in rests
        ]
    )


def _rests(text: str) -> tuple[Rest, ...]:
    return tuple(
        Rest(
            first=date.fromisoformat(first),
            last=None if last is None else date.fromisoformat(last),
            reason=reason,
        )
        for first, last, reason in json.loads(text)
    )


def published_from(facts: Sequence[Fact]) -> Published | None:
    """The thing that these events of one thing make, as the view would show it."""
    row: dict[str, Any] | None = None
    for fact in facts:
        row = _row_after(row, fact)
    if row is None:
        return None
    return _published((row["code"], row["version"], row["facts"], row["rests"]))


class CatalogueQueries:
    """What can be asked of the catalogue."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        kind: str,
        *,
        centre: str | None = None,
        agency: str | None = None,
        governorate: str | None = None,
        sort: CodeSort = CodeSort.FIRST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[Published]:
        """The things of a kind by code. InvalidValueError: a bad cursor.

        ``centre`` keeps the stamps of one centre, ``agency`` the services of one
        agency, ``governorate`` the centres of one governorate.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(valid=valid(as_of), after=further, by=order.by),
                {
                    **place,
                    "kind": kind,
                    "centre": centre,
                    "agency": agency,
                    "governorate": governorate,
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_published(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def one(
        self,
        kind: str,
        code: str,
        *,
        centre: str | None = None,
        as_of: int | None = None,
    ) -> Published | None:
        """The thing with this code, of this centre where one is given, or None."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _ONE.format(valid=valid(as_of)),
                {"kind": kind, "code": code, "centre": centre, "as_of": as_of},
            )
            row = cursor.fetchone()
        return None if row is None else _published(row)


def _published(row: tuple[Any, ...]) -> Published:
    return Published(
        code=row[0], version=row[1], facts=json.loads(row[2]), rests=_rests(row[3])
    )
