"""What changed in the queue between two positions: each item before and after.

It reads the rows that ClerkQueue has made: a row begins and ends at a position, so the
changes between two are there to be read again, the same ones, at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.access import Scope, Whereabouts
from ledger.persistence.datastore import PostgresDatastore
from projections.queue_items import QueueFilter, QueueItem, item_of

_CHANGED = """
SELECT
    request_id::text, tracking_number, service, agency, centre, governorate, stage,
    clerk, token, next_act, waiting_for, since, until, etag_version, valid_from,
    lease_until, is_forwarded, is_mailed, is_fee_outstanding, valid_to
FROM clerk_queue
WHERE request_id = ANY(%(requests)s::uuid[])
    AND (valid_from > %(after)s AND valid_from <= %(until)s
        OR valid_to > %(after)s AND valid_to <= %(until)s)
"""


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One item as it stood, and what decides who may see it. Staff's work only."""

    item: QueueItem
    whereabouts: Whereabouts

    def is_for(self, scope: Scope, only: QueueFilter) -> bool:
        """Whether a queue with these filters has it: the rule of ClerkQueue's page."""
        return scope.includes(self.whereabouts) and only.includes(self.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChange:
    """What one entry did to the row of its request; None is no row."""

    position: int
    request_id: UUID
    before: QueueRow | None
    after: QueueRow | None


class QueueChangesQueries:
    """What can be asked of the queue's changes."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def between(
        self, requests: Iterable[UUID], *, after: int, until: int
    ) -> list[QueueChange]:
        """The changes above ``after`` up to ``until``, in order, of these requests.

        ``requests`` are those that entries between the two are of: no other's row
        can have changed there.
        """
        wanted = [str(request) for request in requests]
        if not wanted:
            return []
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _CHANGED, {"requests": wanted, "after": after, "until": until}
            )
            rows = [(_row(row), row[-1]) for row in cursor.fetchall()]
        before: dict[tuple[int, UUID], QueueRow] = {}
        begun: dict[tuple[int, UUID], QueueRow] = {}
        for row, valid_to in rows:
            if row.item.position > after:
                begun[row.item.position, row.item.request_id] = row
            if valid_to is not None and valid_to <= until:
                before[valid_to, row.item.request_id] = row
        return [
            QueueChange(
                position=position,
                request_id=request_id,
                before=before.get((position, request_id)),
                after=begun.get((position, request_id)),
            )
            for position, request_id in sorted(before.keys() | begun.keys())
        ]


def _row(row: tuple[Any, ...]) -> QueueRow:
    return QueueRow(
        # What is overdue is of the moment it is looked at, which a change has not.
        item=item_of(row, _LONG_AGO),
        whereabouts=Whereabouts(
            governorate=row[5],
            centre=row[4],
            agency=row[3],
            is_forwarded=row[16],
            is_mailed=row[17],
            is_fee_outstanding=row[18],
        ),
    )
