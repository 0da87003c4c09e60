"""Claim: at a steady 1,000 acts a second, p99 is at most five times a bare INSERT's.

An open loop: an act is due every millisecond, whatever became of those before, and its
latency runs from the moment it was due to the answer that it is durable. A store that
stands still for a while so pays for every act that was due meanwhile (a closed loop
would omit them: it would wait with asking). Ours goes by the product's own path, with
command, checks and dense positions; the rival is plain psycopg2, INSERT and COMMIT, at
the same rate from as many threads, each with a connection of its own. Short rounds
alternate; medians over the rounds are compared.

``python -m benchmarks.store_latency [SECONDS]`` takes shorter rounds.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.writers import (
    BODY,
    Acknowledged,
    Append,
    BareStore,
    OurStore,
    Store,
    Writers,
    rival_dsn,
)
from domain.ids import new_id
from ledger.settings import LedgerSettings

RATE = 1_000
"""Acts offered a second: some thirty times the busiest hour of the country."""
THREADS = 64
"""Enough that a thread is free when an act is due, up to 64 ms of standing still."""
ROUNDS = 7
"""Odd, so that the median is a measured round."""
ROUND_S = 6.0
WARM_S = 1.0
"""The first second of a round makes connections and plans; it is not counted."""
MOST_P99 = 5.0


class PacedWriters(Writers):
    """Writers who share one timetable: whoever is free takes the next act."""

    def __init__(self, store: Store, *, seconds: float) -> None:
        super().__init__(store, THREADS)
        self._acts = round(RATE * seconds)
        self._next = itertools.count()
        self.latencies_s: list[float] = []
        # The same moment for all, set before any of them starts.
        self.first_due = time.perf_counter() + 0.5

    def work(self, append: Append, acknowledged: Acknowledged) -> None:
        """Until every act of the timetable is taken."""
        warm = round(RATE * WARM_S)
        latencies_s = []
        # Taking the next number of a count is one step to the interpreter.
        while (number := next(self._next)) < self._acts and not self.stop.is_set():
            due = self.first_due + number / RATE
            early_s = due - time.perf_counter()
            if early_s > 0:
                time.sleep(early_s)
            aggregate_id = new_id(datetime.now(UTC))
            acknowledged.append((aggregate_id, append(aggregate_id)))
            if number >= warm:
                latencies_s.append(time.perf_counter() - due)
        self.latencies_s += latencies_s


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One round's, in milliseconds, and acts answered a second."""

    p50: float
    p99: float
    worst: float
    rate: float


def a_round(store: Store, seconds: float) -> Latency:
    """One round; every act that was offered must have been answered."""
    writers = PacedWriters(store, seconds=WARM_S + seconds).begin()
    acknowledged = writers.ended()
    took_s = time.perf_counter() - writers.first_due
    offered = round(RATE * (WARM_S + seconds))
    assert len(acknowledged) == offered, f"{len(acknowledged)} of {offered} answered"
    cuts = statistics.quantiles(writers.latencies_s, n=100)
    return Latency(
        p50=cuts[49] * 1_000,
        p99=cuts[98] * 1_000,
        worst=max(writers.latencies_s) * 1_000,
        rate=offered / took_s,
    )


def measure(
    settings: LedgerSettings, seconds: float
) -> tuple[list[Latency], list[Latency]]:
    """Rounds of ours and of the bare INSERT, in turn."""
    bare = BareStore(rival_dsn(settings))
    ours, theirs = [], []
    with closing(OurStore(settings)) as store:
        for _ in range(ROUNDS):
            ours.append(a_round(store, seconds))
            theirs.append(a_round(bare, seconds))
    return ours, theirs


def compared(name: str, ours: list[Latency], theirs: list[Latency]) -> Line:
    """The medians of one figure; p99 has the bar."""
    return Line(
        name=f"{name}, ms" if name != "rate" else "answered a second",
        ours=statistics.median(getattr(each, name) for each in ours),
        rival=statistics.median(getattr(each, name) for each in theirs),
        at_most=MOST_P99 if name == "p99" else None,
    )


def main() -> None:
    """Measure, print and keep the result."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else ROUND_S
    with installation() as settings:
        ours, theirs = measure(settings, seconds)
    keep(
        "store-latency",
        title=f"Latency of a durable act at {RATE:,} a second",
        about=(
            f"{len(BODY)}-byte bodies, {THREADS} threads on either side; medians of",
            f"{ROUNDS} rounds of {seconds:g} s after {WARM_S:g} s of warming, in turn.",
            "Open loop: latencies run from when an act was due, so none is omitted.",
        ),
        header=("figure", "Sijil", "bare INSERT and COMMIT"),
        lines=[
            compared(name, ours, theirs) for name in ("p50", "p99", "worst", "rate")
        ],
        is_trial=seconds < ROUND_S,
    )


if __name__ == "__main__":
    main()
