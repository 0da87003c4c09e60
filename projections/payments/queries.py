"""What can be asked of payments, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.access import Scope
from domain.money import Unit
from domain.requests import PaymentChannel, RefundedBecause
from domain.services import FeeDue
from ledger.persistence.datastore import PostgresDatastore
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.payments.fees import FEE_VALUES
from projections.scope import condition
from projections.sorting import Column, Order, both_ways
from projections.versioned import valid

_LAST = 2**63 - 1


class PaymentState(StrEnum):
    """Where one fee stands."""

    EXPECTED = "expected"
    PAID = "paid"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


class PayBy(StrEnum):
    """What sums can be grouped by; they are always grouped by unit."""

    DAY = "day"
    CENTRE = "centre"
    GOVERNORATE = "governorate"
    SERVICE = "service"
    AGENCY = "agency"
    CHANNEL = "channel"


_PAGE = f"""
SELECT request_id::text, {", ".join(FEE_VALUES)}, valid_from
FROM payments
WHERE {{valid}} AND {{scope}}
    AND (%(request_id)s::uuid IS NULL OR request_id = %(request_id)s)
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(service)s::text IS NULL OR service = %(service)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(unit)s::text IS NULL OR unit = %(unit)s)
    AND (
        %(bank_reference)s::text IS NULL
        OR bank_reference = %(bank_reference)s OR refund_reference = %(bank_reference)s
    )
    AND (%(due_before)s::timestamptz IS NULL OR due_at < %(due_before)s)
    AND (%(since)s::timestamptz IS NULL OR expected_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR expected_at < %(until)s)
    AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""
LARGEST_SHARED = 50
"""How many fees may stand under one reference: each is looked at. Clerks write what
they are told, and a till that repeats one word MUST NOT make a look-up long."""
_UNDER_REFERENCE = """
SELECT request_id::text FROM payments
WHERE bank_reference = %s AND valid_to IS NULL
ORDER BY paid_at, request_id LIMIT %s
"""
_DAY = "(moved_at AT TIME ZONE 'Asia/Damascus')::date"
_SUMS = """
SELECT {groups}, {sums}
FROM payment_movements
WHERE position <= %(last)s AND {scope}
    AND moved_at >= %(since)s AND moved_at < %(until)s
GROUP BY {groups} ORDER BY {groups}
"""
_MOVEMENTS = ("expected", "paid", "cancelled", "refunded")
_MEASURES = ", ".join(
    f"count(*) FILTER (WHERE movement = '{movement}'),"
    f" coalesce(sum(state_fee) FILTER (WHERE movement = '{movement}'), 0)::bigint,"
    f" coalesce(sum(service_charge) FILTER (WHERE movement = '{movement}'), 0)::bigint"
    for movement in _MOVEMENTS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The fee of one request. A bank reference is the bank's, never a person's.

    ``due_at`` is None while the fee waits for the paper: it falls due at hand-over.
    """

    request_id: UUID
    tracking_number: str
    service: str
    centre: str
    governorate: str
    agency: str
    unit: Unit
    state_fee: int
    service_charge: int
    fee_due: FeeDue
    state: PaymentState
    is_fee_outstanding: bool
    expected_at: datetime
    due_at: datetime | None
    paid_at: datetime | None
    channel: PaymentChannel | None
    bank_reference: str | None
    refunded_state_fee: int
    refunded_service_charge: int
    refunded_at: datetime | None
    refund_channel: PaymentChannel | None
    refund_reference: str | None
    refund_reason: RefundedBecause | None
    ended_at: datetime | None
    position: int


@dataclass(frozen=True, slots=True)
class Sum:
    """How many fees, and their two lines in hundredths."""

    count: int
    state_fee: int
    service_charge: int

    @property
    def amount(self) -> int:
        """Both lines together."""
        return self.state_fee + self.service_charge


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What moved in one group: of one unit, within some days."""

    group: dict[str, str | None]
    unit: Unit
    expected: Sum
    paid: Sum
    cancelled: Sum
    refunded: Sum


class PaymentSort(StrEnum):
    """The orders of the list of fees: by when they were expected."""

    OLDEST = "expected_at"
    NEWEST = "-expected_at"


_ORDERS: dict[PaymentSort, Order[Payment]] = both_ways(
    PaymentSort.OLDEST,
    PaymentSort.NEWEST,
    (
        Column("expected_at", "timestamptz", datetime),
        Column("request_id", "uuid", UUID),
    ),
    lambda row: (row.expected_at.isoformat(), str(row.request_id)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which fees a list has: those that every given part holds for.

    ``since`` and ``until`` bound when a fee was expected, the later one exclusive.
    """

    request_id: UUID | None = None
    centre: str | None = None
    service: str | None = None
    state: PaymentState | None = None
    channel: PaymentChannel | None = None
    unit: Unit | None = None
    bank_reference: str | None = None
    due_before: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL = PaymentFilter()


class PaymentsQueries:
    """What can be asked of payments."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        scope: Scope,
        *,
        only: PaymentFilter = _ALL,
        sort: PaymentSort = PaymentSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[Payment]:
        """Fees in scope, the newest first. InvalidValueError for a bad cursor."""
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
                    "request_id": only.request_id and str(only.request_id),
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [_payment(row) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def paid_under(self, bank_reference: str) -> tuple[UUID, ...]:
        """The requests whose fee was paid with a reference, of whichever bank.

        The earliest ``LARGEST_SHARED`` of them, also what was paid back since.
        """
        with self._datastore.autocommit() as cursor:
            cursor.execute(_UNDER_REFERENCE, (bank_reference, LARGEST_SHARED))
            return tuple(UUID(each) for (each,) in cursor.fetchall())

    def sums(
        self,
        scope: Scope,
        *,
        since: datetime,
        until: datetime,
        by: Sequence[PayBy] = (),
        as_of: int | None = None,
    ) -> tuple[Sums, ...]:
        """What was expected, paid, cancelled and refunded between two moments.

        Each movement counts at its effective time, by the day in Damascus. What was
        paid or paid back has a channel; what was expected or cancelled has none.
        """
        names = list(dict.fromkeys(by))
        groups = ", ".join(["unit", *(_DAY if n is PayBy.DAY else n for n in names)])
        scoped, params = condition(scope)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _SUMS.format(groups=groups, sums=_MEASURES, scope=scoped),
                {
                    **params,
                    "last": _LAST if as_of is None else as_of,
                    "since": since,
                    "until": until,
                },
            )
            return tuple(_sums(names, row) for row in cursor.fetchall())


def _sums(names: Sequence[PayBy], row: tuple[Any, ...]) -> Sums:
    unit, *rest = row
    values, measures = rest[: len(names)], rest[len(names) :]
    sums = [Sum(*measures[at : at + 3]) for at in range(0, len(measures), 3)]
    return Sums(
        group={
            str(name): None if value is None else str(value)
            for name, value in zip(names, values, strict=True)
        },
        unit=Unit(unit),
        **dict(zip(_MOVEMENTS, sums, strict=True)),
    )


def _payment(row: tuple[Any, ...]) -> Payment:
    request_id, *values, position = row
    told = dict(zip(FEE_VALUES, values, strict=True))
    for name, kind in _KINDS.items():
        if told[name] is not None:
            told[name] = kind(told[name])
    return Payment(request_id=UUID(request_id), position=position, **told)


_KINDS: dict[str, type[StrEnum]] = {
    "unit": Unit,
    "fee_due": FeeDue,
    "state": PaymentState,
    "channel": PaymentChannel,
    "refund_channel": PaymentChannel,
    "refund_reason": RefundedBecause,
}
