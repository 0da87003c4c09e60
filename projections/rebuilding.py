"""Making views anew beside the live ones, and putting them in their place.

Everything happens in a schema of its own until the switch, which is one transaction a
view. Killed at any moment, the live view is what it was; the next rebuild clears up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from ledger.names import LEDGER_SCHEMA, REBUILD_SCHEMA, VIEWS_SCHEMA, Lock, Role
from ledger.persistence.datastore import PostgresDatastore, is_away, translated
from ledger.reader import LedgerReader
from ledger.roles import connected, grant_beside
from ledger.settings import LedgerSettings
from projections.comparing import Fold, TableDifference, differences
from projections.folding import CannotFoldError
from projections.progress import ProgressQueries
from projections.runner import ViewRunner
from projections.schema import make_tables
from projections.views import View

SWITCH_LOCK_TIMEOUT = "100ms"
"""How long the switch waits for a lock: who comes meanwhile waits behind it."""
SWITCH_TRIES = 100
"""Tries before the switch gives up: half a minute of readers that never pause."""
SWITCH_PAUSE_S = 0.2
"""Between two tries everybody who waited has had a turn."""

_LEVEL = "SELECT position, version FROM {} WHERE view = %s"
_DROP = "DROP SCHEMA IF EXISTS {} CASCADE"
_TAKE_OVER = """
UPDATE {live} l SET version = r.version, ledger_id = r.ledger_id,
    incarnation = r.incarnation, position = r.position, error = NULL,
    failed_position = NULL, failed_code = NULL, updated_at = clock_timestamp()
