"""Catalogue: the services, agencies, centres and calendars as published last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions

from ledger.bodies import canonical
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.versioned import Change, VersionedTable, valid

KINDS = ("agency", "calendar", "centre", "service")
_TOPICS = {
    "sijil.agency.published.v1": "agency",
    "sijil.calendar.published.v1": "calendar",
    "sijil.centre.opened.v1": "centre",
    "sijil.service.published.v1": "service",
}
_TABLE = VersionedTable(
    name="catalogue",
    key=("kind", "code"),
    values=("version", "facts"),
    casts={"version": "integer"},
)
_DDL = """
CREATE TABLE catalogue (
    kind text NOT NULL,
    code text NOT NULL,
    version integer NOT NULL,
    facts text NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (kind, code, valid_from)
);
CREATE UNIQUE INDEX catalogue_current ON catalogue (kind, code) WHERE valid_to IS NULL;
"""
_PAGE = """
SELECT code, version, facts FROM catalogue
WHERE kind = %(kind)s AND code > %(after)s AND {valid} ORDER BY code LIMIT %(limit)s
"""
_ONE = """
SELECT code, version, facts FROM catalogue
WHERE kind = %(kind)s AND code = %(code)s AND {valid}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published thing: its code, version, and facts as the event has them."""

    code: str
    version: int
    facts: dict[str, Any]


class Catalogue:
    """The view: one current row for each published thing."""

    name = "catalogue"
    version = 1
    tables = ("catalogue",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        changes = []
        for fact in facts:
            kind = _TOPICS.get(fact.topic)
            if kind is not None:
                code = str(fact.data["year" if kind == "calendar" else "code"])
                row = {
                    "version": fact.entry.version,
                    "facts": canonical(fact.data).decode(),
                }
                changes.append(
                    Change(position=fact.position, key=(kind, code), row=row)
                )
        _TABLE.write(cursor, changes)


class CatalogueQueries:
    """What can be asked of the catalogue."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        kind: str,
        *,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[Published]:
        """The published things of a kind by code. InvalidValueError: a bad cursor."""
        position = decode_cursor(after, str) or ("",)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(valid=valid(as_of)),
                {
                    "kind": kind,
                    "after": position[0],
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_published(row) for row in cursor.fetchall()]
        return paged(rows, limit, lambda row: (row.code,))

    def one(
        self, kind: str, code: str, *, as_of: int | None = None
    ) -> Published | None:
        """The published thing with this code, or None."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _ONE.format(valid=valid(as_of)),
                {"kind": kind, "code": code, "as_of": as_of},
            )
            row = cursor.fetchone()
        return None if row is None else _published(row)


def _published(row: tuple[Any, ...]) -> Published:
    return Published(code=row[0], version=row[1], facts=json.loads(row[2]))
