"""What is stored of several aggregates from a version on, and of a command, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ledger.persistence.append import RecordedCommand
from ledger.persistence.datastore import PostgresDatastore

_TAILS = """
SELECT thing, version, recorded_at, topic, body, first_position, last_position
FROM tails(%s, %s, %s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An aggregate and the version somebody has in memory: 0 for nothing."""

    id: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What is stored of one aggregate above the known version.

    ``known_at`` is when the entry at the known version was recorded, None when there
    is no such entry; ``last_at`` and ``last_position`` are of the newest entry seen.
    """

    events: list[StoredEvent]
    known_at: datetime | None
    last_at: datetime | None
    last_position: int | None


def read_tails(
    datastore: PostgresDatastore,
    known: Sequence[Known],
    *,
    command_id: UUID | None = None,
) -> tuple[RecordedCommand | None, list[Tail]]:
    """The command, if it is stored, and one tail an aggregate, in order.

    One statement, and so one snapshot of the ledger.
    """
    ids = ",".join([str(each.id) for each in known])
    versions = ",".join([str(each.version) for each in known])
    command = None
    tails: list[list[StoredEvent]] = [[] for _ in known]
    known_at: list[datetime | None] = [None] * len(known)
    last: list[tuple[datetime | None, int | None]] = [(None, None)] * len(known)
    with datastore.autocommit() as cursor:
        cursor.execute(
            _TAILS,
            (
                None if command_id is None else str(command_id),
                # Of hexadecimal digits, hyphens and numbers there is nothing to quote.
                f"{{{ids}}}",
                f"{{{versions}}}",
            ),
        )
        rows = cursor.fetchall()
    for thing, version, recorded_at, topic, body, first, position in rows:
        if thing == 0 and command_id is not None:
            command = RecordedCommand(
                id=command_id,
                actor=topic,
                digest=bytes(body),
                first_position=first,
                last_position=position,
            )
            continue
        asked = known[thing - 1]
        last[thing - 1] = (recorded_at, position)
        if version == asked.version:
            known_at[thing - 1] = recorded_at
        else:
            tails[thing - 1].append(StoredEvent(asked.id, version, topic, bytes(body)))
    return command, [
        Tail(events=events, known_at=at, last_at=last_at, last_position=position)
        for events, at, (last_at, position) in zip(tails, known_at, last, strict=True)
    ]
