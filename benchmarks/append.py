"""Claim: what an append costs beside a bare INSERT of the same rows and a COMMIT.

One event a call, from 1, 8 and 32 threads: through our recorder (checks, command,
dense positions, one call of ``append``) and, in the same run on the same embedded
server, through plain psycopg2 into a table with the same columns and constraints,
whose positions come from a sequence and may have gaps. Rounds alternate; the median of
each is printed with the ratio, and kept under ``results/``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
from eventsourcing.persistence import StoredEvent

from domain.ids import new_id
from ledger.embedded import EmbeddedServer
from ledger.migrations import migrate
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Command, Outcome
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.settings import LedgerSettings

THREADS = (1, 8, 32)
ROUNDS = 3
"""Odd, so that the median is a measured round."""
ROUND_S = 1.5
"""Long enough for thousands of commits; all rounds stay below half a minute."""
TOPIC = "sijil.request.informed.v1"
BODY = b"{" + b'"x":"' + b"0" * 590 + b'"}'
"""600 bytes, as an average entry."""
RESULTS = Path(__file__).parent / "results"

_BARE_TABLE = """
CREATE TABLE bare_events (
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
VALUES (%s::uuid, 1, %s, %s)
"""

Append = Callable[[UUID], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Medians of one number of threads, in appends a second."""

    threads: int
    ours: float
    bare: float


@contextmanager
def installation() -> Iterator[LedgerSettings]:
    """A migrated ledger on an embedded server of its own, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sijil-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "home")
    server.start()
    try:
        settings = LedgerSettings.load(home=folder / "home", database_url=None)
        migrate(settings)
        yield settings
    finally:
        server.stop()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def rate(threads: int, make: Callable[[], tuple[Append, Callable[[], None]]]) -> float:
    """Appends a second of ``threads`` threads over one round."""
    done = [0] * threads
    appends = [make() for _ in range(threads)]
    start = threading.Barrier(threads + 1)
    stop = threading.Event()

    def work(number: int) -> None:
        append, _ = appends[number]
        start.wait()
        while not stop.is_set():
            append(new_id(datetime.now(UTC)))
            done[number] += 1

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    stop.wait(ROUND_S)
    stop.set()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    for _, close in appends:
        close()
    return sum(done) / took


def through_recorder(
    recorder: PostgresProcessRecorder,
) -> Callable[[], tuple[Append, Callable[[], None]]]:
    """Makes appends through the one append function."""

    def append(aggregate_id: UUID) -> None:
        event = StoredEvent(
            originator_id=aggregate_id, originator_version=1, topic=TOPIC, state=BODY
        )
        command = Command(id=uuid4(), actor="bench", digest=aggregate_id.bytes)
        (appended,) = recorder.append([ActToAppend(events=[event], command=command)])
        assert appended.outcome is Outcome.APPENDED

    return lambda: (append, lambda: None)


def through_bare_insert(
    dsn: dict[str, str],
) -> Callable[[], tuple[Append, Callable[[], None]]]:
    """Makes bare inserts, each thread on a connection of its own."""

    def make() -> tuple[Append, Callable[[], None]]:
        connection = psycopg2.connect(**dsn)

        def append(aggregate_id: UUID) -> None:
            with connection.cursor() as cursor:
                cursor.execute(_BARE_INSERT, (str(aggregate_id), TOPIC, BODY))
            connection.commit()

        return append, connection.close

    return make


def measure(settings: LedgerSettings) -> list[Measured]:
    """Every number of threads, ours and bare in turn."""
    owner = {
        **settings.dsn(Role.OWNER),
        "options": f"-c search_path={LEDGER_SCHEMA}",
    }
    with (
        closing(psycopg2.connect(**owner)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(_BARE_TABLE)
    datastore = PostgresDatastore(
        settings.dsn(Role.APP),
        schema=LEDGER_SCHEMA,
        pool_size=max(THREADS),
        max_overflow=0,
    )
    ours = through_recorder(PostgresProcessRecorder(datastore))
    bare = through_bare_insert(owner)
    measured = []
    for threads in THREADS:
        rounds = [(rate(threads, ours), rate(threads, bare)) for _ in range(ROUNDS)]
        measured.append(
            Measured(
                threads=threads,
                ours=statistics.median(pair[0] for pair in rounds),
                bare=statistics.median(pair[1] for pair in rounds),
            )
        )
    datastore.close()
    return measured


def report(measured: list[Measured]) -> str:
    """The table, with what it was measured on."""
    lines = [
        f"# Appends of one event, {datetime.now(UTC).date()}",
        "",
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, embedded server,",
        f"{len(BODY)}-byte bodies; medians of {ROUNDS} rounds of {ROUND_S} s each.",
        "",
        "| threads | Sijil, appends/s | bare INSERT, appends/s | ratio |",
        "|---|---|---|---|",
        *(
            f"| {m.threads} | {m.ours:,.0f} | {m.bare:,.0f} | {m.ours / m.bare:.2f} |"
            for m in measured
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep the result."""
    with installation() as settings:
        text = report(measure(settings))
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"append-{datetime.now(UTC).date()}.md"
    kept.write_text(text, encoding="utf-8")
    print(text)
    print(f"kept in benchmarks/results/{kept.name}")


if __name__ == "__main__":
    main()
