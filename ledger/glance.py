"""One act's look at the ledger: each thing is read once, all that is known in one go.

Inside a glance a thing stays as it was seen, whatever others append meanwhile: the
rules an act is judged by are those of one moment, and the append decides whether the
thing it changes is still at the version it was decided on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from uuid import UUID

from ledger.persistence.append import RecordedCommand
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.tails import Known, Tail, read_tails
from ledger.recent import Kept, MapEvent, Recent


@dataclass(slots=True)
class _Seen:
    """What one thread has read since its glance began; None for what is not there."""

    things: dict[UUID, Kept | None] = field(default_factory=dict)
    commands: dict[UUID, RecordedCommand | None] = field(default_factory=dict)


class _Threads(local):
    seen: _Seen | None = None


class Glances:
    """Reads things by their tails, through what was used lately. Threads share it."""

    def __init__(
        self, datastore: PostgresDatastore, mapped: MapEvent, recent: Recent
    ) -> None:
        self._datastore = datastore
        self._mapped = mapped
        self._recent = recent
        self._threads = _Threads()

    @contextmanager
    def open(
        self,
        things: Iterable[UUID],
        *,
        command_id: UUID | None = None,
        anew: bool = False,
    ) -> Iterator[None]:
        """One glance of this thread: at these things and this command, at once.

        Within another it joins that one, unless ``anew``: then what was seen so far
        counts no more.
        """
        outer = self._threads.seen
        if outer is not None and not anew:
            self._look(outer, things, command_id)
            yield
            return
        self._threads.seen = seen = _Seen()
        try:
            self._look(seen, things, command_id)
            yield
        finally:
            self._threads.seen = outer

    def look(self, things: Iterable[UUID]) -> None:
        """Take in what will be asked for next; outside a glance this does nothing."""
        seen = self._threads.seen
        if seen is not None:
            self._look(seen, things, None)

    def thing(self, thing_id: UUID, *, anew: bool = False) -> Kept | None:
        """A thing as this glance has it, or as the ledger has it now; None for none."""
        seen = self._threads.seen
        if seen is None or anew:
            seen = _Seen()
        if thing_id not in seen.things:
            self._look(seen, (thing_id,), None)
        return seen.things[thing_id]

    def pass_over(self) -> None:
        """Look anew from here on: this thread has appended, or tried to."""
        if self._threads.seen is not None:
            self._threads.seen = _Seen()

    def command(self, command_id: UUID) -> tuple[bool, RecordedCommand | None]:
        """Whether this glance has looked for a command, and what it saw."""
        seen = self._threads.seen
        if seen is None or command_id not in seen.commands:
            return False, None
        return True, seen.commands[command_id]

    def _look(
        self, seen: _Seen, things: Iterable[UUID], command_id: UUID | None
    ) -> None:
        asked = [each for each in dict.fromkeys(things) if each not in seen.things]
        if command_id in seen.commands:
            command_id = None
        if not asked and command_id is None:
            return
        kept = [self._recent.get(each) for each in asked]
        command, tails = self._read(asked, kept, command_id)
        if command_id is not None:
            seen.commands[command_id] = command
        if not all(map(_goes_on, kept, tails)):
            # The ledger was brought back from a backup: nothing in memory is of it.
            self._recent.forget()
            kept = [None] * len(asked)
            _, tails = self._read(asked, kept, None)
        for thing_id, known, tail in zip(asked, kept, tails, strict=True):
            seen.things[thing_id] = self._taken_in(thing_id, known, tail)

    def _read(
        self,
        asked: Sequence[UUID],
        kept: Sequence[Kept | None],
        command_id: UUID | None,
    ) -> tuple[RecordedCommand | None, list[Tail]]:
        known = [
            Known(id=thing_id, version=0 if each is None else each.version)
            for thing_id, each in zip(asked, kept, strict=True)
        ]
        return read_tails(self._datastore, known, command_id=command_id)

    def _taken_in(self, thing_id: UUID, known: Kept | None, tail: Tail) -> Kept | None:
        if known is None and not tail.events:
            return None
        if known is not None and not tail.events and not known.to_fold:
            return known
        made = Kept(
            id=thing_id,
            thing=None if known is None else known.thing,
            version=tail.events[-1].originator_version
            if tail.events
            else (0 if known is None else known.version),
            recorded_at=tail.last_at,
            position=tail.last_position,
            to_fold=(*(() if known is None else known.to_fold), *tail.events),
        ).folded(self._mapped)
        self._recent.keep(made)
        return made


def _goes_on(known: Kept | None, tail: Tail) -> bool:
    """Whether the ledger still has the very entry that is the last one in memory."""
    return known is None or known.recorded_at == tail.known_at
