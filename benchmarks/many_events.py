"""A ledger with millions of entries, filled past the append function for measuring.

What is filled in is what appends would have left: dense positions, rising times, the
versions of an aggregate one after the other, a thousand aggregates under way at a time,
UUIDv7 of the moment, one command an event, the head at the end. Rows go in through all
indexes, in order, so that the indexes are as full as if they had grown.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from typing import Any

import psycopg2

from benchmarks.writers import BODY, TOPIC
from ledger.settings import LedgerSettings

CHUNK = 200_000
"""Rows a statement: a few hundred MB of log between two chances to recycle it."""
EVENTS_A_LIFE = 8
UNDER_WAY = 1_000
"""Aggregates that are under way at a time."""
BYTES_AN_EVENT = 2_000
"""Free space that is wanted: rows and indexes take half of it, log the rest."""
LOG_LIMIT = "2GB"
"""Of write-ahead log while filling: more checkpoints than with more, but bounded."""

# A UUIDv7 of a time and a name; as the ids of the ledger are made, but in SQL.
_TIMED_ID = """
(lpad(to_hex((extract(epoch FROM {time}) * 1000)::bigint), 12, '0') || '7'
    || substr({hash}, 1, 3) || '8' || substr({hash}, 4, 15))::uuid
"""
_EVENTS = f"""
INSERT INTO sijil.events (position, recorded_at, aggregate_id, version, topic, body)
SELECT n + 1, %(start)s + n * %(step)s,
    {_TIMED_ID.format(time="%(start)s + born * %(step)s", hash="md5('a' || born)")},
    (n %% %(block)s) / %(under_way)s + 1, %(topic)s, %(body)s
FROM generate_series(%(first)s::bigint, %(last)s) AS n,
    LATERAL (SELECT n - n %% %(block)s + n %% %(under_way)s AS born) AS b
ORDER BY n
"""
_COMMANDS = f"""
INSERT INTO sijil.commands
SELECT {_TIMED_ID.format(time="%(start)s + n * %(step)s", hash="md5('c' || n)")},
    'clerk/clk-DI-1', decode(md5('d' || n) || md5('e' || n), 'hex'),
    n + 1, n + 1, %(start)s + n * %(step)s
FROM generate_series(%(first)s::bigint, %(last)s) AS n
ORDER BY n
"""
_HEAD = """
UPDATE sijil.ledger_head h SET position = e.position, recorded_at = e.recorded_at
FROM (SELECT * FROM sijil.events ORDER BY position DESC LIMIT 1) AS e
"""
_IS_WHOLE = """
SELECT count(*) = max(position)
    AND count(*) = (SELECT position FROM sijil.ledger_head)
    AND count(*) = (SELECT count(*) FROM sijil.commands)
FROM sijil.events
"""


def must_have_room(settings: LedgerSettings, events: int) -> None:
    """Ends the program when the disk has too little room for so many events."""
    wanted = events * BYTES_AN_EVENT + 3 * 2**30
    free = shutil.disk_usage(settings.server().place).free
    if free < wanted:
        sys.exit(f"{wanted / 2**30:.0f} GB are wanted, {free / 2**30:.0f} are free")


def fill(settings: LedgerSettings, events: int) -> None:
    """Put so many events into an empty ledger, as the superuser."""
    must_have_room(settings, events)
    admin = settings.admin_dsn()
    _set_log_limit(admin, LOG_LIMIT)
    dsn = {**admin, "dbname": settings.database_name}
    with closing(psycopg2.connect(**dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # The last entry is some hours old when all are in, ten seconds apart.
            cursor.execute(
                "SELECT date_trunc('hour', now()) - interval '2 hours' - %s * step, "
                "step FROM (SELECT interval '10 seconds' AS step) AS s",
                (events,),
            )
            start, step = cursor.fetchone() or (None, None)
            for first in range(0, events, CHUNK):
                parameters = {
                    "first": first,
                    "last": min(first + CHUNK, events) - 1,
                    "start": start,
                    "step": step,
                    "block": EVENTS_A_LIFE * UNDER_WAY,
                    "under_way": UNDER_WAY,
                    "topic": TOPIC,
                    "body": BODY,
                }
                cursor.execute(_EVENTS, parameters)
                cursor.execute(_COMMANDS, parameters)
            cursor.execute(_HEAD)
            cursor.execute(_IS_WHOLE)
            assert cursor.fetchone() == (True,), "what was filled in is not whole"
            # What autovacuum would do at its leisure, in the middle of a round.
            cursor.execute("VACUUM (ANALYZE) sijil.events, sijil.commands")
            cursor.execute("CHECKPOINT")
    _set_log_limit(admin, None)


def _set_log_limit(admin: dict[str, Any], limit: str | None) -> None:
    with closing(psycopg2.connect(**admin)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if limit is None:
                cursor.execute("ALTER SYSTEM RESET max_wal_size")
            else:
                cursor.execute("ALTER SYSTEM SET max_wal_size = %s", (limit,))
            cursor.execute("SELECT pg_reload_conf()")
