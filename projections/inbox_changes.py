"""What changed in the agencies' inboxes between two positions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from domain.access import Whereabouts
from ledger.persistence.datastore import PostgresDatastore
from projections.agency_inbox import ITEM, InboxItem, inbox_item
from projections.changes import (
    CHANGED,
    LONG_AGO,
    FoundRow,
    PlacedRow,
    RowChange,
    changes_of,
    rows_changed,
)

_CHANGED = f"SELECT valid_to, {ITEM} FROM agency_inbox WHERE {CHANGED}"

InboxChange = RowChange[InboxItem]


class InboxChangesQueries:
    """What can be asked of the inboxes' changes."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def between(
        self, requests: Iterable[UUID], *, after: int, until: int
    ) -> list[InboxChange]:
        """The changes above ``after`` up to ``until``, in order, of these requests.

        ``requests`` are those that entries between the two are of.
        """
        rows = rows_changed(
            self._datastore, _CHANGED, requests, after=after, until=until
        )
        return changes_of(map(_found, rows), after=after, until=until)


def _found(row: tuple[Any, ...]) -> FoundRow[InboxItem]:
    item = inbox_item(row[1:], LONG_AGO)
    return FoundRow(
        request_id=item.request_id,
        began=item.position,
        ended=row[0],
        row=PlacedRow(
            item=item,
            whereabouts=Whereabouts(
                governorate=item.governorate,
                centre=item.centre,
                agency=item.agency,
                is_forwarded=True,
                is_mailed=False,
                is_fee_outstanding=False,
            ),
        ),
    )
