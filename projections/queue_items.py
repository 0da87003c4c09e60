"""The items of the queue, how a list of them can be narrowed, and how sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.stages import NextAct, Stage, WaitingFor
from projections.sorting import Column, both_ways

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Sorts items without a due time last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldItem:
    """One piece of open work and who has it: None is nobody.

    ``token`` is that of the latest assignment, claim or release; ``position`` the
    entry that made the row.
    """

    request_id: UUID
    centre: str
    agency: str
    clerk: str | None
    token: int
    submitted_at: datetime
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """One piece of work. ``position`` is the entry that made it what it is."""

    request_id: UUID
    tracking_number: str
    service: str
    agency: str
    centre: str
    governorate: str
    stage: Stage
    clerk: str | None
    token: int
    next_act: NextAct
    waiting_for: WaitingFor
    since: datetime
    until: datetime | None
    is_overdue: bool
    etag_version: int
    position: int
    lease_until: datetime | None = None


def item_of(row: Sequence[Any], now: datetime) -> QueueItem:
    """The item of a row, in the order of its fields but for what is overdue."""
    until = row[12]
    return QueueItem(
        request_id=UUID(row[0]),
        tracking_number=row[1],
        service=row[2],
        agency=row[3],
        centre=row[4],
        governorate=row[5],
        stage=Stage(row[6]),
        clerk=row[7],
        token=row[8],
        next_act=NextAct(row[9]),
        waiting_for=WaitingFor(row[10]),
        since=row[11],
        until=until,
        is_overdue=until is not None and until < now,
        etag_version=row[13],
        position=row[14],
        lease_until=None if row[15] is None else datetime.fromisoformat(row[15]),
    )


class QueueSort(StrEnum):
    """The orders of a queue."""

    DUE = "until"
    DUE_LAST = "-until"
    LONGEST = "since"
    NEWEST = "-since"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which items a queue has: those that every given part holds for.

    Without ``waiting_for`` it is all but what is in the post; ``overdue_at`` keeps what
    was due before it.
    """

    clerk: str | None = None
    is_unassigned: bool = False
    waiting_for: WaitingFor | None = WaitingFor.CLERK
    centre: str | None = None
    service: str | None = None
    agency: str | None = None
    stage: Stage | None = None
    next_act: NextAct | None = None
    overdue_at: datetime | None = None

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """The conditions of the parts that are given, and their parameters."""
        conditions: list[str] = []
        params: dict[str, Any] = {}
        if self.waiting_for is None:
            conditions.append("waiting_for <> 'post'")
        for name in _EQUAL:
            value = getattr(self, name)
            if value is not None:
                conditions.append(f"{name} = %({name})s")
                params[name] = value
        if self.is_unassigned:
            conditions.append("clerk IS NULL")
        if self.overdue_at is not None:
            conditions.append("until < %(overdue_at)s")
            params["overdue_at"] = self.overdue_at
        return conditions, params

    def includes(self, item: QueueItem) -> bool:
        """The same rule over an item in memory."""
        return (
            (self.waiting_for is not None or item.waiting_for is not WaitingFor.POST)
            and all(
                getattr(self, name) in {None, getattr(item, name)} for name in _EQUAL
            )
            and not (self.is_unassigned and item.clerk is not None)
            and (
                self.overdue_at is None
                or (item.until is not None and item.until < self.overdue_at)
            )
        )


_EQUAL = (
    "waiting_for",
    "clerk",
    "centre",
    "service",
    "agency",
    "stage",
    "next_act",
)


def _by_due(item: QueueItem) -> tuple[str, str, str]:
    return (
        (item.until or NEVER).isoformat(),
        item.since.isoformat(),
        str(item.request_id),
    )


def _by_since(item: QueueItem) -> tuple[str, str]:
    return item.since.isoformat(), str(item.request_id)


_SINCE = Column("since", "timestamptz", datetime)
_ID = Column("request_id", "uuid", UUID)
# As the view's indexes have it.
_UNTIL = Column(
    "coalesce(until, timestamptz '9999-12-31 00:00:00+00')", "timestamptz", datetime
)

ORDERS = {
    **both_ways(QueueSort.DUE, QueueSort.DUE_LAST, (_UNTIL, _SINCE, _ID), _by_due),
    **both_ways(QueueSort.LONGEST, QueueSort.NEWEST, (_SINCE, _ID), _by_since),
}
