"""The one runner of all views: reads the ledger once and folds each view by itself.

Views at one position share what was read and parsed. They fold in a few threads: the
Python of one overlaps with the server's work for another.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from uuid import UUID

import structlog
from eventsourcing.persistence import InterfaceError, OperationalError, PersistenceError

from ledger.backup.resuming import is_common
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import Head, LedgerReader
from projections.folding import (
    Batch,
    CannotFoldError,
    Folder,
    Plan,
    read_batch,
    skipped_positions,
)
from projections.schema import VIEWS
from projections.views import View

BATCH_SIZE = 5_000
"""Facts of one batch: set-wise work is cheap from a thousand on, memory is not.

Three batches are in memory at most: one that the slowest views still fold, one that
the others fold already, and one read ahead.
"""
THREADS = 4
"""Two cores' worth of Python and of PostgreSQL's work, each waiting for the other."""
RETRY_FAILED_S = 5.0
"""How soon a view that failed is tried again: it goes on by itself when fixed."""
RETRY_AWAY_S = 0.5
"""How soon a database that is away is asked again."""
BATCHES_A_TURN = 1
"""Batches of views that stand behind, before those that are level get their turn."""

COLLECT_EVERY = (100_000, 10, 10)
"""Containers made between two looks for cycles: facts make none, and are many.

With Python's own 700 the looking took half of all the time that folding took.
"""
SWITCH_EVERY_S = 0.0005
"""How long a thread that folds keeps the interpreter from one that the server has
answered. With Python's own 5 ms the server waits for its next rows as long as for us.
"""

_FAIL = """
UPDATE progress SET error = %(error)s, failed_position = %(position)s,
    failed_code = %(code)s, updated_at = clock_timestamp()
