"""A window on the ledger for many acts in a row: things stay in memory, acts wait.

It stands where the ledger stands for one act at a time, so the same use cases run on
it. What it shows is the ledger and what waits to be appended, in that order; what
others wrote meanwhile is forgotten and read anew. The append itself decides, as ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import StoredEvent, Tracking

from domain.aggregates import OfficeAggregate
from ledger.book import Ledger
from ledger.past import Past
from ledger.persistence.append import (
    ActToAppend,
    Appended,
    Command,
    Outcome,
    RecordedCommand,
)
from ledger.reader import Head

A = TypeVar("A", bound=OfficeAggregate)

MOST_KEPT = 20_000
"""Things that stay in memory: some 60 MB of requests."""
MOST_HISTORIES = 2_000
"""Things whose past stays in memory: services, calendars, what rules rest on."""
MOST_CAUGHT_UP = 5_000
"""Entries of others that are looked at; after more, all is forgotten and read anew."""

_COMMANDS = """
SELECT id::text, actor, digest, first_position, last_position
FROM commands WHERE id = ANY(%s::uuid[])
"""
_EVENTS = """
SELECT aggregate_id::text, version, topic, body FROM events
WHERE aggregate_id = ANY(%s::uuid[]) ORDER BY aggregate_id, version
"""
_LAST_LINES = """
SELECT aggregate_id::text, max((said ->> 'line')::bigint) FROM (
    SELECT aggregate_id, convert_from(body, 'UTF8')::jsonb -> 'provenance' AS said
    FROM events WHERE aggregate_id = ANY(%s::uuid[])
) e
WHERE said ->> 'source' = %s GROUP BY aggregate_id
"""
_WRITTEN = """
SELECT position, aggregate_id::text FROM events
WHERE position > %s AND position <= %s
"""
_RECORDED_AT = "SELECT recorded_at FROM events WHERE position = %s"


class LedgerWindow:
    """Reads as the ledger does, through what waits. One thread's own.

    ``append`` only takes in; ``take`` gives what waits to whoever appends it, and
    ``settle`` is told when that is done.
    """

    def __init__(self, ledger: Ledger, *, most_kept: int | None = None) -> None:
        self._ledger = ledger
        self._most_kept = most_kept or MOST_KEPT
        self._kept: OrderedDict[UUID, OfficeAggregate] = OrderedDict()
        self._absent: set[UUID] = set()
        self._histories: dict[UUID, Past] = {}
        self._commands: dict[UUID, RecordedCommand | None] = {}
        self._waiting: list[ActToAppend] = []
        self._unsettled: dict[UUID, list[StoredEvent]] = {}
        # What was given out since something was taken in: maybe changed, and refused.
        self._given: set[UUID] = set()
        self._head = ledger.reader.head()

    # As the ledger --------------------------------------------------------------

    def glance(
        self,
        *things: UUID,  # noqa: ARG002 -- the ledger's signature
        command_id: UUID | None = None,  # noqa: ARG002
        anew: bool = False,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Nothing: ``look_ahead`` is this window's look, for many acts at once."""
        return nullcontext()

    def look(self, *things: UUID) -> None:
        """Nothing, as ``glance``."""

    def peek(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """A thing if it is in memory. Nothing is read."""
        kept = self._kept.get(aggregate_id)
        return kept if isinstance(kept, kind) else None

    def find(
        self,
        kind: type[A],
        aggregate_id: UUID,
        *,
        effective_at: datetime | None = None,
        version: int | None = None,
    ) -> A | None:
        """As ``Ledger.find``. A thing as it was MUST not be changed."""
        if effective_at is not None or version is not None:
            history = self._history(aggregate_id)
            if version is None and effective_at is not None:
                version = history.last_by(effective_at)
            past = history.after(version or 0)
            is_it = isinstance(past, kind) and past.version == version
            return past if is_it and isinstance(past, kind) else None
        if aggregate_id not in self._kept and aggregate_id not in self._absent:
            self._load([aggregate_id])
        found = self._kept.get(aggregate_id)
        if found is not None:
            self._kept.move_to_end(aggregate_id)
            self._given.add(aggregate_id)
        return found if isinstance(found, kind) else None

    def find_command(
        self,
        command_id: UUID,
        *,
        anew: bool = False,  # noqa: ARG002 -- as seen: the append decides
    ) -> RecordedCommand | None:
        """As ``Ledger.find_command``, asked of all commands of the window at once."""
        if command_id not in self._commands:
            self._ask([command_id])
        return self._commands[command_id]

    def find_commands(self, commands: Collection[UUID]) -> dict[UUID, RecordedCommand]:
        """What the ledger remembers of commands, in one statement."""
        found = self._stored_commands(commands)
        self._commands.update(found)
        return found

    def last_lines(self, things: Collection[UUID], source: str) -> dict[UUID, int]:
        """The last line of a source that is in the history of each of the things."""
        with self._ledger.datastore.autocommit() as cursor:
            cursor.execute(_LAST_LINES, ([str(each) for each in things], source))
            return {UUID(each): line for each, line in cursor.fetchall()}

    def history(self, aggregate_id: UUID) -> Iterable[OfficeAggregate.Event]:
        """As ``Ledger.history``."""
        return self._events_of([aggregate_id]).get(aggregate_id, [])

    def outcome_of(self, last: int | None, aggregate_id: UUID) -> tuple[UUID, int]:  # noqa: ARG002 -- the ledger's signature
        """Which thing, and no ETag: in a window nobody has a page to send back."""
        return aggregate_id, 0

    def append(
        self,
        *aggregates: OfficeAggregate,
        command: Command | None = None,
        tracking: Tracking | None = None,
    ) -> Appended:
        """Take in one act. It has no positions before it is appended."""
        mapped = self._ledger.mapper.to_stored_event
        events = []
        for thing in aggregates:
            # Where one has no place in the ledger, the thing was moved all the same.
            self._kept.pop(thing.id, None)
            stored = [mapped(event) for event in thing.collect_events()]
            self._unsettled.setdefault(thing.id, []).extend(stored)
            self._histories.pop(thing.id, None)
            self._keep(thing.id, thing)
            events += stored
        self._given.clear()
        self._waiting.append(
            ActToAppend(events=events, command=command, tracking=tracking)
        )
        return Appended(
            outcome=Outcome.APPENDED,
            first_position=None,
            last_position=None,
            recorded_at=None,
        )

    # The window -----------------------------------------------------------------

    def look_ahead(
        self, commands: Collection[UUID], things: Iterable[tuple[UUID, UUID]]
    ) -> None:
        """Read what the next acts will ask for, in two statements at most.

        ``things`` are acts' commands, each with the thing it is on. What is repeated
        asks for no thing.
        """
        self._commands = {}
        self._absent.clear()
        if commands:
            self._ask(list(commands))
        missing = {
            thing: None
            for command, thing in things
            if thing not in self._kept and self._commands.get(command) is None
        }
        if missing:
            self._load(list(missing))

    def take(self) -> list[ActToAppend]:
        """What waits, in order; it waits no longer."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def waiting(self) -> int:
        """How many acts wait."""
        return len(self._waiting)

    def drop_decided(self) -> None:
        """Forget what was moved in memory by an act that was then refused."""
        for each in self._given:
            kept = self._kept.get(each)
            if kept is not None and kept.pending_events:
                del self._kept[each]
        self._given.clear()

    def catch_up(self) -> None:
        """Forget what others have written since the last look. Nothing may wait.

        All is forgotten where the ledger is another one, or an earlier one.
        """
        before, head = self._head, self._ledger.reader.head()
        written = head.position - before.position
        if not self._goes_on(before, head) or written > MOST_CAUGHT_UP:
            self.forget()
        elif written:
            self._forget_written(before.position, head.position, set())
            self._absent.clear()
        self._head = head

    def _goes_on(self, before: Head, head: Head) -> bool:
        """Whether the ledger has what it had: no two entries share a recorded time."""
        if (before.ledger_id, before.incarnation) != (head.ledger_id, head.incarnation):
            return False
        if before.position == 0 or before == head:
            return True
        with self._ledger.datastore.autocommit() as cursor:
            cursor.execute(_RECORDED_AT, (before.position,))
            return cursor.fetchone() == (before.recorded_at,)

    def settle(self, acts: Iterable[ActToAppend], appended: Sequence[Appended]) -> None:
        """Take in what became of acts: then the ledger has them, or nobody has."""
        for act in acts:
            for event in act.events:
                rest = self._unsettled.get(cast("UUID", event.originator_id))
                if rest is not None and event in rest:
                    rest.remove(event)
                    if not rest:
                        del self._unsettled[cast("UUID", event.originator_id)]
        own: set[int] = set()
        head = self._head
        for each in appended:
            if each.outcome is Outcome.APPENDED and each.first_position is not None:
                last = each.last_position or 0
                own.update(range(each.first_position, last + 1))
                if last > head.position:
                    head = replace(head, position=last, recorded_at=each.recorded_at)
        if not own:
            head = self._ledger.reader.head()
        if head.position - self._head.position > len(own):
            self._forget_written(self._head.position, head.position, own)
        self._head = head

    def forget(self) -> None:
        """Forget everything that is not stored: what was decided on it goes with it."""
        self._waiting = []
        self._unsettled = {}
        self._kept.clear()
        self._absent.clear()
        self._given.clear()
        self._histories.clear()
        self._commands = {}

    def _forget_written(self, after: int, until: int, own: set[int]) -> None:
        """Forget what others have written above a position, up to another."""
        with self._ledger.datastore.autocommit() as cursor:
            cursor.execute(_WRITTEN, (after, until))
            for position, aggregate_id in cursor.fetchall():
                if position not in own:
                    self._kept.pop(UUID(aggregate_id), None)
                    self._histories.pop(UUID(aggregate_id), None)

    # Reading --------------------------------------------------------------------

    def _keep(self, aggregate_id: UUID, thing: OfficeAggregate) -> None:
        self._kept[aggregate_id] = thing
        self._absent.discard(aggregate_id)
        self._kept.move_to_end(aggregate_id)
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)

    def _ask(self, commands: list[UUID]) -> None:
        self._commands.update(dict.fromkeys(commands))
        self._commands.update(self._stored_commands(commands))

    def _stored_commands(
        self, commands: Collection[UUID]
    ) -> dict[UUID, RecordedCommand]:
        with self._ledger.datastore.autocommit() as cursor:
            cursor.execute(_COMMANDS, ([str(each) for each in commands],))
            return {
                UUID(command_id): RecordedCommand(
                    id=UUID(command_id),
                    actor=actor,
                    digest=bytes(digest),
                    first_position=first,
                    last_position=last,
                )
                for command_id, actor, digest, first, last in cursor.fetchall()
            }

    def _load(self, things: list[UUID]) -> None:
        found = self._events_of(things)
        for aggregate_id in things:
            made: OfficeAggregate | None = None
            for event in found.get(aggregate_id, ()):
                made = event.mutate(made)
            if made is None:
                self._absent.add(aggregate_id)
            else:
                self._keep(aggregate_id, made)

    def _history(self, aggregate_id: UUID) -> Past:
        if aggregate_id not in self._histories:
            if len(self._histories) >= MOST_HISTORIES:
                self._histories.clear()
            found = self._events_of([aggregate_id]).get(aggregate_id, [])
            self._histories[aggregate_id] = Past(found)
        return self._histories[aggregate_id]

    def _events_of(self, things: list[UUID]) -> dict[UUID, list[OfficeAggregate.Event]]:
        """The stored events of things, and then those that are on their way."""
        with self._ledger.datastore.autocommit() as cursor:
            cursor.execute(_EVENTS, ([str(each) for each in things],))
            rows = cursor.fetchall()
        stored: dict[UUID, list[StoredEvent]] = {}
        for aggregate_id, version, topic, body in rows:
            stored.setdefault(UUID(aggregate_id), []).append(
                StoredEvent(UUID(aggregate_id), version, topic, bytes(body))
            )
        for each in things:
            if each in self._unsettled:
                known = stored.setdefault(each, [])
                last = known[-1].originator_version if known else 0
                known += [
                    event
                    for event in self._unsettled[each]
                    if event.originator_version > last
                ]
        mapped = self._ledger.mapper.to_domain_event
        return {
            aggregate_id: [
                event
                for event in map(mapped, events)
                if isinstance(event, OfficeAggregate.Event)
            ]
            for aggregate_id, events in stored.items()
        }
