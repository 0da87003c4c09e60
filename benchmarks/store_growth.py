"""Claim: ten million events slow no append, and readers take no more memory.

Two ledgers on one embedded server: one empty, one with ten million events (some 10 GB
for a while; see ``benchmarks.many_events``). Acts of one event from 32 writers by the
product's own path, in turn at the empty and at the full one. Then a process of its own
each: a reader that streams, and one that follows, over the first hundred thousand
entries and over all. At last what every index takes and which read it serves: an index
that no read or rule needs fails the run.

``python -m benchmarks.store_growth [EVENTS]`` takes a smaller number.
"""

from __future__ import annotations

import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

import psycopg2

from benchmarks.append import installation
from benchmarks.bars import Line, keep, table, written
from benchmarks.many_events import fill
from benchmarks.writers import OurStore, a_round
from ledger.book import Ledger
from ledger.migrations import migrate
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

EVENTS = 10_000_000
FEW = 100_000
WRITERS = 32
ROUNDS = 7
"""Odd, so that the median is a measured round."""
ROUND_S = 3.0
WARM_S = 1.0
LEAST_RATE = 0.9
MOST_MEMORY = 1.1

SERVES = {
    "events_pkey": "entries by position: streams, views, relay, as of a time, proofs",
    "events_aggregate_id_version_key": (
        "the events of an aggregate; whether a version is taken"
    ),
    "commands_pkey": "what became of a command; whether it is a repeat",
    "tracking_pkey": "how far a stream is followed (a row a stream)",
    "ledger_head_pkey": "one head (a row)",
}
"""Every index of the ledger, and what cannot do without it."""
_MUST_BE_SCANNED = ("events_pkey", "events_aggregate_id_version_key", "commands_pkey")
_INDEXES = """
SELECT s.indexrelname, s.relname, s.idx_scan, pg_relation_size(s.indexrelid)
FROM pg_stat_user_indexes s
WHERE s.schemaname = 'sijil' AND s.relname = ANY(%s)
ORDER BY 4 DESC
"""
_TABLES = ("events", "commands", "tracking", "ledger_head")


def another(settings: LedgerSettings) -> LedgerSettings:
    """A second ledger on the same server, migrated."""
    full = settings.model_copy(
        update={
            "database_name": f"{settings.database_name}_full",
            "vault_database_name": f"{settings.vault_database_name}_full",
        }
    )
    migrate(full)
    return full


def rates(empty: LedgerSettings, full: LedgerSettings) -> Line:
    """Appends a second at the full ledger beside the empty one, rounds in turn."""
    measured: dict[str, list[float]] = {"empty": [], "full": []}
    with closing(OurStore(empty)) as small, closing(OurStore(full)) as large:
        sides = {"empty": small, "full": large}
        for store in sides.values():
            a_round(store, threads=WRITERS, round_s=WARM_S)
        for number in range(ROUNDS):
            # Each is first in its turn: what one round leaves to write is the other's.
            turn = list(sides.items())
            for name, store in turn if number % 2 else reversed(turn):
                one = a_round(store, threads=WRITERS, round_s=ROUND_S)
                measured[name].append(one.rate)
    return Line(
        name=f"appends a second, {WRITERS} writers",
        ours=statistics.median(measured["full"]),
        rival=statistics.median(measured["empty"]),
        at_least=LEAST_RATE,
    )


def streamed(reader: LedgerReader, until: int) -> int:
    """How many entries a stream up to ``until`` has."""
    return sum(1 for _ in reader.stream(until=until))


def followed(reader: LedgerReader, until: int) -> int:
    """How many entries a follower has seen when it has passed ``until``."""
    count, stop = 0, Event()
    for batch in reader.follow(after=0, stop=stop):
        count += len(batch)
        if batch[-1].position >= until:
            stop.set()
    return count


