"""The rules of the office told a second time, in plain Python, for the property test.

Written from docs/reference/contract.md, the product's description and the decision
records, and apart from domain/requests and domain/standing, of which nothing is
imported: words are strings, a request is a handful of facts. Where several rules are
broken at once nobody has said which is named first, so an act that breaks rules gives
the *set* of the codes that may be named; an act that breaks none must be taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tests.properties.effects import does_something, is_given
from tests.properties.known import (
    Args,
    Asked,
    Case,
    Offered,
    Who,
    World,
    effective,
    includes,
)

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
REFUNDS = {
    "withdrawn": {"withdrawn", "charged_wrongly"},
    "completed_refused": {"refused", "charged_wrongly"},
    "completed_issued": {"charged_wrongly"},
}
FACTS = {"full_name", "address"}
"""Some of what a citizen may be asked for beside documents."""
IDENTITY = {"full_name", "national_number", "other_identifier"}


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


def _accept(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    codes = _in_hand(case, asked) | _if(case.stage != "waiting" or case.asked)
    offer = world.offer(case.service, effective(asked, case.last))
    if offer is None:
        return codes | {"service-not-offered"}
    return codes | _ineligible(offer, case.relationship, args["documents"])


def _decline(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    return _in_hand(case, asked) | _if(case.stage != "waiting")


def _assign(case: Case, asked: Asked, args: Args, world: World) -> set[str]:
    if is_given(asked, case):
        return set()
    is_here = world.is_here(args["clerk"], asked.now)
    return _if(not case.is_open) | _if(not is_here, "service-not-offered")


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
