"""Group commit: the acts of one process that arrive together share one transaction.

There is no thread of its own. A caller who finds a lane free leads: it takes what
waits, sends it as one batch, gives everyone their outcome and hands the lane on to
whoever waits longest. So a lone writer pays for no hand-over, and many share a commit.
Where very many wait, a second lane has the next batch written, sent and read by the
server while the one before is made durable. The order of batches is the head row's
alone: an act that stands on another was decided after that one's outcome was known, so
it cannot overtake it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Event, Lock
from weakref import WeakSet

from eventsourcing.persistence import InterfaceError, PersistenceError

from ledger.persistence.append import (
    ActToAppend,
    Appended,
    LedgerBusyError,
    Outcome,
    OutcomeUnknownError,
)
from ledger.persistence.columns import columns
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.lane import BatchError, Failure, Lane

LANES = 2
"""Batches under way: one at the head, one that is being written, sent and read."""
SECOND_LANE_ACTS = 128
"""How many must wait before a second batch is sent: half of a full one.

While a batch is under way, those of the one before write their next acts: work overlaps
with one lane too. A second lane that is taken sooner only halves the batches: measured
at 128 threads, a third fewer acts a second.
"""
BATCH_ACTS = 256
"""Acts of one batch: some 5 ms at the head, so that other processes get their turn."""
BATCH_BYTES = 1 << 20
"""Bytes of one batch's statement: what one act of the largest body is far below."""
QUEUE_ACTS = 2_048
"""Acts that may wait: some 200 ms of work; who comes later does better elsewhere."""
QUEUE_BYTES = 64 << 20
"""Bytes that may wait: what a process can spare."""
RETRY_S = 10.0
"""How long a batch is sent again, from when the server was first missed.

A restart takes less. In a longer outage each batch is tried once, and told at once.
"""
WAIT_S = 20.0
"""How long an act waits in all: longer than the retries, shorter than a browser."""
CLOSE_S = 5.0
"""How long a close lets those who wait be served."""
FIRST_PAUSE_S = 0.05
"""The pause before the first retry; each later one is twice as long."""
LONGEST_PAUSE_S = 1.0
"""The longest pause: how late a server that is back may be noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterLimits:
    """What one process lets wait, how long, and how long it tries."""

    batch_acts: int = BATCH_ACTS
    batch_bytes: int = BATCH_BYTES
    queue_acts: int = QUEUE_ACTS
    queue_bytes: int = QUEUE_BYTES
    retry_s: float = RETRY_S
    wait_s: float = WAIT_S
    close_s: float = CLOSE_S


class _Waiting:
    """One act whose caller waits for its outcome."""

    __slots__ = (
        "appended",
        "error",
        "has_command",
        "is_given_up",
        "is_queued",
        "is_unsure",
        "lane",
        "next",
        "size_bytes",
        "wake",
        "written",
    )

    def __init__(self, act: ActToAppend) -> None:
        self.written = columns(act)
        self.size_bytes = sum(map(len, self.written))
        self.has_command = act.command is not None
        self.appended: Appended | None = None
        self.error: PersistenceError | None = None
        # The lane this caller is to lead, once it is its turn.
        self.lane: Lane | None = None
        self.is_queued = False
        self.is_unsure = False
        self.is_given_up = False
        # Whom this caller wakes when it has its own outcome.
        self.next: _Waiting | None = None
        # Held until there is news for the caller. A bare lock is the cheapest way to
        # wake one thread.
        self.wake = Lock()
        self.wake.acquire()

    @property
    def is_settled(self) -> bool:
        return self.appended is not None or self.error is not None

    def settle(self, appended: Appended) -> None:
        """Take in what the server said."""
        if self.is_unsure and appended.outcome is Outcome.REPEATED:
            # What it repeats is our own first sending: to the caller it is the first.
            appended = Appended(
                outcome=Outcome.APPENDED,
                first_position=appended.first_position,
                last_position=appended.last_position,
                recorded_at=appended.recorded_at,
            )
        self.appended = appended

    def fail(self, error: PersistenceError) -> None:
        """Take in why there is no outcome."""
        if self.is_unsure:
            self.error = OutcomeUnknownError(
                f"sent, but {error}: the command id tells whether it was stored"
            )
        else:
            # An error of one's own: a raised one gathers its thread's frames.
            self.error = type(error)(*error.args)
        self.error.__cause__ = error.__cause__


class Committer:
    """The one way of single acts to the ledger, for all threads of a process."""

    def __init__(
        self, datastore: PostgresDatastore, limits: CommitterLimits | None = None
    ) -> None:
        self._datastore = datastore
        self._limits = limits or CommitterLimits()
        self._closing = Event()
        self.start_anew()
        _committers.add(self)
        datastore.at_close(self.close)

    def start_anew(self) -> None:
        """Nothing waits and no lane is in use: at first, and in a forked child.

        The parent's connections are left to the parent: the driver closes none that
        another process has opened.
        """
        was_closed = self._closing.is_set()
        self._closing = Event()
        if was_closed:
            self._closing.set()
        self._mutex = Lock()
        self._queue: deque[_Waiting] = deque()
        self._queue_bytes = 0
        self._free = [Lane(self._datastore) for _ in range(LANES)]
        self._under_way = 0
        self._away_since: float | None = None
        self._is_idle = Event()
        self._is_idle.set()

    def close(self) -> None:
        """Take in nothing more, serve who waits, and close the connections.

        Who has had no turn within ``close_s`` is told that nothing was stored; a batch
        that is still under way then gives its outcomes, and closes its own connection.
        """
        with self._mutex:
            self._closing.set()
        self._is_idle.wait(self._limits.close_s)
        with self._mutex:
            while self._queue and self._queue[0].lane is None:
                left = self._queue.popleft()
                left.fail(InterfaceError("the ledger was closed: nothing was stored"))
                left.wake.release()
            for lane in self._free:
                lane.close()

    # The callers' side ----------------------------------------------------------

    def append(self, act: ActToAppend) -> Appended:
        """What became of one act, once that is durable.

        Raises LedgerBusyError when too much waits or no turn came in time (nothing was
        stored), OutcomeUnknownError when the connection was lost and what became of the
        act could not be learnt in time, else what the database had against the act.
        """
        waiting = _Waiting(act)
        try:
            self._enqueue(waiting)
            self._await(waiting)
        except BaseException:
            self._abandon(waiting)
            raise
        finally:
            if waiting.next is not None:
                waiting.next.wake.release()
        if waiting.error is not None:
            raise waiting.error
        if waiting.appended is None:
            raise TypeError(waiting)
        return waiting.appended

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._mutex:
            self._must_have_room(waiting)
            waiting.is_queued = True
            self._queue.append(waiting)
            self._queue_bytes += waiting.size_bytes
            self._call_leader()

    def _must_have_room(self, waiting: _Waiting) -> None:
        if self._closing.is_set():
            raise InterfaceError("the ledger is closed: nothing was stored")
        limits = self._limits
        if self._queue and (
            len(self._queue) >= limits.queue_acts
            or self._queue_bytes + waiting.size_bytes > limits.queue_bytes
        ):
            raise LedgerBusyError("too many acts wait: nothing was stored")

    def _call_leader(self) -> None:
        """Give a free lane to whoever waits longest, when that is worth a batch."""
        if not self._free or not self._queue:
            return
        first = self._queue[0]
        if first.lane is not None:
            # Called already, and not yet awake: it will take the others along.
            return
        if self._under_way and len(self._queue) < SECOND_LANE_ACTS:
            return
        first.lane = self._free.pop()
        self._under_way += 1
        self._is_idle.clear()
        first.wake.release()

    def _await(self, waiting: _Waiting) -> None:
        """Wait for the outcome, leading while that is one's turn."""
        until = time.monotonic() + self._limits.wait_s
        while not waiting.is_settled:
            left_s = until - time.monotonic()
            if not waiting.wake.acquire(timeout=max(0.0, left_s)):
                self._give_up(waiting)
            if waiting.lane is not None:
                self._lead(waiting)

    def _give_up(self, waiting: _Waiting) -> None:
        """Stop waiting, unless there is an outcome after all, or one is to lead."""
        with self._mutex:
            if waiting.lane is not None:
                return
            # Nobody needs to wake us, and nobody shall count on us to wake the next.
            waiting.is_given_up = True
            if waiting.is_settled:
                return
            if waiting.is_queued:
                self._remove(waiting)
                waiting.fail(LedgerBusyError("no turn in time: nothing was stored"))
            else:
                waiting.is_unsure = True
                waiting.fail(LedgerBusyError("not answered in time"))

    def _abandon(self, waiting: _Waiting) -> None:
        """Take out whoever was interrupted by a signal, and the lane it was to lead."""
        with self._mutex:
            waiting.is_given_up = True
            if waiting.is_queued:
                self._remove(waiting)
            lane, waiting.lane = waiting.lane, None
            if lane is not None:
                self._release(lane)

    def _remove(self, waiting: _Waiting) -> None:
        self._queue.remove(waiting)
        self._queue_bytes -= waiting.size_bytes
        waiting.is_queued = False

    # The leader's side ----------------------------------------------------------

    def _lead(self, leader: _Waiting) -> None:
        """Send one batch on the lane that was handed over, and hand the lane on."""
        lane = leader.lane
        if lane is None:
            return
        batch: list[_Waiting] = []
        try:
            with self._mutex:
                leader.lane = None
                batch = self._taken()
                self._call_leader()
            self._store(lane, batch)
        except BaseException:
            # Interrupted by a signal, perhaps after the commit.
            lane.close()
            raise
        finally:
            with self._mutex:
                for each in batch:
                    if not each.is_settled:
                        each.is_unsure = True
                        each.fail(InterfaceError("interrupted"))
                _wake([w for w in batch if w is not leader and not w.is_given_up])
                self._release(lane)

    def _release(self, lane: Lane) -> None:
        """Hand a lane on, or keep it for whoever comes."""
        self._free.append(lane)
        self._under_way -= 1
        self._call_leader()
        if not self._under_way:
            self._is_idle.set()
            if self._closing.is_set():
                for each in self._free:
                    each.close()

    def _taken(self) -> list[_Waiting]:
        """What one batch may hold of what waits, the longest waiting first."""
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._queue and len(batch) < self._limits.batch_acts:
            size_bytes += self._queue[0].size_bytes
            if batch and size_bytes > self._limits.batch_bytes:
                break
            taken = self._queue.popleft()
            taken.is_queued = False
            self._queue_bytes -= taken.size_bytes
            batch.append(taken)
        return batch

    def _store(self, lane: Lane, batch: Sequence[_Waiting]) -> None:
        """Send a batch until each of its acts has an outcome or an error."""
        began = time.monotonic()
        pause_s = FIRST_PAUSE_S
        parts = [list(batch)]
        while parts:
            part = [each for each in parts.pop() if not each.is_given_up]
            if not part:
                continue
            try:
                answered = lane.send([each.written for each in part])
            except BatchError as error:
                if error.failure is Failure.NOTHING_STORED and len(part) > 1:
                    # Somebody's value is impossible; the others shall not pay for it.
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                    continue
                part = _left_to_try(part, error)
                if not self._may_try_again(began):
                    for each in part:
                        each.fail(error.cause)
                elif part:
                    self._closing.wait(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    parts.append(part)
                continue
            self._away_since = None
            for each, appended in zip(part, answered, strict=True):
                each.settle(appended)

    def _may_try_again(self, began: float) -> bool:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        is_in_time = now - min(began, self._away_since) < self._limits.retry_s
        return is_in_time and not self._closing.is_set()


def _wake(waiting: list[_Waiting]) -> None:
    """Wake the first; each wakes the next when it is awake.

    Woken all at once they would fight for the interpreter's lock, and each would be put
    to sleep and woken once more: measured, two thirds of what a command cost.
    """
    for one, after in pairwise(waiting):
        one.next = after
    if waiting:
        waiting[0].wake.release()


def _left_to_try(part: list[_Waiting], error: BatchError) -> list[_Waiting]:
    """The acts that may be sent again; the others have their error."""
    match error.failure:
        case Failure.NOTHING_STORED_NOW:
            return part
        case Failure.UNKNOWN:
            for each in part:
                each.is_unsure = True
                if not each.has_command:
                    # Sent twice it might be stored twice.
                    each.fail(error.cause)
            return [each for each in part if each.has_command]
        case _:
            for each in part:
                each.fail(error.cause)
            return []


_committers: WeakSet[Committer] = WeakSet()


def _in_the_child() -> None:
    for each in list(_committers):
        each.start_anew()


os.register_at_fork(after_in_child=_in_the_child)
