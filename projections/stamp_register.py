"""StampRegister: every live stamp, and every paper that was stamped with it.

Which stamp, by whom, when, on which request; found by serial, by the digest of the
stamped paper, by centre and day. A stamping that somebody should doubt says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from ledger.persistence.datastore import PostgresDatastore
from projections.copying import append_rows, copy_lines
from projections.facts import Fact
from projections.origins import SUBMITTED, Origins
from projections.pages import (
    DEFAULT_PAGE,
    LARGEST_PAGE,
    Page,
    decode_cursor,
    page_size,
    paged,
)
from projections.scope import condition
from projections.sorting import Column, Order, both_ways
from projections.versioned import Change, VersionedTable, valid

_ISSUED = "sijil.stamp.issued.v1"
_WITHDRAWN = "sijil.stamp.withdrawn.v1"
_STAMPED = "sijil.request.stamped.v1"
_RESPONDED = "sijil.request.agency-responded.v1"
_OURS = frozenset({_ISSUED, _WITHDRAWN, _STAMPED, _RESPONDED, SUBMITTED})
_LAST = 2**63 - 1
_ORIGINS = Origins("stamping_origins")
_STAMPS = VersionedTable(
    name="stamp_register",
    key=("stamp_id",),
    values=(
        "serial",
        "kind",
        "centre",
        "issued_at",
        "withdrawn_on",
        "withdrawn_at",
        "withdrawn_because",
    ),
    casts={"stamp_id": "uuid"},
)
_STAMPING_COLUMNS = (
    "position",
    "request_id",
    "tracking_number",
    "service",
    "centre",
    "governorate",
    "serial",
    "kind",
    "officer",
    "digest",
    "stamped_at",
)
_DDL = f"""
{_ORIGINS.ddl}
CREATE TABLE stamp_register (
    stamp_id uuid NOT NULL,
    serial text NOT NULL,
    kind text NOT NULL,
    centre text NOT NULL,
    issued_at timestamptz NOT NULL,
    withdrawn_on date,
    withdrawn_at timestamptz,
    withdrawn_because text,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (stamp_id, valid_from)
);
CREATE UNIQUE INDEX stamp_register_current ON stamp_register (stamp_id)
    WHERE valid_to IS NULL;
CREATE INDEX stamp_register_by_serial ON stamp_register (serial);
CREATE TABLE stampings (
    position bigint PRIMARY KEY,
    request_id uuid NOT NULL,
    tracking_number text NOT NULL,
    service text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    serial text NOT NULL,
    kind text NOT NULL,
    officer text NOT NULL,
    digest text COLLATE "C" NOT NULL,
    stamped_at timestamptz NOT NULL
);
CREATE INDEX stampings_by_digest ON stampings (digest);
CREATE INDEX stampings_by_serial ON stampings (serial, stamped_at, position);
CREATE INDEX stampings_of_centre ON stampings (centre, stamped_at, position);
CREATE TABLE stampings_superseded (
    position bigint PRIMARY KEY,
    request_id uuid NOT NULL
);
CREATE INDEX stampings_superseded_of ON stampings_superseded (request_id);
"""
_IS_AFTER_WITHDRAWAL = """
    (g.stamped_at AT TIME ZONE 'Asia/Damascus')::date >= r.withdrawn_on
