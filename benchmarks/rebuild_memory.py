"""Claim: making all views anew over ten times the events takes no more memory.

Requests of eight events each are put into the ledger by plain SQL, ten times as many
the second time (300 thousand and 3 million events); a process of its own makes all
views anew beside the live ones each time. Its peak of resident memory is compared.

``python -m benchmarks.rebuild_memory [EVENTS]`` takes another small number. The larger
ledger needs some 10 GB for a moment. Nothing here is to outlive the machine, so the
server does not wait for the disk.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg2

from benchmarks.append import installation
from benchmarks.machine import machine
from benchmarks.view_lag import lives
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.settings import LedgerSettings
from projections.rebuilding import rebuilding
from projections.schema import VIEWS, ensure_views
from tests.conftest import in_a_hurry

EVENTS = 300_000
TIMES = 10
MOST = 1.2
TEMPLATE_EVENTS = 3_000
COPIES_A_STATEMENT = 20
RESULTS = Path(__file__).parent / "results"

# Copies of what is there: the same lives under other ids, later in the ledger. The ids
# rise from copy to copy, as those of real requests do with time.
_COPY = """
INSERT INTO sijil.events (position, recorded_at, aggregate_id, version, topic, body)
SELECT e.position + copy * t.events,
    e.recorded_at + copy * interval '1 hour',
    n.id, e.version, e.topic,
    convert_to(replace(convert_from(e.body, 'UTF8'), e.aggregate_id::text,
        n.id::text), 'UTF8')
FROM generate_series(%(first)s, %(last)s) AS copy,
    sijil.events e,
    (SELECT max(position) AS events FROM sijil.events
        WHERE position <= %(template)s) t,
    LATERAL (SELECT (lpad(to_hex(copy), 8, '0')
        || substr(md5(e.aggregate_id::text || copy), 9))::uuid AS id) n
WHERE e.position <= %(template)s
ORDER BY 1
"""
_HEAD = """
UPDATE sijil.ledger_head SET
    position = (SELECT max(position) FROM sijil.events),
    recorded_at = (SELECT max(recorded_at) FROM sijil.events)
"""


def fill(settings: LedgerSettings, events: int) -> int:
    """A ledger of at least so many events; how many there are."""
    app = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
    recorder = PostgresProcessRecorder(app)
    batch = [ActToAppend(events=act) for act in lives(TEMPLATE_EVENTS)]
    answers = recorder.append(batch)
    app.close()
    template = max(answer.last_position or 0 for answer in answers)
    dsn = {**settings.admin_dsn(), "dbname": settings.database_name}
    with closing(psycopg2.connect(**dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            copies = -(-events // template) - 1
            for first in range(1, copies + 1, COPIES_A_STATEMENT):
                last = min(copies, first + COPIES_A_STATEMENT - 1)
                cursor.execute(
                    _COPY, {"first": first, "last": last, "template": template}
                )
            cursor.execute(_HEAD)
            cursor.execute("SELECT position FROM sijil.ledger_head")
            (head,) = cursor.fetchone() or (0,)
    return int(head)


def rebuild(settings: LedgerSettings, answer: Connection) -> None:
    """The body of the process that is measured: its peak in kB, the disk's bytes."""
    with rebuilding(settings, VIEWS) as made:
        made.fold()
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        place = settings.server().place
        used = sum(each.stat().st_size for each in place.rglob("*") if each.is_file())
        answer.send((peak_kb, used))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A rebuild over so many events: peak in MB, seconds, and the server's files."""

    events: int
    peak_mb: float
    filled_s: float
    spent_s: float
    disk_gb: float


def measured(events: int) -> Measured:
    """A rebuild of all views over a ledger of so many events."""
    with installation() as settings:
        in_a_hurry(settings.admin_dsn())
        ensure_views(settings)
        started = time.perf_counter()
        head = fill(settings, events)
        filled_s = time.perf_counter() - started
        spawn = multiprocessing.get_context("spawn")
        mine, theirs = spawn.Pipe()
        process = spawn.Process(target=rebuild, args=(settings, theirs))
        started = time.perf_counter()
        process.start()
        peak_kb, used = mine.recv()
        spent_s = time.perf_counter() - started
        process.join()
    return Measured(
        events=head,
        peak_mb=peak_kb / 1024,
        filled_s=filled_s,
        spent_s=spent_s,
        disk_gb=used / 1e9,
    )


def main() -> None:
    """Measure both, print and keep."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    small, large = measured(events), measured(TIMES * events)
    ratio = large.peak_mb / small.peak_mb
    lines = [
        f"{each.events:,} events: peak {each.peak_mb:.0f} MB, {each.spent_s:.0f} s; "
        f"filled in {each.filled_s:.0f} s, {each.disk_gb:.1f} GB on disk"
        for each in (small, large)
    ]
    lines.append(f"ratio {ratio:.2f}")
    day = datetime.now(UTC).date().isoformat()
    text = f"# rebuild-memory\n\n{machine()}, {day}.\n\n"
    text += "".join(f"- {line}\n" for line in lines)
    print(text)
    (RESULTS / f"rebuild-memory-{day}.md").write_text(text, encoding="utf-8")
    if ratio > MOST:
        sys.exit("too much memory")


if __name__ == "__main__":
    main()
