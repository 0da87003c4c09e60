"""Claim: runner and rebuild killed at any moment, the views equal a clean fold.

Lives of requests are appended all the while; a process that folds all views, and one
that makes them anew, are killed at random moments, hundreds of times. At the end every
row of every view is compared with a fold from the events alone.

``python -m benchmarks.views_under_kills [KILLS]``
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from benchmarks.append import installation
from benchmarks.view_lag import follow, lives
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.rebuilding import RebuildUnderWayError, rebuilding
from projections.replay import Until, replaying
from projections.runner import ViewRunner
from projections.schema import VIEWS, ensure_views

KILLS = 200
EVENTS_A_ROUND = 60
RESULTS = Path(__file__).parent / "results"


def rebuild_for_ever(settings: LedgerSettings) -> None:
    """The body of the process that makes all views anew, again and again."""
    while True:
        try:
            with rebuilding(settings, VIEWS) as made:
                made.fold()
                for view in VIEWS:
                    made.switch(view)
        except RebuildUnderWayError:
            time.sleep(0.05)


def main() -> None:
    """Kill, compare, print and keep."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    random = Random(7)  # noqa: S311 -- reproducible
    acts = iter(lives(EVENTS_A_ROUND * (kills + 5)))
    spawn = multiprocessing.get_context("spawn")
    with installation() as settings:
        ensure_views(settings)
        app = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
        recorder = PostgresProcessRecorder(app)
        for number in range(kills):
            if number % 4 == 3:
                process = spawn.Process(target=rebuild_for_ever, args=(settings,))
            else:
                process = spawn.Process(
                    target=follow, args=(settings.dsn(Role.RUNNER),)
                )
            process.start()
            # What a process needs to start is no moment of its work.
            until = time.monotonic() + 0.8 + random.random()
            while time.monotonic() < until:
                batch = [ActToAppend(events=next(acts)) for _ in range(4)]
                recorder.append(batch)
                time.sleep(0.1)
            process.kill()
            process.join()
        reader = LedgerReader(
            PostgresDatastore(settings.dsn(Role.RUNNER), schema=LEDGER_SCHEMA)
        )
        writing = PostgresDatastore(settings.dsn(Role.RUNNER), schema=VIEWS_SCHEMA)
        head = ViewRunner(writing, reader).catch_up()
        with replaying(settings, VIEWS) as (made, _):
            made.fold(Until(position=head))
            found = made.compare(head)
    wrong = [each.table for each in found if not each.is_same or not each.is_compared]
    day = datetime.now(UTC).date().isoformat()
    line = (
        f"{kills} kills of the runner and of rebuilds during {head:,} events:"
        f" {len(found)} tables compared row by row, {len(wrong)} differ"
    )
    print(line)
    (RESULTS / f"views-under-kills-{day}.md").write_text(
        f"# views-under-kills\n\n{os.cpu_count()} cores, {day}.\n\n- {line}\n",
        encoding="utf-8",
    )
    if wrong:
        sys.exit(f"differs: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
