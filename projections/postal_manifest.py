"""PostalManifest: what was given to the post, and what became of each item.

An item says where it was posted, whether it goes to a post office or home, and how its
journey ended. It says nothing of the service or of the persons: the post carries
envelopes.
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
from domain.requests import Delivery, ReturnedBecause
from domain.services import Relationship
from ledger.copying import NOTHING
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.memory import Remembering
from projections.origins import SUBMITTED, Origin, Origins
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.scope import condition
from projections.sorting import Column, Order, both_ways
from projections.succession import SucceedingRows
from projections.versioned import valid

_MAILED = "sijil.request.mailed.v1"
_ENDS = {
    "sijil.request.delivered.v1": "delivered",
    "sijil.request.collected.v1": "collected",
    "sijil.request.returned.v1": "returned",
}
_JOURNEY = frozenset({_MAILED, *_ENDS})
_OURS = _JOURNEY | {SUBMITTED}
_ORIGINS = Origins("postal_origins")
_TABLE = SucceedingRows(
    name="postal_items",
    key={"request_id": "uuid", "item": "text"},
    columns=(
        "request_id",
        "item",
        "centre",
        "governorate",
        "destination",
        "state",
        "mailed_at",
        "ended_at",
        "capacity",
        "reason",
        "valid_from",
    ),
    times=frozenset({"mailed_at", "ended_at"}),
)
_DDL = f"""
{_ORIGINS.ddl}
CREATE TABLE postal_items (
    request_id uuid NOT NULL,
    item text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    destination text NOT NULL,
    state text NOT NULL,
    mailed_at timestamptz NOT NULL,
    ended_at timestamptz,
    capacity text,
    reason text,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, item, valid_from)
);
CREATE INDEX postal_items_by_number ON postal_items (item);
CREATE INDEX postal_items_of_centre ON postal_items (centre, mailed_at, item);
CREATE INDEX postal_items_on_the_way ON postal_items (mailed_at, item)
    WHERE state = 'on_the_way' AND valid_to IS NULL;
"""
_PAGE = """
SELECT
    request_id::text, item, centre, governorate, destination, state, mailed_at,
    ended_at, capacity, reason, valid_from
FROM (SELECT *, true AS is_mailed FROM postal_items) AS postal_items
WHERE {valid} AND {scope}
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(governorate)s::text IS NULL OR governorate = %(governorate)s)
    AND (%(item)s::text IS NULL OR item = %(item)s)
    AND (%(destination)s::text IS NULL OR destination = %(destination)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(since)s::timestamptz IS NULL OR mailed_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR mailed_at < %(until)s)
    AND {after}
ORDER BY {by} LIMIT %(limit)s
"""
_LAST_DAY = ("9999-12-31", "")
_DAYS = """
SELECT
    centre, (mailed_at AT TIME ZONE 'Asia/Damascus')::date AS day,
    count(*),
    count(*) FILTER (WHERE state = 'on_the_way'),
    count(*) FILTER (WHERE state = 'delivered'),
    count(*) FILTER (WHERE state = 'collected'),
    count(*) FILTER (WHERE state = 'returned')
FROM (SELECT *, true AS is_mailed FROM postal_items) AS postal_items
WHERE {valid} AND {scope}
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(governorate)s::text IS NULL OR governorate = %(governorate)s)
    AND mailed_at >= %(since)s AND mailed_at < %(until)s
    AND (
        (mailed_at AT TIME ZONE 'Asia/Damascus')::date, centre
    ) < (%(after_day)s::date, %(after_centre)s)
