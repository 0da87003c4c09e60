"""Measure: how long an append holds the ledger's head, before and since migration 0003.

The two functions stand side by side in one schema, each a copy that notes when it has
the lock; what is reported is from there to its last row. The commit, which is the
disk's, comes on top and is the same for both. Batches of fresh aggregates, one event an
act under a command; one act in the last row of the table stands on a version that is
taken. Rounds alternate; medians.

``python -m benchmarks.time_at_head [ROUNDS]`` takes fewer rounds.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
from eventsourcing.persistence import StoredEvent

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from benchmarks.writers import BODY, TOPIC
from domain.ids import new_id
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Command
from ledger.persistence.columns import arguments, columns
from ledger.settings import LedgerSettings

ROUNDS = 60
"""Of each side and size; the whole takes less than a minute."""
WARM_UP = 10
"""Rounds that are not counted: plans are made, pages and files come to be."""

_NOTE = "PERFORM set_config('sijil.has_head', clock_timestamp()::text, false);"
_HELD = """
SELECT count(*) FILTER (WHERE outcome = 'appended'),
    extract(epoch FROM clock_timestamp()
        - current_setting('sijil.has_head')::timestamptz) * 1000000
FROM """


class Version(NamedTuple):
    """One text of the function: its file, and the words after which it has the lock."""

    name: str
    file: str
    has_lock: str


BEFORE = Version(
    "append_before",
    "0002_append_batches.sql",
    "SELECT * INTO head FROM ledger_head FOR UPDATE;",
)
SINCE = Version(
    "append_since",
    "0003_append_lean.sql",
    "INTO STRICT head_position, at, is_suspended;",
)


def copied(cursor: psycopg2.extensions.cursor, version: Version) -> None:
    """Make a copy of a function that notes when it has the lock."""
    path = files("ledger.persistence") / "migrations" / version.file
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ("FUNCTION append(", f"FUNCTION {version.name}("),
        (version.has_lock, f"{version.has_lock}\n{_NOTE}"),
    ):
        if text.count(old) != 1:
            raise ValueError(old)
        text = text.replace(old, new)
    cursor.execute(text)


def batch(acts: int, taken: UUID | None) -> list[ActToAppend]:
    """Acts on fresh aggregates; the one in the middle on one that is taken."""
    ids = [new_id(datetime.now(UTC)) for _ in range(acts)]
    if taken is not None:
        ids[acts // 2] = taken
    return [
        ActToAppend(
            events=[StoredEvent(each, 1, TOPIC, BODY)],
            command=Command(id=uuid4(), actor="clerk/clk-DI-1", digest=each.bytes * 2),
        )
        for each in ids
    ]


def held_us(
    cursor: psycopg2.extensions.cursor, version: Version, acts: list[ActToAppend]
) -> float:
    """How long one batch held the head, in microseconds, up to its commit."""
    cursor.execute(f"{_HELD}{version.name}{arguments(map(columns, acts))}")
    row = cursor.fetchone()
    if row is None or row[0] < len(acts) - 1:
        raise ValueError(row)
    return float(row[1])


def measure(settings: LedgerSettings, rounds: int) -> list[Line]:
    """Every size of batch, both functions in turn."""
    owner = {**settings.dsn(Role.OWNER), "options": f"-c search_path={LEDGER_SCHEMA}"}
    with (
        closing(psycopg2.connect(**owner)) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        for version in (BEFORE, SINCE):
            copied(cursor, version)
        taken = uuid4()
        held_us(cursor, SINCE, batch(1, taken))
        lines = []
        for size, is_lost in ((1, False), (16, False), (64, False), (64, True)):
            found: dict[Version, list[float]] = {BEFORE: [], SINCE: []}
            for _ in range(WARM_UP + rounds):
                for version, times in found.items():
                    acts = batch(size, taken if is_lost else None)
                    times.append(held_us(cursor, version, acts))
            since, before = (
                statistics.median(found[each][WARM_UP:]) for each in (SINCE, BEFORE)
            )
            name = f"{size} acts, one lost" if is_lost else f"{size} acts"
            lines.append(Line(name=name, ours=since, rival=before))
    return lines


def main() -> None:
    """Measure, print and keep the result."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with installation() as settings:
        lines = measure(settings, rounds)
    keep(
        "time-at-head",
        title="Time at the ledger's head, a batch",
        about=(
            f"Medians of {rounds} rounds, in microseconds from the lock to the last",
            f"row, before the commit; {len(BODY)}-byte bodies.",
        ),
        header=("batch", "since 0003, µs", "before, µs"),
        lines=lines,
        is_trial=rounds < ROUNDS,
    )


if __name__ == "__main__":
    main()
