"""Claim: acts of one event, at 32 and 128 writers 6 and 9 times the library's rate.

Every act goes through the product's own path with everything the contract wants: a
command with its actor and keyed digest, the checks, a dense position. The rival is
``eventsourcing`` with its own PostgreSQL module at its default settings, in the same
run, on the same embedded server, with the same number of writers and the same bodies;
both store bytes that are made already, so no mapper is in it on either side. Rounds
alternate; medians and their ratio are printed with the bar. Afterwards everything that
was acknowledged must be there, at the position that was told, and nothing else.

``python -m benchmarks.store_append [ROUND_S]`` takes shorter rounds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.processes import Processes
from benchmarks.writers import (
    BODY,
    Acknowledged,
    LibraryStore,
    OurStore,
    Round,
    a_round,
    rival_dsn,
)
from ledger.settings import LedgerSettings

ROUNDS = 5
"""Odd, so that the median is a measured round."""
ROUND_S = 2.0
"""Long enough for thousands of commits; the whole stays below three minutes."""
BARS = {1: 1.2, 8: None, 32: 6.0, 128: 9.0}
"""Writers in one process, and how many times the library's rate is wanted."""
PROCESSES = 4
WRITERS_A_PROCESS = 16
PROCESSES_BAR = 5.0

_ACKNOWLEDGED = "CREATE TEMPORARY TABLE acknowledged (id uuid, position bigint)"
_OURS = """
SELECT h.position, (SELECT count(*) FROM sijil.events), (
        SELECT count(*) FROM acknowledged a
        JOIN sijil.events e ON e.position = a.position
            AND e.aggregate_id = a.id AND e.version = 1
        JOIN sijil.commands c ON c.first_position = e.position
            AND c.last_position = e.position
    ), (SELECT count(*) FROM sijil.commands)
FROM sijil.ledger_head h
"""
_THEIRS = """
SELECT count(*) FROM acknowledged a
JOIN rival_events e ON e.notification_id = a.position
    AND e.originator_id = a.id AND e.originator_version = 1
"""


@dataclass
class Pair:
    """Rounds of both sides under one heading."""

    name: str
    bar: float | None
    ours: list[Round] = field(default_factory=list)
    library: list[Round] = field(default_factory=list)

    @property
    def line(self) -> Line:
        """What the table says of it."""
        return Line(
            name=self.name,
            ours=statistics.median(each.rate for each in self.ours),
            rival=statistics.median(each.rate for each in self.library),
            at_least=self.bar,
        )


def measure(
    settings: LedgerSettings, rival: dict[str, Any], round_s: float
) -> list[Pair]:
    """All rounds, ours and the library's in turn."""
    pairs = [Pair(f"{n} in one process", bar) for n, bar in BARS.items()]
    with ExitStack() as stack:
        ours = stack.enter_context(closing(OurStore(settings)))
        library = stack.enter_context(closing(LibraryStore(rival)))
        for pair, writers in zip(pairs, BARS, strict=True):
            for _ in range(ROUNDS):
                pair.ours.append(a_round(ours, threads=writers, round_s=round_s))
                pair.library.append(a_round(library, threads=writers, round_s=round_s))
    attached = partial(LibraryStore, makes_tables=False)
    several = Pair(f"{PROCESSES} processes of {WRITERS_A_PROCESS}", PROCESSES_BAR)
    with (
        Processes(PROCESSES, OurStore, settings) as ours_too,
        Processes(PROCESSES, attached, rival) as library_too,
    ):
        for _ in range(ROUNDS):
            for rounds, side in (
                (several.ours, ours_too),
                (several.library, library_too),
            ):
                rounds.append(side.a_round(threads=WRITERS_A_PROCESS, round_s=round_s))
    return [*pairs, several]


def _look(
    dsn: dict[str, Any], acknowledged: Acknowledged, query: str
) -> tuple[int, ...]:
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(_ACKNOWLEDGED)
        execute_values(
            cursor,
            "INSERT INTO acknowledged VALUES %s",
            [(str(each), position) for each, position in acknowledged],
            page_size=1_000,
        )
        cursor.execute(query)
        row = cursor.fetchone()
        assert row is not None
        return tuple(row)


def _all(pairs: list[Pair], side: Callable[[Pair], list[Round]]) -> Acknowledged:
    return [each for pair in pairs for one in side(pair) for each in one.all_told]


def verify(settings: LedgerSettings, rival: dict[str, Any], pairs: list[Pair]) -> int:
    """How many of our acts were acknowledged; all are there and nothing else is."""
    told = _all(pairs, lambda pair: pair.ours)
    dsn = {**settings.admin_dsn(), "dbname": settings.database_name}
    found = _look(dsn, told, _OURS)
    assert found == (len(told),) * 4, f"told of {len(told)}, found {found}"
    theirs = _all(pairs, lambda pair: pair.library)
    assert _look(rival, theirs, _THEIRS) == (len(theirs),)
    return len(told)


def main() -> None:
    """Measure, verify, print and keep the result."""
    round_s = float(sys.argv[1]) if len(sys.argv) > 1 else ROUND_S
    with installation() as settings:
        rival = rival_dsn(settings)
        pairs = measure(settings, rival, round_s)
        stored = verify(settings, rival, pairs)
    keep(
        "store-append",
        title="Acts of one event through the store, and the library's",
        about=(
            f"{len(BODY)}-byte bodies, no mapper on either side;",
            f"medians of {ROUNDS} rounds of {round_s:g} s each, in turn.",
            f"All {stored:,} acknowledged acts were found at the positions told,",
            "with their commands, and nothing else; positions are dense.",
        ),
        header=("writers", "Sijil, acts/s", "library, acts/s"),
        lines=[pair.line for pair in pairs],
        is_trial=round_s < ROUND_S,
    )


if __name__ == "__main__":
    main()
