"""Claim: each view folds forty times as fast as the library's runner, all fast.

The simulated history of 44,000 completed requests is loaded once; then, in the same run
on the same embedded server, ``eventsourcing``'s ProjectionRunner counts some of the
same events into one counter (before and after the views: the median of three), each
view is folded alone from the beginning, and all of them together. Rates, ratios to the
rival, and the ratio of all to OpenCRVS's target for re-indexing are printed and kept.

``python -m benchmarks.views [COMPLETED]`` takes a smaller history.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, Tracking
from eventsourcing.projection import Projection, ProjectionRunner

from benchmarks.append import installation
from ledger.bodies import BodyMapper
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import _MARK, PostgresTrackingRecorder
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office.house import House
from office.seeding import seed
from office.simulating import assumptions
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from projections.runner import ViewRunner
from projections.schema import VIEWS, ensure_views
from projections.views import View

COMPLETED = 44_000
RIVAL_EVENTS = 4_000
"""Three seconds of the rival, three times: it is as fast at any length."""
RIVAL_ROUNDS = 3
REINDEX_TARGET = 17_700
"""Events a second that OpenCRVS wants of a re-index."""
MUST_BE_TIMES = 40
RESULTS = Path(__file__).parent / "results"


class Counter(PostgresTrackingRecorder):
    """The smallest view there can be: one row, one number."""

    def create_table(self) -> None:
        """Make the counter and the marks."""
        super().create_table()
        self.datastore.run_script(
            "CREATE TABLE IF NOT EXISTS counted (number bigint NOT NULL);"
            "INSERT INTO counted SELECT 0 WHERE NOT EXISTS (SELECT FROM counted)"
        )

    def count(self, tracking: Tracking) -> None:
        """Count one event together with its mark, as the library's views do."""
        with self.datastore.transaction() as cursor:
            cursor.execute("UPDATE counted SET number = number + 1")
            cursor.execute(_MARK, (tracking.application_name, tracking.notification_id))


class Counting(Projection[Counter]):
    """Counts whatever happens."""

    name = "counting"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002 -- the library's name
        """Count it."""
        self.view.count(tracking)


class Book(Application[UUID]):
    """The ledger as the rival's application."""

    name = "Sijil"

    def construct_mapper(self) -> Mapper[UUID]:
        """The contract's body."""
        return BodyMapper()


def rival_rate(settings: LedgerSettings, number: int) -> float:
    """Events a second of the library's runner over the first events."""
    dsn = settings.dsn(Role.OWNER)
    env = {"PERSISTENCE_MODULE": "ledger.persistence"}
    env |= {f"POSTGRES_{key.upper()}": str(value) for key, value in dsn.items()}
    env["POSTGRES_SCHEMA"] = LEDGER_SCHEMA
    env["CREATE_TABLE"] = "no"
    env["COUNTING_POSTGRES_SCHEMA"] = f"rival_{number}"
    env["COUNTING_CREATE_TABLE"] = "yes"
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Book,
        projection_class=Counting,
        view_class=Counter,
        env=env,
    ) as runner:
        runner.wait(RIVAL_EVENTS, timeout=120)
        spent_s = time.perf_counter() - started
        done = runner.view.max_tracking_id("Sijil") or RIVAL_EVENTS
    return done / spent_s


def start_over(datastore: PostgresDatastore, views: Sequence[View]) -> None:
    """The views' tables empty, their progress at the beginning."""
    with datastore.transaction() as cursor:
        for view in views:
            for table in view.tables:
                cursor.execute(f"TRUNCATE {table}")
            cursor.execute(
                "UPDATE progress SET position = 0, ledger_id = NULL WHERE view = %s",
                (view.name,),
            )


def fold_rate(
    writing: PostgresDatastore, reader: LedgerReader, views: Sequence[View]
) -> float:
    """Events a second from the beginning to the head."""
    start_over(writing, views)
    started = time.perf_counter()
    head = ViewRunner(writing, reader, views).catch_up()
    return head / (time.perf_counter() - started)


def load(settings: LedgerSettings, completed: int, say: Callable[[str], None]) -> int:
    """The simulated history; the head."""
    with House(settings) as house:
        seed(house.catalogue)
        options = Options(
            completed=completed,
            seed=1,
            first=assumptions.FIRST_DAY,
            last=assumptions.LAST_DAY,
        )
        started = time.perf_counter()
        Simulation(house, options).run(progress=lambda _: None)
        head = house.ledger.reader.head().position
        say(f"{head:,} events loaded in {time.perf_counter() - started:.0f} s")
    return head


def main() -> None:
    """Load, measure, print and keep."""
    completed = int(sys.argv[1]) if len(sys.argv) > 1 else COMPLETED
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    with installation() as settings:
        ensure_views(settings)
        head = load(settings, completed, say)
        reading = PostgresDatastore(settings.dsn(Role.RUNNER), schema=LEDGER_SCHEMA)
        writing = PostgresDatastore(settings.dsn(Role.RUNNER), schema=VIEWS_SCHEMA)
        reader = LedgerReader(reading)
        rivals = [rival_rate(settings, 0), rival_rate(settings, 1)]
        alone = {v.name: fold_rate(writing, reader, (v,)) for v in VIEWS}
        together = fold_rate(writing, reader, VIEWS)
        rivals.append(rival_rate(settings, 2))
        rival = statistics.median(rivals)
        say(f"eventsourcing's ProjectionRunner, one counter: {rival:,.0f} events/s")
        for name, rate in sorted(alone.items(), key=lambda each: each[1]):
            say(f"{name} alone: {rate:,.0f} events/s, {rate / rival:.0f} x")
        say(
            f"all {len(VIEWS)} together: {together:,.0f} events/s,"
            f" {together / REINDEX_TARGET:.1f} x {REINDEX_TARGET:,}"
        )
        busy = os.getloadavg()[0]
        say(f"the machine's load meanwhile, with all else that ran: {busy:.1f}")
        writing.close()
        reading.close()
    keep("views", completed, head, lines)
    slow = [name for name, rate in alone.items() if rate < MUST_BE_TIMES * rival]
    if slow or together < REINDEX_TARGET:
        sys.exit(f"too slow: {', '.join(slow) or 'all together'}")


def keep(name: str, completed: int, head: int, lines: Sequence[str]) -> None:
    """Write the results under today's date."""
    day = datetime.now(UTC).date().isoformat()
    text = (
        f"# {name}\n\n{os.cpu_count()} cores, {day}; a simulated history of"
        f" {completed:,} completed requests, {head:,} events.\n\n"
    )
    text += "".join(f"- {line}\n" for line in lines)
    (RESULTS / f"{name}-{day}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
