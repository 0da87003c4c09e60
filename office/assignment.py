"""Assignment: every new request finds its clerk, by an act of the system.

The clerk who accepted it, when responsible for the agency; else the centre's clerk
responsible for it with the least open work, ties by id; else nobody, and it stands on
the supervisor's desk. The command's id follows from the request, so being killed and
run again, or twice at once, assigns each request once.

Open work is what the queue shows, which has come at least as far as the request, and
what this process has given since. Another process's gifts, or those from before a
restart, may be missing for the moment that the queue is behind: the choice is then a
little less even, never wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Event

import structlog
from eventsourcing.persistence import Tracking

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import RuleBrokenError, SijilError
from domain.ids import derived_id
from domain.requests import AssignedBecause
from ledger.book import Ledger
from ledger.entries import Entry
from ledger.persistence.append import TrackingConflictError
from office.acts import Envelope, translated
from office.commands import AssignRequest
from office.requests import Requests
from projections.clerk_queue import ClerkQueueQueries
from projections.facts import Fact, fact_of
from projections.progress import ProgressQueries
from projections.roster import RosterQueries

NAME = "assignment"
"""Its name in the ledger's tracking: durable."""
ROUTE = "system/assignment"
_SUBMITTED = "sijil.request.submitted.v1"
_QUEUE_VIEW = "clerk_queue"
_VIEWS = (_QUEUE_VIEW, "roster")
_MOST_REMEMBERED = 10_000
"""Gifts of our own that are kept until the queue shows them; it is never so far."""
_BATCH = 200
_WAIT_S = 1.0
"""How long one look at the views lasts; a view that has stopped holds us up, aloud."""
_RETRY_S = 0.5

_log = structlog.get_logger()


class Assignment:
    """The process manager. It needs the roster and the queue up to each request."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        *,
        roster: RosterQueries,
        queue: ClerkQueueQueries,
        progress: ProgressQueries,
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._roster = roster
        self._queue = queue
        self._progress = progress
        self._given: list[tuple[int, str]] = []

    def run(self, stop: Event) -> None:
        """Follow the ledger until ``stop`` is set."""
        for _ in self._ledger.reader.pulses(stop=stop):
            try:
                self.catch_up(stop)
            except SijilError as error:
                _log.warning("assignment.waits", error=error.code)
                stop.wait(_RETRY_S)

    def catch_up(self, stop: Event) -> None:
        """Assign whatever was submitted since the last time."""
        with translated():
            position = self._ledger.process_recorder.max_tracking_id(NAME) or 0
        while not stop.is_set():
            with translated():
                batch = self._ledger.reader.entries(
                    after=position, limit=_BATCH, topics=[_SUBMITTED]
                )
            for entry in batch:
                if not self._wait_for_views(entry.position, stop):
                    return
                self._take(entry)
                position = entry.position
            if len(batch) < _BATCH:
                return

    def _wait_for_views(self, position: int, stop: Event) -> bool:
        """Whether the views reached the request before we were stopped."""
        while not stop.is_set():
            with translated():
                if self._progress.wait_for(_VIEWS, position, timeout_s=_WAIT_S):
                    return True
            _log.warning("assignment.waits_for_views", position=position)
        return False

    def _take(self, entry: Entry) -> None:
        fact = fact_of(entry)
        tracking = Tracking(NAME, entry.position)
        try:
            clerk = None if fact is None else self._choose(fact)
            if fact is None or clerk is None:
                self._pass_over(tracking)
                return
            try:
                self._assign(fact, clerk, tracking)
            except RuleBrokenError:
                # It ended, or was given to somebody, before its turn came.
                self._pass_over(tracking)
        except TrackingConflictError:
            # Another process of ours was here first.
            _log.debug("assignment.done_elsewhere", position=entry.position)

    def _choose(self, fact: Fact) -> str | None:
        """The clerk's code, or None: imported history brings its own assignments."""
        actor = fact.body["actor"]
        if actor["kind"] == ActorKind.IMPORT:
            return None
        with translated():
            responsible = self._roster.responsible_for(
                centre=fact.data["centre"], agency=fact.data["agency"]
            )
            if actor["kind"] == ActorKind.CLERK and actor["id"] in responsible:
                return str(actor["id"])
            if not responsible:
                return None
            if len(responsible) == 1:
                return responsible[0]
            work = self._open_work(responsible)
        return min(responsible, key=lambda code: (work[code], code))

    def _open_work(self, clerks: Sequence[str]) -> Counter[str]:
        """What each of the clerks has to move, with what the queue shows too late.

        Without it all of a burst would go to the one who had least before it.
        """
        shown = min(
            level.position
            for level in self._progress.levels()
            if level.view == _QUEUE_VIEW
        )
        work = Counter(self._queue.open_work(clerks))
        self._given = [given for given in self._given if given[0] > shown]
        work.update(clerk for _, clerk in self._given)
        return work

    def _assign(self, fact: Fact, clerk: str, tracking: Tracking) -> None:
        entry = fact.entry
        command_id = derived_id(f"assign/{entry.key}", fact.effective_at)
        done = self._requests.assign(
            AssignRequest(request_id=entry.aggregate_id, clerk=clerk),
            Envelope(
                principal=Principal(role=ActorKind.SYSTEM, id=NAME),
                command_id=command_id,
                route=ROUTE,
                # The cause's time, so that nobody's backdated work is barred.
                effective_at=fact.effective_at,
                causation_id=entry.key,
                tracking=tracking,
            ),
            because=AssignedBecause.RESPONSIBLE,
            asked={"trigger": entry.key},
        )
        if done.last_position is not None and not done.is_repeat:
            self._given.append((done.last_position, clerk))
            del self._given[:-_MOST_REMEMBERED]

    def _pass_over(self, tracking: Tracking) -> None:
        with translated():
            self._ledger.process_recorder.insert_tracking(tracking)
