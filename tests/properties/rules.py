"""The rules of the office told a second time, in plain Python, for the property test.

Written from docs/reference/contract.md, the product's description and the decision
records, and apart from domain/requests and domain/standing, of which nothing is
imported: words are strings, a request is a handful of facts. Where several rules are
broken at once nobody has said which is named first, so an act that breaks rules gives
the *set* of the codes that may be named; an act that breaks none must be taken.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

BACKDATING = timedelta(days=7)
SKEW = timedelta(minutes=1)
"""The system dates its acts by causes that another clock of ours has dated."""
STAFF = {"clerk", "supervisor"}
ROLES = {
    "submit": STAFF | {"citizen"},
    "accept": STAFF,
    "decline": STAFF,
    "assign": {"supervisor", "system"},
    "claim": {"clerk"},
    "release": STAFF | {"system"},
    "warn": {"system"},
    "pay": STAFF | {"bank"},
    "refund": {"supervisor"},
    "forward": STAFF,
    "respond": STAFF | {"agency"},
    "request_information": STAFF,
    "supply_information": STAFF,
    "stamp": STAFF,
    "mail": STAFF,
    "deliver": STAFF | {"post"},
    "collect": STAFF | {"post"},
    "bring_back": STAFF | {"post"},
    "hand_over": STAFF,
    "tell_result": STAFF,
    "inform": STAFF | {"system"},
    "withdraw": STAFF | {"citizen"},
    "expire": {"system"},
    "correct": STAFF,
}
ENDS = {"decline", "mail", "hand_over", "tell_result", "withdraw", "expire"}
BOOKKEEPING = {"assign", "claim", "release", "inform", "warn"}
REPORTS = {"agency", "post", "bank"}
"""Reports from outside: an earlier claimed time is clamped, and kept beside."""
NOT_RECORDED = {
    "role-forbidden",
    "invalid-value",
    "not-found",
    "precondition-required",
    "stale-version",
    "idempotency-key-reused",
}
DOCUMENTED = {"accept", "decline", "request_information", "supply_information"}
"""Acts that name documents: those of the service as it was on the act's day."""
TOPICS = {
    "accept": "accepted",
    "decline": "not-accepted",
    "assign": "assigned",
    "claim": "claimed",
    "release": "released",
    "warn": "warned",
    "pay": "fee-paid",
    "refund": "fee-refunded",
    "forward": "forwarded",
    "respond": "agency-responded",
    "request_information": "information-requested",
    "supply_information": "information-supplied",
    "stamp": "stamped",
    "mail": "mailed",
    "deliver": "delivered",
    "collect": "collected",
    "bring_back": "returned",
    "hand_over": "handed-over",
    "tell_result": "result-told",
    "inform": "informed",
    "withdraw": "withdrawn",
    "expire": "expired",
    "correct": "corrected",
}
REFUNDS = {
    "withdrawn": {"withdrawn", "charged_wrongly"},
    "completed_refused": {"refused", "charged_wrongly"},
    "completed_issued": {"charged_wrongly"},
}
FACTS = {"full_name", "address"}
"""Some of what a citizen may be asked for beside documents."""
IDENTITY = {"full_name", "national_number", "other_identifier"}


# Working time ---------------------------------------------------------------------


def _holidays() -> set[date]:
    table = files("domain") / "catalogue" / "holidays.csv"
    with table.open(encoding="utf-8") as rows:
        return {
            date.fromisoformat(row["start"]) + timedelta(days=number)
            for row in csv.DictReader(rows)
            for number in range(int(row["days"]))
        }


HOLIDAYS = _holidays()


def day_of(at: datetime) -> date:
    """The day in Damascus, which is three hours ahead since October 2022."""
    return (at + timedelta(hours=3)).date()


def is_working(day: date) -> bool:
    return day.weekday() not in {4, 5} and day not in HOLIDAYS


def opens(day: date) -> datetime:
    return datetime.combine(day, time(5), UTC)


