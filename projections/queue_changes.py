"""What changed in the queue between two positions: each item before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from domain.access import Whereabouts
from ledger.persistence.datastore import PostgresDatastore
from projections.changes import (
    CHANGED,
    LONG_AGO,
    FoundRow,
    PlacedRow,
    RowChange,
    changes_of,
    rows_changed,
)
from projections.queue_items import QueueItem, item_of

_CHANGED = f"""
SELECT
    request_id::text, tracking_number, service, agency, centre, governorate, stage,
    clerk, token, next_act, waiting_for, since, until, etag_version, valid_from,
    lease_until, is_forwarded, is_mailed, is_fee_outstanding, valid_to
FROM clerk_queue WHERE {CHANGED}
"""

QueueRow = PlacedRow[QueueItem]
QueueChange = RowChange[QueueItem]


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
        rows = rows_changed(
            self._datastore, _CHANGED, requests, after=after, until=until
        )
        return changes_of(map(_found, rows), after=after, until=until)


def _found(row: tuple[Any, ...]) -> FoundRow[QueueItem]:
    item = item_of(row, LONG_AGO)
    whereabouts = Whereabouts(
        governorate=row[5],
        centre=row[4],
        agency=row[3],
        is_forwarded=row[16],
        is_mailed=row[17],
        is_fee_outstanding=row[18],
    )
    return FoundRow(
        request_id=item.request_id,
        began=item.position,
        ended=row[-1],
        row=PlacedRow(item=item, whereabouts=whereabouts),
    )
