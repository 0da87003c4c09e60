"""The one runner of all views: reads the ledger once and folds each view by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event

import structlog
from eventsourcing.persistence import InterfaceError, OperationalError, PersistenceError

from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import BATCH_SIZE, Head, LedgerReader
from projections.facts import Fact, fact_of
from projections.schema import VIEWS
from projections.views import View

RETRY_FAILED_S = 5.0
"""How soon a view that failed is tried again: it goes on by itself when fixed."""
RETRY_AWAY_S = 0.5
"""How soon a database that is away is asked again."""
BATCHES_A_ROUND = 20
"""Batches folded before the views that stand behind get their turn again."""

_LOCK = """
SELECT ledger_id::text, incarnation, position, version FROM progress
WHERE view = %s FOR UPDATE
"""
_ADVANCE = """
UPDATE progress SET ledger_id = %s::uuid, incarnation = %s, position = %s,
    error = NULL, updated_at = clock_timestamp()
WHERE view = %s
"""
_FAIL = """
UPDATE progress SET error = %s, updated_at = clock_timestamp() WHERE view = %s
"""
_POSITIONS = "SELECT view, position FROM progress"

_log = structlog.get_logger()


class FollowerForkError(RuntimeError):
    """The ledger is not the one this view has followed; it must be made anew."""


class ViewVersionError(RuntimeError):
    """The view's tables are of another version; ``sijil migrate`` makes them anew."""


class ViewRunner:
    """Folds every view up to the head and follows it.

    ``datastore`` is the runner role's, on the views' schema. Two runners at once do
    no harm: a view's progress row is locked while it folds.
    """

    def __init__(
        self,
        datastore: PostgresDatastore,
        reader: LedgerReader,
        views: Sequence[View] = VIEWS,
    ) -> None:
        self._datastore = datastore
        self._reader = reader
        self._views = views
        self._failed_at: dict[str, float] = {}

    def run(self, stop: Event) -> None:
        """Follow the ledger until ``stop`` is set. A failing view stops alone."""
        for _ in self._reader.pulses(stop=stop):
            try:
                self.catch_up(stop=stop)
            except (OperationalError, InterfaceError) as error:
                _log.warning("views.database_away", error=type(error).__name__)
                stop.wait(RETRY_AWAY_S)

    def catch_up(self, *, until: int | None = None, stop: Event | None = None) -> int:
        """Fold all views to the head, or ``until``; the head that was reached."""
        while True:
            head = self._reader.head()
            target = head.position if until is None else min(until, head.position)
            is_moved = False
            for view, position in self._behind(target, head):
                is_moved |= self._fold_up_to(view, position, target, head)
                if stop is not None and stop.is_set():
                    return target
            if not is_moved:
                return target

    def _behind(self, target: int, head: Head) -> list[tuple[View, int]]:
        """The views to fold now, each with its position."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_POSITIONS)
            positions = dict(cursor.fetchall())
        now = time.monotonic()
        return [
            (view, positions[view.name])
            for view in self._views
            if not target <= positions.get(view.name, target) <= head.position
            and now - self._failed_at.get(view.name, -RETRY_FAILED_S) >= RETRY_FAILED_S
        ]

    def _fold_up_to(self, view: View, position: int, target: int, head: Head) -> bool:
        """Fold some batches of one view; whether it moved."""
        started = position
        try:
            for _ in range(BATCHES_A_ROUND):
                entries = self._reader.entries(
                    after=position, limit=BATCH_SIZE, until=target
                )
                last = entries[-1].position if entries else position
                facts = [fact for entry in entries if (fact := fact_of(entry))]
                position = self._fold(view, facts, last, head)
                if position >= target:
                    break
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 -- the top of one view's loop
            self._fail(view, position, error)
            return False
        self._failed_at.pop(view.name, None)
        return position > started

    def _fold(self, view: View, facts: Sequence[Fact], last: int, head: Head) -> int:
        """Fold one batch with its progress in one transaction; the new position."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_LOCK, (view.name,))
            row = cursor.fetchone()
            if row is None or row[3] != view.version:
                raise ViewVersionError(view.name)
            ledger_id, incarnation, position, _ = row
            _must_be_the_same(head, ledger_id, incarnation, position)
            position = int(position)
            new = [fact for fact in facts if fact.position > position]
            if last <= position:
                return position
            if new:
                view.fold(cursor, new)
            cursor.execute(
                _ADVANCE, (str(head.ledger_id), head.incarnation, last, view.name)
            )
        return last

    def _fail(self, view: View, position: int, error: Exception) -> None:
        """Remember that a view stopped, and where; the message may hold no values."""
        self._failed_at[view.name] = time.monotonic()
        code = (
            "follower-fork"
            if isinstance(error, FollowerForkError)
            else type(error).__name__
        )
        text = f"{code} after position {position}"
        _log.error("views.failed", view=view.name, position=position, error=code)
        try:
            with self._datastore.transaction() as cursor:
                cursor.execute(_FAIL, (text, view.name))
        except PersistenceError as failure:
            # Not its words: a database's error may repeat a row.
            _log.error(
                "views.failure_not_recorded",
                view=view.name,
                error=type(failure).__name__,
            )


def _must_be_the_same(
    head: Head, ledger_id: str | None, incarnation: int | None, position: int
) -> None:
    """A view follows one ledger; an earlier head or another incarnation is a fork."""
    if ledger_id is None:
        return
    if (
        ledger_id != str(head.ledger_id)
        or incarnation != head.incarnation
        or position > head.position
    ):
        raise FollowerForkError
