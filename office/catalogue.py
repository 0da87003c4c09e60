"""What the administrator publishes: agencies, services, calendars, places, people.

Each is one act on one aggregate whose id follows from its code, so that doing it
twice does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.clerks import Clerk
from ledger.book import Ledger
from ledger.persistence.append import VersionConflictError
from office.acts import translated


class CatalogueDesk:
    """Publishes what requests rest on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def publish_once(
        self,
        kind: type[OfficeAggregate],
        thing_id: UUID,
        make: Callable[[], OfficeAggregate],
    ) -> bool:
        """Store the thing ``make`` makes unless there is one; whether it was new."""
        with translated():
            if self._ledger.find(kind, thing_id) is not None:
                return False
            try:
                self._ledger.append(make())
            except VersionConflictError:
                return False
        return True

    def make_responsible(self, act: Act, *, clerk: str, agency: str) -> bool:
        """Give a clerk an agency; whether that was new."""
        with translated():
            found = self._ledger.find(Clerk, Clerk.id_of(clerk))
            if found is None:
                return False
            found.make_responsible(act, agency=agency)
            if not found.pending_events:
                return False
            self._ledger.append(found)
        return True
