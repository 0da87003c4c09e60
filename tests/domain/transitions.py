"""The table of every act in every situation, as docs/reference/transitions.md has it.

The page is the source: it is read here, never computed. What is built here is what the
page talks about: one request in each situation, and each act as its right actor does
it. ``diagram`` draws the page's picture from its table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.acts import Act, ActorKind
from domain.money import FeeKind, Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Limit,
    Means,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    ServiceRequest,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import FeeDue, Relationship, Route
from domain.stages import FINAL_STAGES, Stage
from tests.docs.pages import REFERENCE
from tests.domain.office import (
    DIGEST,
    ITEM,
    NINE,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    paid,
    stamp,
    submitted,
    terms,
)

PAGE = REFERENCE / "transitions.md"
OTHER_ITEM = "EB000717618HK"
EXPIRES_AT = NINE + timedelta(days=42)
LONG_AFTER = 100 * 24 * 60
"""Minutes after which every limit of these requests is over."""
EITHER = " / "
"""Between what holds on the direct route and what holds on the reply route."""


# The acts, each by its right actor --------------------------------------------------


def _by(
    request: ServiceRequest, kind: ActorKind, actor: str, *, minutes: int = 0
) -> Act:
    """An act at the time of the request's last event, or some minutes after it."""
    since = (request.modified_on - NINE) // timedelta(minutes=1)
    return act(actor, kind, minutes=since + minutes, actor=actor)


def _clerk(request: ServiceRequest) -> dict[str, Any]:
    """Whoever has the request, with its token."""
    clerk = request.clerk or "clk-DI-1"
    return {"act": _by(request, ActorKind.CLERK, clerk), "token": request.token}


def _supervisor(request: ServiceRequest) -> Act:
    return _by(request, ActorKind.SUPERVISOR, "sup-DI")


def _system(request: ServiceRequest, *, minutes: int = 0) -> Act:
    return _by(request, ActorKind.SYSTEM, "timers", minutes=minutes)


def _post(request: ServiceRequest) -> Act:
    return _by(request, ActorKind.POST, "post-1")


def _is_by_reply(request: ServiceRequest) -> bool:
    return request.terms is not None and request.terms.route is Route.REPLY


def _respond(outcome: Answer, *, anew: bool) -> Callable[[ServiceRequest], None]:
    """The agency itself on the reply route, else the clerk who reads its system."""

    def do(request: ServiceRequest) -> None:
        by: dict[str, Any] = _clerk(request)
        if _is_by_reply(request):
            agency = _by(request, ActorKind.AGENCY, "officer")
            by = {"act": agency, "agency": "CIV"}
        request.respond(
            **by,
            outcome=outcome,
            reason=None if outcome is Answer.ISSUED else "record-disputed",
            supersedes=(request.answer_version or 1) if anew else None,
            working_time=WORKING_TIME,
        )

    return do


def _refund(request: ServiceRequest) -> None:
    by_end = {
        Stage.WITHDRAWN: RefundedBecause.WITHDRAWN,
        Stage.COMPLETED_REFUSED: RefundedBecause.REFUSED,
    }
    request.refund(
        _supervisor(request),
        kinds=(FeeKind.STATE_FEE,),
        reason=by_end.get(request.stage, RefundedBecause.CHARGED_WRONGLY),
        channel=PaymentChannel.CASH,
    )


@dataclass(frozen=True, kw_only=True)
class Column:
    """One act of the table: the method it calls, and how its right actor calls it."""

    method: str
    event: type[Any]
    do: Callable[[ServiceRequest], None]


R = ServiceRequest


def _column(
    method: str, event: type[Any], do: Callable[[ServiceRequest], None]
) -> Column:
    return Column(method=method, event=event, do=do)


