"""Views held against clean folds, and against what they showed at other times."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Self

from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.progress import ProgressQueries
from projections.replay import Until, replaying
from projections.runner import ViewRunner
from projections.schema import VIEWS
from projections.tables import columns_of
from tests.projections.seen import Looking, Seen, whole

REPLAYS = 2
"""Positions of those seen to which everything is replayed from the start."""


class Examination:
    """What is wrong with the views of a ledger that nobody else is at work on."""

    def __init__(self, settings: LedgerSettings) -> None:
        self._settings = settings
        dsn = settings.dsn(Role.RUNNER)
        self._ledger = PostgresDatastore(dsn, schema=LEDGER_SCHEMA)
        self._views = PostgresDatastore(dsn, schema=VIEWS_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
        self._views.close()

    def faults(self, seen: Sequence[Seen] = ()) -> list[str]:
        """Each fault in words. The views are at the head afterwards, folded anew."""
        head = self._catch_up()
        levels = ProgressQueries(self._views).levels()
        if failed := [level for level in levels if level.failed_code is not None]:
            # There is nothing to hold against what it shows.
            return [f"{each.view} stands still: {each.failed_code}" for each in failed]
        if missing := self._missing():
            return [f"{table} is missing" for table in missing]
        looking = Looking(self._views)
        wrong = [fault for then in seen for fault in looking.differing(then)]
        positions = sorted({then.position for then in seen})
        chance = Random(head)  # noqa: S311 -- a test's dice
        chosen = chance.sample(positions, min(REPLAYS, len(positions)))
        for position in (*chosen, head):
            wrong += self._unlike_a_replay(position)
        return wrong + self._unlike_a_clean_fold()

    def _catch_up(self) -> int:
        return ViewRunner(self._views, LedgerReader(self._ledger)).catch_up()

    def _missing(self) -> list[str]:
        with self._views.autocommit() as cursor:
            tables = [table for view in VIEWS for table in view.tables]
            return [table for table in tables if not columns_of(cursor, table)]

    def _unlike_a_replay(self, position: int) -> list[str]:
        with replaying(self._settings, VIEWS) as (made, _):
            made.fold(Until(position=position))
            found = made.compare(position)
        return [
            f"{each.table} is not the replay to {position}: {each.keys}"
            for each in found
            if not each.is_same
        ]

    def _unlike_a_clean_fold(self) -> list[str]:
        """Tables whose rows are others once all are folded from nothing."""
        with self._views.transaction() as cursor:
            before = whole(cursor)
            for table in before:
                cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")
        self._catch_up()
        with self._views.transaction(commit=False) as cursor:
            after = whole(cursor)
        return [
            f"{table} differs from a clean fold"
            for table, rows in before.items()
            if after[table] != rows
        ]
