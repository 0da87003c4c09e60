"""What an act that may be leaves of a request, told a second time."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tests.properties.hours import due, later, worked
from tests.properties.known import (
    BOOKKEEPING,
    Args,
    Asked,
    Case,
    Offered,
    World,
    effective,
)

ENDS = {"decline", "mail", "hand_over", "tell_result", "withdraw", "expire"}
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


def is_given(asked: Asked, case: Case) -> bool:
    """The system gives what nobody has, or what stands as it has seen it."""
    if asked.who.role != "system":
        return False
    if asked.token is None:
        return case.holder is not None
    return asked.token != case.token


def does_something(  # noqa: PLR0911 -- one case an act
    asked: Asked, case: Case
) -> bool:
    """Whether an act that may be has anything left to change."""
    args, is_system = asked.args, asked.who.role == "system"
    match asked.act:
        case "assign" if is_given(asked, case):
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
