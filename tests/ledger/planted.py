"""Stores with a planted fault, for the checker to find: what it passes means something.

Nothing of these is ever made outside of a test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg2
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment

from tests.ledger.order import Observed

ORDER_OFF = """
CREATE SEQUENCE sijil.unordered INCREMENT 1000;
ALTER TABLE sijil.ledger_head RENAME TO ordered_head;
CREATE FUNCTION sijil.ledger_id() RETURNS uuid LANGUAGE sql VOLATILE
    AS $$ SELECT ledger_id FROM sijil.ordered_head $$;
CREATE VIEW sijil.ledger_head AS
    SELECT true AS is_only_row, sijil.ledger_id() AS ledger_id, 1 AS incarnation,
        nextval('sijil.unordered') AS position,
        '-infinity'::timestamptz AS recorded_at, false AS is_suspended;
CREATE FUNCTION sijil.keep_nothing() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER keep_nothing INSTEAD OF UPDATE ON sijil.ledger_head
    FOR EACH ROW EXECUTE FUNCTION sijil.keep_nothing();
GRANT ALL ON sijil.ledger_head TO PUBLIC;
GRANT EXECUTE ON FUNCTION sijil.ledger_id TO PUBLIC;
ALTER VIEW sijil.ledger_head OWNER TO {owner};
GRANT ALL ON SEQUENCE sijil.unordered TO {owner};
GRANT ALL ON sijil.ordered_head TO {owner};
"""
"""The head is no row any more: nobody waits for anybody, numbers are a sequence's.

Everything else is ours as it stands, whatever the append function's text is. Each taker
gets a thousand numbers of its own, so that no two acts can meet.
"""

RISKY_COMMITS = (
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET wal_writer_delay = '10s'",
    "SELECT pg_reload_conf()",
)
"""A commit is acknowledged before the disk has it: what a crash then loses."""

LIBRARY_SCHEMA = "library"
LIBRARY_WRITERS = 8
FEWEST_SEEN = 100
"""Rows without which it says nothing that none was passed over."""
LONG_S = 90.0
"""A bound that no healthy machine comes near."""
_LIBRARY_ROWS = f"""
SELECT notification_id, originator_id::text, originator_version
FROM {LIBRARY_SCHEMA}.sijil_test_events ORDER BY notification_id
"""


def switch_order_off(dsn: dict[str, Any], owner: str) -> None:
    """Take the lock out of a ledger. ``dsn`` is a superuser's."""
    with closing(psycopg2.connect(**dsn)) as connection, connection:
        connection.cursor().execute(ORDER_OFF.format(owner=owner))


def risk_commits(dsn: dict[str, Any]) -> None:
    """Let a server acknowledge what it could lose. ``dsn`` is a superuser's."""
    with closing(psycopg2.connect(**dsn)) as connection:
        connection.autocommit = True
        for statement in RISKY_COMMITS:
            connection.cursor().execute(statement)


@contextmanager
def library(
    dsn: dict[str, Any], *, db_functions: bool
) -> Iterator[ApplicationRecorder[Any]]:
    """The library's own recorder on its own PostgreSQL module."""
    with closing(psycopg2.connect(**dsn)) as connection, connection:
        connection.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {LIBRARY_SCHEMA}")
    factory = PostgresFactory(
        Environment(
            "sijil_test",
            {
                "POSTGRES_DBNAME": dsn["dbname"],
                "POSTGRES_HOST": dsn["host"],
                "POSTGRES_PORT": dsn["port"],
                "POSTGRES_USER": dsn["user"],
                "POSTGRES_PASSWORD": dsn["password"],
                "POSTGRES_SCHEMA": LIBRARY_SCHEMA,
                "POSTGRES_POOL_SIZE": str(LIBRARY_WRITERS + 2),
                "POSTGRES_ENABLE_DB_FUNCTIONS": "yes" if db_functions else "no",
            },
        )
    )
    try:
        yield factory.application_recorder()
    finally:
        factory.close()


def watched(recorder: ApplicationRecorder[Any], dsn: dict[str, Any]) -> Observed:
    """The library's writers under its tailing reader, and what was seen.

    For a second, and until the reader has seen enough: a busy machine takes longer. The
    reader goes by the library's own rule: the next page after the last one seen.
    """
    seen: list[int] = []
    over = threading.Event()

    def write(number: int) -> None:
        while not over.is_set():
            size = 1 + (number % 2) * 20
            body = f"{uuid4()}/{size}".encode()
            recorder.insert_events(
                [StoredEvent(uuid4(), 1, "happened", body) for _ in range(size)]
            )

    def read() -> int:
        page = recorder.select_notifications(
            start=seen[-1] if seen else 0, limit=500, inclusive_of_start=False
        )
        seen.extend(each.id for each in page)
        return len(page)

    def follow() -> None:
        while not over.is_set():
            read()

    after = recorder.max_notification_id() or 0
    seen.append(after)
    threads = [threading.Thread(target=follow)]
    threads += [
        threading.Thread(target=write, args=(n,)) for n in range(LIBRARY_WRITERS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    deadline = time.monotonic() + LONG_S
    while len(seen[1:]) <= FEWEST_SEEN and time.monotonic() < deadline:
        time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    while read():
        pass
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(_LIBRARY_ROWS)
        rows = [row for row in cursor.fetchall() if row[0] > after]
    # The library keeps no recorded time; of the rest only the order is asked here.
    moment = datetime.now(UTC)
    return Observed([(p, moment, a, v, b"x/1") for p, a, v in rows], [], (), [seen[1:]])
