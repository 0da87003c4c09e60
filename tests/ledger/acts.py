"""Acts for the store itself: any events, any commands."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from ledger.persistence.append import ActToAppend, Appended, Command, Outcome


def event(aggregate: UUID, version: int, **changes: Any) -> StoredEvent:
    facts = {"topic": "sijil.test.happened.v1", "state": b"{}", **changes}
    return StoredEvent(aggregate, version, **facts)


def command(**changes: Any) -> Command:
    facts: dict[str, Any] = {"id": uuid4(), "actor": "clerk:1", "digest": b"\x01" * 32}
    return Command(**{**facts, **changes})


def act(*events: StoredEvent, **more: Any) -> ActToAppend:
    return ActToAppend(events=events, command=more.pop("command", command()), **more)


def outcomes(appended: list[Appended]) -> list[Outcome]:
    return [each.outcome for each in appended]
