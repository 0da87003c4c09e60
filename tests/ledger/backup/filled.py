"""A ledger with all that is odd in it, and what is in a ledger."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
from eventsourcing.persistence import StoredEvent, Tracking

from ledger.backup.form import Closing, Opening
from ledger.backup.writing import write_backup
from ledger.names import Role
from ledger.persistence.append import ActToAppend, Command, Outcome
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database

ENTRIES = 600
"""Two full bundles and a part of a third."""
ODD_TOPICS = ("a\\tb", "\\N", "sijil.request.stamped.v1", "~ ~")
ODD_BODIES = (b"", b"\x00\n\t\\", "ختم".encode(), b"x" * 60_000, bytes(range(256)))
_TABLES = {
    "events": "position",
    "commands": "id",
    "tracking": "name",
}


def command(number: int) -> Command:
    return Command(
        id=UUID(int=number), actor='clerk:"\\\t\n', digest=b"\x00%d" % number
    )


def act(number: int) -> ActToAppend:
    """One act: two events, or one without a command, or none at all."""
    events = [
        StoredEvent(
            UUID(int=number),
            version,
            ODD_TOPICS[number % len(ODD_TOPICS)],
            ODD_BODIES[number % len(ODD_BODIES)] if number < 30 else b"{%d}" % number,
        )
        for version in range(1, 1 + (0 if number % 7 == 3 else 1 + number % 2))
    ]
    return ActToAppend(
        events=events,
        command=None if number % 5 == 4 and events else command(number),
        tracking=Tracking(f"stream-{number % 3}", number) if number % 4 else None,
    )


def fill(database: Database, entries: int) -> None:
    recorder = PostgresProcessRecorder(database.datastore(Role.APP))
    reader = LedgerReader(database.datastore(Role.READER))
    number = 0
    while (missing := entries - reader.head().position) > 0:
        some = [act(number + each) for each in range(min(missing, 150))]
        number += len(some)
        assert {done.outcome for done in recorder.append(some)} == {Outcome.APPENDED}


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the ledger, as text, as the database writes it."""
    found = {}
    with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
        cursor = connection.cursor()
        for table, order in _TABLES.items():
            cursor.execute(f"SELECT t::text FROM sijil.{table} t ORDER BY {order}")
            found[table] = cursor.fetchall()
    return found


def leaves(database: Database) -> list[bytes]:
    reader = LedgerReader(database.datastore(Role.READER))
    return [entry.leaf_hash() for entry in reader.stream()]


def back_up(database: Database, path: Path) -> tuple[Opening, Closing]:
    return write_backup(database.datastore(Role.APP), path)


def must_be_empty(database: Database) -> None:
    assert contents(database) == {table: [] for table in _TABLES}
    assert LedgerReader(database.datastore(Role.READER)).head().position == 0
