"""Claim: under a head row a group of acts costs what it costs in no order at all.

Five ways to order appends (``benchmarks.orders``, one of them also without NOTIFY), the
same rows and checks in each, in one run on one embedded server: one act a transaction
from 1, 32 and 128 writers, and 32 or 128 waiting writers whose acts go in two
transactions at a time, as a group commit sends them. Then what each way does to a
tailing reader and to other writers while something is in the way
(``benchmarks.order_readers``). And the ledger's own function: how batches of different
sizes fare from one and from two connections, which is where one head stops scaling.
Rounds alternate; medians are printed and kept.

``python -m benchmarks.store_order [ROUND_S]`` takes shorter rounds.
"""

from __future__ import annotations

import queue
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

from eventsourcing.persistence import StoredEvent

from benchmarks.append import installation
from benchmarks.bars import heading, table, written, written_down
from benchmarks.order_readers import DISTURBANCES, Spell, fresh
from benchmarks.orders import ORDERS, Order, add
from benchmarks.writers import BODY, TOPIC, rival_dsn
from ledger.book import Ledger
from ledger.persistence.append import ActToAppend, Command, Outcome
from ledger.settings import LedgerSettings

ROUNDS = 3
"""Odd, so that the median is a measured round."""
ROUND_S = 1.5
CONNECTIONS = 64
"""Of 128 writers as many are inside at a time: the server has a hundred."""
IN_FLIGHT = 2
"""Groups under way at a time: one is made or answered while the other commits."""
BATCHES = (1, 8, 32, 128, 512, 2048)

Work = Callable[[], int]
"""One statement; how many acts it stored."""


def paced_by_answers(works: Sequence[Work], round_s: float) -> float:
    """Acts a second of threads that each do their work again and again."""
    start = threading.Barrier(len(works) + 1)
    stop = threading.Event()
    done = [0] * len(works)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            # Once before the time is taken: a connection's first call makes plans.
            works[number]()
            start.wait()
            while not stop.is_set():
                done[number] += works[number]()
        except BaseException as error:  # noqa: BLE001 -- raised below
            errors.append(error)
            start.abort()

    threads = [
        threading.Thread(target=run, args=(number,), daemon=True)
        for number in range(len(works))
    ]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):
        start.wait()
    began = time.perf_counter()
    stop.wait(0 if start.broken else round_s)
    stop.set()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error
    return sum(done) / (time.perf_counter() - began)


def one_by_one(
    order: Order, dsn: dict[str, Any], writers: int, round_s: float
) -> float:
    """Acts a second, each in a transaction of its own."""
    with ExitStack() as stack:
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(min(writers, CONNECTIONS)):
            connection = stack.enter_context(closing(order.connect(dsn)))
            free.put(stack.enter_context(connection.cursor()))

        def work() -> int:
            cursor = free.get()
            try:
                add(cursor, [fresh()], [fresh()])
            finally:
                free.put(cursor)
            return 1

        return paced_by_answers([work] * writers, round_s)


def in_groups(order: Order, dsn: dict[str, Any], writers: int, round_s: float) -> float:
    """Acts a second of so many waiting writers, in two groups."""
    size = writers // IN_FLIGHT

    def work_of(cursor: Any) -> Work:
        def work() -> int:
            add(
                cursor,
                [fresh() for _ in range(size)],
                [fresh() for _ in range(size)],
            )
            return size

        return work

    with ExitStack() as stack:
        works = []
        for _ in range(IN_FLIGHT):
            connection = stack.enter_context(closing(order.connect(dsn)))
            works.append(work_of(stack.enter_context(connection.cursor())))
        return paced_by_answers(works, round_s)


Way = Callable[[Order, dict[str, Any], int, float], float]
WAYS: tuple[tuple[str, Way, int], ...] = (
    ("1 writer", one_by_one, 1),
    ("32 writers", one_by_one, 32),
    ("128 writers", one_by_one, 128),
    ("32 in groups", in_groups, 32),
    ("128 in groups", in_groups, 128),
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What stands in the table in the end: whether it is dense, and time rises."""

    events: int
    missing: int
    backwards: int


def kept(order: Order, dsn: dict[str, Any]) -> Kept:
    """Counted over the order's whole table."""
    with closing(order.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), max(position) - count(*), count(*) FILTER (WHERE back) "
            "FROM (SELECT position, recorded_at <= lag(recorded_at) "
            "OVER (ORDER BY position) AS back FROM events) AS e"
        )
        row = cursor.fetchone()
    assert row is not None
    return Kept(events=row[0], missing=row[1], backwards=row[2])


