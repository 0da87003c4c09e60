"""A runner whose last commit went with the server remembers nothing of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from typing import Any

import psycopg2

from projections.clerk_queue import ClerkQueue
from projections.folding import Folder, read_batch
from projections.schema import ensure_views
from tests.own_server import own_database, own_home
from tests.projections.histories import random_history
from tests.projections.live import Views

NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
TAKE_ONE = "SELECT pg_current_xact_id()::text::bigint"
STANDS_AT = "SELECT position FROM sijil_views.progress WHERE view = 'clerk_queue'"
LOG_WRITER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
QUIET = {"autovacuum": "off", "bgwriter_lru_maxpages": "0", "checkpoint_timeout": "1d"}
"""Whoever else commits takes the next number, and whoever writes pages takes the log
that stands before them to the disk.
"""


def test_a_number_given_away_twice_is_not_taken_for_ones_own() -> None:
    """Commits of folds do not wait for the disk, and one that is lost leaves no trace.

    After the crash another runner writes under the number of that transaction, and
    does not come as far as what this one remembers.
    """
    with own_home() as home, own_database(home) as database:
        server = database.server.embedded
        ensure_views(database.settings)
        views = Views(database)
        with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for name, value in QUIET.items():
                cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            cursor.execute("SELECT pg_reload_conf()")
            log_writer = asked(cursor, LOG_WRITER)
        random_history(views.recorder, requests=20)
        head = views.reader.head()
        mine, others = (
            Folder(ClerkQueue(), views.written, frozenset()) for _ in range(2)
        )

        def take(folder: Folder, after: int, last: int) -> None:
            batch = read_batch(views.reader, after=after, until=last, size=last)
            assert batch is not None
            assert folder.fold(batch, head) == last

        kept, lost = head.position // 2, head.position - 10
        take(mine, 0, kept)
        # An append waits for the disk, and takes with it what was written before.
        random_history(views.recorder, requests=1, seed=2)
        os.kill(log_writer, signal.SIGSTOP)
        take(mine, kept, lost)
        number = int(str(mine._wrote).split()[0])
        pid = server.pid()
        assert pid is not None
        for each in (pid, log_writer):
            os.kill(each, signal.SIGKILL)
        while server.pid() is not None:
            time.sleep(0.01)
        server.start()
        with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            assert asked(cursor, STANDS_AT) == kept
            while (following := asked(cursor, NEXT)) < number:
                asked(cursor, TAKE_ONE)
            assert following == number
        take(others, kept, kept + 20)
        take(mine, kept + 20, head.position)
        followed = rows(views)
        views.start_over()
        take(Folder(ClerkQueue(), views.written, frozenset()), 0, head.position)
        assert followed == rows(views)


def asked(cursor: Any, query: str) -> int:
    cursor.execute(query)
    (number,) = cursor.fetchone()
    return int(number)


def rows(views: Views) -> list[object]:
    return views.contents()["clerk_queue"]