ACTS: dict[str, Column] = {
    "accept": _column(
        "accept",
        R.Accepted,
        lambda r: r.accept(terms=terms(), documents=("id-card",), **_clerk(r)),
    ),
    "accept by reply": _column(
        "accept",
        R.Accepted,
        lambda r: r.accept(
            terms=terms(direct_in=()), documents=("id-card",), **_clerk(r)
        ),
    ),
    "decline": _column(
        "decline",
        R.NotAccepted,
        lambda r: r.decline(reason=Declined.INELIGIBLE, **_clerk(r)),
    ),
    "assign": _column(
        "assign",
        R.Assigned,
        lambda r: r.assign(
            _supervisor(r), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR
        ),
    ),
    "claim": _column(
        "claim",
        R.Claimed,
        lambda r: r.claim(
            _clerk(r)["act"], now=NINE, lease_until=NINE + timedelta(minutes=15)
        ),
    ),
    "release": _column(
        "release",
        R.Released,
        lambda r: r.release(
            _supervisor(r), reason=ReleasedBecause.SUPERVISOR, token=r.token, now=NINE
        ),
    ),
    "warn": _column(
        "warn",
        R.Warned,
        lambda r: r.warn(
            _system(r),
            limit=Limit.COMPLETION,
            when=WarnedWhen.BEFORE,
            due_at=r.due_at or NINE,
        ),
    ),
    "pay": _column(
        "pay",
        R.FeePaid,
        lambda r: r.pay(
            channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, **_clerk(r)
        ),
    ),
    "refund": _column("refund", R.FeeRefunded, _refund),
    "forward": _column(
        "forward",
        R.Forwarded,
        lambda r: r.forward(working_time=WORKING_TIME, **_clerk(r)),
    ),
    "answer issued": _column(
        "respond", R.AgencyResponded, _respond(Answer.ISSUED, anew=False)
    ),
    "answer refused": _column(
        "respond", R.AgencyResponded, _respond(Answer.REFUSED, anew=False)
    ),
    "answer needs more": _column(
        "respond", R.AgencyResponded, _respond(Answer.INFORMATION_NEEDED, anew=False)
    ),
    "answer anew issued": _column(
        "respond", R.AgencyResponded, _respond(Answer.ISSUED, anew=True)
    ),
    "answer anew refused": _column(
        "respond", R.AgencyResponded, _respond(Answer.REFUSED, anew=True)
    ),
    "answer anew needs more": _column(
        "respond", R.AgencyResponded, _respond(Answer.INFORMATION_NEEDED, anew=True)
    ),
    "ask": _column(
        "request_information",
        R.InformationRequested,
        lambda r: r.request_information(missing=("photograph",), **_clerk(r)),
    ),
    "supply": _column(
        "supply_information",
        R.InformationSupplied,
        lambda r: r.supply_information(
            supplied=("photograph",), working_time=WORKING_TIME, **_clerk(r)
        ),
    ),
    "stamp": _column(
        "stamp",
        R.Stamped,
        lambda r: r.stamp(
            stamp=stamp(),
            serial="ختم-DI-000001",
            stamped_digest=DIGEST,
            working_time=WORKING_TIME,
            **_clerk(r),
        ),
    ),
    "mail": _column(
        "mail",
        R.Mailed,
        lambda r: r.mail(
            item=OTHER_ITEM if r.item else ITEM, to=Delivery.HOME, **_clerk(r)
        ),
    ),
    "deliver": _column(
        "deliver",
        R.Delivered,
        lambda r: r.deliver(_post(r), item=r.item or ITEM, capacity=Relationship.SELF),
    ),
    "collect": _column(
        "collect",
        R.Collected,
        lambda r: r.collect(_post(r), item=r.item or ITEM, capacity=Relationship.SELF),
    ),
    "bring back": _column(
        "bring_back",
        R.Returned,
        lambda r: r.bring_back(
            _post(r), item=r.item or ITEM, reason=ReturnedBecause.RECEIVER_ABSENT
        ),
    ),
    "hand over": _column(
        "hand_over",
        R.HandedOver,
        lambda r: r.hand_over(capacity=Relationship.SELF, **_clerk(r)),
    ),
    "tell result": _column(
        "tell_result",
        R.ResultTold,
        lambda r: r.tell_result(means=Means.PHONE, **_clerk(r)),
    ),
    "inform": _column(
        "inform",
        R.Informed,
        lambda r: r.inform(_system(r), message="accepted", means=Means.SMS),
    ),
    "withdraw": _column(
        "withdraw",
        R.Withdrawn,
        lambda r: r.withdraw(
            _by(r, ActorKind.CITIZEN, "citizen"), reason=WithdrawnBecause.NOT_NEEDED
        ),
    ),
    "expire": _column(
        "expire",
        R.Expired,
        lambda r: r.expire(
            _system(r, minutes=LONG_AFTER),
            due_at=r.expires_at or r.payment_due_at or NINE,
        ),
    ),
    "correct person": _column(
        "correct",
        R.Corrected,
        lambda r: r.correct(
            _supervisor(r),
            field=CorrectedField.FULL_NAME,
            reason=CorrectedBecause.TYPING_ERROR,
            party=PartyRole.APPLICANT,
        ),
    ),
    "correct delivery": _column(
        "correct",
        R.Corrected,
        lambda r: r.correct(
            _clerk(r)["act"],
            field=CorrectedField.DELIVERY,
            reason=CorrectedBecause.CHANGED_SINCE,
            delivery=Delivery.POST_OFFICE,
        ),
    ),
}
"""The columns, in the order of the page."""