def throughput(dsn: dict[str, Any], round_s: float) -> Iterator[list[str]]:
    """A row an order: medians, and what stands in the table."""
    for order in ORDERS:
        order.create(dsn)
    rates: dict[tuple[str, str], list[float]] = {}
    for name, way, writers in WAYS:
        for _ in range(ROUNDS):
            for order in ORDERS:
                rate = way(order, dsn, writers, round_s)
                rates.setdefault((order.name, name), []).append(rate)
    for order in ORDERS:
        stands = kept(order, dsn)
        yield [
            order.name,
            *(written(statistics.median(rates[order.name, name])) for name, *_ in WAYS),
            f"{stands.backwards:,} of {stands.events:,}",
        ]


def in_the_way(dsn: dict[str, Any]) -> Iterator[list[str]]:
    """A row an order: each disturbance's worst wait of a reader and of a writer.

    Whether anybody is notified changes nothing here: the readers poll.
    """
    for order in (each for each in ORDERS if each.wakes):
        cells = [order.name]
        for disturb in DISTURBANCES.values():
            order.create(dsn)
            seen = Spell(order, dsn).run(disturb)
            lost = f", {seen.lost} lost" if seen.lost else ""
            cells.append(f"{seen.reader_ms:,.0f} / {seen.writer_ms:,.0f}{lost}")
        # What the last of them, the undone appends, left behind.
        yield [*cells, f"{kept(order, dsn).missing:,}"]


def batches(settings: LedgerSettings, round_s: float) -> Iterator[list[str]]:
    """A row a size of batch: the ledger's own function from one and two connections."""
    with closing(Ledger(settings)) as ledger:
        recorder = ledger.process_recorder

        def work_of(size: int) -> Work:
            def work() -> int:
                answers = recorder.append([an_act() for _ in range(size)])
                assert all(each.outcome is Outcome.APPENDED for each in answers)
                return size

            return work

        for size in BATCHES:
            one, two = (
                statistics.median(
                    paced_by_answers([work_of(size)] * connections, round_s)
                    for _ in range(ROUNDS)
                )
                for connections in (1, 2)
            )
            yield [
                f"{size:,}",
                written(one),
                f"{size / one * 1_000:.2f}",
                written(two),
                f"{size / two * 1_000:.2f}",
            ]


def an_act() -> ActToAppend:
    """One act of one event, with its command."""
    aggregate_id = fresh()
    return ActToAppend(
        events=[
            StoredEvent(
                originator_id=aggregate_id,
                originator_version=1,
                topic=TOPIC,
                state=BODY,
            )
        ],
        command=Command(
            id=fresh(), actor="clerk/clk-DI-1", digest=aggregate_id.bytes * 2
        ),
    )


def main() -> None:
    """Measure, print and keep the result."""
    round_s = float(sys.argv[1]) if len(sys.argv) > 1 else ROUND_S
    with installation() as settings:
        dsn = rival_dsn(settings)
        rates = list(throughput(dsn, round_s))
        waits = list(in_the_way(dsn))
        sizes = list(batches(settings, round_s))
    text = [
        *heading(
            "Ways to order appends",
            (
                f"{len(BODY)}-byte bodies; medians of {ROUNDS} rounds of {round_s:g}",
                "s, in turn. Acts a second; then entries whose time does not rise.",
            ),
        ),
        *table(("order", *(name for name, *_ in WAYS), "time not rising"), rates),
        "",
        "The longest that a reader was behind / that a writer waited, in ms, while",
        "",
        *table(("order", *DISTURBANCES, "positions then missing"), waits),
        "",
        "The ledger's own function by size of batch: acts a second, and ms a batch;",
        "with two connections the head and the commit are the only things they share.",
        "",
        *table(
            ("acts a batch", "one", "ms a batch", "two", "ms between commits"), sizes
        ),
    ]
    written_down("store-order", "\n".join(text) + "\n", is_trial=round_s < ROUND_S)


if __name__ == "__main__":
    main()
