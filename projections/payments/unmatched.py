"""Payments that no request was waiting for, and what became of the money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from domain.money import Unit
from domain.payments import PaymentSettledBecause, UnmatchedBecause
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.scope import of_places
from projections.sorting import Column, PositionSort, both_ways
from projections.versioned import Change, VersionedTable, valid

_UNMATCHED = "sijil.payment.unmatched.v1"
_SETTLED = "sijil.payment.settled.v1"
_OURS = frozenset({_UNMATCHED, _SETTLED})
_VALUES = (
    "position",
    "bank",
    "bank_reference",
    "amount",
    "unit",
    "reason",
    "tracking_number",
    "request_id",
    "centre",
    "paid_at",
    "state",
    "settled_at",
    "settled_because",
    "fee_request_id",
    "version",
)
TABLE = VersionedTable(
    name="unmatched_payments",
    key=("payment_id",),
    values=_VALUES,
    casts={"payment_id": "uuid"},
)
DDL = """
CREATE TABLE unmatched_payments (
    payment_id uuid NOT NULL,
    -- The entry that reported it, whatever made the row what it is.
    position bigint NOT NULL,
    bank text NOT NULL,
    bank_reference text NOT NULL,
    amount bigint NOT NULL,
    unit text NOT NULL,
    reason text NOT NULL,
    tracking_number text,
    request_id uuid,
    centre text,
    paid_at timestamptz NOT NULL,
    state text NOT NULL,
    settled_at timestamptz,
    settled_because text,
    fee_request_id uuid,
    version integer NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (payment_id, valid_from)
);
CREATE UNIQUE INDEX unmatched_payments_current ON unmatched_payments (payment_id)
    WHERE valid_to IS NULL;
CREATE INDEX unmatched_payments_by_position ON unmatched_payments (position);
CREATE INDEX unmatched_payments_of_centre ON unmatched_payments (centre, position);
CREATE INDEX unmatched_payments_by_reference ON unmatched_payments (bank_reference);
CREATE INDEX unmatched_payments_open ON unmatched_payments (position)
    WHERE state = 'open' AND valid_to IS NULL;
"""
_PAGE = f"""
SELECT payment_id::text, {", ".join(_VALUES)}
FROM unmatched_payments
WHERE {{valid}} AND {{scope}}
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(bank)s::text IS NULL OR bank = %(bank)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(unit)s::text IS NULL OR unit = %(unit)s)
    AND (%(bank_reference)s::text IS NULL OR bank_reference = %(bank_reference)s)
    AND (%(since)s::timestamptz IS NULL OR paid_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR paid_at < %(until)s)
    AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""


class UnmatchedState(StrEnum):
    """What became of a payment: somebody has said it, or nobody has."""

    OPEN = "open"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedPayment:
    """Money that a bank has: ``amount`` in hundredths of ``unit``.

    ``request_id`` and ``centre`` are there where the number is some request's;
    ``fee_request_id`` is the request whose fee it was taken as. ``position`` is the
    entry that reported it.
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
    state: UnmatchedState
    settled_at: datetime | None
    settled_because: PaymentSettledBecause | None
    fee_request_id: UUID | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedFilter:
    """Which payments a list has: those that every given part holds for.

    ``since`` and ``until`` bound when it was paid, the later one exclusive.
    """

    state: UnmatchedState | None = None
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


def fold(cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
    """Take the payments of a batch in, and what became of earlier ones."""
    ours = [fact for fact in facts if fact.topic in _OURS]
    if not ours:
        return
    rows = TABLE.load(cursor, [(fact.key,) for fact in ours])
    current = {str(key): row for (key,), row in rows.items()}
    changes = []
    for fact in ours:
        row = _after(current.get(fact.key), fact)
        if row is not None:
            current[fact.key] = row
            change = Change(position=fact.position, key=(fact.key,), row=row)
            changes.append(change)
    TABLE.write(cursor, changes)


def _after(row: dict[str, Any] | None, fact: Fact) -> dict[str, Any] | None:
    """The row as a fact leaves it; None without the payment that it is about."""
    data = fact.data
    if fact.topic == _UNMATCHED:
        return {
            **dict.fromkeys(_VALUES),
            "position": fact.position,
            "bank": fact.actor["id"],
            "bank_reference": data["bank_reference"],
            "amount": data["amount"],
            "unit": data["unit"],
            "reason": data["reason"],
            "tracking_number": data.get("tracking_number"),
            "request_id": data.get("request"),
            "centre": data.get("centre"),
            "paid_at": fact.effective_text,
            "state": "open",
            "version": fact.version,
        }
    if row is None:
        return None
    return {
        **row,
        "state": "settled",
        "settled_at": fact.effective_text,
        "settled_because": data["reason"],
        "fee_request_id": data.get("request"),
        "version": fact.version,
    }


def unmatched_from(facts: Iterable[Fact]) -> UnmatchedPayment | None:
    """The payment of one aggregate's facts, as the view would have it.

    None where they are no payment's, or there are none.
    """
    row: dict[str, Any] | None = None
    key = ""
    for fact in facts:
        row, key = _after(row, fact), fact.key
    if row is None:
        return None
    for name in ("paid_at", "settled_at"):
        if row[name] is not None:
            row[name] = datetime.fromisoformat(row[name])
    return _unmatched(key, row)


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
            rows = [
                _unmatched(payment_id, dict(zip(_VALUES, values, strict=True)))
                for payment_id, *values in cursor.fetchall()
            ]
        return order.page(rows, limit)


def _unmatched(payment_id: str, row: dict[str, Any]) -> UnmatchedPayment:
    settled = row["settled_because"]
    return UnmatchedPayment(
        **{
            **row,
            "payment_id": UUID(payment_id),
            "unit": Unit(row["unit"]),
            "reason": UnmatchedBecause(row["reason"]),
            "request_id": _uuid(row["request_id"]),
            "state": UnmatchedState(row["state"]),
            "settled_because": None
            if settled is None
            else PaymentSettledBecause(settled),
            "fee_request_id": _uuid(row["fee_request_id"]),
        }
    )


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(str(value))