# The situations ---------------------------------------------------------------------

Build = Callable[..., ServiceRequest]


def _then(before: Build, *acts: str, **always: Any) -> Build:
    """The situation that these acts lead to, under a service with these changes."""

    def build(**changes: Any) -> ServiceRequest:
        request = before(**{**changes, **always})
        for name in acts:
            ACTS[name].do(request)
        return request

    return build


def _waiting(**_: Any) -> ServiceRequest:
    return assigned(submitted(expires_at=EXPIRES_AT))


def _with_nobody(**_: Any) -> ServiceRequest:
    return submitted(expires_at=EXPIRES_AT)


def _paid(**changes: Any) -> ServiceRequest:
    """Paid, and forwarded where the agency has to reply."""
    request = paid(**changes)
    if _is_by_reply(request):
        ACTS["forward"].do(request)
    return request


REPLY: dict[str, Any] = {"direct_in": ()}
AT_HAND_OVER: dict[str, Any] = {"fee_due": FeeDue.HAND_OVER}
NO_STAMP: dict[str, Any] = {"live_stamp": False}
NO_POST: dict[str, Any] = {"post": False}
_ISSUED = _then(_paid, "answer issued")
_REFUSED = _then(_paid, "answer refused")
_STAMPED = _then(_ISSUED, "stamp")
_MAILED = _then(_STAMPED, "mail")


def _mailed_to_post_office(**changes: Any) -> ServiceRequest:
    request = _STAMPED(**changes)
    request.mail(item=ITEM, to=Delivery.POST_OFFICE, **_clerk(request))
    return request


BOTH_ROUTES = (Route.DIRECT, Route.REPLY)
DIRECT_ONLY = (Route.DIRECT,)
REPLY_ONLY = (Route.REPLY,)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """How a request gets there, and on which routes it can."""

    build: Build
    routes: tuple[Route, ...]


def _on(
    routes: tuple[Route, ...], build: Build, *acts: str, **always: Any
) -> Situation:
    return Situation(build=_then(build, *acts, **always), routes=routes)


