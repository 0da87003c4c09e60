"""Replay: views folded from the events into tables of one connection's own.

They are temporary tables of the reader's role, which may write nothing else: a replay
cannot touch a live row, and the server drops its tables with the connection, also
when the process was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from uuid import UUID

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from ledger.bodies import rfc3339
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore, translated
from ledger.reader import LedgerReader
from ledger.roles import connected
from ledger.settings import LedgerSettings
from projections.comparing import Fold, TableDifference, differences
from projections.facts import Fact, fact_of
from projections.folding import Batch, Folder, read_batch, skipped_positions
from projections.schema import make_tables
from projections.tables import TableKind, columns_of, kind_of
from projections.views import View
from projections.words import WORDS

SCRATCH = "pg_temp"
"""The schema of a connection's own tables."""
BATCH_SIZE = 5_000
"""Facts folded at a time, as the runner does."""
REFERENCE = tuple(
    topic
    for topic in WORDS
    if topic.startswith(
        (
            "sijil.agency.",
            "sijil.calendar.",
            "sijil.centre.",
            "sijil.clerk.",
            "sijil.service.",
            "sijil.stamp.",
        )
    )
)
"""The topics of what requests rest on."""
ROWS_A_FETCH = 2_000
"""Rows of an export held in memory."""

_LIVE = "SELECT view, version, position FROM {} WHERE view = ANY(%s)"
_TOUCHED = {
    TableKind.VERSIONED: (
        "SELECT CASE WHEN valid_from = %(at)s THEN '+' ELSE '-' END,"
        " row_to_json(t)::text FROM {table} t"
        " WHERE valid_from = %(at)s OR valid_to = %(at)s ORDER BY 1 DESC, 2"
    ),
    TableKind.STEPS: (
        "SELECT '+', row_to_json(t)::text FROM {table} t WHERE valid_from = %(at)s"
    ),
    TableKind.APPENDED: (
        "SELECT '+', row_to_json(t)::text FROM {table} t WHERE position = %(at)s"
    ),
}
_SHOWN = {
    TableKind.VERSIONED: "SELECT {columns} FROM {table} WHERE valid_to IS NULL",
    TableKind.STEPS: (
        "SELECT * FROM (SELECT DISTINCT ON (request_id) {columns} FROM {table}"
        " ORDER BY request_id, valid_from DESC) AS last"
    ),
    TableKind.APPENDED: "SELECT {columns} FROM {table}",
    TableKind.WORKING: "SELECT {columns} FROM {table}",
}


