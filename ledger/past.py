"""What a thing was: its events in memory, and what each version of it left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from domain.aggregates import OfficeAggregate

MOST_VERSIONS = 64
"""Versions of one thing that stay folded: a day's backdated acts ask for a few."""


class Past:
    """The events of one thing, and what it was after each. Threads may share it."""

    def __init__(self, events: Sequence[OfficeAggregate.Event]) -> None:
        self.events = tuple(events)
        self._after: dict[int, object] = {}

    def last_by(self, effective_at: datetime) -> int:
        """The highest version that was effective at or before a time; 0 for none."""
        return max(
            (e.originator_version for e in self.events if e.timestamp <= effective_at),
            default=0,
        )

    def after(self, version: int) -> object:
        """What the events up to a version make; MUST not be changed."""
        found = self._after.get(version)
        if found is None:
            for event in self.events:
                if event.originator_version <= version:
                    found = event.mutate(found)
            if len(self._after) >= MOST_VERSIONS:
                # Made anew, not emptied: another thread may be reading the old one.
                self._after = {}
            self._after[version] = found
        return found
