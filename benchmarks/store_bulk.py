"""Claim: a history is appended at 0.4 times the rate of a bare COPY of its rows.

Ours begins with domain events, as the rules leave them: each is written as its
canonical body, goes into an act of its own under a command with actor and digest, and
is appended in large batches by the product's own path: checks, dense positions, three
keys, the commands beside the events. One batch is written while the one before is
appended, as ``office/bulk.py`` does. The rival has the very same rows of the events'
table with their bodies made already, writes them as COPY takes them, and brings as many
a call by the same driver: no checks, no commands, no order among writers.

The bar is on the rival in COPY's usual format, into a table of the same columns without
any key. Beside it stand the same with the keys of the events, and both in the binary
format, the fastest that PostgreSQL takes rows in. Rounds alternate; medians.

``python -m benchmarks.store_bulk [LIVES]`` takes another number of lives.
"""

from __future__ import annotations

import gc
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extensions
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import StoredEvent

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.bulk import EVENTS_A_LIFE, many
from benchmarks.writers import rival_dsn
from domain.ids import new_id
from ledger.bodies import parse_body
from ledger.book import Ledger
from ledger.persistence.append import ActToAppend, Appended, Command, Outcome
from office.bulk import BulkDesk
from office.house import House, migrate
from office.seeding import seed

ROUNDS = 5
"""Odd, so that the median is a measured round."""
LIVES = 5_000
"""Of eight events each, in a round; the whole takes some two minutes."""
TEMPLATES = 50
"""Lives that are decided by the rules; the others are theirs under other ids."""
AT_ONCE = 400
"""Requests whose events stand between each other's, as in an import by time."""
BATCH = 5_000
"""Events a call, on both sides."""
AT_LEAST = 0.4
ACTOR = "import:store-bulk"

_TABLE = """
CREATE TABLE {name} (
    position bigint, recorded_at timestamptz, aggregate_id uuid, version integer,
    topic text, body bytea
);
ALTER TABLE {name} ALTER COLUMN body SET STORAGE EXTERNAL
"""
_KEYS = (
    "ALTER TABLE {name} ADD PRIMARY KEY (position), ADD UNIQUE (aggregate_id, version)"
)
_CHUNK_BYTES = 1 << 20
"""As our own path sends; the driver's 8 kB would slow the rival down."""
_SERVERS_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

DomainEvent = DomainEventProtocol[UUID]
Row = tuple[int, datetime, UUID, int, str, bytes]


@dataclass(frozen=True, kw_only=True)
class Template:
    """A life as it is stored, with the ids that another life has others for."""

    thing: str
    events: Sequence[tuple[str, str, bytes]]
    """Of each event its command's id, topic and body."""


def templates(house: House) -> list[Template]:
    """Lives that went through the rules."""
    list(BulkDesk(house).run(many("templates", TEMPLATES)))
    lives: dict[UUID, list[tuple[str, str, bytes]]] = {}
    for entry in house.ledger.reader.stream():
        if entry.topic.startswith("sijil.request."):
            command_id = parse_body(entry.body)["command_id"]
            lives.setdefault(entry.aggregate_id, []).append(
                (command_id, entry.topic, entry.body)
            )
    return [
        Template(thing=str(thing), events=events) for thing, events in lives.items()
    ]


def another_life(ledger: Ledger, template: Template) -> list[DomainEvent]:
    """The same life of another request, under other commands."""
    thing = new_id(datetime.now(UTC))
    made = []
    for version, (command_id, topic, body) in enumerate(template.events, start=1):
        body_ = body.replace(command_id.encode(), str(new_id(_now())).encode())
        body_ = body_.replace(template.thing.encode(), str(thing).encode())
        event = ledger.mapper.to_domain_event(StoredEvent(thing, version, topic, body_))
        made.append(event)
    return made


def _now() -> datetime:
    return datetime.now(UTC)


def history(ledger: Ledger, known: Sequence[Template], lives: int) -> list[DomainEvent]:
    """Fresh lives, many side by side."""
    events: list[DomainEvent] = []
    for first in range(0, lives, AT_ONCE):
        side_by_side = [
            another_life(ledger, known[number % len(known)])
            for number in range(first, min(first + AT_ONCE, lives))
        ]
        events += [event for step in zip(*side_by_side, strict=True) for event in step]
    return events


def _parts(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(things), BATCH):
        yield things[first : first + BATCH]


def ours(ledger: Ledger, events: Sequence[DomainEvent]) -> float:
    """Events a second, from domain events to outcomes of durable acts."""
    digest = b"\x07" * 32
    mapped = ledger.mapper.to_stored_event
    flying: Future[list[Appended]] | None = None
    told: list[Appended] = []
    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=1) as worker:
        for part in _parts(events):
            acts = [
                ActToAppend(
                    events=(mapped(event),),
                    command=Command(
                        id=event.act.command_id,  # type: ignore[attr-defined]
                        actor=ACTOR,
                        digest=digest,
                    ),
                )
                for event in part
            ]
            append = ledger.process_recorder.prepare(acts)
            if flying is not None:
                told += flying.result()
            flying = worker.submit(append)
        if flying is not None:
            told += flying.result()
    took_s = time.perf_counter() - began
    assert len(told) == len(events)
    assert all(each.outcome is Outcome.APPENDED for each in told)
    return len(events) / took_s


