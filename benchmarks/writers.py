"""Many writers of one event each, at one store: who writes, for how long, how fast.

Three stores are written to alike: the ledger by the product's own path, the library's
own PostgreSQL module as shipped, and a bare table. The bodies are stored bytes on every
side: nobody's mapper is measured here. Aggregates and commands are fresh UUIDv7.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, Self
from uuid import UUID

import psycopg2
from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment

from domain.ids import new_id
from ledger.book import Ledger
from ledger.persistence.append import Command
from ledger.settings import LedgerSettings

TOPIC = "sijil.request.informed.v1"
BODY = b"{" + b'"x":"' + b"0" * 590 + b'"}'
"""598 bytes, as an average entry."""
RIVAL_DATABASE = "rival"
JOIN_TIMEOUT_S = 60.0
"""Far above any append: a writer that is still at it then is stuck."""

Append = Callable[[UUID], int]
"""Stores one event of a new aggregate, durably; gives its position."""


class Store(Protocol):
    """What a round of writers needs of a store."""

    def writer(self) -> AbstractContextManager[Append]:
        """How one writer appends."""

    def close(self) -> None:
        """Let go of all connections."""


class OurStore:
    """The ledger, by the path that the office's single acts take."""

    def __init__(self, settings: LedgerSettings) -> None:
        self._ledger = Ledger(settings)
        self._recorder = self._ledger.process_recorder

    def append(self, aggregate_id: UUID) -> int:
        """One act: one event under a command with its actor and digest."""
        event = StoredEvent(
            originator_id=aggregate_id, originator_version=1, topic=TOPIC, state=BODY
        )
        command = Command(
            id=new_id(datetime.now(UTC)),
            actor="clerk/clk-DI-1",
            digest=aggregate_id.bytes * 2,
        )
        positions = self._recorder.insert_events([event], command=command)
        assert positions is not None
        (position,) = positions
        return position

    def writer(self) -> AbstractContextManager[Append]:
        """All writers share the process's ledger, as its threads do."""
        return nullcontext(self.append)

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()


class LibraryStore:
    """``eventsourcing.postgres`` as shipped: nothing set but where the database is.

    One of several processes makes the tables; they fail when all do so at once.
    """

    def __init__(self, dsn: dict[str, Any], *, makes_tables: bool = True) -> None:
        names = ("dbname", "host", "port", "user", "password")
        factory = InfrastructureFactory.construct(
            Environment(
                "Rival",
                {
                    "PERSISTENCE_MODULE": "eventsourcing.postgres",
                    "CREATE_TABLE": "yes" if makes_tables else "no",
                    **{f"POSTGRES_{name.upper()}": str(dsn[name]) for name in names},
                },
            )
        )
        self._factory = factory
        self._recorder = factory.application_recorder()

    def append(self, aggregate_id: UUID) -> int:
        """One event; the module knows no commands."""
        event = StoredEvent(
            originator_id=aggregate_id, originator_version=1, topic=TOPIC, state=BODY
        )
        ids = self._recorder.insert_events([event])
        assert ids is not None
        (position,) = ids
        return position

    def writer(self) -> AbstractContextManager[Append]:
        """All writers share the recorder and its pool."""
        return nullcontext(self.append)

    def close(self) -> None:
        """Close the pool."""
        self._factory.close()


_BARE_TABLE = """
CREATE TABLE IF NOT EXISTS bare_events (
    position bigserial PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    aggregate_id uuid NOT NULL,
    version integer NOT NULL,
    topic text NOT NULL,
    body bytea NOT NULL,
    UNIQUE (aggregate_id, version)
)
"""
_BARE_INSERT = """
INSERT INTO bare_events (aggregate_id, version, topic, body)
VALUES (%s::uuid, 1, %s, %s) RETURNING position
"""


class BareStore:
    """psycopg2, INSERT and COMMIT: no order among writers, no commands, no checks."""

    def __init__(self, dsn: dict[str, Any]) -> None:
        self._dsn = dsn
        with (
            closing(psycopg2.connect(**dsn)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(_BARE_TABLE)

    @contextmanager
    def writer(self) -> Iterator[Append]:
        """Each writer has a connection of its own."""
        with closing(psycopg2.connect(**self._dsn)) as connection:

            def append(aggregate_id: UUID) -> int:
                with connection.cursor() as cursor:
                    cursor.execute(_BARE_INSERT, (str(aggregate_id), TOPIC, BODY))
                    row = cursor.fetchone()
                connection.commit()
                assert row is not None
                return int(row[0])

            yield append

    def close(self) -> None:
        """Writers have closed their own."""


def rival_dsn(settings: LedgerSettings) -> dict[str, Any]:
    """A database of the rivals' own on the same server, made when it is missing."""
    admin = settings.admin_dsn()
    with closing(psycopg2.connect(**admin)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM pg_database WHERE datname = %s", (RIVAL_DATABASE,)
            )
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {RIVAL_DATABASE}")
    return {**admin, "dbname": RIVAL_DATABASE}


Acknowledged = list[tuple[UUID, int]]
"""Aggregates whose first event was acknowledged, and at which position."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What writers did together: everything that was acknowledged, in ``took_s``.

    ``before``: what was acknowledged while the store was warming up.
    """

    acknowledged: Acknowledged
    took_s: float
    before: Acknowledged = field(default_factory=list)

    @property
    def all_told(self) -> Acknowledged:
        """Everything acknowledged, while warming up too."""
        return [*self.before, *self.acknowledged]

    @property
    def rate(self) -> float:
        """Appends a second."""
        return len(self.acknowledged) / self.took_s


class Writers:
    """Threads that start together, work as told and hand over what they were told.

    The first error of any of them is raised in the end: a round with one is void.
    """

    def __init__(self, store: Store, threads: int) -> None:
        self._store = store
        self._lists: list[Acknowledged] = [[] for _ in range(threads)]
        self._start = threading.Barrier(threads + 1)
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(mine,), daemon=True)
            for mine in self._lists
        ]
        self.stop = threading.Event()

    def work(self, append: Append, acknowledged: Acknowledged) -> None:
        """One writer's work, in a closed loop: the next append after the answer."""
        is_over = self.stop.is_set
        while not is_over():
            aggregate_id = new_id(datetime.now(UTC))
            acknowledged.append((aggregate_id, append(aggregate_id)))

    def _run(self, mine: Acknowledged) -> None:
        try:
            with self._store.writer() as append:
                self._start.wait()
                self.work(append, mine)
        except BaseException as error:  # noqa: BLE001 -- raised again in ``ended``
            self._errors.append(error)
            self._start.abort()
            self.stop.set()

    def begin(self) -> Self:
        """All writers are ready and off."""
        for thread in self._threads:
            thread.start()
        try:
            self._start.wait()
        except threading.BrokenBarrierError:
            self._raise()
        return self

    def ended(self) -> Acknowledged:
        """Everything that was acknowledged, once all have ended."""
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
            assert not thread.is_alive(), "a writer is stuck"
        self._raise()
        return [each for mine in self._lists for each in mine]

    def _raise(self) -> None:
        for error in self._errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error


def a_round(store: Store, *, threads: int, round_s: float) -> Round:
    """One round of so many writers in this process."""
    writers = Writers(store, threads).begin()
    began = time.perf_counter()
    writers.stop.wait(round_s)
    writers.stop.set()
    acknowledged = writers.ended()
    return Round(acknowledged=acknowledged, took_s=time.perf_counter() - began)
