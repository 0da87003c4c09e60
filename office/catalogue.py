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
from office.errors import ConcurrencyError

TRIES = 20
"""Two seeding at once race for every version of a clerk: some twenty agencies."""


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
        """Give a clerk an agency; whether that was new.

        Raises ConcurrencyError when others keep changing the clerk.
        """
        for _ in range(TRIES):
            with translated():
                found = self._ledger.find(Clerk, Clerk.id_of(clerk))
                if found is None:
                    return False
                found.make_responsible(act, agency=agency)
                if not found.pending_events:
                    return False
                try:
                    self._ledger.append(found)
                except VersionConflictError:
                    continue
            return True
        raise ConcurrencyError
