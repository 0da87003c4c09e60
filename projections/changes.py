"""What changed in a view of requests between two positions: each row before and after.

The rows of such a view begin and end at positions, so the changes between any two are
there to be read again, the same ones, at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from domain.access import Scope, Whereabouts
from ledger.persistence.datastore import PostgresDatastore

I = TypeVar("I")  # noqa: E741 -- an item
I_contra = TypeVar("I_contra", contravariant=True)

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When an item of a change is looked at: nothing is overdue then, and a change has no
moment that could say otherwise."""
CHANGED = """
request_id = ANY(%(requests)s::uuid[])
    AND (valid_from > %(after)s AND valid_from <= %(until)s
        OR valid_to > %(after)s AND valid_to <= %(until)s)
"""
"""The condition for the rows that a change began or ended."""


class Narrowing(Protocol[I_contra]):
    """The filters of a list, over an item in memory."""

    def includes(self, item: I_contra) -> bool:
        """Whether the list has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow(Generic[I]):
    """One item as it stood, and what decides who may see it."""

    item: I
    whereabouts: Whereabouts

    def is_for(self, scope: Scope, only: Narrowing[I]) -> bool:
        """Whether a list with these filters has it: the rule of the view's page."""
        return scope.includes(self.whereabouts) and only.includes(self.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange(Generic[I]):
    """What one entry did to the row of its request; None is no row."""

    position: int
    request_id: UUID
    before: PlacedRow[I] | None
    after: PlacedRow[I] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow(Generic[I]):
    """A row that began or ended between two positions; ``ended`` is None: it stands."""

    request_id: UUID
    began: int
    ended: int | None
    row: PlacedRow[I]


def rows_changed(
    datastore: PostgresDatastore,
    query: str,
    requests: Iterable[UUID],
    *,
    after: int,
    until: int,
) -> list[tuple[Any, ...]]:
    """The rows of ``query``, which MUST have the condition ``CHANGED``."""
    wanted = [str(request) for request in requests]
    if not wanted:
        return []
    with datastore.autocommit() as cursor:
        cursor.execute(query, {"requests": wanted, "after": after, "until": until})
        return cursor.fetchall()


def changes_of(
    rows: Iterable[FoundRow[I]], *, after: int, until: int
) -> list[RowChange[I]]:
    """The changes above ``after`` up to ``until`` that the rows tell, in order."""
    before: dict[tuple[int, UUID], PlacedRow[I]] = {}
    begun: dict[tuple[int, UUID], PlacedRow[I]] = {}
    for found in rows:
        if found.began > after:
            begun[found.began, found.request_id] = found.row
        if found.ended is not None and found.ended <= until:
            before[found.ended, found.request_id] = found.row
    return [
        RowChange(
            position=position,
            request_id=request_id,
            before=before.get((position, request_id)),
            after=begun.get((position, request_id)),
        )
        for position, request_id in sorted(before.keys() | begun.keys())
    ]