SITUATIONS: dict[str, Situation] = {
    "waiting": _on(DIRECT_ONLY, _waiting),
    "waiting, with nobody": _on(DIRECT_ONLY, _with_nobody),
    "waiting, asked": _on(DIRECT_ONLY, _waiting, "ask"),
    "not accepted": _on(DIRECT_ONLY, _waiting, "decline"),
    "unpaid, direct": _on(DIRECT_ONLY, accepted),
    "unpaid, direct, asked": _on(DIRECT_ONLY, accepted, "ask"),
    "unpaid, by reply": _on(REPLY_ONLY, accepted),
    "unpaid, by reply, asked": _on(REPLY_ONLY, accepted, "ask"),
    "to be read": _on(DIRECT_ONLY, paid),
    "to be read, more needed": _on(DIRECT_ONLY, paid, "answer needs more"),
    "to be read, asked": _on(DIRECT_ONLY, paid, "ask"),
    "to be forwarded": _on(REPLY_ONLY, paid),
    "to be forwarded, asked": _on(REPLY_ONLY, paid, "ask"),
    "forwarded": _on(REPLY_ONLY, _paid),
    "forwarded, more needed": _on(REPLY_ONLY, _paid, "answer needs more"),
    "forwarded, asked": _on(REPLY_ONLY, _paid, "answer needs more", "ask"),
    "later fee, to be read": _on(DIRECT_ONLY, accepted, **AT_HAND_OVER),
    "later fee, more needed": _on(
        DIRECT_ONLY, accepted, "answer needs more", **AT_HAND_OVER
    ),
    "later fee, asked": _on(DIRECT_ONLY, accepted, "ask", **AT_HAND_OVER),
    "issued, to be stamped": _on(BOTH_ROUTES, _ISSUED),
    "issued, to be posted": _on(BOTH_ROUTES, _ISSUED, **NO_STAMP),
    "issued, to be fetched": _on(BOTH_ROUTES, _ISSUED, **NO_STAMP, **NO_POST),
    "issued, no paper": _on(BOTH_ROUTES, _ISSUED, paper=False, **NO_STAMP),
    "issued, later fee, to be stamped": _on(
        DIRECT_ONLY, accepted, "answer issued", **AT_HAND_OVER
    ),
    "issued, later fee due": _on(
        DIRECT_ONLY, accepted, "answer issued", **AT_HAND_OVER, **NO_STAMP
    ),
    "issued, no paper, later fee due": _on(
        DIRECT_ONLY, accepted, "answer issued", paper=False, **AT_HAND_OVER, **NO_STAMP
    ),
    "stamped, to be posted": _on(BOTH_ROUTES, _STAMPED),
    "stamped, to be fetched": _on(BOTH_ROUTES, _STAMPED, **NO_POST),
    "stamped, later fee due": _on(
        DIRECT_ONLY, accepted, "answer issued", "stamp", **AT_HAND_OVER
    ),
    "refused": _on(BOTH_ROUTES, _REFUSED),
    "refused, later fee": _on(DIRECT_ONLY, accepted, "answer refused", **AT_HAND_OVER),
    "mailed home": _on(BOTH_ROUTES, _MAILED),
    "mailed to a post office": _on(BOTH_ROUTES, _mailed_to_post_office),
    "returned": _on(BOTH_ROUTES, _MAILED, "bring back"),
    "received after mailing": _on(BOTH_ROUTES, _MAILED, "deliver"),
    "handed over": _on(BOTH_ROUTES, _STAMPED, "hand over"),
    "told it is issued": _on(
        BOTH_ROUTES, _ISSUED, "tell result", paper=False, **NO_STAMP
    ),
    "told of the refusal": _on(BOTH_ROUTES, _REFUSED, "tell result"),
    "told of the refusal, unpaid": _on(
        DIRECT_ONLY, accepted, "answer refused", "tell result", **AT_HAND_OVER
    ),
    "withdrawn": _on(DIRECT_ONLY, _waiting, "withdraw"),
    "withdrawn, paid": _on(BOTH_ROUTES, _paid, "withdraw"),
    "withdrawn, paid back": _on(BOTH_ROUTES, _paid, "withdraw", "refund"),
    "expired": _on(DIRECT_ONLY, accepted, "expire"),
}
"""The rows, in the order of the page."""
_SERVICE_OF: dict[Route, dict[str, Any]] = {Route.DIRECT: {}, Route.REPLY: REPLY}
SERVICES: dict[str, dict[str, Any]] = {
    "no stamp": NO_STAMP,
    "not posted": NO_POST,
    "no stamp, not posted": {**NO_STAMP, **NO_POST},
    "no paper": {**NO_STAMP, "paper": False},
}
"""Services that want something else than the one that is stamped and posted."""


def built(name: str, route: Route, service: str | None = None) -> ServiceRequest:
    """A request in this situation, with nothing pending."""
    other = {} if service is None else SERVICES[service]
    request = SITUATIONS[name].build(**_SERVICE_OF[route], **other)
    request.collect_events()
    return request


