"""Claim: our events are read and decoded as fast as the library reads its own.

The same events stand in both stores of one run, on one embedded server: in the ledger
as the office stores them, with nested facts, ids, times and closed sets that are all
checked when read; and in the library's own PostgreSQL module as plain events of its
own, made easy for it: the same values in as many fields, flat, as texts and numbers
that its mapper takes as they are, with the library's time. Ours is ``events`` of the
ledger's reader; the rival's is ``select_notifications`` and its mapper, a thousand at a
time as well. Rounds alternate; the bar is on the medians.

And a reader over many events holds no more memory than one over a hundred thousand:
processes of their own read the same ledger up to one position and up to another, and
tell the most they ever had resident.

``python -m benchmarks.store_read [EVENTS]`` takes another number for the second than a
million. Ten million need some 12 GB for a moment.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import (
    DatetimeAsISO,
    InfrastructureFactory,
    JSONTranscoder,
    Mapper,
)
from eventsourcing.utils import Environment, register_topic

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.rebuild_memory import fill
from benchmarks.writers import rival_dsn
from ledger.bodies import read_body
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

EVENTS = 1_000_000
"""What the larger reader reads, unless another number is given."""
FEW = 100_000
"""What the smaller reader reads, and what both stores have for the speed."""
ROUNDS = 7
"""Odd, so that the median is a measured round."""
A_TIME = 1_000
"""Notifications the rival is asked for at once: as many as our reader fetches."""
WRITTEN_A_TIME = 200
"""At a thousand the driver's pipeline was seen to stand still for ever."""
AT_LEAST = 1.0
MOST_MEMORY = 1.1

Read = Callable[[], int]
"""Reads and decodes all of a store; how many there were."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round: seconds on the clock, and of this process's processor."""

    wall_s: float
    cpu_s: float


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a body with a name for each: of objects within, and of lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}_{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, inner in enumerate(value):
            yield from flat(inner, f"{name}_{number}")
    else:
        yield name, value


class PlainEvents:
    """The library's own module, with a plain class of event for each of our topics."""

    def __init__(self, dsn: dict[str, Any]) -> None:
        names = ("dbname", "host", "port", "user", "password")
        self._factory = InfrastructureFactory.construct(
            Environment(
                "Rival",
                {
                    "PERSISTENCE_MODULE": "eventsourcing.postgres",
                    **{f"POSTGRES_{name.upper()}": str(dsn[name]) for name in names},
                },
            )
        )
        self._recorder = self._factory.application_recorder()
        transcoder = JSONTranscoder()
        transcoder.register(DatetimeAsISO())
        self._mapper: Mapper[UUID] = Mapper(transcoder)
        self._classes: dict[str, type[DomainEvent]] = {}

    def _class_of(self, topic: str) -> type[DomainEvent]:
        if topic not in self._classes:
            # Ours has the topic itself in this process.
            plain = f"plain.{topic}"
            made = type("Plain", (DomainEvent,), {"TOPIC": plain})
            register_topic(plain, made)
            self._classes[topic] = made
        return self._classes[topic]

    def fill(self, reader: LedgerReader, until: int) -> None:
        """Store what the ledger has up to a position, event for event."""
        pending = []
        for entry in reader.stream(until=until):
            facts = dict(flat(read_body(entry.body)))
            del facts["effective_at"]
            event = object.__new__(self._class_of(entry.topic))
            vars(event).update(
                facts,
                originator_id=entry.aggregate_id,
                originator_version=entry.version,
                timestamp=entry.recorded_at,
            )
            pending.append(self._mapper.to_stored_event(event))
            if len(pending) == WRITTEN_A_TIME:
                self._recorder.insert_events(pending)
                pending = []
        self._recorder.insert_events(pending)

    def read(self) -> int:
        """All events, decoded by the library's mapper."""
        decoded = self._mapper.to_domain_event
        count = last = 0
        while notifications := self._recorder.select_notifications(
            start=last, limit=A_TIME, inclusive_of_start=False
        ):
            for notification in notifications:
                decoded(notification)
            count += len(notifications)
            last = notifications[-1].id
        return count

    def close(self) -> None:
        """Close the connections."""
        self._factory.close()


@contextmanager
def reading(settings: LedgerSettings) -> Iterator[LedgerReader]:
    """A reader of the ledger, as its followers have one."""
    store = PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
    try:
        yield LedgerReader(store)
    finally:
        store.close()


def measured(read: Read, events: int) -> Measured:
    """One round over all events."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    count = read()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    assert count == events, f"{count} events were read, not {events}"
    return Measured(wall_s=wall_s, cpu_s=cpu_s)


def speeds(settings: LedgerSettings, events: int) -> list[Line]:
    """Events a second, ours and the rival's, on the clock and of the processor."""
    with reading(settings) as reader:
        rival = PlainEvents(rival_dsn(settings))
        rival.fill(reader, events)
        rounds = [
            (
                measured(lambda: sum(1 for _ in reader.events(until=events)), events),
                measured(rival.read, events),
            )
            # The first makes connections and decoders, and is not counted.
            for _ in range(ROUNDS + 1)
        ][1:]
        rival.close()
    ours = [one for one, _ in rounds]
    theirs = [one for _, one in rounds]
    return [
        Line(
            name="read and decoded, events/s",
            ours=events / statistics.median(one.wall_s for one in ours),
            rival=events / statistics.median(one.wall_s for one in theirs),
            at_least=AT_LEAST,
        ),
        Line(
            name="the same by the reader's own processor time",
            ours=events / statistics.median(one.cpu_s for one in ours),
            rival=events / statistics.median(one.cpu_s for one in theirs),
        ),
    ]


def _read_up_to(settings: LedgerSettings, until: int, answer: Connection) -> None:
    """The body of a process that is measured: its peak in kB."""
    with reading(settings) as reader:
        count = sum(1 for _ in reader.events(until=until))
    answer.send((count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def peak_mb(settings: LedgerSettings, until: int) -> float:
    """The most memory that a reader of so many events has resident, in MB."""
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=_read_up_to, args=(settings, until, theirs))
    process.start()
    theirs.close()
    count, peak_kb = mine.recv()
    process.join()
    assert count == until, f"{count} events were read, not {until}"
    return float(peak_kb) / 1024


def main() -> None:
    """Measure, print and keep; fails where a bar is missed."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    few = min(FEW, events)
    with installation() as settings:
        head = fill(settings, events)
        lines = speeds(settings, few)
        lines.append(
            Line(
                name=f"most memory of a reader of {head:,} over one of {few:,}, MB",
                ours=peak_mb(settings, head),
                rival=peak_mb(settings, few),
                at_most=MOST_MEMORY,
            )
        )
    keep(
        "store-read",
        title="Reading and decoding events",
        about=[
            f"{few:,} events in either store; medians of {ROUNDS} rounds in turn.",
            "The rival: eventsourcing's own PostgreSQL module, plain flat events.",
        ],
        header=("what", "Sijil", "rival"),
        lines=lines,
        is_trial=events < EVENTS,
    )


if __name__ == "__main__":
    main()
