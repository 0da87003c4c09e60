"""What each order does to those who read and write while something is in the way.

Writers append at an even pace and note when they were answered, a reader tails by the
order's own rule and notes when it saw what. Meanwhile one of three things happens, as
it happens in every installation sooner or later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from benchmarks.orders import Order, add
from domain.ids import new_id

WRITERS = 4
PAUSE_S = 0.01
"""Between two appends of a writer: some 300 a second of all, far below any limit."""
POLL_S = 0.002
SPELL_S = 2.0
"""How long the writers write."""
DRAIN_S = 8.0
"""How much longer the reader may take: above every wait that is in the way."""
BYSTANDER_S = 1.0
SLOW_S = 0.5
UNDONE_EVERY_S = 0.1

Disturb = Callable[[Order, dict[str, Any], threading.Event], None]


def fresh() -> UUID:
    """A new UUIDv7."""
    return new_id(datetime.now(UTC))


def bystander(order: Order, dsn: dict[str, Any], stop: threading.Event) -> None:
    """A report of somebody else's: it wrote a row of its own, and takes a second."""
    with closing(order.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS elsewhere (n integer)")
        stop.wait(SPELL_S / 4)
        connection.autocommit = False
        cursor.execute("INSERT INTO elsewhere VALUES (1)")
        time.sleep(BYSTANDER_S)
        connection.commit()


def slow_append(order: Order, dsn: dict[str, Any], stop: threading.Event) -> None:
    """An append whose commit comes half a second after it took its place."""
    with closing(order.connect(dsn)) as connection, connection.cursor() as cursor:
        stop.wait(SPELL_S / 4)
        connection.autocommit = False
        add(cursor, [fresh()], [fresh()])
        time.sleep(SLOW_S)
        connection.commit()


def undone_appends(order: Order, dsn: dict[str, Any], stop: threading.Event) -> None:
    """Ten times a second an append is undone after it took its place."""
    with closing(order.connect(dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = False
        while not stop.wait(UNDONE_EVERY_S):
            add(cursor, [fresh()], [fresh()])
            connection.rollback()


DISTURBANCES: dict[str, Disturb] = {
    f"another transaction stays open for {BYSTANDER_S:g} s": bystander,
    f"an append commits after {SLOW_S:g} s": slow_append,
    "ten appends a second are undone": undone_appends,
}


@dataclass
class Tail:
    """The reader: when it saw which aggregate, by the order's own rule."""

    order: Order
    seen_at: dict[str, float] = field(default_factory=dict)
    position: int = 0
    _xid: int = 0
    _gap_since: float | None = None

    def step(self, cursor: psycopg2.extensions.cursor) -> None:
        """One look; everything that may be passed is passed."""
        cursor.execute(
            self.order.read, {"xid": str(self._xid), "position": self.position}
        )
        now = time.perf_counter()
        for xid, position, aggregate_id in cursor.fetchall():
            if self._must_wait(position, now):
                return
            self._xid, self.position = xid, position
            self.seen_at[aggregate_id] = now

    def _must_wait(self, position: int, now: float) -> bool:
        """Whether a gap is before ``position`` that may still be filled."""
        patience_s = self.order.patience_s
        if patience_s is None or position == self.position + 1:
            self._gap_since = None
            return False
        if self._gap_since is None:
            self._gap_since = now
        if now - self._gap_since < patience_s:
            return True
        self._gap_since = None
        return False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of one spell: how long readers and writers were held up, in ms.

    ``lost``: events that were committed and that the reader will never see.
    """

    reader_ms: float
    writer_ms: float
    lost: int


class Spell:
    """Writers, a reader and one disturbance, for ``SPELL_S``."""

    def __init__(self, order: Order, dsn: dict[str, Any]) -> None:
        self._order = order
        self._dsn = dsn
        self._stop = threading.Event()
        self._is_read = threading.Event()
        self._answered_at: dict[str, float] = {}
        self._took_s: list[float] = []
        self._errors: list[BaseException] = []
        self._tail = Tail(order)

    def _write(self) -> None:
        with self._cursor() as cursor:
            while not self._stop.is_set():
                aggregate_id, began = fresh(), time.perf_counter()
                add(cursor, [aggregate_id], [fresh()])
                now = time.perf_counter()
                self._answered_at[str(aggregate_id)] = now
                self._took_s.append(now - began)
                time.sleep(PAUSE_S)

    def _read(self) -> None:
        with self._cursor() as cursor:
            while not self._is_read.is_set():
                self._tail.step(cursor)
                time.sleep(POLL_S)

    @contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        with (
            closing(self._order.connect(self._dsn)) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def _guarded(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- raised in ``run``
                self._errors.append(error)

        return threading.Thread(target=run, daemon=True)

    def run(self, disturb: Disturb) -> Seen:
        """The spell; raises what any thread raised."""
        reader = self._guarded(self._read)
        others = [self._guarded(self._write) for _ in range(WRITERS)]
        others.append(
            self._guarded(lambda: disturb(self._order, self._dsn, self._stop))
        )
        for thread in (reader, *others):
            thread.start()
        time.sleep(SPELL_S)
        self._stop.set()
        for thread in others:
            thread.join()
        stored = self._stored()
        deadline = time.perf_counter() + DRAIN_S
        while time.perf_counter() < deadline and self._tail.position < max(stored):
            time.sleep(POLL_S)
        self._is_read.set()
        reader.join()
        for error in self._errors:
            raise error
        return self._seen(stored)

    def _seen(self, stored: dict[int, str]) -> Seen:
        assert self._tail.position >= max(stored), "the reader never came to the end"
        lags = [
            seen - self._answered_at[each]
            for each, seen in list(self._tail.seen_at.items())
            if each in self._answered_at
        ]
        return Seen(
            reader_ms=max(lags) * 1_000,
            writer_ms=max(self._took_s) * 1_000,
            lost=len(set(stored.values()) - self._tail.seen_at.keys()),
        )

    def _stored(self) -> dict[int, str]:
        with self._cursor() as cursor:
            cursor.execute("SELECT position, aggregate_id::text FROM events")
            return dict(cursor.fetchall())
