"""The one reader that everything follows the ledger with, by position."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import InterfaceError, OperationalError

from ledger.bundles import BareRow, bundled
from ledger.decoding import decoder_of
from ledger.entries import Entry
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.ids import uuid_of
from ledger.persistence.subscription import FALLBACK_POLL_S, listen, unlisten
from ledger.streaming import ENTRY, EVENT, Selection, batches

BATCH_SIZE = 1_000
"""Entries a follower gets at once: enough to fold set-wise, some 600 kB."""
RETRY_S = 0.5
"""How long a follower waits before it asks a server that is away again."""

_COLUMNS = "position, recorded_at, aggregate_id::text, version, topic, body"
_ENTRY = f"SELECT {_COLUMNS} FROM events WHERE position = %s"
_AT = f"SELECT {_COLUMNS} FROM events WHERE position = ANY(%s)"
_RANGE = f"""
SELECT {_COLUMNS} FROM events
WHERE position > %s AND position <= %s ORDER BY position LIMIT %s
"""
_RANGE_OF_TOPICS = f"""
SELECT {_COLUMNS} FROM events
WHERE position > %s AND position <= %s AND topic = ANY(%s)
ORDER BY position LIMIT %s
"""
_AGGREGATE = f"""
SELECT {_COLUMNS} FROM events
WHERE aggregate_id = %s::uuid AND version <= %s ORDER BY version
"""
_AGGREGATES = """
SELECT DISTINCT aggregate_id::text FROM events
WHERE position > %s AND position <= %s AND starts_with(topic, %s)
"""
# Recorded time rises strictly with position, so this is a search by bisection.
_TIME_OF = "SELECT recorded_at FROM events WHERE position = %s"
_COUNT = """
SELECT count(*) FROM events AS e
WHERE position > %(after)s AND topic = ANY(%(topics)s) AND NOT (
    topic = ANY(%(once)s) AND EXISTS (
        SELECT FROM events AS before
        WHERE before.aggregate_id = e.aggregate_id AND before.version < e.version
            AND before.topic = ANY(%(once)s)
    )
)
"""
_OF_THINGS = """
SELECT aggregate_id::text, version, topic, position FROM events
WHERE aggregate_id = ANY(%s::uuid[]) AND topic = ANY(%s) AND position <= %s
ORDER BY aggregate_id, version
"""
_NO_ID = UUID(int=0)
_LAST = 2**63 - 1
_LAST_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a ledger stands. Position 0 is the empty ledger.

    ``is_suspended``: it came back from a backup and waits for its operator.
    """

    ledger_id: UUID
    incarnation: int
    position: int
    recorded_at: datetime | None
    is_suspended: bool


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(
        position=row[0],
        recorded_at=row[1],
        aggregate_id=uuid_of(row[2]),
        version=row[3],
        topic=row[4],
        body=bytes(row[5]),
    )


