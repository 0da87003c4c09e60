"""Assignment: every request finds a clerk who is there, by acts of the system.

The clerk who accepted it, when responsible for the agency; else the centre's clerk
responsible for it with the least open work, ties by id; else nobody, and it stands on
the supervisor's desk. The command's id follows from the request, so being killed and
run again, or twice at once, assigns each request once.

Rebalancing: the open work of a clerk who is away or has left on the day, or was
relieved of its agency, goes to the others who are responsible, or to the supervisor's
desk; what nobody has finds whoever has become responsible. Each such move rests on the
request's token, which it raises: the command's id follows from both, so that it
happens once however often it is tried, and loses to whoever was quicker.

Open work is what the queue shows, which has come at least as far as the request, and
what this process has given since. Another process's gifts, or those from before a
restart, may be missing for the moment that the queue is behind: the choice is then a
little less even, never wrong.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event

import structlog
from eventsourcing.persistence import Tracking

from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import office_day
from domain.clerks import Clerk
from domain.errors import RuleBrokenError, SijilError
from domain.ids import derived_id
from domain.requests import AssignedBecause, ReleasedBecause
from ledger.bodies import parse_body
from ledger.book import Ledger
from ledger.entries import Entry
from ledger.persistence.append import TrackingConflictError
from office.acts import Done, Envelope, translated
from office.commands import AssignRequest, ReleaseRequest
from office.errors import ConcurrencyError
from office.requests import Requests
from projections.clerk_queue import ClerkQueueQueries
from projections.facts import Fact, fact_of
from projections.progress import ProgressQueries
from projections.queue_items import HeldItem
from projections.roster import RosterQueries

NAME = "assignment"
"""Its name in the ledger's tracking: durable."""
ROUTE = "system/assignment"
REBALANCING_ROUTE = "system/rebalancing"
REBALANCE_EVERY_S = 5.0
"""How soon an absence that has begun, or is over, moves work."""
_SUBMITTED = "sijil.request.submitted.v1"
_RELIEVED = "sijil.clerk.relieved.v1"
_FOLLOWED = (_SUBMITTED, _RELIEVED)
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
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock
        self._rebalanced_at = -REBALANCE_EVERY_S
        self._written = 0
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
                if time.monotonic() - self._rebalanced_at >= REBALANCE_EVERY_S:
                    self.rebalance(stop)
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
                    after=position, limit=_BATCH, topics=_FOLLOWED
                )
            imported = 0
            for entry in batch:
                is_relief = entry.topic == _RELIEVED
                if not is_relief and _is_imported(entry):
                    # It brings its own assignments, by the thousand: one step for all.
                    imported = position = entry.position
                    continue
                # A relief moves what was given before it, by ourselves too.
                level = max(entry.position, self._written if is_relief else 0)
                if not self._wait_for_views(level, stop):
                    return
                if is_relief:
                    self._relieve(entry, stop)
                else:
                    self._take(entry)
                imported, position = 0, entry.position
            if imported:
                self._leave_behind(Tracking(NAME, imported))
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
        """The clerk's code, or None when nobody is responsible and there."""
        actor = fact.body["actor"]
        with translated():
            first = str(actor["id"]) if actor["kind"] == ActorKind.CLERK else None
            return self._least_busy(
                fact.data["centre"], fact.data["agency"], first=first
            )

    def _least_busy(
        self,
        centre: str,
        agency: str,
        *,
        first: str | None = None,
        but: str | None = None,
    ) -> str | None:
        """The responsible clerk who is there today with the least open work, or None.

        ``first`` goes before all when responsible; ``but`` is left out.
        """
        responsible = [
            code
            for code in self._roster.responsible_for(
                centre=centre, agency=agency, day=office_day(self._clock())
            )
            if code != but
        ]
        if first in responsible:
            return first
        if len(responsible) <= 1:
            return responsible[0] if responsible else None
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
        self._remember(done, clerk)

    def _remember(self, done: Done, clerk: str | None) -> None:
        if done.last_position is None:
            return
        self._written = max(self._written, done.last_position)
        if clerk is not None and not done.is_repeat:
            self._given.append((done.last_position, clerk))
            del self._given[:-_MOST_REMEMBERED]

    # Rebalancing ----------------------------------------------------------------

    def rebalance(self, stop: Event) -> None:
        """Move the work of those who are not there, and give what nobody has."""
        with translated():
            head = self._ledger.reader.head().position
        if not self._wait_for_views(head, stop):
            return
        day = office_day(self._clock())
        with translated():
            clerks = self._roster.clerks()
            there = [row for row in clerks if row.is_available_on(day)]
            absent = {row.code for row in clerks} - {row.code for row in there}
            held = self._queue.held_by(sorted(absent)) if absent else ()
            # Who went to another centre left the work of the former one behind.
            held += self._queue.held_elsewhere({row.code: row.centre for row in there})
            # What nobody could take is left alone: there may be a lot of it.
            staffed = {(row.centre, agency) for row in there for agency in row.agencies}
            nobodys = self._queue.unassigned(staffed)
        for item in held:
            if stop.is_set():
                return
            self._move(item, AssignedBecause.CLERK_AWAY)
        for item in nobodys:
            if stop.is_set():
                return
            self._move(item, AssignedBecause.RESPONSIBLE)
        self._rebalanced_at = time.monotonic()

    def _relieve(self, entry: Entry, stop: Event) -> None:
        """Move the open work of an agency away from a clerk relieved of it."""
        agency = parse_body(entry.body)["data"]["agency"]
        with translated():
            clerk = self._ledger.find(Clerk, entry.aggregate_id)
            is_back = clerk is None or agency in clerk.agencies
            held = (
                ()
                if clerk is None or is_back
                else self._queue.held_by([clerk.code], agency=agency)
            )
        for item in held:
            if stop.is_set():
                return
            self._move(item, AssignedBecause.REBALANCED)
        self._leave_behind(Tracking(NAME, entry.position))

    def _move(self, item: HeldItem, because: AssignedBecause) -> None:
        """Give an item to somebody else, or to nobody: once for what was seen."""
        with translated():
            clerk = self._least_busy(item.centre, item.agency, but=item.clerk)
        if clerk is None and item.clerk is None:
            return
        name = f"rebalance/{item.request_id}/{item.token}"
        envelope = Envelope(
            principal=Principal(role=ActorKind.SYSTEM, id=NAME),
            command_id=derived_id(name, item.submitted_at),
            route=REBALANCING_ROUTE,
        )
        asked = {"trigger": name}
        try:
            if clerk is not None:
                assign = AssignRequest(
                    request_id=item.request_id, clerk=clerk, token=item.token
                )
                done = self._requests.assign(
                    assign, envelope, because=because, asked=asked
                )
            else:
                release = ReleaseRequest(
                    request_id=item.request_id,
                    token=item.token,
                    reason=ReleasedBecause.CLERK_AWAY,
                )
                done = self._requests.release(release, envelope, asked=asked)
        except (RuleBrokenError, ConcurrencyError):
            # It ended, or somebody moved it, or the clerk left, before its turn came.
            return
        self._remember(done, clerk)

    def _leave_behind(self, tracking: Tracking) -> None:
        try:
            self._pass_over(tracking)
        except TrackingConflictError:
            # Another process of ours was here first.
            _log.debug("assignment.done_elsewhere", position=tracking.notification_id)

    def _pass_over(self, tracking: Tracking) -> None:
        with translated():
            self._ledger.process_recorder.insert_tracking(tracking)


def _is_imported(entry: Entry) -> bool:
    kind = parse_body(entry.body)["actor"]["kind"]
    return bool(kind == ActorKind.IMPORT)
