"""Claim: a restore, checks and reading back included, at 0.4 of a bare COPY's speed.

Ours is ``ledger.backup.restoring``: unpack, hold every entry against its leaf hash,
COPY entries and commands, read all entries back and hold them against the root. The
rival is a COPY of the very same rows, written beforehand as text, into tables of the
same columns, checks and indexes, in one transaction. Rounds alternate, each into an
empty ledger of its own on one embedded server; medians and their ratio are kept, with
the rates of writing and of checking a backup, which have no bar.

``python -m benchmarks.restore [EVENTS]`` takes a smaller number.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2

from benchmarks.append import installation
from benchmarks.bars import Line, keep, written
from benchmarks.many_events import fill
from ledger.backup.reading import check_backup
from ledger.backup.restoring import restore
from ledger.backup.writing import write_backup
from ledger.migrations import migrate
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.settings import LedgerSettings

EVENTS = 1_000_000
ROUNDS = 3
"""Odd, so that the median is a measured round."""
LEAST_RATIO = 0.4
TABLES = ("events", "commands")
_CHUNK_BYTES = 2**18
_SCHEMA = f"SET search_path = {LEDGER_SCHEMA}"


def another(settings: LedgerSettings, name: str) -> LedgerSettings:
    """An empty ledger on the same server."""
    made = settings.model_copy(
        update={"database_name": name, "vault_database_name": f"{name}_vault"}
    )
    migrate(made)
    return made


def gone(settings: LedgerSettings, empty: LedgerSettings) -> None:
    """Remove it: the next round's disk is this one's."""
    with closing(psycopg2.connect(**settings.admin_dsn())) as connection:
        connection.autocommit = True
        for name in (empty.database_name, empty.vault_database_name):
            connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


def copied_out(settings: LedgerSettings, folder: Path) -> None:
    """The rows as COPY's own text, a file a table."""
    with closing(psycopg2.connect(**settings.dsn(Role.OWNER))) as connection:
        cursor = connection.cursor()
        cursor.execute(_SCHEMA)
        for table in TABLES:
            with (folder / table).open("wb") as file:
                cursor.copy_expert(f"COPY {table} TO STDOUT", file)


def bare(settings: LedgerSettings, folder: Path) -> None:
    """The rival: COPY of each file, committed together."""
    with closing(psycopg2.connect(**settings.dsn(Role.OWNER))) as connection:
        cursor = connection.cursor()
        cursor.execute(_SCHEMA)
        for table in TABLES:
            with (folder / table).open("rb") as file:
                cursor.copy_expert(f"COPY {table} FROM STDIN", file, _CHUNK_BYTES)
        connection.commit()


def took(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure, print and keep the result."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with installation() as settings, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "ledger.sijil"
        fill(settings, events)
        store = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
        with closing(store):
            writing_s = took(lambda: write_backup(store, file))
        checking_s = took(lambda: check_backup(file))
        copied_out(settings, folder)
        rates: dict[str, list[float]] = {"ours": [], "rival": []}
        for number in range(ROUNDS):
            for side in ("ours", "rival") if number % 2 else ("rival", "ours"):
                empty = another(settings, f"sijil_{side}_{number}")
                if side == "ours":
                    seconds = took(lambda to=empty: restore(to, file))
                else:
                    seconds = took(lambda to=empty: bare(to, folder))
                rates[side].append(events / seconds)
                gone(settings, empty)
        size_bytes = file.stat().st_size
    keep(
        "restore",
        title="Bringing a backup back",
        about=[
            f"{events:,} events and their commands; medians of {ROUNDS} rounds.",
            f"The backup takes {size_bytes / events:.0f} bytes an event.",
        ],
        header=("what", "ours, events/s", "bare COPY"),
        lines=[
            Line(
                name="restore, checked and read back",
                ours=statistics.median(rates["ours"]),
                rival=statistics.median(rates["rival"]),
                at_least=LEAST_RATIO,
            )
        ],
        more=[
            f"Writing the backup: {written(events / writing_s)} events/s.",
            f"Checking it without a database: {written(events / checking_s)}.",
        ],
        is_trial=events < EVENTS,
    )


if __name__ == "__main__":
    main()
