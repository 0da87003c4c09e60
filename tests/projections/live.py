"""The live views of one ledger at hand: their runner, their queries, their rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.access import Scope
from domain.stages import WaitingFor
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.audit_trail import AuditTrailQueries
from projections.clerk_queue import ClerkQueueQueries
from projections.governorate_counts import GovernorateCountsQueries
from projections.progress import ProgressQueries
from projections.runner import ViewRunner
from projections.schema import VIEWS
from projections.tracking import TrackingQueries
from tests.conftest import Database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVERYTHING = Scope()


class Views:
    """A ledger, its runner, and the queries, in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.reader = LedgerReader(database.datastore("runner"))
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.read = database.datastore("app", schema=VIEWS_SCHEMA)
        self.runner = ViewRunner(self.written, self.reader)
        self.queue = ClerkQueueQueries(self.read)
        self.counts = GovernorateCountsQueries(self.read)
        self.tracking = TrackingQueries(self.read)
        self.trail = AuditTrailQueries(self.read)
        self.progress = ProgressQueries(self.read)

    def contents(self, *, until: int | None = None) -> dict[str, list[Any]]:
        """Every versioned row there is, by table, for comparing two folds."""
        found = {}
        with self.written.transaction(commit=False) as cursor:
            for view in VIEWS:
                for table in view.tables:
                    cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                    found[table] = cursor.fetchall()
        return found

    def start_over(self) -> None:
        with self.written.transaction() as cursor:
            for view in VIEWS:
                for table in view.tables:
                    cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")


def all_items(views: Views, **asked: Any) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = views.queue.page(EVERYTHING, now=NOW, after=after, limit=7, **asked)
        items += page.items
        if page.next is None:
            return items
        after = page.next


def whole_queue(views: Views, as_of: int | None = None) -> dict[Any, Any]:
    return {
        item.request_id: item
        for waiting_for in set(WaitingFor) - {WaitingFor.POST}
        for item in all_items(views, waiting_for=waiting_for, as_of=as_of)
    }