def closes(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def due(start: datetime, days: int) -> datetime:
    day = day_of(start)
    if start > closes(day):
        day += timedelta(days=1)
    while not is_working(day):
        day += timedelta(days=1)
    for _ in range(days):
        day += timedelta(days=1)
        while not is_working(day):
            day += timedelta(days=1)
    return closes(day)


def worked(start: datetime, end: datetime) -> timedelta:
    """How long offices were open between two instants."""
    spent, day = timedelta(0), day_of(start)
    while day <= day_of(end):
        if is_working(day):
            first, last = max(start, opens(day)), min(end, closes(day))
            spent += max(last - first, timedelta(0))
        day += timedelta(days=1)
    return spent


def later(start: datetime, working: timedelta) -> datetime:
    """When so much working time has passed."""
    day = day_of(start)
    while working:
        if is_working(day):
            first = max(start, opens(day))
            if first < closes(day) and closes(day) - first >= working:
                return first + working
            working -= max(closes(day) - first, timedelta(0))
        day += timedelta(days=1)
    return start


# What is known --------------------------------------------------------------------


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


# May it be? -----------------------------------------------------------------------


def sees(who: Who, case: Case) -> bool:
    match who.role:
        case "clerk" | "supervisor":
            return who.centre == case.centre
        case "agency":
            is_theirs = who.agency == case.agency and case.is_forwarded
            return is_theirs and who.governorate in {None, case.governorate}
        case "post":
            return case.item is not None
        case "bank":
            return case.owes
        case "citizen":
            return case.citizen == who.id
        case _:
            return True


def effective(asked: Asked, last: datetime | None) -> datetime:
    """When it happened, as it was asked for; not yet clamped."""
    if asked.at is not None:
        return asked.at
    if last is None:
        return asked.now
    return last if asked.act in BOOKKEEPING else max(asked.now, last)


def _is_approved(asked: Asked) -> bool:
    if asked.approval == "right":
        return asked.who.centre is not None
    return asked.is_own_word and asked.who.role == "supervisor"


def _bad_times(asked: Asked, last: datetime | None) -> set[str]:
    """Codes for a claimed time that cannot be, whatever the act."""
    if asked.approval == "other" or (
        asked.approval == "right" and asked.who.centre is None
    ):
        return {"invalid-value"}
    if asked.at is None:
        return set()
    role = asked.who.role
    allowance = SKEW if role == "system" else timedelta(0)
    if asked.at > asked.now + allowance:
        return {"effective-time"}
    is_bound = role != "system" and not _is_approved(asked)
    at = asked.at
    if role in REPORTS and last is not None:
        # It counts where it is clamped to; nobody out there could ask a supervisor.
        at = max(at, last)
    if is_bound and at < asked.now - BACKDATING:
        return {"effective-time"}
    return set()


def may_not(  # noqa: PLR0911 -- one layer after the other
    asked: Asked, case: Case | None, world: World
) -> set[str]:
    """The codes that may be named for refusing this act; empty: it must be taken."""
    if asked.who.role not in ROLES[asked.act]:
        return {"role-forbidden"}
    if asked.act == "submit":
        return _may_not_submit(asked, world)
    args = asked.args
    if asked.act == "correct" and asked.at is not None:
        return {"invalid-value"}
    if case is None or not sees(asked.who, case):
        return {"not-found"}
    if asked.seen is None and asked.who.role != "system":
        return {"precondition-required"}
    if asked.seen is not None and asked.seen != case.etag:
        return {"stale-version"}
    codes = _bad_times(asked, case.last) | _malformed(asked, case, world)
    rule = globals()[f"_{asked.act}"]
    codes |= rule(case, asked, args, world)
    at = effective(asked, case.last)
    is_clamped = asked.who.role in REPORTS | {"system"}
    if at < case.last and not is_clamped and does_something(asked, case):
        codes |= {"effective-time"}
    return codes


def _malformed(asked: Asked, case: Case, world: World) -> set[str]:
    args = asked.args
    offer = case.offer or world.offer(case.service, effective(asked, case.last))
    if offer is None and asked.act in DOCUMENTED:
        return {"service-not-offered"}
    known = set() if offer is None else offer.known
    bad = {
        "accept": lambda: not known.issuperset(args["documents"]),
        "decline": lambda: (
            not known.issuperset(args["missing"])
            or (args["reason"] == "documents_missing") != bool(args["missing"])
        ),
        "pay": lambda: (args["channel"] == "bank") != (args["reference"] is not None),
        "refund": lambda: (
            (args["channel"] == "bank") != (args["reference"] is not None)
            or not args["kinds"]
            or case.offer is None
            or not {kind for kind, _ in case.offer.fee}.issuperset(args["kinds"])
        ),
        "respond": lambda: (
            (args["outcome"] != "issued") != (args["reason"] is not None)
            or (args["outcome"] != "issued" and args["digest"])
        ),
        "request_information": lambda: (
            not args["missing"] or not (known | FACTS).issuperset(args["missing"])
        ),
        "supply_information": lambda: not (known | FACTS).issuperset(args["supplied"]),
        "mail": lambda: not args["is_good"],
        "deliver": lambda: not args["is_good"],
        "collect": lambda: not args["is_good"],
        "bring_back": lambda: not args["is_good"],
        "correct": lambda: (
            args["field"] != "delivery" and args["party"] not in case.roles
        ),
    }.get(asked.act, lambda: False)
    return {"invalid-value"} if bad() else set()


def _may_not_submit(  # noqa: PLR0911 -- one layer after the other
    asked: Asked, world: World
) -> set[str]:
    args, who = asked.args, asked.who
    is_citizen = who.role == "citizen"
    decides = args["accept_now"] or args["decline"] is not None
    if (
        is_citizen != (args["channel"] == "online")
        or (decides and args["channel"] != "counter")
        or (args["accept_now"] and args["decline"] is not None)
        or (args["missing"] and args["decline"] is None)
        or (is_citizen and asked.at is not None)
    ):
        return {"invalid-value"}
    if who.role in STAFF and args["centre"] not in {None, who.centre}:
        return {"not-found"}
    if args["centre"] is None and is_citizen:
        return {"invalid-value"}
    service = args["service"]
    if service not in world.offers or args["centre"] not in {None, world.centre}:
        return {"service-not-offered"}
    then = world.offer(service, effective(asked, None)) or world.offers[service][-1]
    if not then.known.issuperset((*args["documents"], *args["missing"])):
        return {"invalid-value"}
    if asked.seen not in {None, 0}:
        return {"stale-version"}
    at = effective(asked, None)
    codes = _bad_times(asked, None)
    again = args["again"]
    if again is not None:
        if not sees(who, again):
            codes |= {"not-found"}
        elif again.stage not in {"completed_refused", "not_accepted"} or (
            again.service != service
        ):
            codes |= {"wrong-state"}
    offer = world.offer(service, at)
    if not world.is_offered(service, at) or offer is None:
        return codes | {"service-not-offered"}
    if args["accept_now"]:
        codes |= _ineligible(offer, args["relationship"], args["documents"])
    if args["decline"] is not None and (args["decline"] == "documents_missing") != bool(
        args["missing"]
    ):
        codes |= {"invalid-value"}
    return codes


def _ineligible(offer: Offered, relationship: str, shown: Iterable[str]) -> set[str]:
    codes = set()
    if not includes(relationship, offer.applicants, offer.spouse):
        codes.add("ineligible")
    if not set(offer.required) <= set(shown):
        codes.add("documents-missing")
    return codes


def _in_hand(case: Case, asked: Asked) -> set[str]:
    """Staff act with the latest token; a clerk on what is the clerk's own."""
    who, codes = asked.who, set()
    if who.role not in STAFF:
        return codes
    if asked.token != case.token:
        is_nobodys = who.role == "clerk" and case.holder is None
        codes.add(
            "not-assigned" if is_nobodys and asked.token is None else "stale-claim"
        )
    if who.role == "clerk" and case.holder is None:
        codes.add("not-assigned")
    elif who.role == "clerk" and case.holder != who.id:
        codes.add("held-by-another")
    return codes


def _if(condition: object, code: str = "wrong-state") -> set[str]:
    return {code} if condition else set()


Args = dict[str, Any]


def _accept(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    codes = _in_hand(case, asked) | _if(case.stage != "waiting" or case.asked)
    offer = world.offer(case.service, effective(asked, case.last))
    if offer is None:
        return codes | {"service-not-offered"}
    return codes | _ineligible(offer, case.relationship, args["documents"])


def _decline(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _in_hand(case, asked) | _if(case.stage != "waiting")


def _assign(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    if _is_given(asked, case):
        return set()
    is_here = world.is_here(args["clerk"], asked.now)
    return _if(not case.is_open) | _if(not is_here, "service-not-offered")


def _is_given(asked: Asked, case: Case) -> bool:
    """The system gives what nobody has, or what stands as it has seen it."""
    if asked.who.role != "system":
        return False
    if asked.token is None:
        return case.holder is not None
    return asked.token != case.token


def _claim(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    me = asked.who.id
    is_anothers = case.assigned not in {None, me} or (
        case.lease is not None and case.holder != me and asked.now < case.lease
    )
    is_here = world.is_here(me, asked.now)
    return (
        _if(not case.is_open)
        | _if(is_anothers, "held-by-another")
        | _if(not is_here, "service-not-offered")
    )


def _release(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    if asked.who.role == "system":
        return set()
    codes = _if(not case.is_open or case.holder is None)
    codes |= _if(asked.token != case.token, "stale-claim")
    if asked.who.role == "clerk":
        is_anothers = case.holder not in {None, asked.who.id}
        codes |= _if(case.lease is None) | _if(is_anothers, "held-by-another")
    return codes


def _warn(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    given = (args["limit"], args["when"], args["due_at"])
    return _if(case.stage == "in_progress" and case.asked and given not in case.warned)


def _inform(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return set()


def _pay(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    codes = _in_hand(case, asked)
    is_never_due = case.answer == "refused" and not case.owes_now
    codes |= _if(case.stage != "in_progress" or not case.owes or is_never_due)
    due = 0 if case.offer is None else case.offer.amount
    return codes | _if((args["amount"], args["unit"]) != (due, "new"), "wrong-amount")


def _refund(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_end = args["reason"] in REFUNDS.get(case.stage, set())
    is_twice = case.refunded & set(args["kinds"])
    return _if(not case.is_paid or not is_end or is_twice)


def _forward(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return (
        _in_hand(case, asked)
        | _if(case.stage != "in_progress" or case.is_forwarded or case.asked)
        | _if(case.route == "direct", "wrong-route")
        | _if(case.owes_now, "fee-unpaid")
    )


def _respond(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_unsent = case.route == "reply" and not case.is_forwarded
    return (
        _in_hand(case, asked)
        | _if(case.stage != "in_progress" or case.asked or is_unsent)
        | _if(args["supersedes"] != case.answer_version)
        | _if(asked.who.role == "agency" and case.route == "direct", "wrong-route")
        | _if(case.owes_now, "fee-unpaid")
    )


def _request_information(
    case: Case, asked: Asked, args: Args, world: World
) -> set[str]:
    has_result = case.answer in {"issued", "refused"}
    return _in_hand(case, asked) | _if(not case.is_live or case.asked or has_result)


def _supply_information(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _in_hand(case, asked) | _if(not case.is_live or case.asked is None)


def _stamp(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_wanted = case.offer is not None and case.offer.stamp and not case.is_stamped
    is_good = world.is_stamp_good(args["serial"], effective(asked, case.last))
    return (
        _in_hand(case, asked)
        | _if(case.stage != "in_progress" or case.asked or not is_wanted)
        | _if(case.answer != "issued")
        | _if(case.owes_now, "fee-unpaid")
        | _if(not is_good, "unknown-stamp")
    )


def _leaving(case: Case, asked: Asked) -> set[str]:
    """Before the paper leaves the centre. What came back left rightly before."""
    codes = _in_hand(case, asked)
    offer = case.offer
    if case.is_returned:
        return codes
    if case.stage != "in_progress" or offer is None:
        return codes | {"wrong-state"}
    return (
        codes
        | _if(case.asked or case.answer != "issued" or not offer.paper)
        | _if(offer.stamp and not case.is_stamped, "stamp-required")
        | _if(case.owes, "fee-unpaid")
    )


def _mail(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    offer = case.offer
    is_postable = offer is None or (offer.post and not offer.is_paid_at_hand_over)
    return (
        _leaving(case, asked)
        | _if(not is_postable or args["to"] == "counter", "not-postable")
        | _if(args["item"] in case.items)
    )


def _hand_over(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _leaving(case, asked) | _wrong_receiver(case, args)


def _wrong_receiver(case: Case, args: Args) -> set[str]:
    offer = case.offer
    is_right = offer is None or includes(args["capacity"], offer.receipt, offer.spouse)
    return _if(not is_right, "wrong-receiver")


def _on_its_way(case: Case, args: Args) -> set[str]:
    is_under_way = case.item is not None and not (case.is_received or case.is_returned)
    return _if(not is_under_way or args["item"] != case.item)


def _deliver(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_kept = case.mailed_to == "post_office"
    return _on_its_way(case, args) | _if(is_kept) | _wrong_receiver(case, args)


def _collect(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _on_its_way(case, args) | _wrong_receiver(case, args)


def _bring_back(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _on_its_way(case, args)


def _tell_result(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    codes = _in_hand(case, asked)
    if case.stage != "in_progress" or case.asked or case.offer is None:
        return codes | {"wrong-state"}
    if case.answer == "refused":
        return codes
    return (
        codes
        | _if(case.answer != "issued" or case.offer.paper)
        | _if(case.owes, "fee-unpaid")
    )


def _withdraw(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _if(not case.is_live)


def _expire(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_early = effective(asked, case.last) < args["due_at"]
    return _if(is_early, "effective-time")


def _correct(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    is_gone = args["field"] == "delivery" and not case.is_open
    is_allowed = asked.who.role == "supervisor" or _is_approved(asked)
    return _if(is_gone) | _if(
        args["field"] in IDENTITY and not is_allowed, "approval-required"
    )


# What it leaves -------------------------------------------------------------------


def does_something(  # noqa: PLR0911 -- one case an act
    asked: Asked, case: Case
) -> bool:
    """Whether an act that may be has anything left to change."""
    args, is_system = asked.args, asked.who.role == "system"
    match asked.act:
        case "assign" if _is_given(asked, case):
            return False
        case "assign":
            return not case.holder == case.assigned == args["clerk"]
        case "release" if is_system:
            if not case.is_open or case.holder is None:
                return False
            if asked.token not in {None, case.token}:
                return False
            is_lease_over = case.lease is not None and asked.now >= case.lease
            return args["reason"] != "lease_ended" or is_lease_over
        case "expire":
            at = args["due_at"]
            if case.stage == "waiting":
                return case.expires == at
            is_unpaid = case.stage == "in_progress" and case.owes
            return is_unpaid and case.payment_due == at
        case "warn":
            given = (args["limit"], args["when"], args["due_at"])
            if case.stage != "in_progress" or case.asked or given in case.warned:
                return False
            if args["limit"] == "first_answer":
                is_out = case.is_forwarded and case.answer is None
                return is_out and case.answer_due == args["due_at"]
            return case.due == args["due_at"]
        case _:
            return True


def take(asked: Asked, case: Case, world: World) -> list[str]:
    """Change the case by an act that may be; the events it leaves, by their names."""
    if not does_something(asked, case):
        return []
    args = asked.args
    claimed = effective(asked, case.last)
    at = max(claimed, case.last)
    before = case.todo
    case.version += 1
    if asked.act not in BOOKKEEPING:
        case.etag = case.version
    _leave(asked, case, args, at, claimed, world)
    if not case.is_live and asked.act in ENDS:
        # What has ended is in nobody's hands any more.
        case.lease, case.holder = None, case.assigned
    case.last = at
    if case.todo != before:
        case.since = at
    return [TOPICS[asked.act]]


def _leave(  # noqa: PLR0912, PLR0915, PLR0917 -- one case an act
    asked: Asked, case: Case, args: Args, at: datetime, claimed: datetime, world: World
) -> None:
    offer = case.offer
    match asked.act:
        case "accept":
            offer = world.offer(case.service, claimed)
            assert offer is not None
            accepted(case, offer, at)
        case "decline":
            case.stage = "not_accepted"
        case "assign":
            case.assigned = case.holder = args["clerk"]
            case.lease = None
            case.token += 1
        case "claim":
            case.holder = asked.who.id
            case.lease = asked.now + args["lease"]
            case.token += 1
        case "release":
            is_back = asked.who.role == "clerk" or args.get("reason") == "lease_ended"
            case.assigned = case.holder = case.assigned if is_back else None
            case.lease = None
            case.token += 1
        case "warn":
            case.warned.add((args["limit"], args["when"], args["due_at"]))
        case "pay":
            case.is_paid = True
            case.payment_due = None
        case "refund":
            case.refunded |= set(args["kinds"])
        case "forward":
            assert offer is not None
            case.is_forwarded = True
            case.answer_due = due(at, offer.answer_days)
        case "respond":
            assert offer is not None
            case.answer = args["outcome"]
            case.answer_version = case.version
            case.is_stamped = False
            case.payment_due = None
            _falls_due(case, at, is_last=not (offer.paper and offer.stamp))
        case "request_information":
            case.asked = at
        case "supply_information":
            _supplied(case, at)
        case "stamp":
            case.is_stamped = True
            _falls_due(case, at, is_last=True)
        case "mail":
            case.stage = "completed_issued"
            case.item, case.mailed_to = args["item"], args["to"]
            case.items.add(args["item"])
            case.is_returned = False
        case "deliver" | "collect":
            case.is_received = True
        case "bring_back":
            case.is_returned = True
        case "hand_over":
            case.stage = "completed_issued"
            case.is_received = True
            case.is_returned = False
        case "tell_result":
            case.stage = f"completed_{case.answer}"
        case "withdraw":
            case.stage = "withdrawn"
        case "expire":
            case.stage = "expired"
        case "correct" if args["field"] == "delivery":
            case.delivery = args["delivery"]


def accepted(case: Case, offer: Offered, at: datetime) -> None:
    case.stage = "in_progress"
    case.offer = offer
    is_direct = "*" in offer.direct_in or case.governorate in offer.direct_in
    case.route = "direct" if is_direct else "reply"
    case.due = due(at, offer.days)
    case.expires = None
    if case.owes_now:
        case.payment_due = due(at, offer.payment_days)


def _falls_due(case: Case, at: datetime, *, is_last: bool) -> None:
    """A fee due at hand-over falls due with the last step before it, and only then."""
    offer = case.offer
    assert offer is not None
    if not (case.owes and offer.is_paid_at_hand_over):
        return
    if case.answer == "issued" and is_last:
        case.payment_due = due(at, offer.payment_days)


def _supplied(case: Case, at: datetime) -> None:
    """What was left of each limit goes on; an agency that asked starts anew."""
    asked, offer = case.asked, case.offer
    assert asked is not None
    case.asked = None
    if offer is None:
        return
    if case.due is not None and asked < case.due:
        case.due = later(at, worked(asked, case.due))
    if case.answer == "information_needed" and case.route == "reply":
        case.answer_due = due(at, offer.answer_days)
    elif case.answer_due is not None and asked < case.answer_due:
        case.answer_due = later(at, worked(asked, case.answer_due))
    if case.answer == "information_needed":
        case.answer = case.answer_version = None


def submitted(asked: Asked, world: World, *, id: UUID, number: int) -> Case:  # noqa: A002
    """The case that a submission which may be makes."""
    args = asked.args
    at = effective(asked, None)
    offer = world.offer(args["service"], at)
    assert offer is not None
    decides = args["accept_now"] or args["decline"] is not None
    case = Case(
        id=id,
        service=args["service"],
        centre=args["centre"] or str(asked.who.centre),
        governorate=world.governorate,
        agency=world.agency,
        roles=("applicant", "concerned") if args["concerned"] else ("applicant",),
        relationship=args["relationship"],
        delivery=args["delivery"],
        citizen=asked.who.id if asked.who.role == "citizen" else None,
        number=number,
        submitted=at,
        expires=None if decides else due(at, offer.acceptance_days),
        last=at,
        since=at,
    )
    if args["accept_now"]:
        accepted(case, offer, at)
    elif args["decline"] is not None:
        case.stage = "not_accepted"
    if decides:
        case.version = case.etag = 2
    return case