GROUP BY day, centre ORDER BY day DESC, centre DESC LIMIT %(limit)s
"""


class ItemState(StrEnum):
    """Where an item is. A returned one may leave again as another item."""

    ON_THE_WAY = "on_the_way"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalItem:
    """One item. ``capacity`` is that of whoever received it, never a name.

    ``age_s`` is how long it has been on its way, or how long its journey took.
    ``position`` is the entry that made it what it is.
    """

    request_id: UUID
    item: str
    centre: str
    governorate: str
    destination: Delivery
    state: ItemState
    mailed_at: datetime
    ended_at: datetime | None
    capacity: Relationship | None
    reason: ReturnedBecause | None
    age_s: int
    position: int


class PostalSort(StrEnum):
    """The orders of the list of items."""

    OLDEST = "mailed_at"
    NEWEST = "-mailed_at"


_ORDERS: dict[PostalSort, Order[PostalItem]] = both_ways(
    PostalSort.OLDEST,
    PostalSort.NEWEST,
    (
        Column("mailed_at", "timestamptz", datetime),
        Column("item", "text", str),
        Column("request_id", "uuid", UUID),
    ),
    lambda row: (row.mailed_at.isoformat(), row.item, str(row.request_id)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalFilter:
    """Which items a list has: those that every given part holds for.

    ``since`` and ``until`` bound the mailing, the later one exclusive.
    """

    centre: str | None = None
    governorate: str | None = None
    item: str | None = None
    destination: Delivery | None = None
    state: ItemState | None = None
    reason: ReturnedBecause | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL = PostalFilter()


_Row = dict[str, Any]


class PostalManifest(Remembering[_Row]):
    """The view: one current row an item."""

    name = "postal_manifest"
    version = 2
    tables = ("postal_items", _ORIGINS.table)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        moved = [fact for fact in ours if fact.topic in _JOURNEY]
        mailed = {fact.key for fact in moved if fact.topic == _MAILED}
        origins = _ORIGINS.take_in(cursor, ours, mailed)
        memory = self.memory()
        keys = {_key(fact): (fact.key, fact.data["item"]) for fact in moved}
        missing = memory.unknown(keys.keys())
        missing -= {_key(fact) for fact in moved if fact.topic == _MAILED}
        for row in _TABLE.load(cursor, [keys[key] for key in missing]):
            memory.young[f"{row['request_id']}/{row['item']}"] = row
        rows = _TABLE.begin()
        for fact in moved:
            key = _key(fact)
            before = memory.young.get(key)
            if fact.topic == _MAILED:
                after = _on_the_way(origins[fact.key], fact)
            else:
                after = _arrived(memory.young[key], fact)
            memory.young[key] = after
            rows.put_row(keys[key], before, fact.position, after)
        rows.write(cursor)


def _key(fact: Fact) -> str:
    return f"{fact.key}/{fact.copied_data['item']}"


def _on_the_way(origin: Origin, fact: Fact) -> _Row:
    data = fact.copied_data
    return {
        "request_id": fact.key,
        "item": data["item"],
        "centre": origin.centre,
        "governorate": origin.governorate,
        "destination": data["to"],
        "state": "on_the_way",
        "mailed_at": fact.effective_text,
        "ended_at": NOTHING,
        "capacity": NOTHING,
        "reason": NOTHING,
    }


def _arrived(row: _Row, fact: Fact) -> _Row:
    data = fact.copied_data
    return {
        **row,
        "state": _ENDS[fact.topic],
        "ended_at": fact.effective_text,
        "capacity": data.get("capacity", NOTHING),
        "reason": data.get("reason", NOTHING),
    }


@dataclass(frozen=True, slots=True)
class MailingDay:
    """What one centre gave to the post on one day, and where it is now."""

    centre: str
    day: date
    mailed: int
    on_the_way: int
    delivered: int
    collected: int
    returned: int


class PostalManifestQueries:
    """What can be asked of the manifest."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def items(
        self,
        scope: Scope,
        *,
        now: datetime,
        only: PostalFilter = _ALL,
        sort: PostalSort = PostalSort.OLDEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[PostalItem]:
        """Items in the order of their mailing: what is longest on its way stands first.

        ``now`` decides ages. Raises InvalidValueError for a bad cursor.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(
                    valid=valid(as_of), scope=scoped, after=further, by=order.by
                ),
                {
                    **params,
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_item(row, now) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def days(
        self,
        scope: Scope,
        *,
        since: datetime,
        until: datetime,
        centre: str | None = None,
        governorate: str | None = None,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[MailingDay]:
        """What each centre mailed on each day (Damascus), the newest day first."""
        day, of_centre = decode_cursor(after, date, str) or _LAST_DAY
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _DAYS.format(valid=valid(as_of), scope=scoped),
                {
                    **params,
                    "as_of": as_of,
                    "since": since,
                    "until": until,
                    "centre": centre,
                    "governorate": governorate,
                    "after_day": day,
                    "after_centre": of_centre,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [MailingDay(*row) for row in cursor.fetchall()]
        return paged(rows, limit, lambda row: (row.day.isoformat(), row.centre))


def _item(row: tuple[Any, ...], now: datetime) -> PostalItem:
    mailed_at, ended_at = row[6], row[7]
    return PostalItem(
        request_id=UUID(row[0]),
        item=row[1],
        centre=row[2],
        governorate=row[3],
        destination=Delivery(row[4]),
        state=ItemState(row[5]),
        mailed_at=mailed_at,
        ended_at=ended_at,
        capacity=None if row[8] is None else Relationship(row[8]),
        reason=None if row[9] is None else ReturnedBecause(row[9]),
        age_s=max(0, int(((ended_at or now) - mailed_at).total_seconds())),
        position=row[10],
    )