FROM {beside} r WHERE l.view = r.view AND l.view = %s
"""


class RebuildUnderWayError(RuntimeError):
    """Somebody is making views anew already."""


class CannotSwitchError(RuntimeError):
    """The view could not be put in its place; the live one is what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A view made anew beside the live one, both as of ``position``.

    ``differences`` is None where the live view is of another version.
    """

    view: str
    position: int
    differences: tuple[TableDifference, ...] | None


class Rebuild:
    """Some views beside the live ones. Made by ``rebuilding``."""

    def __init__(
        self,
        cursor: psycopg2.extensions.cursor,
        writing: PostgresDatastore,
        reader: LedgerReader,
        views: Sequence[View],
    ) -> None:
        self._cursor = cursor
        self._writing = writing
        self._reader = reader
        self._views = views
        self._runner = ViewRunner(writing, reader, views)

    def fold(self, *, folded: Callable[[int], None] = lambda _: None) -> int:
        """Fold to the head; the position reached.

        Raises CannotFoldError where a view stops: then nothing can be switched.
        """
        runner = ViewRunner(self._writing, self._reader, self._views, folded=folded)
        position = runner.catch_up()
        for level in ProgressQueries(self._writing).levels():
            if level.failed_code is not None:
                code = f"{level.view}: {level.failed_code}"
                raise CannotFoldError(code, level.failed_position)
        # A table without statistics would be read by the wrong index at first.
        for view in self._views:
            for table in view.tables:
                name = sql.Identifier(REBUILD_SCHEMA, table)
                self._cursor.execute(sql.SQL("ANALYZE {}").format(name))
        return position

    def compare(self, view: View) -> Compared:
        """How the live view differs from the one beside it."""
        self._cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            live, version = self._level(VIEWS_SCHEMA, view)
            beside, _ = self._level(REBUILD_SCHEMA, view)
            position = min(live, beside)
            found = None
            if version == view.version:
                found = tuple(
                    differences(
                        self._cursor,
                        view,
                        live=Fold(schema=VIEWS_SCHEMA, level=live),
                        folded=Fold(schema=REBUILD_SCHEMA, level=beside),
                        position=position,
                    )
                )
        finally:
            self._cursor.execute("ROLLBACK")
        return Compared(view=view.name, position=position, differences=found)

    def switch(self, view: View) -> int:
        """Put the view in its place in one transaction; its position then.

        Raises CannotSwitchError when its readers leave no gap.
        """
        for _ in range(SWITCH_TRIES):
            try:
                return self._switch(view)
            except psycopg2.Error as error:
                self._cursor.execute("ROLLBACK")
                if not is_away(translated_from(error)):
                    raise
            time.sleep(SWITCH_PAUSE_S)
        raise CannotSwitchError(f"{view.name} is read without a pause")

    def _switch(self, view: View) -> int:
        self._runner.catch_up()
        self._cursor.execute("BEGIN")
        self._cursor.execute("SET LOCAL lock_timeout = %s", (SWITCH_LOCK_TIMEOUT,))
        # The live view stands still from here on, so the other can come level.
        live, newest = self._level(VIEWS_SCHEMA, view, is_locked=True)
        self._runner.catch_up(until=live)
        beside, version = self._level(REBUILD_SCHEMA, view)
        if beside < live or newest > version:
            self._cursor.execute("ROLLBACK")
            raise CannotSwitchError(f"{view.name} did not come level")
        for table in view.tables:
            name = sql.Identifier(VIEWS_SCHEMA, table)
            self._cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        for table in view.tables:
            self._cursor.execute(
                sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                    sql.Identifier(REBUILD_SCHEMA, table), sql.Identifier(VIEWS_SCHEMA)
                )
            )
        self._cursor.execute(
            sql.SQL(_TAKE_OVER).format(
                live=sql.Identifier(VIEWS_SCHEMA, "progress"),
                beside=sql.Identifier(REBUILD_SCHEMA, "progress"),
            ),
            (view.name,),
        )
        self._cursor.execute("COMMIT")
        self._cursor.execute(
            sql.SQL("DELETE FROM {} WHERE view = %s").format(
                sql.Identifier(REBUILD_SCHEMA, "progress")
            ),
            (view.name,),
        )
        return beside

    def _level(
        self, schema: str, view: View, *, is_locked: bool = False
    ) -> tuple[int, int]:
        query = _LEVEL + (" FOR UPDATE" if is_locked else "")
        progress = sql.Identifier(schema, "progress")
        self._cursor.execute(sql.SQL(query).format(progress), (view.name,))
        row = self._cursor.fetchone()
        if row is None:
            raise CannotSwitchError(f"{view.name} has no tables; run `sijil migrate`")
        return int(row[0]), int(row[1])


def translated_from(error: psycopg2.Error) -> Exception:
    """The library's error for the driver's, with its cause, as a datastore raises."""
    made = translated(error)
    made.__cause__ = error
    return made


@contextmanager
def rebuilding(settings: LedgerSettings, views: Sequence[View]) -> Iterator[Rebuild]:
    """A Rebuild of the views, at the beginning. What is not switched is dropped.

    Tables are made by the owner and filled by the runner's role. Raises
    RebuildUnderWayError where another one lives: the lock goes with its connection.
    """
    options = f"-c search_path={REBUILD_SCHEMA},pg_temp -c timezone=UTC"
    beside = sql.Identifier(REBUILD_SCHEMA)
    runner = settings.dsn(Role.RUNNER)
    with (
        connected({**settings.dsn(Role.OWNER), "options": options}) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (Lock.REBUILD.value,))
        if cursor.fetchone() != (True,):
            raise RebuildUnderWayError("another rebuild is under way")
        cursor.execute(sql.SQL(_DROP).format(beside))
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(beside))
        make_tables(cursor, views)
        grant_beside(cursor, REBUILD_SCHEMA)
        reading = PostgresDatastore(runner, schema=LEDGER_SCHEMA)
        writing = PostgresDatastore(runner, schema=REBUILD_SCHEMA)
        try:
            yield Rebuild(cursor, writing, LedgerReader(reading), views)
        finally:
            writing.close()
            reading.close()
            if not connection.closed:
                cursor.execute("ROLLBACK")
                cursor.execute(sql.SQL(_DROP).format(beside))