# The page -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What the page says of one act: where it leads, or what refuses it.

    ``leads_to`` is a situation (the row's own where it stays), ``refused`` a reason of
    wrong-state or another problem's code; with neither, nothing happens.
    """

    leads_to: str | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One situation as the page has it."""

    name: str
    stage: str
    next_act: str
    waiting_for: str
    cells: dict[str, Cell]


def rows(page: str | None = None) -> dict[str, Row]:
    """The page's table, read strictly: a cell said twice is an error."""
    found: dict[str, Row] = {}
    for line in _table("transitions", page):
        name, where, leads, stays, nothing, refused = line
        stage, next_act, waiting_for = (part.strip("` ") for part in where.split("·"))
        cells = [
            *_leading(leads),
            *((each, Cell(leads_to=name)) for each in _listed(stays)),
            *((each, Cell()) for each in _listed(nothing)),
            *_refusing(refused),
        ]
        said = [each for each, _ in cells]
        twice = {each for each in said if said.count(each) > 1}
        assert not twice, f"{name}: said twice: {twice}"
        assert name not in found, f"{name}: two rows"
        found[name] = Row(
            name=name,
            stage=stage,
            next_act=next_act,
            waiting_for=waiting_for,
            cells=dict(cells),
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A cell of another service: where the act leads there."""

    service: str
    situation: str
    act: str
    leads_to: str


def elsewhere() -> list[Elsewhere]:
    """The page's table of what another service changes."""
    return [
        Elsewhere(service=service, situation=situation, act=act_name, leads_to=target)
        for service, situation, act_name, target in _table("services")
    ]


def columns() -> dict[str, str]:
    """The page's list of acts: each with the topic of the event it raises."""
    return {name: topic.strip("`") for name, _, topic, _ in _table("acts")}


def names() -> dict[str, tuple[str, str]]:
    """Stages and next acts by code, in Arabic and in English."""
    return {
        code.strip("`"): (arabic, english) for code, arabic, english in _table("names")
    }


def reasons() -> set[str]:
    """The reasons of wrong-state that the page explains."""
    return {reason.strip("`") for reason, _, _ in _table("reasons")}


def _table(marker: str, page: str | None = None) -> Iterator[list[str]]:
    """The body of the table between two markers of the page."""
    text = PAGE.read_text(encoding="utf-8") if page is None else page
    lines = text.split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->")[0]
    body = lines.strip().splitlines()[2:]
    for line in body:
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


_FIRST = tuple(name for name in ACTS if re.match(r"answer (?!anew)", name))
_ANEW = tuple(name for name in ACTS if name.startswith("answer anew"))
_GROUPS = {
    "first answers": _FIRST,
    "answers anew": _ANEW,
    "any answer": (*_FIRST, *_ANEW),
}
"""What the page says in two words."""


def _listed(cell: str) -> list[str]:
    words = [each.strip() for each in cell.split(",") if each.strip()]
    return [name for word in words for name in _GROUPS.get(word, (word,))]


def _leading(cell: str) -> Iterator[tuple[str, Cell]]:
    for each in filter(None, cell.split("<br>")):
        acts, _, target = each.partition(" → ")
        for name in _listed(acts):
            yield name, Cell(leads_to=target.strip())


def _refusing(cell: str) -> Iterator[tuple[str, Cell]]:
    for each in filter(None, cell.split("<br>")):
        reason, _, acts = each.partition(": ")
        for name in _listed(acts):
            yield name, Cell(refused=reason.replace("`", ""))


# The picture --------------------------------------------------------------------------


def diagram() -> str:
    """The Mermaid text of the table: stages, what is next in them, and the events.

    What leaves a stage leaves it as a whole: Mermaid draws no line between the insides
    of two states, and the office sees it so too.
    """
    table, known = rows(), names()
    between: dict[tuple[str, str], set[str]] = defaultdict(set)
    inside: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for name, act_name, target in _moves(table):
        row, after = table[name], table[target]
        if row.stage != after.stage:
            between[row.stage, after.stage].add(_event(act_name))
        elif row.next_act != after.next_act:
            steps = inside[row.stage]
            steps[row.next_act, after.next_act].add(_event(act_name))
    lines = ["stateDiagram-v2"]
    for stage in dict.fromkeys(row.stage for row in table.values()):
        lines.append(f'    state "{_named(known, stage)}" as {stage}')
        if stage not in inside:
            continue
        lines.append(f"    state {stage} {{")
        parts = dict.fromkeys(
            row.next_act for row in table.values() if row.stage == stage
        )
        lines += [
            f'        state "{_named(known, part)}" as {stage}_{part}' for part in parts
        ]
        lines += [
            f"        {stage}_{a} --> {stage}_{b}: {_joined(events)}"
            for (a, b), events in inside[stage].items()
        ]
        lines.append("    }")
    lines.append("    [*] --> waiting: submitted")
    lines += [
        f"    {a} --> {b}: {_joined(events)}" for (a, b), events in between.items()
    ]
    ends = [stage for stage in FINAL_STAGES if stage in known]
    lines += [f"    {stage} --> [*]" for stage in sorted(ends)]
    return "\n".join(lines)


def _moves(table: dict[str, Row]) -> Iterator[tuple[str, str, str]]:
    for row in table.values():
        for act_name, cell in row.cells.items():
            for target in (cell.leads_to or row.name).split(EITHER):
                yield row.name, act_name, target
    for each in elsewhere():
        yield each.situation, each.act, each.leads_to


def _event(act_name: str) -> str:
    topic = str(ACTS[act_name].event.TOPIC)
    return topic.removeprefix("sijil.request.").rpartition(".v")[0]


def _named(known: dict[str, tuple[str, str]], code: str) -> str:
    return " · ".join(known[code])


def _joined(events: set[str]) -> str:
    return ", ".join(sorted(events))


def drawn(page: str) -> str:
    """The page with the picture of its table."""
    block = f"<!-- diagram -->\n```mermaid\n{diagram()}\n```\n<!-- /diagram -->"
    return re.sub(
        r"<!-- diagram -->.*<!-- /diagram -->", lambda _: block, page, flags=re.DOTALL
    )