Read = Callable[[LedgerReader, int], int]
READS: tuple[Read, ...] = (streamed, followed)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one reader saw, at its most resident megabytes, in how long."""

    entries: int
    peak_mb: float
    took_s: float


def _read(settings: LedgerSettings, read: Read, until: int, answer: Connection) -> None:
    """The body of a process that reads."""
    with closing(Ledger(settings)) as ledger:
        began = time.perf_counter()
        entries = read(ledger.reader, until)
        took_s = time.perf_counter() - began
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert peak is not None
    answer.send(Reading(entries=entries, peak_mb=int(peak[1]) / 1_024, took_s=took_s))


def reading(settings: LedgerSettings, read: Read, until: int) -> Reading:
    """One reader in a process of its own; it must have seen all that it was to see."""
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=_read, args=(settings, read, until, theirs))
    process.start()
    theirs.close()
    seen: Reading = mine.recv()
    process.join()
    assert seen.entries >= until, f"{seen.entries} of {until} seen"
    return seen


def memories(settings: LedgerSettings, events: int) -> Iterator[Line]:
    """Each way of reading over a few entries and over all; both ways side by side."""
    with ThreadPoolExecutor(len(READS)) as pool:
        for read, few, many in zip(
            READS,
            pool.map(lambda read: reading(settings, read, FEW), READS),
            pool.map(lambda read: reading(settings, read, events), READS),
            strict=True,
        ):
            yield Line(
                name=f"MB at most, {read.__name__}",
                ours=many.peak_mb,
                rival=few.peak_mb,
                at_most=MOST_MEMORY,
            )


def use_every_read(settings: LedgerSettings) -> None:
    """Each kind of read once, so that the server counts the indexes it took."""
    with closing(Ledger(settings)) as ledger:
        reader, recorder = ledger.reader, ledger.process_recorder
        last = reader.head().position
        entry = reader.entry(last // 2)
        assert entry is not None
        assert reader.entries(after=last // 2, limit=10)
        assert reader.aggregate(entry.aggregate_id)
        assert recorder.select_events(entry.aggregate_id)
        assert reader.position_at(entry.recorded_at) == entry.position
        assert recorder.find_command(entry.aggregate_id) is None


def indexes(settings: LedgerSettings) -> list[list[str]]:
    """A row an index. Raises AssertionError for one that serves nothing."""
    use_every_read(settings)
    dsn = {**settings.admin_dsn(), "dbname": settings.database_name}
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, pg_relation_size('sijil.events'), "
            "pg_relation_size('sijil.commands') FROM sijil.ledger_head"
        )
        events, heap, commands = cursor.fetchone() or (0, 0, 0)
        cursor.execute(_INDEXES, (list(_TABLES),))
        rows = cursor.fetchall()
    found = {name: scans for name, _, scans, _ in rows}
    assert found.keys() == SERVES.keys(), "an index that serves nothing, or none there"
    assert all(found[name] for name in _MUST_BE_SCANNED), "an index that is not used"
    sizes = [("the table events", heap, ""), ("the table commands", commands, "")]
    sizes += [(name, size, SERVES[name]) for name, _, _, size in rows]
    return [
        [name, written(size / 2**20), written(size / events), serves]
        for name, size, serves in sizes
    ]


def main() -> None:
    """Fill, measure, print and keep the result."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    assert events > FEW, f"more than {FEW} events are wanted"
    with installation() as settings:
        full = another(settings)
        began = time.perf_counter()
        fill(full, events)
        filled_s = time.perf_counter() - began
        rate = rates(settings, full)
        memory = list(memories(full, events))
        sizes = indexes(full)
    keep(
        "store-growth",
        title=f"A ledger of {events:,} events beside an empty one",
        about=(
            f"Filled by SQL in {filled_s:,.0f} s;",
            f"medians of {ROUNDS} rounds of {ROUND_S:g} s, in turn.",
            f"A reader's memory is its process's peak, over all entries and {FEW:,}.",
        ),
        header=("figure", f"{events:,} events", "empty, or few"),
        lines=[rate, *memory],
        is_trial=events < EVENTS,
        more=table(("table or index", "MB", "bytes an event", "what needs it"), sizes),
    )


if __name__ == "__main__":
    main()
