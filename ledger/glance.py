"""One act's look at the ledger: each thing is read once, all that is known in one go.

Inside a glance a thing stays as it was seen, whatever others append meanwhile: the
rules an act is judged by are those of one moment, and the append decides whether the
thing it changes is still at the version it was decided on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from uuid import UUID

from ledger.persistence.append import RecordedCommand
from ledger.persistence.tails import Known, Tail, Tails
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

    def __init__(self, tails: Tails, mapped: MapEvent, recent: Recent) -> None:
        self._tails = tails
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
        known = [
            Known(id=thing_id)
            if each is None
            else Known(id=thing_id, version=each.version, recorded_at=each.recorded_at)
            for thing_id, each in zip(asked, kept, strict=True)
        ]
        told = self._tails.read(known, command_id=command_id)
        if command_id is not None:
            seen.commands[command_id] = told.command
        if any(tail.is_other for tail in told.tails):
            # Brought back from a backup: nothing in memory is of this ledger.
            self._recent.forget()
        for thing_id, each, tail in zip(asked, kept, told.tails, strict=True):
            seen.things[thing_id] = self._taken_in(thing_id, each, tail)

    def _taken_in(self, thing_id: UUID, kept: Kept | None, tail: Tail) -> Kept | None:
        """A thing with what is new of it, folded and kept in memory."""
        if tail.is_other:
            kept = None
        if not tail.events:
            if kept is None or not kept.to_fold:
                return kept
            made = kept.folded(self._mapped)
        else:
            made = Kept(
                id=thing_id,
                thing=None if kept is None else kept.thing,
                version=tail.events[-1].originator_version,
                recorded_at=tail.recorded_at,
                position=tail.position,
                to_fold=(*(() if kept is None else kept.to_fold), *tail.events),
            ).folded(self._mapped)
        self._recent.keep(made)
        return made