def as_text(rows: Sequence[Row]) -> bytes:
    """Rows in COPY's usual format."""
    return "\n".join(
        [
            f"{position}\t{at}\t{thing.hex}\t{version}\t{topic}\t\\\\x{body.hex()}"
            for position, at, thing, version, topic, body in rows
        ]
    ).encode()


_FIXED = struct.Struct(">hiqiqi16siii").pack
_SIZE = struct.Struct(">i").pack
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)


def as_binary(rows: Sequence[Row]) -> bytes:
    """Rows in the binary format."""
    microsecond = timedelta(microseconds=1)
    parts = [_SIGNATURE]
    for position, at, thing, version, topic, body in rows:
        at_us = (at - _SERVERS_EPOCH) // microsecond
        name = topic.encode()
        parts += (
            _FIXED(6, 8, position, 8, at_us, 16, thing.bytes, 4, version, len(name)),
            name,
            _SIZE(len(body)),
            body,
        )
    parts.append(_TRAILER)
    return b"".join(parts)


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One way of bare COPY."""

    name: str
    table: str
    has_keys: bool
    is_binary: bool
    at_least: float | None = None

    @property
    def statement(self) -> str:
        """What brings its rows."""
        options = " (FORMAT binary)" if self.is_binary else ""
        return f"COPY {self.table} FROM STDIN{options}"

    def make(self, cursor: psycopg2.extensions.cursor) -> None:
        """Its table."""
        cursor.execute(_TABLE.format(name=self.table))
        if self.has_keys:
            cursor.execute(_KEYS.format(name=self.table))

    def measured(
        self, cursor: psycopg2.extensions.cursor, rows: Sequence[Row]
    ) -> float:
        """Rows a second."""
        write: Callable[[Sequence[Row]], bytes] = (
            as_binary if self.is_binary else as_text
        )
        began = time.perf_counter()
        for part in _parts(rows):
            cursor.copy_expert(self.statement, BytesIO(write(part)), _CHUNK_BYTES)
        took_s = time.perf_counter() - began
        cursor.execute(f"SELECT count(*) FROM {self.table}")
        assert cursor.fetchone() == (len(rows),)
        cursor.execute(f"TRUNCATE {self.table}")
        return len(rows) / took_s


RIVALS = (
    Rival(
        name="no keys, text",
        table="bare",
        has_keys=False,
        is_binary=False,
        at_least=AT_LEAST,
    ),
    Rival(name="the events' keys, text", table="keyed", has_keys=True, is_binary=False),
    Rival(name="no keys, binary", table="bare_too", has_keys=False, is_binary=True),
    Rival(
        name="the events' keys, binary",
        table="keyed_too",
        has_keys=True,
        is_binary=True,
    ),
)


def measure(house: House, rival: dict[str, Any], lives: int) -> list[Line]:
    """All rounds: ours, and each way of the rival with the same rows."""
    known = templates(house)
    ledger = house.ledger
    mine: list[float] = []
    theirs: dict[str, list[float]] = {each.name: [] for each in RIVALS}
    with (
        closing(psycopg2.connect(**rival)) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        for each in RIVALS:
            each.make(cursor)
        ours(ledger, history(ledger, known, AT_ONCE))
        for _ in range(ROUNDS):
            events = history(ledger, known, lives)
            # Collections that walk over what waits here are no part of either side.
            gc.freeze()
            mine.append(ours(ledger, events))
            rows = _rows(ledger, events)
            gc.freeze()
            for each in RIVALS:
                theirs[each.name].append(each.measured(cursor, rows))
    return [
        Line(
            name=each.name,
            ours=statistics.median(mine),
            rival=statistics.median(theirs[each.name]),
            at_least=each.at_least,
        )
        for each in RIVALS
    ]


def _rows(ledger: Ledger, events: Sequence[DomainEvent]) -> list[Row]:
    """What the ledger has of the events now: the newest rows of it."""
    until = ledger.reader.head().position
    return [
        (e.position, e.recorded_at, e.aggregate_id, e.version, e.topic, e.body)
        for e in ledger.reader.stream(after=until - len(events))
    ]


def main() -> None:
    """Measure, print and keep the result."""
    lives = int(sys.argv[1]) if len(sys.argv) > 1 else LIVES
    with installation() as settings:
        migrate(settings)
        with House(settings) as house:
            seed(house.catalogue)
            lines = measure(house, rival_dsn(settings), lives)
    keep(
        "store-bulk",
        title="A history in batches, and a bare COPY of the same rows",
        about=(
            f"{lives:,} lives of {EVENTS_A_LIFE} events, one act an event, {BATCH:,} a",
            "call; ours with canonical bodies, checks, positions and commands, from",
            f"domain events on. Medians of {ROUNDS} rounds, in turn.",
        ),
        header=("bare COPY into", "Sijil, events/s", "COPY, rows/s"),
        lines=lines,
        is_trial=lives < LIVES,
    )


if __name__ == "__main__":
    main()