class NotComparableError(RuntimeError):
    """A live view is not where it could be compared; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """How far to replay: a position, and where told only what was effective by then."""

    position: int
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedRow:
    """A row that one entry made (``+``) or ended (``-``), as JSON."""

    view: str
    table: str
    sign: str
    row: str


class Replay:
    """Some views in tables of their own, at the beginning. Made by ``replaying``."""

    def __init__(
        self,
        connection: psycopg2.extensions.connection,
        reader: LedgerReader,
        views: Sequence[View],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._views = views
        with self.transaction() as cursor:
            make_tables(cursor, views)
        self._folders = [
            Folder(view, self, skipped_positions(reader, view)) for view in views
        ]

    @contextmanager
    def transaction(self) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor in a transaction of the one connection."""
        try:
            with self._connection.cursor() as cursor:
                yield cursor
            self._connection.commit()
        except psycopg2.Error as error:
            self._connection.rollback()
            raise translated(error) from error
        except BaseException:
            self._connection.rollback()
            raise

    def fold(
        self, until: Until, *, folded: Callable[[int], None] = lambda _: None
    ) -> None:
        """Fold all views. Raises CannotFoldError at what the code cannot fold."""
        bound = None
        if until.effective_at is not None:
            bound = rfc3339(until.effective_at)
        after = 0
        while after < until.position:
            batch = read_batch(
                self._reader, after=after, until=until.position, size=BATCH_SIZE
            )
            if batch is None:
                return
            if bound is not None:
                batch = _effective_by(batch, bound)
            self.take(batch)
            after = batch.last
            folded(after)

    def take(self, batch: Batch) -> None:
        """Fold one batch into every view."""
        head = self._reader.head()
        for folder in self._folders:
            folder.fold(batch, head)

    def touched_at(self, position: int) -> list[TouchedRow]:
        """The rows that the entry at a position made and ended."""
        found = []
        with self.transaction() as cursor:
            for view, table, columns in self._tables(cursor):
                query = _TOUCHED.get(kind_of(columns))
                if query is None:
                    continue
                table_ = sql.Identifier(SCRATCH, table)
                cursor.execute(sql.SQL(query).format(table=table_), {"at": position})
                found += [
                    TouchedRow(view=view, table=table, sign=sign, row=row)
                    for sign, row in cursor.fetchall()
                ]
        return found

    def tables(self) -> list[str]:
        """The tables of the views."""
        return [table for view in self._views for table in view.tables]

    def write_csv(self, table: str, file: IO[bytes]) -> None:
        """Write what a table shows, with a line of its columns, as CSV in UTF-8."""
        with self.transaction() as cursor:
            cursor.copy_expert(
                sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(
                    self._shown(cursor, table)
                ),
                file,
            )

    def rows_as_json(self, table: str) -> Iterator[str]:
        """What a table shows, a JSON object a row."""
        with self.transaction() as cursor:
            shown = self._shown(cursor, table)
        with self.transaction(), self._connection.cursor("shown") as cursor:
            cursor.itersize = ROWS_A_FETCH
            cursor.execute(
                sql.SQL("SELECT row_to_json(t)::text FROM ({}) t").format(shown)
            )
            for (row,) in cursor:
                yield row

    def compare(self, position: int) -> list[TableDifference]:
        """How the live views differ from these, as of the position both have reached.

        Raises NotComparableError where a live view is not as far, or another version.
        """
        with self.transaction() as cursor:
            self._must_have_come_to(position, self._live(cursor))
        found = []
        with self.transaction() as cursor:
            # One snapshot: what is compared and how far it was belong together. First
            # the tables, then the snapshot: else a view that is switched between the
            # two has rows that the snapshot is too old to see.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(self._hold_live())
            live = self._live(cursor)
            self._must_have_come_to(position, live)
            for view in self._views:
                found += differences(
                    cursor,
                    view,
                    live=Fold(schema=VIEWS_SCHEMA, level=live[view.name][1]),
                    folded=Fold(schema=SCRATCH, level=position),
                    position=position,
                )
        return found

    def _must_have_come_to(
        self, position: int, live: dict[str, tuple[int, int]]
    ) -> None:
        for view in self._views:
            level = live.get(view.name)
            if level is None or level[0] != view.version:
                raise NotComparableError(f"{view.name} is of another version")
            if level[1] < position:
                raise NotComparableError(
                    f"{view.name} has come to position {level[1]} only"
                )

    def _hold_live(self) -> sql.Composed:
        """The statement after which no live table is put in another's place."""
        tables = [sql.Identifier(VIEWS_SCHEMA, table) for table in self.tables()]
        return sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(
            sql.SQL(", ").join(tables)
        )

    def _live(self, cursor: psycopg2.extensions.cursor) -> dict[str, tuple[int, int]]:
        progress = sql.Identifier(VIEWS_SCHEMA, "progress")
        names = [view.name for view in self._views]
        cursor.execute(sql.SQL(_LIVE).format(progress), (names,))
        return {name: (version, at) for name, version, at in cursor.fetchall()}

    def _tables(
        self, cursor: psycopg2.extensions.cursor
    ) -> Iterator[tuple[str, str, dict[str, str]]]:
        for view in self._views:
            for table in view.tables:
                yield view.name, table, columns_of(cursor, f"{SCRATCH}.{table}")

    def _shown(self, cursor: psycopg2.extensions.cursor, table: str) -> sql.Composed:
        """The statement for what a table shows: its current rows, in its own order."""
        columns = columns_of(cursor, f"{SCRATCH}.{table}")
        kind = kind_of(columns)
        names = [name for name in columns if name != "valid_to"]
        return sql.SQL(_SHOWN[kind] + " ORDER BY {columns}").format(
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            table=sql.Identifier(SCRATCH, table),
        )


def _effective_by(batch: Batch, bound: str) -> Batch:
    """The facts that were effective by then: of each aggregate its first versions.

    The texts have one form, so they sort as the times do.
    """
    facts = [fact for fact in batch.facts if fact.effective_text <= bound]
    return Batch(after=batch.after, last=batch.last, facts=facts)


def steps_of(reader: LedgerReader, aggregate_id: UUID, until: Until) -> Iterator[Batch]:
    """One aggregate's facts, each the last of a batch with what it rests on.

    That are the services, places, people and calendars published before it. The state
    of what else there is, such as other requests, is left out.
    """
    bound = None if until.effective_at is None else rfc3339(until.effective_at)
    after = 0
    for entry in reader.aggregate(aggregate_id):
        fact = fact_of(entry)
        if fact is None or fact.position > until.position:
            return
        if bound is not None and fact.effective_text > bound:
            return
        rests_on: list[Fact] = []
        at = after
        while found := reader.rows(
            after=at, limit=BATCH_SIZE, until=fact.position, topics=REFERENCE
        ):
            rests_on += [Fact(row) for row in found]
            at = rests_on[-1].position
        yield Batch(after=after, last=fact.position, facts=[*rests_on, fact])
        after = fact.position


@contextmanager
def replaying(
    settings: LedgerSettings, views: Sequence[View]
) -> Iterator[tuple[Replay, LedgerReader]]:
    """A Replay at the beginning, and the reader it folds from. All is gone at the end.

    Everything is done as the reader's role.
    """
    dsn = settings.dsn(Role.READER)
    ledger = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=1)
    options = f"-c search_path={SCRATCH} -c timezone=UTC"
    try:
        with connected({**dsn, "options": options}) as connection:
            connection.autocommit = False
            reader = LedgerReader(ledger)
            yield Replay(connection, reader, views), reader
    finally:
        ledger.close()