class LedgerReader:
    """Reads entries. What it has shown up to *n* never grows at or below *n*."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def head(self) -> Head:
        """The ledger's identity and its newest position."""
        with self._datastore.autocommit() as cursor:
            # PostgreSQL's -infinity has no datetime; an empty ledger has no time.
            cursor.execute(
                "SELECT ledger_id::text, incarnation, position, "
                "nullif(recorded_at, '-infinity'), is_suspended FROM ledger_head"
            )
            row = cursor.fetchone()
        if row is None:
            raise OperationalError("the ledger has no head")
        return Head(
            ledger_id=UUID(row[0]),
            incarnation=row[1],
            position=row[2],
            recorded_at=row[3],
            is_suspended=row[4],
        )

    def entry(self, position: int) -> Entry | None:
        """The entry at a position, or None."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_ENTRY, (position,))
            row = cursor.fetchone()
        return None if row is None else _entry(row)

    def at_positions(self, positions: Sequence[int]) -> dict[int, Entry]:
        """The entries at these positions, as far as there are any, by position."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_AT, (list(positions),))
            return {row[0]: _entry(row) for row in cursor.fetchall()}

    def entries(
        self,
        *,
        after: int,
        limit: int,
        until: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[Entry]:
        """At most ``limit`` entries above ``after``, up to ``until``, in order."""
        last = _LAST if until is None else until
        with self._datastore.autocommit() as cursor:
            if topics:
                cursor.execute(_RANGE_OF_TOPICS, (after, last, list(topics), limit))
            else:
                cursor.execute(_RANGE, (after, last, limit))
            return [_entry(row) for row in cursor.fetchall()]

    def rows(
        self, *, after: int, limit: int, until: int, topics: Sequence[str] = ()
    ) -> list[BareRow]:
        """As ``entries``, but bare, for those who read millions: nothing is wrapped."""
        with self._datastore.autocommit() as cursor:
            return bundled(cursor, after=after, until=until, limit=limit, topics=topics)

    def rows_at(self, positions: Sequence[int]) -> dict[int, BareRow]:
        """As ``at_positions``, but bare."""
        if not positions:
            return {}
        with self._datastore.autocommit() as cursor:
            rows = bundled(
                cursor,
                after=min(positions) - 1,
                until=max(positions),
                limit=len(positions),
                positions=positions,
            )
        return {row[0]: row for row in rows}

    def stream(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        topics: Sequence[str] = (),
        aggregate_id: UUID | None = None,
    ) -> Iterator[Entry]:
        """Entries above ``after`` in order, as one snapshot, in constant memory.

        All, or those of some topics, or of one aggregate, up to ``until`` or to what is
        the newest when it begins.
        """
        selection = Selection(
            after=after, until=until, topics=topics, aggregate_id=aggregate_id
        )
        for rows in batches(self._datastore, selection, ENTRY):
            yield from map(_entry, rows)

    def events(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        topics: Sequence[str] = (),
        aggregate_id: UUID | None = None,
    ) -> Iterator[tuple[int, DomainEventProtocol[UUID]]]:
        """As ``stream``, but the domain events, each with its position.

        Raises MapperDeserialisationError and TopicError where an entry is none of ours.
        """
        selection = Selection(
            after=after, until=until, topics=topics, aggregate_id=aggregate_id
        )
        for rows in batches(self._datastore, selection, EVENT):
            last, originator_id = "", _NO_ID
            for position, thing, version, topic, body in rows:
                # The events of one act stand side by side.
                if thing != last:
                    last, originator_id = thing, uuid_of(thing)
                yield position, decoder_of(topic)(originator_id, version, body)

    def aggregate(self, aggregate_id: UUID, *, lte: int | None = None) -> list[Entry]:
        """The entries of one aggregate, up to a version, in order."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _AGGREGATE, (str(aggregate_id), _LAST_VERSION if lte is None else lte)
            )
            return [_entry(row) for row in cursor.fetchall()]

    def aggregates(self, *, after: int, until: int, prefix: str) -> set[UUID]:
        """The aggregates with an entry between two positions, of topics that begin so.

        What has changed there, without reading what.
        """
        with self._datastore.autocommit() as cursor:
            cursor.execute(_AGGREGATES, (after, until, prefix))
            return {UUID(row[0]) for row in cursor.fetchall()}

    def kinds(
        self, things: Sequence[str], *, topics: Sequence[str], until: int
    ) -> list[tuple[str, int, str, int]]:
        """What happened to some aggregates up to a position, of some topics only.

        Aggregate id, version, topic and position, by aggregate and version.
        """
        with self._datastore.autocommit() as cursor:
            cursor.execute(_OF_THINGS, (list(things), list(topics), until))
            return cursor.fetchall()

    def count(
        self, *, after: int, topics: Sequence[str], once: Sequence[str] = ()
    ) -> int:
        """How many entries of some topics stand above a position.

        Of those ``once``, an aggregate's first alone counts, wherever it stands.
        """
        asked = {"after": after, "topics": list(topics), "once": list(once)}
        with self._datastore.autocommit() as cursor:
            cursor.execute(_COUNT, asked)
            (number,) = cursor.fetchone() or (0,)
        return int(number)

    def position_at(self, time_: datetime) -> int:
        """The highest position recorded at or before a time; 0 when there is none.

        A time after the newest entry is clamped to it.
        """
        low, high = 0, self.head().position
        with self._datastore.autocommit() as cursor:
            while low < high:
                middle = (low + high + 1) // 2
                cursor.execute(_TIME_OF, (middle,))
                row = cursor.fetchone()
                if row is not None and row[0] <= time_:
                    low = middle
                else:
                    high = middle - 1
        return low

    def follow(
        self,
        *,
        after: int,
        stop: Event,
        batch_size: int = BATCH_SIZE,
        poll_s: float = FALLBACK_POLL_S,
    ) -> Iterator[list[Entry]]:
        """Batches of entries above ``after``, in order, until ``stop`` is set.

        Wakes by NOTIFY and falls back on a poll; waits out a server that is away. A
        batch is never empty.
        """
        wake = Event()
        listen(self._datastore, wake=wake, poll_s=poll_s)
        try:
            while not stop.is_set():
                wake.clear()
                for batch in self._rest(after, stop, batch_size):
                    after = batch[-1].position
                    yield batch
                _wait(wake, stop, math.inf)
        finally:
            unlisten(self._datastore, wake=wake)

    def _rest(self, after: int, stop: Event, batch_size: int) -> Iterator[list[Entry]]:
        """Batches of what is there above ``after``, until nothing is."""
        while not stop.is_set():
            try:
                batch = self.entries(after=after, limit=batch_size)
            except (OperationalError, InterfaceError):
                stop.wait(RETRY_S)
                continue
            if batch:
                after = batch[-1].position
                yield batch
            if len(batch) < batch_size:
                return

    def pulses(self, *, stop: Event, poll_s: float = FALLBACK_POLL_S) -> Iterator[None]:
        """A pulse at once, whenever there are new entries, and every ``poll_s``.

        Until ``stop`` is set. An append during the work between two pulses brings the
        next one at once.
        """
        wake = Event()
        listen(self._datastore, wake=wake, poll_s=poll_s)
        try:
            while not stop.is_set():
                wake.clear()
                yield
                _wait(wake, stop, poll_s)
        finally:
            unlisten(self._datastore, wake=wake)


def _wait(wake: Event, stop: Event, timeout_s: float) -> None:
    """Until woken, stopped or timed out; ``stop`` is looked at five times a second."""
    deadline = time.monotonic() + timeout_s
    while not stop.is_set() and time.monotonic() < deadline:
        if wake.wait(0.2):
            return
