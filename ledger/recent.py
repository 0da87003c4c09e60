"""Things lately used: in memory as they were at a version, never older than said.

What is kept was folded from stored bytes, or from the very bytes that were appended,
and is never handed out: whoever decides gets a twin and may spoil it. Whoever uses what
is kept asks the ledger for what lies above its version (ledger/persistence/tails.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import TypeVar
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import StoredEvent

from domain.aggregates import OfficeAggregate
from ledger.past import Past

A = TypeVar("A", bound=OfficeAggregate)

MOST_PASTS = 2_000
"""Things whose past stays in memory: services, calendars, what rules rest on."""

MapEvent = Callable[[StoredEvent], DomainEventProtocol[UUID]]


def twin(thing: A) -> A:
    """The same thing again, to be decided on: nothing done to it touches the other.

    Every attribute of an aggregate is a value that cannot change (a test holds them
    to that), so the attributes need no copies; only the list of pending events does.
    """
    made = object.__new__(type(thing))
    made.__dict__.update(thing.__dict__)
    made.__dict__["_pending_events"] = []
    return made


def fold(
    thing: OfficeAggregate | None,
    events: Iterable[StoredEvent],
    mapped: MapEvent,
) -> OfficeAggregate | None:
    """What stored events make of a thing, which itself stays as it is."""
    made = None if thing is None else twin(thing)
    for event in map(mapped, events):
        # Another application's aggregates may lie in the ledger too; no act finds one.
        if isinstance(event, OfficeAggregate.Event):
            made = event.mutate(made)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One thing as the ledger has it at a version.

    ``recorded_at`` is of the entry at that version: no two entries share it, so a
    ledger in which it differs, or has no such entry, was brought back from a backup.
    ``to_fold`` are events that ``thing`` has not seen yet, up to that version.
    """

    id: UUID
    thing: OfficeAggregate | None
    version: int
    recorded_at: datetime | None
    position: int | None
    to_fold: tuple[StoredEvent, ...] = ()

    def folded(self, mapped: MapEvent) -> Kept:
        """The same, with nothing left to fold."""
        if not self.to_fold:
            return self
        return Kept(
            id=self.id,
            thing=fold(self.thing, self.to_fold, mapped),
            version=self.version,
            recorded_at=self.recorded_at,
            position=self.position,
        )


class Recent:
    """The things used last, at most so many. Threads share it; 0 keeps nothing.

    Keys are the ids' integers, whose hash is not computed in Python: so each step on a
    dictionary is whole, and looking things up needs no lock.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_pasts = min(most, MOST_PASTS)
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._pasts: OrderedDict[int, tuple[datetime | None, Past]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many things are kept."""
        return len(self._kept)

    def get(self, thing_id: UUID) -> Kept | None:
        """What is kept of a thing, or None."""
        kept = self._kept.get(thing_id.int)
        if kept is not None:
            # Another thread may have pushed it out just now.
            with suppress(KeyError):
                self._kept.move_to_end(thing_id.int)
        return kept

    def keep(self, kept: Kept) -> None:
        """Keep a thing, unless a later version of it is kept already."""
        if not self._most:
            return
        with self._lock:
            known = self._kept.get(kept.id.int)
            if known is None or known.version <= kept.version:
                self._kept[kept.id.int] = kept
            self._kept.move_to_end(kept.id.int)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def follow(
        self,
        events: Sequence[StoredEvent],
        *,
        recorded_at: datetime | None,
        position: int | None,
    ) -> None:
        """Take in what was appended to one thing, if what came before it is kept.

        The events are folded when the thing is used next, from their stored bytes.
        """
        thing_id, first = events[0].originator_id, events[0].originator_version
        if not isinstance(thing_id, UUID):
            return
        known = self.get(thing_id)
        if known is None and first != 1:
            return
        if known is not None and known.version != first - 1:
            return
        self.keep(
            Kept(
                id=thing_id,
                thing=None if known is None else known.thing,
                version=events[-1].originator_version,
                recorded_at=recorded_at,
                position=position,
                to_fold=(*(() if known is None else known.to_fold), *events),
            )
        )

    def past_of(self, kept: Kept) -> Past | None:
        """The past of a thing as it is kept, or None when it has to be read."""
        with self._lock:
            found = self._pasts.get(kept.id.int)
            if found is None or found[0] != kept.recorded_at:
                return None
            self._pasts.move_to_end(kept.id.int)
            return found[1]

    def keep_past(self, kept: Kept, past: Past) -> None:
        """Keep a thing's past until the version it is kept at."""
        if not self._most_pasts:
            return
        with self._lock:
            self._pasts[kept.id.int] = (kept.recorded_at, past)
            self._pasts.move_to_end(kept.id.int)
            if len(self._pasts) > self._most_pasts:
                self._pasts.popitem(last=False)

    def forget(self) -> None:
        """Forget everything: the ledger is not the one it was."""
        with self._lock:
            self._kept.clear()
            self._pasts.clear()