"""
_STAMPINGS = f"""
SELECT * FROM (
    SELECT
        g.position, g.request_id::text, g.tracking_number, g.service, g.centre,
        g.governorate, g.serial, g.kind, g.officer, g.digest, g.stamped_at,
        array_remove(ARRAY[
            CASE WHEN r.serial IS NULL THEN 'unknown_stamp' END,
            CASE WHEN r.centre <> g.centre THEN 'other_centre' END,
            CASE WHEN g.stamped_at < r.issued_at THEN 'before_issue' END,
            CASE WHEN {_IS_AFTER_WITHDRAWAL} THEN 'after_withdrawal' END,
            CASE WHEN EXISTS (
                SELECT FROM stampings_superseded AS s
                WHERE s.request_id = g.request_id
                    AND s.position > g.position AND s.position <= %(last)s
            ) THEN 'superseded' END
        ], NULL) AS doubts
    FROM (
        SELECT * FROM stampings
        WHERE position <= %(last)s AND {{scope}}
            AND (%(centre)s::text IS NULL OR centre = %(centre)s)
            AND (%(serial)s::text IS NULL OR serial = %(serial)s)
            AND (%(digest)s::text IS NULL OR digest = %(digest)s)
            AND (%(officer)s::text IS NULL OR officer = %(officer)s)
            AND (%(since)s::timestamptz IS NULL OR stamped_at >= %(since)s)
            AND (%(until)s::timestamptz IS NULL OR stamped_at < %(until)s)
            AND {{after}}
    ) AS g
    LEFT JOIN stamp_register AS r ON r.serial = g.serial AND {{valid}}
) AS stamping
WHERE NOT %(is_doubtful)s OR doubts <> '{{{{}}}}'
ORDER BY {{by}} LIMIT %(limit)s
"""
_REGISTER = """
SELECT
    r.serial, r.kind, r.centre, r.issued_at, r.withdrawn_on, r.withdrawn_at,
    r.withdrawn_because,
    (
        SELECT g.stamped_at FROM stampings AS g
        WHERE g.serial = r.serial AND g.position <= %(last)s
        ORDER BY g.stamped_at DESC LIMIT 1
    ),
    EXISTS (
        SELECT FROM stampings AS g
        WHERE g.serial = r.serial AND g.position <= %(last)s
            AND g.stamped_at >= r.withdrawn_on::timestamp AT TIME ZONE 'Asia/Damascus'
    )
