"""What a view folds: an entry with its body read once for all views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.bodies import parse_body
from ledger.entries import Entry


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry and its body as plain values."""

    entry: Entry
    body: dict[str, Any]

    @property
    def position(self) -> int:
        """Where the entry stands."""
        return self.entry.position

    @property
    def topic(self) -> str:
        """The event's type, as ``sijil.request.stamped.v1``."""
        return self.entry.topic

    @property
    def key(self) -> str:
        """The aggregate's id as text."""
        return str(self.entry.aggregate_id)

    @property
    def data(self) -> dict[str, Any]:
        """The event's own facts."""
        facts: dict[str, Any] = self.body["data"]
        return facts

    @property
    def effective_at(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromisoformat(self.body["effective_at"])


def fact_of(entry: Entry) -> Fact | None:
    """The fact of an entry; None for one that is not Sijil's own."""
    if not entry.topic.startswith("sijil."):
        return None
    return Fact(entry, parse_body(entry.body))
