"""One request of the list, and the steps it has been through: tracking, for reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.access import Whereabouts
from domain.stages import Stage
from domain.standing import Standing
from projections.requests import standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened, by its event's name, at its effective time."""

    name: str
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One request as its facts left it, as projections.requests folds it; for reading.

    Times are effective ones, in UTC.
    """

    tracking_number: str
    code_key: str
    service: str
    agency: str
    centre: str
    governorate: str
    channel: str
    delivery: str
    parties: tuple[str, ...]
    submitted_at: datetime
    stage: str
    route: str | None
    fee_due: str | None
    is_fee_outstanding: bool
    is_forwarded: bool
    outcome: str | None
    reason: str | None
    missing: list[str] | None
    has_paper: bool
    wants_stamp: bool
    needs_stamp: bool
    is_postable: bool
    is_posted: bool
    is_mailed: bool
    is_information_needed: bool
    is_information_asked: bool
    is_returned: bool
    item: str | None
    clerk: str | None
    assigned_clerk: str | None
    since: datetime
    due_at: datetime | None
    answer_due_at: datetime | None
    payment_due_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    version: int
    etag_version: int
    next_act: str

    @property
    def standing(self) -> Standing:
        """The facts that decide what is next."""
        return standing_of(
            stage=self.stage,
            route=self.route,
            fee_due=self.fee_due if self.is_fee_outstanding else None,
            is_forwarded=self.is_forwarded,
            outcome=self.outcome,
            has_paper=self.has_paper,
            needs_stamp=self.needs_stamp,
            is_posted=self.is_posted,
            is_information_needed=self.is_information_needed,
            is_information_asked=self.is_information_asked,
            is_returned=self.is_returned,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRequest:
    """Where one request stands. ``position`` is the newest entry seen of it."""

    request_id: UUID
    state: RequestState
    position: int

    @property
    def stage(self) -> Stage:
        """The stage it is in."""
        return Stage(self.state.stage)

    @property
    def whereabouts(self) -> Whereabouts:
        """What decides who may see it."""
        state = self.state
        return Whereabouts(
            centre=state.centre,
            governorate=state.governorate,
            agency=state.agency,
            is_forwarded=state.is_forwarded,
            is_mailed=state.is_mailed,
            is_fee_outstanding=state.is_fee_outstanding,
            parties=frozenset(state.parties),
        )