FROM (
    SELECT * FROM stamp_register
    WHERE {valid} AND {scope}
        AND (%(centre)s::text IS NULL OR centre = %(centre)s)
        AND (%(serial)s::text IS NULL OR serial = %(serial)s)
        AND (
            %(is_withdrawn)s::boolean IS NULL
            OR (withdrawn_on IS NOT NULL) = %(is_withdrawn)s
        )
        AND serial > %(after)s
) AS r
ORDER BY r.serial LIMIT %(limit)s
"""


class StampDoubt(StrEnum):
    """Why a stamping is to be looked at twice.

    ``superseded``: the agency gave another answer afterwards, so the paper that bears
    this stamp holds no more.
    """

    UNKNOWN_STAMP = "unknown_stamp"
    OTHER_CENTRE = "other_centre"
    BEFORE_ISSUE = "before_issue"
    AFTER_WITHDRAWAL = "after_withdrawal"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamping:
    """One paper that was stamped. ``officer`` is the code of who did it."""

    position: int
    request_id: UUID
    tracking_number: str
    service: str
    centre: str
    governorate: str
    serial: str
    kind: str
    officer: str
    digest: str
    stamped_at: datetime
    doubts: tuple[StampDoubt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredStamp:
    """One stamp; ``withdrawn_on`` is the first day on which it is valid no more."""

    serial: str
    kind: str
    centre: str
    issued_at: datetime
    withdrawn_on: date | None
    withdrawn_at: datetime | None
    withdrawn_because: str | None
    last_stamped_at: datetime | None
    is_used_after_withdrawal: bool


class StampingSort(StrEnum):
    """The orders of the list of stampings."""

    OLDEST = "stamped_at"
    NEWEST = "-stamped_at"


_ORDERS: dict[StampingSort, Order[Stamping]] = both_ways(
    StampingSort.OLDEST,
    StampingSort.NEWEST,
    (Column("stamped_at", "timestamptz", datetime), Column("position", "bigint", int)),
    lambda row: (row.stamped_at.isoformat(), row.position),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampingFilter:
    """Which stampings a list has: those that every given part holds for.

    ``since`` and ``until`` bound the time of the stamping, the later one exclusive.
    """

    centre: str | None = None
    serial: str | None = None
    digest: str | None = None
    officer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_doubtful: bool = False


_ALL = StampingFilter()


class StampRegister:
    """The view: a versioned row a stamp, an appended one a stamping."""

    name = "stamp_register"
    version = 1
    tables = (
        "stamp_register",
        "stampings",
        "stampings_superseded",
        _ORIGINS.table,
    )
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        stamped = [fact for fact in ours if fact.topic == _STAMPED]
        origins = _ORIGINS.take_in(cursor, ours, {fact.key for fact in stamped})
        lines = []
        for fact in stamped:
            data, origin = fact.copied_data, "\t".join(origins[fact.key])
            lines.append(
                f"{fact.position}\t{fact.key}\t{origin}\t{data['serial']}"
                f"\t{data['kind']}\t{data['officer']}\t{data['stamped_digest']}"
                f"\t{fact.effective_text}"
            )
        copy_lines(cursor, "stampings", _STAMPING_COLUMNS, lines)
        superseding = [
            (fact.position, fact.key)
            for fact in ours
            if fact.topic == _RESPONDED and "supersedes" in fact.data
        ]
        append_rows(
            cursor, "stampings_superseded", ("position", "request_id"), superseding
        )
        _fold_stamps(cursor, [f for f in ours if f.topic in {_ISSUED, _WITHDRAWN}])


def _fold_stamps(cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
    if not facts:
        return
    rows = {
        str(key): row
        for (key,), row in _STAMPS.load(cursor, [(f.key,) for f in facts]).items()
    }
    changes = []
    for fact in facts:
        data = fact.data
        if fact.topic == _ISSUED:
            row: dict[str, Any] = {
                "serial": data["serial"],
                "kind": data["kind"],
                "centre": data["centre"],
                "issued_at": fact.effective_text,
                "withdrawn_on": None,
                "withdrawn_at": None,
                "withdrawn_because": None,
            }
        else:
            row = {
                **rows[fact.key],
                "withdrawn_on": data["on"],
                "withdrawn_at": fact.effective_text,
                "withdrawn_because": data["reason"],
            }
        rows[fact.key] = row
        changes.append(Change(position=fact.position, key=(fact.key,), row=row))
    _STAMPS.write(cursor, changes)


class StampRegisterQueries:
    """What can be asked of the register."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def stampings(
        self,
        scope: Scope,
        *,
        only: StampingFilter = _ALL,
        sort: StampingSort = StampingSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[Stamping]:
        """Stampings in scope, the newest first. InvalidValueError for a bad cursor."""
        order = _ORDERS[sort]
        further, place = order.after(after)
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _STAMPINGS.format(
                    valid=valid(as_of), scope=scoped, after=further, by=order.by
                ),
                {
                    **params,
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    "as_of": as_of,
                    "last": _LAST if as_of is None else as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_stamping(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def on_paper(
        self, digest: str, *, as_of: int | None = None
    ) -> tuple[Stamping, ...]:
        """The stampings of the paper with this digest, at any centre, newest first.

        Whoever holds the paper can compute its digest with the salt on its receipt;
        nobody else can ask for it.
        """
        only = StampingFilter(digest=digest)
        return self.stampings(Scope(), only=only, limit=LARGEST_PAGE, as_of=as_of).items

    def stamps(
        self,
        scope: Scope,
        *,
        centre: str | None = None,
        serial: str | None = None,
        is_withdrawn: bool | None = None,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[RegisteredStamp]:
        """The stamps by serial, each with its last use."""
        (position,) = decode_cursor(after, str) or ("",)
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _REGISTER.format(valid=valid(as_of), scope=scoped),
                {
                    **params,
                    "as_of": as_of,
                    "last": _LAST if as_of is None else as_of,
                    "centre": centre,
                    "serial": serial,
                    "is_withdrawn": is_withdrawn,
                    "after": position,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_registered(row) for row in cursor.fetchall()]
        return paged(rows, limit, lambda row: (row.serial,))


def _stamping(row: tuple[Any, ...]) -> Stamping:
    return Stamping(
        position=row[0],
        request_id=UUID(row[1]),
        tracking_number=row[2],
        service=row[3],
        centre=row[4],
        governorate=row[5],
        serial=row[6],
        kind=row[7],
        officer=row[8],
        digest=row[9],
        stamped_at=row[10],
        doubts=tuple(map(StampDoubt, row[11])),
    )


def _registered(row: tuple[Any, ...]) -> RegisteredStamp:
    return RegisteredStamp(
        serial=row[0],
        kind=row[1],
        centre=row[2],
        issued_at=row[3],
        withdrawn_on=row[4],
        withdrawn_at=row[5],
        withdrawn_because=row[6],
        last_stamped_at=row[7],
        is_used_after_withdrawal=row[8],
    )