WHERE view = %(view)s
"""
_POSITIONS = "SELECT view, position FROM progress"

_log = structlog.get_logger()


class ViewRunner:
    """Folds every view up to the head and follows it.

    ``datastore`` is the runner role's, on the schema of the views. Two runners at once
    do no harm: a view's progress row is locked while it folds. ``folded`` hears the
    lowest position after each batch.
    """

    def __init__(
        self,
        datastore: PostgresDatastore,
        reader: LedgerReader,
        views: Sequence[View] = VIEWS,
        *,
        folded: Callable[[int], None] | None = None,
    ) -> None:
        self._datastore = datastore
        self._reader = reader
        self._views = views
        self._folded = folded
        self._folders: dict[str, Folder] = {}
        self._failed_at: dict[str, float] = {}
        gc.set_threshold(*COLLECT_EVERY)
        sys.setswitchinterval(SWITCH_EVERY_S)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="views")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="views-reading")

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
            positions = self._positions()
            # Asked after the positions: a view that another runner has just brought
            # further than an older head is no fork.
            head = self._reader.head()
            target = head.position if until is None else min(until, head.position)
            is_moved = False
            groups = self._behind(positions, target, head)
            for number, (position, views) in enumerate(groups):
                # The first are nearest to the head: they are never kept waiting long.
                turns = None if number == len(groups) - 1 == 0 else BATCHES_A_TURN
                toward = _Target(head=head, position=target, stop=stop)
                is_moved |= self._fold_group(position, views, toward, turns)
                if stop is not None and stop.is_set():
                    return target
            if not is_moved:
                return target

    def _positions(self) -> dict[str, int]:
        with self._datastore.autocommit() as cursor:
            cursor.execute(_POSITIONS)
            return dict(cursor.fetchall())

    def _behind(
        self, positions: dict[str, int], target: int, head: Head
    ) -> list[tuple[int, list[View]]]:
        """The views to fold now by their positions, those nearest to the head first."""
        now = time.monotonic()
        groups: dict[int, list[View]] = {}
        for view in self._views:
            position = positions.get(view.name, target)
            failed_at = self._failed_at.get(view.name, -RETRY_FAILED_S)
            is_behind = not target <= position <= head.position
            if is_behind and now - failed_at >= RETRY_FAILED_S:
                groups.setdefault(position, []).append(view)
        return sorted(groups.items(), key=lambda group: group[0], reverse=True)

    def _fold_group(
        self,
        position: int,
        views: Sequence[View],
        toward: _Target,
        turns: int | None,
    ) -> bool:
        """Fold views that stand at one position, together; whether any moved."""
        target, head = toward.position, toward.head
        lanes = [_Lane(self, self._folder(view), position, head) for view in views]
        # One that failed shows first whether it can go on, before it costs a batch.
        size = 1 if any(v.name in self._failed_at for v in views) else BATCH_SIZE
        batch = self._read(position, target, size)
        under_way: list[Future[None]] = []
        folded_last: Batch | None = None
        wanted: set[str] = set()
        while batch is not None and turns != 0:
            turns = None if turns is None else turns - 1
            ahead = None
            if batch.last < target and turns != 0:
                ahead = self._reading.submit(
                    self._read_ahead, batch.last, target, frozenset(wanted)
                )
            lanes.sort(key=lambda lane: -lane.folder.spent_s)
            going = [lane for lane in lanes if not lane.is_stopped]
            started = [lane.fold(self._pool, batch) for lane in going]
            # The slowest of the batch before may still be at it; no more than that.
            wait(under_way)
            if folded_last is not None:
                wanted |= folded_last.topics_read(wanted)
            under_way, folded_last = started, batch
            self._tell(lanes)
            is_over = ahead is None or toward.is_stopped or not going
            batch = None if is_over or ahead is None else ahead.result()
        wait(under_way)
        self._tell(lanes)
        for lane in lanes:
            lane.raise_what_is_away()
        return any(lane.position > position for lane in lanes)

    def _read(self, after: int, target: int, size: int) -> Batch | None:
        if after > target:
            # A view above the head: folding nothing shows the fork.
            return Batch(after=after, last=after + 1, facts=())
        return read_batch(self._reader, after=after, until=target, size=size)

    def _read_ahead(
        self, after: int, target: int, wanted: frozenset[str]
    ) -> Batch | None:
        """The batch after, its bodies parsed while the server is busy with this one."""
        batch = self._read(after, target, BATCH_SIZE)
        if batch is not None:
            batch.read_bodies(wanted)
        return batch

    def _tell(self, lanes: Sequence[_Lane]) -> None:
        if self._folded is not None and lanes:
            self._folded(min(lane.position for lane in lanes))

    def _folder(self, view: View) -> Folder:
        """The view's folder; a failed view looks anew at what it is to pass over."""
        folder = self._folders.get(view.name)
        if folder is None or view.name in self._failed_at:
            skipped = skipped_positions(self._reader, view)
            folder = self._folders[view.name] = Folder(
                view, self._datastore, skipped, self._has_followed
            )
        return folder

    def _has_followed(self, ledger_id: UUID, incarnation: int, position: int) -> bool:
        return is_common(
            self._reader,
            ledger_id=ledger_id,
            incarnation=incarnation,
            position=position,
        )

    def succeeded(self, view: View) -> None:
        """Forget that a view had failed."""
        if self._failed_at.pop(view.name, None) is not None:
            _log.info("views.goes_on", view=view.name)

    def failed(self, view: View, error: CannotFoldError) -> None:
        """Remember that a view stopped, where, and by what; never a value."""
        self._failed_at[view.name] = time.monotonic()
        at = "" if error.position is None else f" at position {error.position}"
        told = {"view": view.name, "position": error.position, "code": error.code}
        _log.error("views.failed", **told)
        try:
            with self._datastore.transaction() as cursor:
                cursor.execute(_FAIL, {**told, "error": f"{error.code}{at}"})
        except PersistenceError as failure:
            # Not its words: a database's error may repeat a row.
            _log.error(
                "views.failure_not_recorded",
                view=view.name,
                error=type(failure).__name__,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a round of folding goes, and what may end it before."""

    head: Head
    position: int
    stop: Event | None

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the runner to end."""
        return self.stop is not None and self.stop.is_set()


class _Turn:
    """One batch of a lane: ``planned`` when it is, or when it is all over with it."""

    def __init__(self) -> None:
        self.planned = Event()
        self.done: Future[None] | None = None

    def wait(self) -> None:
        """Wait until the batch is folded, or will not be."""
        if self.done is not None:
            self.done.result()


class _Lane:
    """One view in a group: its batches in order, at most one of them at a time."""

    def __init__(
        self, runner: ViewRunner, folder: Folder, position: int, head: Head
    ) -> None:
        self.folder = folder
        self.position = position
        self.is_stopped = False
        self._runner = runner
        self._head = head
        self._away: Exception | None = None
        self._before: _Turn | None = None

    def fold(self, pool: ThreadPoolExecutor, batch: Batch) -> Future[None]:
        """Plan the batch behind the one before, and fold it after it, in the pool."""
        before, turn = self._before, _Turn()
        turn.done = pool.submit(self._take_turn, before, turn, batch)
        self._before = turn
        return turn.done

    def _take_turn(self, before: _Turn | None, turn: _Turn, batch: Batch) -> None:
        # Whoever is waited for began earlier, so it is at work.
        try:
            plan = self._plan(before, batch)
            if plan is not None:
                turn.planned.set()
            if before is not None:
                before.wait()
            if not self.is_stopped:
                self._fold(batch, plan)
        finally:
            turn.planned.set()

    def _plan(self, before: _Turn | None, batch: Batch) -> Plan | None:
        plan = None
        if before is not None:
            before.planned.wait()
            if not self.is_stopped:
                plan = self.folder.plan(batch)
            if plan is not None:
                return plan
            before.wait()
        return None if self.is_stopped else self.folder.plan(batch)

    def _fold(self, batch: Batch, plan: Plan | None) -> None:
        try:
            self.position = self.folder.fold(batch, self._head, plan)
            self._runner.succeeded(self.folder.view)
            self.is_stopped = self.position < batch.last
        except CannotFoldError as error:
            self.is_stopped = True
            self._runner.failed(self.folder.view, error)
        except Exception as error:  # noqa: BLE001 -- raised in the runner's thread
            self.is_stopped = True
            self._away = error

    def raise_what_is_away(self) -> None:
        """Raise the error of a database that went away, in the caller's thread."""
        if self._away is not None:
            raise self._away
