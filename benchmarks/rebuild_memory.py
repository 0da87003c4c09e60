"""Claim: making all views anew over ten times the events takes no more memory.

Requests of eight events each are put into the ledger by plain SQL, ten times as many
the second time (300 thousand and 3 million events); a process of its own makes all
views anew beside the live ones each time. Its peak of resident memory is compared.

``python -m benchmarks.rebuild_memory [EVENTS]`` takes another small number. The larger
ledger needs some 10 GB for a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg2

from benchmarks.append import installation
from benchmarks.view_lag import lives
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.settings import LedgerSettings
from projections.rebuilding import rebuilding
from projections.schema import VIEWS, ensure_views

EVENTS = 300_000
TIMES = 10
MOST = 1.2
TEMPLATE_EVENTS = 3_000
RESULTS = Path(__file__).parent / "results"

# Copies of what is there: the same lives under other ids, later in the ledger.
_COPY = """
INSERT INTO sijil.events (position, recorded_at, aggregate_id, version, topic, body)
SELECT e.position + %(copy)s * t.events,
    e.recorded_at + %(copy)s * interval '1 hour',
    n.id, e.version, e.topic,
    convert_to(replace(convert_from(e.body, 'UTF8'), e.aggregate_id::text,
        n.id::text), 'UTF8')
FROM sijil.events e,
    (SELECT max(position) AS events FROM sijil.events
        WHERE position <= %(template)s) t,
    LATERAL (SELECT md5(e.aggregate_id::text || %(copy)s)::uuid AS id) n
WHERE e.position <= %(template)s
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
            for copy in range(1, -(-events // template)):
                cursor.execute(_COPY, {"copy": copy, "template": template})
            cursor.execute(_HEAD)
            cursor.execute("SELECT position FROM sijil.ledger_head")
            (head,) = cursor.fetchone() or (0,)
    return int(head)


def rebuild(settings: LedgerSettings, answer: Connection) -> None:
    """The body of the process that is measured: its peak in kB."""
    with rebuilding(settings, VIEWS) as made:
        made.fold()
    answer.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measured(events: int) -> tuple[int, float, float]:
    """How many events, the peak in MB, and the seconds of a rebuild over them."""
    with installation() as settings:
        ensure_views(settings)
        head = fill(settings, events)
        spawn = multiprocessing.get_context("spawn")
        mine, theirs = spawn.Pipe()
        process = spawn.Process(target=rebuild, args=(settings, theirs))
        started = time.perf_counter()
        process.start()
        peak_kb = mine.recv()
        process.join()
    return head, peak_kb / 1024, time.perf_counter() - started


def main() -> None:
    """Measure both, print and keep."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    small, large = measured(events), measured(TIMES * events)
    ratio = large[1] / small[1]
    lines = [
        f"{head:,} events: peak {peak_mb:.0f} MB, {spent_s:.0f} s"
        for head, peak_mb, spent_s in (small, large)
    ]
    lines.append(f"ratio {ratio:.2f}")
    day = datetime.now(UTC).date().isoformat()
    text = f"# rebuild-memory\n\n{os.cpu_count()} cores, {day}.\n\n"
    text += "".join(f"- {line}\n" for line in lines)
    print(text)
    (RESULTS / f"rebuild-memory-{day}.md").write_text(text, encoding="utf-8")
    if ratio > MOST:
        sys.exit("too much memory")


if __name__ == "__main__":
    main()
