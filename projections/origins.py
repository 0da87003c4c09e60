"""Where requests come from: what is said once when one is submitted, kept by a view.

A view that needs the centre of a request at a later event keeps an appended table of
its own, so that it stands on its own rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import psycopg2.extensions
from psycopg2 import sql

from ledger.copying import copied_text
from projections.copying import array_of, copy_lines
from projections.facts import Fact

SUBMITTED = "sijil.request.submitted.v1"
_COLUMNS = (
    "position",
    "request_id",
    "tracking_number",
    "service",
    "centre",
    "governorate",
)
_DDL = """
CREATE TABLE {table} (
    position bigint NOT NULL,
    request_id uuid PRIMARY KEY,
    tracking_number text NOT NULL,
    service text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL
);
"""
_LOAD = """
SELECT request_id::text, tracking_number, service, centre, governorate
FROM {table} JOIN unnest(%s::uuid[]) AS wanted (request_id) USING (request_id)
"""


class Origin(NamedTuple):
    """What no later event changes of a request, each text as COPY takes it."""

    tracking_number: str
    service: str
    centre: str
    governorate: str


class Origins:
    """An appended table of origins."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.ddl = _DDL.format(table=table)

    def take_in(
        self,
        cursor: psycopg2.extensions.cursor,
        facts: Sequence[Fact],
        wanted: Collection[str],
    ) -> dict[str, Origin]:
        """Keep the origins that a batch tells; the ones of the ``wanted`` requests."""
        lines = []
        told = {}
        for fact in facts:
            if fact.topic == SUBMITTED:
                data, key = fact.copied_data, fact.key
                origin = Origin(
                    data["tracking_number"],
                    data["service"],
                    data["centre"],
                    data["governorate"],
                )
                told[key] = origin
                of_it = "\t".join(origin)
                lines.append(f"{fact.position}\t{key}\t{of_it}")
        copy_lines(cursor, self.table, _COLUMNS, lines)
        if missing := [key for key in set(wanted) if key not in told]:
            query = sql.SQL(_LOAD).format(table=sql.Identifier(self.table))
            cursor.execute(query, (array_of(missing),))
            for key, *rest in cursor.fetchall():
                told[key] = Origin(*map(copied_text, rest))
        return told
