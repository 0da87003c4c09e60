"""Claim: each view folds forty times as fast as the library's runner, all fast.

The simulated history of 44,000 completed requests is loaded once; then, in the same run
on the same embedded server, ``eventsourcing``'s ProjectionRunner counts events into one
counter (before and after the views: the median of three), each view is folded alone
from the beginning, and all of them together: by one process, and by two that share them
(``sijil runner --share``). The rival stands twice: over the ledger's events by our
persistence module, and as shipped, with plain events on the library's own PostgreSQL
module. The faster one decides. Beside each rate stands what an event cost in
processors' time, in Python and in the server. Rates, ratios to the rivals, and the
ratio of all to OpenCRVS's target for re-indexing are printed and kept.

``python -m benchmarks.views [COMPLETED]`` takes a smaller history.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.append import installation
from benchmarks.counting import as_shipped, over_the_ledger
from benchmarks.cpu import Cost, postmaster_of
from benchmarks.machine import machine
from benchmarks.shares import folded_by
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
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
REINDEX_TARGET = 17_700
"""Events a second that OpenCRVS wants of a re-index."""
MUST_BE_TIMES = 40
ROUNDS = 3
"""Of all views together, in turn; odd, so that the median is a measured one."""
RESULTS = Path(__file__).parent / "results"


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


@dataclass(frozen=True, kw_only=True)
class Folded:
    """How fast some views were folded, and what an event cost, in microseconds."""

    rate: float
    python_us: float
    server_us: float

    def __str__(self) -> str:
        """Rate and cost."""
        return (
            f"{self.rate:,.0f} events/s (an event: {self.python_us:.1f} us of Python,"
            f" {self.server_us:.1f} us of PostgreSQL)"
        )


def folded(
    writing: PostgresDatastore, reader: LedgerReader, views: Sequence[View]
) -> Folded:
    """The views from the beginning to the head."""
    start_over(writing, views)
    postmaster = postmaster_of(writing)
    before = Cost.now(postmaster)
    head = ViewRunner(writing, reader, views).catch_up()
    cost = Cost.now(postmaster).since(before)
    return Folded(
        rate=head / cost.wall_s,
        python_us=cost.python_s / head * 1e6,
        server_us=cost.server_s / head * 1e6,
    )


def shared(writing: PostgresDatastore, settings: LedgerSettings) -> Folded:
    """All views from the beginning to the head, by two processes."""
    start_over(writing, VIEWS)
    spent = folded_by(2, settings, postmaster_of(writing))
    return Folded(
        rate=spent.head / spent.wall_s,
        python_us=spent.python_s / spent.head * 1e6,
        server_us=spent.server_s / spent.head * 1e6,
    )


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
        rivals = [both_rivals(settings, number) for number in range(2)]
        alone = {v.name: folded(writing, reader, (v,)) for v in VIEWS}
        one, two = [], []
        for _ in range(ROUNDS):
            one.append(folded(writing, reader, VIEWS))
            two.append(shared(writing, settings))
        rivals.append(both_rivals(settings, 2))
        ours, shipped = (statistics.median(side) for side in zip(*rivals, strict=True))
        rival = max(ours, shipped)
        say(
            f"eventsourcing's ProjectionRunner, one counter: {ours:,.0f} events/s over"
            f" the ledger, {shipped:,.0f} events/s on its own module as shipped"
        )
        for name, each in sorted(alone.items(), key=lambda named: named[1].rate):
            say(f"{name} alone: {each}, {each.rate / rival:.0f} x")
        best = 0.0
        for how, rounds in (("one process", one), ("two processes", two)):
            together = sorted(rounds, key=lambda each: each.rate)[ROUNDS // 2]
            best = max(best, together.rate)
            say(
                f"all {len(VIEWS)} together by {how}, the median of {ROUNDS} rounds:"
                f" {together}, {together.rate / REINDEX_TARGET:.2f} x"
                f" {REINDEX_TARGET:,}"
            )
        busy = os.getloadavg()[0]
        say(f"the machine's load meanwhile, with all else that ran: {busy:.1f}")
        writing.close()
        reading.close()
    keep("views", completed, head, lines)
    slow = [name for name, each in alone.items() if each.rate < MUST_BE_TIMES * rival]
    if slow or best < REINDEX_TARGET:
        sys.exit(f"too slow: {', '.join(slow) or 'all together'}")


def both_rivals(settings: LedgerSettings, number: int) -> tuple[float, float]:
    """Events a second of the library's runner: over the ledger, and as shipped."""
    return over_the_ledger(settings, number), as_shipped(settings, number)


def keep(name: str, completed: int, head: int, lines: Sequence[str]) -> None:
    """Write the results under today's date."""
    day = datetime.now(UTC).date().isoformat()
    text = (
        f"# {name}\n\n{machine()}, {day}; a simulated history of"
        f" {completed:,} completed requests, {head:,} events.\n\n"
    )
    text += "".join(f"- {line}\n" for line in lines)
    (RESULTS / f"{name}-{day}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
