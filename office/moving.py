"""Moving a clerk's work: many acts, each on one request, under one correlation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from domain.access import Permission, Principal
from domain.calendars import office_day
from domain.errors import (
    InvalidValueError,
    NotFoundError,
    RuleBrokenError,
    ServiceNotOfferedError,
)
from domain.ids import derived_id, time_in
from office.acts import Acts, Clock, Envelope, translated
from office.commands import AssignRequest
from office.errors import ConcurrencyError, StaleVersionError
from office.requests import Requests
from projections.clerk_queue import ClerkQueueQueries
from projections.queue_items import HeldItem
from projections.roster import RosterQueries, RosterRow

LARGEST_MOVE = 500
"""Requests of one call: a clerk has some dozens, and a call must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWork:
    """Give all open work of one clerk, or that of one agency, to another."""

    clerk: str
    to: str
    agency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of each request. ``is_all`` is False where more is left to move."""

    correlation_id: UUID
    moved: tuple[UUID, ...]
    kept: tuple[UUID, ...]
    is_all: bool


class Moving:
    """Moves work between the clerks of a centre, as its supervisor says."""

    def __init__(
        self,
        acts: Acts,
        requests: Requests,
        *,
        roster: RosterQueries,
        queue: ClerkQueueQueries,
        clock: Clock,
    ) -> None:
        self._acts = acts
        self._requests = requests
        self._roster = roster
        self._queue = queue
        self._clock = clock

    def move(self, command: MoveWork, envelope: Envelope) -> Moved:
        """Move the work, request by request; what somebody changes meanwhile is kept.

        Sent again, it moves what has come since; no request is moved twice under one
        command. Raises NotFoundError for a clerk of another centre, and
        ServiceNotOfferedError when the one who is to get the work is not there today:
        said once, not once for each request.
        """
        principal = envelope.principal
        principal.must_be_allowed(Permission.ASSIGN)
        if command.clerk == command.to:
            raise InvalidValueError(field="to", reason="same-clerk")
        today = office_day(self._clock())
        with translated():
            self._of_centre(command.clerk, principal)
            if not self._of_centre(command.to, principal).is_available_on(today):
                raise ServiceNotOfferedError(what="clerk")
            held = self._queue.held_by([command.clerk], agency=command.agency)
        # The id of a move means this move, also when nothing is left to be moved.
        self._acts.remember(envelope, command)
        moved: list[UUID] = []
        kept: list[UUID] = []
        for item in held[:LARGEST_MOVE]:
            is_moved = self._assign(item, command.to, envelope)
            (moved if is_moved else kept).append(item.request_id)
        return Moved(
            correlation_id=envelope.command_id,
            moved=tuple(moved),
            kept=tuple(kept),
            is_all=len(held) <= LARGEST_MOVE,
        )

    def _of_centre(self, clerk: str, principal: Principal) -> RosterRow:
        found = self._roster.one(clerk, centre=principal.centre)
        if found is None:
            raise NotFoundError(thing="clerk")
        return found

    def _assign(self, item: HeldItem, clerk: str, envelope: Envelope) -> bool:
        name = f"move/{envelope.command_id}/{item.request_id}"
        try:
            request = self._requests.get(item.request_id, envelope.principal)
            self._requests.assign(
                AssignRequest(request_id=item.request_id, clerk=clerk),
                replace(
                    envelope,
                    command_id=derived_id(name, time_in(envelope.command_id)),
                    correlation_id=envelope.command_id,
                    if_version=request.etag_version,
                ),
            )
        except (ConcurrencyError, NotFoundError, RuleBrokenError, StaleVersionError):
            return False
        return True
