"""Payments that no request was waiting for: one row each, which never changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.access import Scope
from domain.money import Unit
from domain.payments import UnmatchedBecause
from ledger.copying import NOTHING, copied_text
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.scope import of_places
from projections.sorting import Column, PositionSort, both_ways

TOPIC = "sijil.payment.unmatched.v1"
TABLE = "unmatched_payments"
COLUMNS = (
    "position",
    "payment_id",
    "bank",
    "bank_reference",
    "amount",
    "unit",
    "reason",
    "tracking_number",
    "request_id",
    "centre",
    "paid_at",
)
DDL = """
CREATE TABLE unmatched_payments (
    position bigint PRIMARY KEY,
    payment_id uuid NOT NULL,
    bank text NOT NULL,
    bank_reference text NOT NULL,
    amount bigint NOT NULL,
    unit text NOT NULL,
    reason text NOT NULL,
    tracking_number text,
    request_id uuid,
    centre text,
    paid_at timestamptz NOT NULL
);
CREATE INDEX unmatched_payments_of_centre ON unmatched_payments (centre, position);
CREATE INDEX unmatched_payments_by_reference ON unmatched_payments (bank_reference);
"""
_PAGE = """
SELECT
    position, payment_id::text, bank, bank_reference, amount, unit, reason,
    tracking_number, request_id::text, centre, paid_at
FROM unmatched_payments
WHERE (%(as_of)s::bigint IS NULL OR position <= %(as_of)s) AND {scope}
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(bank)s::text IS NULL OR bank = %(bank)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(unit)s::text IS NULL OR unit = %(unit)s)
    AND (%(bank_reference)s::text IS NULL OR bank_reference = %(bank_reference)s)
    AND (%(since)s::timestamptz IS NULL OR paid_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR paid_at < %(until)s)
    AND {after}
ORDER BY {by} LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedPayment:
    """Money that a bank has: ``amount`` in hundredths of ``unit``.

    ``request_id`` and ``centre`` are there where the number is some request's.
    """

    position: int
    payment_id: UUID
    bank: str
    bank_reference: str
    amount: int
    unit: Unit
    reason: UnmatchedBecause
    tracking_number: str | None
    request_id: UUID | None
    centre: str | None
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedFilter:
    """Which payments a list has: those that every given part holds for.

    ``since`` and ``until`` bound when it was paid, the later one exclusive.
    """

    centre: str | None = None
    bank: str | None = None
    reason: UnmatchedBecause | None = None
    unit: Unit | None = None
    bank_reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL = UnmatchedFilter()


def _position(row: UnmatchedPayment) -> tuple[int]:
    return (row.position,)


_ORDERS = both_ways(
    PositionSort.OLDEST,
    PositionSort.NEWEST,
    (Column("position", "bigint", int),),
    _position,
)


def line(fact: Fact) -> str:
    """The row of a fact, as COPY takes it."""
    data = fact.copied_data
    bank = copied_text(fact.actor["id"])
    return (
        f"{fact.position}\t{fact.key}\t{bank}\t{data['bank_reference']}"
        f"\t{data['amount']}\t{data['unit']}\t{data['reason']}"
        f"\t{data.get('tracking_number', NOTHING)}\t{data.get('request', NOTHING)}"
        f"\t{data.get('centre', NOTHING)}\t{fact.effective_text}"
    )


class UnmatchedQueries:
    """What can be asked of unmatched payments."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        scope: Scope,
        *,
        only: UnmatchedFilter = _ALL,
        sort: PositionSort = PositionSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[UnmatchedPayment]:
        """Unmatched payments, the newest first; a centre's are those of its requests.

        Raises InvalidValueError for a bad cursor.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        scoped, params = of_places(Scope(centre=scope.centre))
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(scope=scoped, after=further, by=order.by),
                {
                    **params,
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_unmatched(row) for row in cursor.fetchall()]
        return order.page(rows, limit)


def _unmatched(row: tuple[Any, ...]) -> UnmatchedPayment:
    told = dict(zip(COLUMNS, row, strict=True))
    request_id = told["request_id"]
    return UnmatchedPayment(
        **{
            **told,
            "payment_id": UUID(told["payment_id"]),
            "unit": Unit(told["unit"]),
            "reason": UnmatchedBecause(told["reason"]),
            "request_id": None if request_id is None else UUID(request_id),
        }
    )
