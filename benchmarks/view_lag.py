"""Claim: at 1,000 events a second every view is level within 250 ms, 99 times of 100.

Whole lives of requests are decided beforehand, mixed, and appended at a steady pace by
one process; another follows with all views, as ``sijil runner`` does. The lag of an
event is the time from the answer to its append until the last view has passed it.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

from eventsourcing.persistence import StoredEvent

from benchmarks.append import installation
from benchmarks.machine import machine
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.progress import ProgressQueries
from projections.runner import ViewRunner
from projections.schema import ensure_views
from tests.projections.histories import MAPPER, Life

RATE = 1_000
"""Events offered a second: some thirty times the busiest hour of the country."""
TICK_S = 0.02
SECONDS = 20
LONGEST_P99_MS = 250
RESULTS = Path(__file__).parent / "results"


def lives(events: int) -> list[list[StoredEvent]]:
    """Acts of many requests, mixed, with at least so many events."""
    random = Random(1)  # noqa: S311 -- reproducible
    going: list[Life] = []
    acts: list[list[StoredEvent]] = []
    made = count = 0
    while made < events:
        while len(going) < 300:
            going.append(Life(count, random))
            count += 1
        life = random.choice(going)
        if not life.step():
            going.remove(life)
            continue
        pending = life.request.collect_events()
        stored = [MAPPER.to_stored_event(event) for event in pending]
        if stored:
            acts.append(stored)
            made += len(stored)
    return acts


def follow(dsn: dict[str, Any]) -> None:
    """The body of the process that folds."""
    reader = LedgerReader(PostgresDatastore(dsn, schema=LEDGER_SCHEMA))
    ViewRunner(PostgresDatastore(dsn, schema=VIEWS_SCHEMA), reader).run(Event())


def watch(progress: ProgressQueries, until: int, seen: list[tuple[int, float]]) -> None:
    """Note when the lowest view has come how far."""
    lowest = 0
    while lowest < until:
        now = min(level.position for level in progress.levels())
        if now > lowest:
            lowest = now
            seen.append((lowest, time.perf_counter()))
        time.sleep(0.002)


def main() -> None:
    """Offer, watch, print and keep."""
    acts = lives(RATE * SECONDS)
    with installation() as settings:
        ensure_views(settings)
        app = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
        made = PostgresDatastore(settings.dsn(Role.APP), schema=VIEWS_SCHEMA)
        recorder = PostgresProcessRecorder(app)
        spawn = multiprocessing.get_context("spawn")
        runner = spawn.Process(target=follow, args=(settings.dsn(Role.RUNNER),))
        runner.start()
        time.sleep(3)
        head = sum(map(len, acts))
        seen: list[tuple[int, float]] = []
        watcher = Thread(target=watch, args=(ProgressQueries(made), head, seen))
        watcher.start()
        appended, spent_s = offer(recorder, acts)
        watcher.join()
        runner.kill()
        runner.join()
        app.close()
        made.close()
    lags = sorted(lags_of(appended, seen))
    p50, p99 = statistics.median(lags), lags[int(len(lags) * 0.99)]
    lines = [
        f"offered {head / spent_s:,.0f} events/s for {spent_s:.0f} s, {head:,} events",
        f"lag of all views: median {p50:.0f} ms, p99 {p99:.0f} ms, most {lags[-1]:.0f}",
    ]
    day = datetime.now(UTC).date().isoformat()
    text = f"# view-lag\n\n{machine()}, {day}.\n\n"
    text += "".join(f"- {line}\n" for line in lines)
    print(text)
    (RESULTS / f"view-lag-{day}.md").write_text(text, encoding="utf-8")
    if p99 > LONGEST_P99_MS:
        sys.exit("too slow")


def offer(
    recorder: PostgresProcessRecorder, acts: list[list[StoredEvent]]
) -> tuple[list[tuple[int, float]], float]:
    """Append at the pace; each last position with the time of its answer."""
    appended: list[tuple[int, float]] = []
    started = time.perf_counter()
    done = sent = 0
    while done < len(acts):
        due = int((time.perf_counter() - started) * RATE)
        batch = []
        while done < len(acts) and sent < due:
            batch.append(ActToAppend(events=acts[done]))
            sent += len(acts[done])
            done += 1
        if batch:
            answers = recorder.append(batch)
            now = time.perf_counter()
            appended += [(a.last_position, now) for a in answers if a.last_position]
        time.sleep(TICK_S)
    return appended, time.perf_counter() - started


def lags_of(
    appended: list[tuple[int, float]], seen: list[tuple[int, float]]
) -> list[float]:
    """Milliseconds from each answer until every view had passed the position."""
    lags, at = [], 0
    for position, answered in appended:
        while seen[at][0] < position:
            at += 1
        lags.append(max(0.0, (seen[at][1] - answered) * 1_000))
    return lags


if __name__ == "__main__":
    main()
