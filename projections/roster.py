"""Roster: which clerk works at which centre, responsible for which agencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions

from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.versioned import Change, VersionedTable, valid

_APPOINTED = "sijil.clerk.appointed.v1"
_MADE_RESPONSIBLE = "sijil.clerk.made-responsible.v1"
_TABLE = VersionedTable(
    name="roster",
    key=("clerk_id",),
    values=("code", "centre", "agencies"),
    casts={"clerk_id": "uuid", "agencies": "text[]"},
)
_DDL = """
CREATE TABLE roster (
    clerk_id uuid NOT NULL,
    code text NOT NULL,
    centre text NOT NULL,
    agencies text[] NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (clerk_id, valid_from)
);
CREATE UNIQUE INDEX roster_current ON roster (clerk_id) WHERE valid_to IS NULL;
CREATE INDEX roster_of_centre ON roster (centre, code) WHERE valid_to IS NULL;
"""
_RESPONSIBLE = """
SELECT code FROM roster
WHERE centre = %(centre)s AND %(agency)s = ANY(agencies) AND {valid} ORDER BY code
"""
_OF_CENTRE = """
SELECT code, centre, agencies FROM roster
WHERE (%(centre)s::text IS NULL OR centre = %(centre)s) AND {valid} ORDER BY code
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRow:
    """One clerk by code, with the codes of the agencies."""

    code: str
    centre: str
    agencies: tuple[str, ...]


class Roster:
    """The view: one current row a clerk."""

    name = "roster"
    version = 1
    tables = ("roster",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [f for f in facts if f.topic in {_APPOINTED, _MADE_RESPONSIBLE}]
        rows: dict[str, dict[str, Any]] = {
            str(key): row
            for (key,), row in _TABLE.load(cursor, [(f.key,) for f in ours]).items()
        }
        changes = []
        for fact in ours:
            data = fact.data
            if fact.topic == _APPOINTED:
                row = {"code": data["code"], "centre": data["centre"], "agencies": []}
            else:
                known = rows[fact.key]
                row = {**known, "agencies": [*known["agencies"], data["agency"]]}
            rows[fact.key] = row
            changes.append(Change(position=fact.position, key=(fact.key,), row=row))
        _TABLE.write(cursor, changes)


class RosterQueries:
    """What can be asked of the roster."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def responsible_for(
        self, *, centre: str, agency: str, as_of: int | None = None
    ) -> tuple[str, ...]:
        """The codes of the centre's clerks responsible for an agency, by code."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _RESPONSIBLE.format(valid=valid(as_of)),
                {"centre": centre, "agency": agency, "as_of": as_of},
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
            return tuple(
                RosterRow(code=code, centre=place, agencies=tuple(agencies))
                for code, place, agencies in cursor.fetchall()
            )
