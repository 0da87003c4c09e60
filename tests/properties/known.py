"""What the told rules know: who asks for what, of which request, in which world."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from tests.properties.hours import day_of

BOOKKEEPING = {"assign", "claim", "release", "inform", "warn"}
Args = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Who:
    role: str
    id: str
    centre: str | None = None
    agency: str | None = None
    governorate: str | None = None


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What a service says ``since`` its publication; days are working days."""

    since: datetime
    direct_in: tuple[str, ...] = ("*",)
    days: int = 1
    answer_days: int = 3
    payment_days: int = 2
    acceptance_days: int = 5
    applicants: tuple[str, ...] = ("self", "first_degree", "representative")
    receipt: tuple[str, ...] = ("self", "first_degree", "representative")
    spouse: bool = False
    required: tuple[str, ...] = ("id-card",)
    optional: tuple[str, ...] = ("passport",)
    fee: tuple[tuple[str, int], ...] = (("state_fee", 3000),)
    is_paid_at_hand_over: bool = False
    paper: bool = True
    stamp: bool = True
    post: bool = True

    @property
    def amount(self) -> int:
        return sum(amount for _, amount in self.fee)

    @property
    def known(self) -> set[str]:
        return {*self.required, *self.optional}


def includes(capacity: str, people: Iterable[str], spouse: bool) -> bool:
    people = set(people)
    if "anyone" in people or capacity in people:
        return True
    return capacity == "spouse" and spouse and "first_degree" in people


@dataclass(kw_only=True)
class World:
    """What requests rest on, as it was last said."""

    centre: str
    governorate: str
    agency: str
    offers: dict[str, list[Offered]] = field(default_factory=dict)
    rests: dict[str, list[tuple[date, date | None]]] = field(default_factory=dict)
    clerks: set[str] = field(default_factory=set)
    away: dict[str, list[tuple[date, date | None]]] = field(default_factory=dict)
    stamps: dict[str, tuple[datetime, date | None]] = field(default_factory=dict)
    """Serials of the centre: since when, and the first day no more."""

    def offer(self, service: str, at: datetime) -> Offered | None:
        said = [each for each in self.offers.get(service, []) if each.since <= at]
        return said[-1] if said else None

    def is_offered(self, service: str, at: datetime) -> bool:
        rests = self.rests.get(service, [])
        return self.offer(service, at) is not None and not _covered(rests, at)

    def is_here(self, clerk: str, at: datetime) -> bool:
        return clerk in self.clerks and not _covered(self.away.get(clerk, []), at)

    def is_stamp_good(self, serial: str, at: datetime) -> bool:
        since, until = self.stamps.get(serial, (None, None))
        if since is None or at < since:
            return False
        return until is None or day_of(at) < until


def _covered(periods: list[tuple[date, date | None]], at: datetime) -> bool:
    day = day_of(at)
    return any(a <= day and (b is None or day <= b) for a, b in periods)


@dataclass(kw_only=True)
class Case:
    """One request."""

    id: UUID
    service: str
    centre: str
    governorate: str
    agency: str
    roles: tuple[str, ...]
    relationship: str
    delivery: str
    citizen: str | None
    number: int
    submitted: datetime
    expires: datetime | None
    version: int = 1
    etag: int = 1
    last: datetime
    since: datetime
    stage: str = "waiting"
    offer: Offered | None = None
    route: str | None = None
    assigned: str | None = None
    holder: str | None = None
    lease: datetime | None = None
    token: int = 0
    due: datetime | None = None
    answer_due: datetime | None = None
    payment_due: datetime | None = None
    is_paid: bool = False
    refunded: set[str] = field(default_factory=set)
    is_forwarded: bool = False
    answer: str | None = None
    answer_version: int | None = None
    asked: datetime | None = None
    is_stamped: bool = False
    item: str | None = None
    items: set[str] = field(default_factory=set)
    """Every number its paper ever had: none is used again."""
    mailed_to: str | None = None
    is_received: bool = False
    is_returned: bool = False
    warned: set[tuple[str, str, datetime]] = field(default_factory=set)

    @property
    def is_live(self) -> bool:
        return self.stage in {"waiting", "in_progress"}

    @property
    def is_open(self) -> bool:
        return self.is_live or self.is_returned

    @property
    def owes(self) -> bool:
        return self.offer is not None and self.offer.amount > 0 and not self.is_paid

    @property
    def owes_now(self) -> bool:
        """A fee is due now, so nothing is forwarded, answered or stamped."""
        offer = self.offer
        return self.owes and offer is not None and not offer.is_paid_at_hand_over

    @property
    def todo(self) -> str | None:  # noqa: PLR0911 -- the office's order
        """What is next, in the order the office does it."""
        offer = self.offer
        if self.is_returned:
            return "deal_with_return"
        if not self.is_live:
            return None
        if self.asked is not None:
            return "record_information"
        if offer is None:
            return "accept"
        if self.owes_now:
            return "take_fee"
        if self.answer == "information_needed":
            return "request_information"
        if self.answer is None:
            must_send = self.route == "reply" and not self.is_forwarded
            return "forward" if must_send else "record_reply"
        if self.answer == "refused":
            return "tell_result"
        if offer.paper and offer.stamp and not self.is_stamped:
            return "stamp"
        if self.owes:
            return "take_fee"
        if not offer.paper:
            return "tell_result"
        is_posted = offer.post and not offer.is_paid_at_hand_over
        return "mail" if is_posted and self.delivery != "counter" else "hand_over"

    @property
    def waits_for(self) -> str:
        match self.todo:
            case "record_information":
                return "citizen"
            case "record_reply" if self.route == "reply":
                return "agency"
            case _:
                return "clerk"

    @property
    def until(self) -> datetime | None:
        if self.is_returned or (self.stage == "in_progress" and self.asked is not None):
            return None
        match self.todo:
            case "accept":
                return self.expires
            case "take_fee":
                return self.payment_due or self.due
            case "record_reply" if self.is_forwarded:
                return self.answer_due
            case _:
                return self.due


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One act, as somebody asks for it. ``approval`` is none, right or other."""

    act: str
    who: Who
    now: datetime
    token: int | None = None
    seen: int | None = None
    at: datetime | None = None
    approval: str = "none"
    is_own_word: bool = False
    args: dict[str, Any] = field(default_factory=dict)


def effective(asked: Asked, last: datetime | None) -> datetime:
    """When it happened, as it was asked for; not yet clamped."""
    if asked.at is not None:
        return asked.at
    if last is None:
        return asked.now
    return last if asked.act in BOOKKEEPING else max(asked.now, last)
