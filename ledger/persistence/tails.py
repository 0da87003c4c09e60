"""What is stored of things above a known version, asked by many callers at once.

Callers of one process who arrive together share one statement, as their acts share one
commit (ledger/persistence/committer.py): who finds a lane free asks for all that wait,
and hands the lane on. A lone caller waits for nobody. Each statement begins after the
question was put, so nobody is told of a moment before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any
from uuid import UUID

from eventsourcing.persistence import PersistenceError, StoredEvent

from ledger.persistence.append import RecordedCommand
from ledger.persistence.datastore import PostgresDatastore

LANES = 2
"""Statements under way: one in the server while the next is written or read."""
MOST_LOOKS = 64
"""Looks of one statement: some 500 things, one millisecond in the server."""

_TAILS = """
SELECT thing, version, recorded_at, topic, body, position
FROM tails(%s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An aggregate, and which entry of it somebody has in memory: version 0 for none.

    ``recorded_at`` is that entry's.
    """

    id: UUID
    version: int = 0
    recorded_at: datetime | None = None


@dataclass(slots=True)
class Tail:
    """What is stored of one aggregate above what is known, oldest first.

    ``is_other``: the ledger has no such entry as the known one, so it was brought back
    from a backup, and the events are all there are. ``recorded_at`` and ``position``
    are of the last event.
    """

    events: list[StoredEvent]
    recorded_at: datetime | None = None
    position: int | None = None
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has seen: its command, if it is stored, and a tail a thing."""

    command: RecordedCommand | None
    tails: list[Tail]


class _Look:
    """One caller's question, and what became of it."""

    __slots__ = ("command_id", "error", "is_to_lead", "known", "seen", "wake")

    def __init__(self, known: Sequence[Known], command_id: UUID | None) -> None:
        self.known = known
        self.command_id = command_id
        self.seen: Seen | None = None
        self.error: PersistenceError | None = None
        self.is_to_lead = False
        # Held until there is news: a bare lock is the cheapest way to wake one thread.
        self.wake = Lock()
        self.wake.acquire()


class Tails:
    """Reads tails for all threads of a process."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._lock = Lock()
        self._waiting: deque[_Look] = deque()
        self._free = LANES

    def read(self, known: Sequence[Known], *, command_id: UUID | None = None) -> Seen:
        """What is stored now of the things and the command, in one snapshot.

        Raises the errors of ``eventsourcing.persistence``.
        """
        look = _Look(known, command_id)
        with self._lock:
            is_to_lead = self._free > 0
            if is_to_lead:
                self._free -= 1
            else:
                self._waiting.append(look)
        if not is_to_lead:
            look.wake.acquire()
        if is_to_lead or look.is_to_lead:
            self._lead(look)
        if look.error is not None:
            # An error of one's own: a raised one gathers its thread's frames.
            raise type(look.error)(*look.error.args) from look.error.__cause__
        if look.seen is None:
            raise PersistenceError("a look without an answer")
        return look.seen

    def _lead(self, own: _Look) -> None:
        """Ask for one's own and for all that wait, hand the lane on, and tell them.

        Who leads is not among those who wait: no other lane takes its look too.
        """
        looks = [own]
        with self._lock:
            while self._waiting and len(looks) < MOST_LOOKS:
                looks.append(self._waiting.popleft())
        try:
            for look, seen in zip(looks, self._asked(looks), strict=True):
                look.seen = seen
        except PersistenceError as error:
            for look in looks:
                look.error = error
        except BaseException:
            # Whoever is interrupted here leaves nobody waiting for ever.
            for look in looks:
                look.error = PersistenceError("the caller who asked was interrupted")
            raise
        finally:
            with self._lock:
                heir = self._waiting.popleft() if self._waiting else None
                if heir is None:
                    self._free += 1
            if heir is not None:
                heir.is_to_lead = True
                heir.wake.release()
            for look in looks[1:]:
                look.wake.release()

    def _asked(self, looks: Sequence[_Look]) -> list[Seen]:
        """What the ledger says to all of them, in one statement."""
        asked: dict[Known, Tail] = {
            known: Tail([]) for look in looks for known in look.known
        }
        commands: dict[UUID, RecordedCommand | None] = {
            look.command_id: None for look in looks if look.command_id is not None
        }
        if asked or commands:
            with self._datastore.autocommit() as cursor:
                cursor.execute(_TAILS, _arrays(list(commands), list(asked)))
                rows = cursor.fetchall()
            if rows:
                _take_in(rows, commands, asked)
        return [
            Seen(
                None if look.command_id is None else commands[look.command_id],
                [asked[known] for known in look.known],
            )
            for look in looks
        ]


def _arrays(commands: Sequence[UUID], asked: Sequence[Known]) -> tuple[str, ...]:
    """What the statement takes: text, because the driver would quote each element."""
    times = [
        "NULL" if each.recorded_at is None else f'"{each.recorded_at}"'
        for each in asked
    ]
    return (
        f"{{{','.join([str(each) for each in commands])}}}",
        f"{{{','.join([str(each.id) for each in asked])}}}",
        f"{{{','.join([str(each.version) for each in asked])}}}",
        f"{{{','.join(times)}}}",
    )


def _take_in(
    rows: Sequence[tuple[Any, ...]],
    commands: dict[UUID, RecordedCommand | None],
    asked: dict[Known, Tail],
) -> None:
    """Sort rows of the statement by what they tell of."""
    ids, things = list(commands), list(asked.items())
    for thing, version, recorded_at, topic, body, position in rows:
        if thing < 0:
            command_id = ids[-thing - 1]
            commands[command_id] = RecordedCommand(
                id=command_id,
                actor=topic,
                digest=bytes(body),
                first_position=version,
                last_position=position,
            )
            continue
        known, tail = things[thing - 1]
        if version == 0 and topic is None:
            tail.is_other = True
            continue
        tail.events.append(StoredEvent(known.id, version, topic, bytes(body)))
        tail.recorded_at, tail.position = recorded_at, position
