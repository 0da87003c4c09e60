"""What the views over requests remember of one request, folded from its facts.

Every such view keeps these columns for itself, so that each stands on its own rows
and progress; what is next is decided by domain.standing, never here. The fold runs
for every event of the ledger: a request is changed in place, its times stay the body's
text and its lists are the text of an array, for PostgreSQL to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from domain.requests import Answer, Delivery
from domain.services import FeeDue, Route
from domain.stages import NextAct, Stage, WaitingFor
from domain.standing import Standing
from projections.copying import array_of
from projections.facts import Fact

PREFIX = "sijil.request."
SUBMITTED = f"{PREFIX}submitted.v1"
SITUATIONS = 4_096
"""Situations kept in memory: the office knows some hundreds of them."""
_RESULTS = frozenset({Answer.ISSUED, Answer.REFUSED})


@dataclass(slots=True)
class FoldedRequest:
    """One request as its facts left it, changed in place. Times are effective ones.

    ``since`` is when the present next act began to wait; ``ended_at`` when the
    request reached a final stage. ``reason`` is the code of why it was not accepted, or
    of the agency's answer; ``missing`` what the citizen is asked for, or did not show.
    ``next_act`` and ``waiting_for`` follow from the rest.
    """

    tracking_number: str
    code_key: str
    service: str
    agency: str
    centre: str
    governorate: str
    channel: str
    delivery: str
    parties: str
    submitted_at: str
    since: str
    version: int
    etag_version: int
    stage: str = Stage.WAITING.value
    route: str | None = None
    fee_due: str | None = None
    is_fee_outstanding: bool = False
    is_forwarded: bool = False
    outcome: str | None = None
    reason: str | None = None
    missing: str | None = None
    has_paper: bool = True
    wants_stamp: bool = False
    needs_stamp: bool = False
    is_postable: bool = True
    is_posted: bool = True
    is_mailed: bool = False
    is_information_needed: bool = False
    is_information_asked: bool = False
    is_returned: bool = False
    is_received: bool = False
    item: str | None = None
    clerk: str | None = None
    token: int = 0
    lease_until: str | None = None
    assigned_clerk: str | None = None
    released_because: str | None = None
    due_at: str | None = None
    answer_due_at: str | None = None
    payment_due_at: str | None = None
    expires_at: str | None = None
    ended_at: str | None = None
    next_act: str = NextAct.ACCEPT.value
    waiting_for: str = WaitingFor.CLERK.value

    @property
    def is_in_the_post(self) -> bool:
        """Whether its paper is on the way: it may come back and be work again."""
        return self.is_mailed and not self.is_returned and not self.is_received

    @property
    def until(self) -> str | None:
        """When the present step is due: acceptance, fee, answer, else the whole.

        Nothing is due while the clock stands still, nor of an item that came back.
        """
        act = self.next_act
        if act == _ACCEPT:
            return self.expires_at
        if act in _UNTIMED:
            return None
        if act == _TAKE_FEE:
            return self.payment_due_at or self.due_at
        if act == _RECORD_REPLY and self.is_forwarded:
            return self.answer_due_at
        return self.due_at

    def settle(self, at: str) -> None:
        """Ask what is next, after what decides it has changed at ``at``."""
        act, waiting_for = next_of(
            self.stage,
            self.route,
            self.fee_due if self.is_fee_outstanding else None,
            self.is_forwarded,
            self.outcome,
            self.has_paper,
            self.needs_stamp,
            self.is_posted,
            self.is_information_needed,
            self.is_information_asked,
            self.is_returned,
        )
        if act != self.next_act:
            self.next_act = act
            self.since = at
        self.waiting_for = waiting_for


_FIELDS = tuple(each.name for each in fields(FoldedRequest))

# Plain texts: comparing a member of an enumeration costs ten times as much.
_ACCEPT = NextAct.ACCEPT.value
_UNTIMED = frozenset(
    {
        NextAct.RECORD_INFORMATION.value,
        NextAct.DEAL_WITH_RETURN.value,
        NextAct.NOTHING.value,
    }
)
_RECORD_REPLY = NextAct.RECORD_REPLY.value
_TAKE_FEE = NextAct.TAKE_FEE.value
_IN_PROGRESS = Stage.IN_PROGRESS.value
_NOT_ACCEPTED = Stage.NOT_ACCEPTED.value
_COMPLETED_ISSUED = Stage.COMPLETED_ISSUED.value
_COMPLETED_REFUSED = Stage.COMPLETED_REFUSED.value
_WITHDRAWN = Stage.WITHDRAWN.value
_EXPIRED = Stage.EXPIRED.value
_COUNTER = Delivery.COUNTER.value
_AT_ACCEPTANCE = FeeDue.ACCEPTANCE.value
_ISSUED = Answer.ISSUED.value
_INFORMATION_NEEDED = Answer.INFORMATION_NEEDED.value


def standing_of(
    *,
    stage: str,
    route: str | None,
    fee_due: str | None,
    is_forwarded: bool,
    outcome: str | None,
    has_paper: bool,
    needs_stamp: bool,
    is_posted: bool,
    is_information_needed: bool,
    is_information_asked: bool,
    is_returned: bool,
) -> Standing:
    """The facts that decide what is next; ``fee_due`` None: nothing is outstanding."""
    return Standing(
        stage=Stage(stage),
        route=None if route is None else Route(route),
        fee_due=None if fee_due is None else FeeDue(fee_due),
        is_forwarded=is_forwarded,
        is_refused=outcome == Answer.REFUSED if outcome in _RESULTS else None,
        has_paper=has_paper,
        needs_stamp=needs_stamp,
        is_posted=is_posted,
        is_information_needed=is_information_needed,
        is_information_asked=is_information_asked,
        is_returned=is_returned,
    )


@lru_cache(maxsize=SITUATIONS)
def next_of(  # noqa: PLR0917 -- a cache is asked by places, not by names
    stage: str,
    route: str | None,
    fee_due: str | None,
    is_forwarded: bool,
    outcome: str | None,
    has_paper: bool,
    needs_stamp: bool,
    is_posted: bool,
    is_information_needed: bool,
    is_information_asked: bool,
    is_returned: bool,
) -> tuple[str, str]:
    """What is next in one situation, and who has to move, as texts."""
    standing = standing_of(
        stage=stage,
        route=route,
        fee_due=fee_due,
        is_forwarded=is_forwarded,
        outcome=outcome,
        has_paper=has_paper,
        needs_stamp=needs_stamp,
        is_posted=is_posted,
        is_information_needed=is_information_needed,
        is_information_asked=is_information_asked,
        is_returned=is_returned,
    )
    return standing.next_act.value, standing.waiting_for.value


def after_fact(request: FoldedRequest | None, fact: Fact) -> FoldedRequest | None:
    """The request after a fact of it; None where nothing is known of it."""
    topic = fact.topic
    if topic == SUBMITTED:
        return _submitted(fact)
    if request is None:
        return None
    version = fact.version
    request.version = version
    change = _BOOKKEEPING.get(topic)
    if change is not None:
        change(request, fact.data)
        return request
    request.etag_version = version
    change = _CHANGES.get(topic)
    if change is not None:
        body = fact.body
        at = body["effective_at"]
        change(request, body["data"])
        if topic in _ENDS:
            _end(request, at)
        request.settle(at)
    return request


def _submitted(fact: Fact) -> FoldedRequest:
    data, at = fact.data, fact.effective_text
    return FoldedRequest(
        tracking_number=data["tracking_number"],
        code_key=data["code_key"],
        service=data["service"],
        agency=data["agency"],
        centre=data["centre"],
        governorate=data["governorate"],
        channel=data["channel"],
        delivery=data["delivery"],
        parties=array_of([party["id"] for party in data["parties"]]),
        expires_at=data.get("expires_at"),
        submitted_at=at,
        since=at,
        version=fact.version,
        etag_version=fact.version,
    )


def _end(request: FoldedRequest, at: str) -> None:
    """What has ended is in nobody's hands any more, and no fee of it can be paid."""
    request.clerk = request.assigned_clerk
    request.is_fee_outstanding = False
    request.lease_until = None
    if request.ended_at is None:
        request.ended_at = at


_Data = dict[str, Any]


def _accepted(request: FoldedRequest, data: _Data) -> None:
    terms = data["terms"]
    request.stage = _IN_PROGRESS
    request.agency = terms["agency"]
    request.route = terms["route"]
    request.fee_due = terms["fee_due"]
    request.is_fee_outstanding = sum(line["amount"] for line in terms["fee_lines"]) > 0
    request.has_paper = terms["paper"]
    request.wants_stamp = request.needs_stamp = terms["live_stamp"]
    is_postable = terms["post"] and terms["fee_due"] == _AT_ACCEPTANCE
    request.is_postable = is_postable
    request.is_posted = is_postable and request.delivery != _COUNTER
    request.due_at = terms["due_at"]
    request.payment_due_at = terms.get("payment_due_at")
    request.expires_at = None


def _not_accepted(request: FoldedRequest, data: _Data) -> None:
    request.stage = _NOT_ACCEPTED
    request.reason = data["reason"]
    missing = data["missing"]
    request.missing = array_of(missing) if missing else None


def _assigned(request: FoldedRequest, data: _Data) -> None:
    request.clerk = request.assigned_clerk = data["clerk"]
    request.token = data["token"]
    request.lease_until = request.released_because = None


def _claimed(request: FoldedRequest, data: _Data) -> None:
    request.clerk = data["clerk"]
    request.token = data["token"]
    request.lease_until = data["lease_until"]
    request.released_because = None


def _released(request: FoldedRequest, data: _Data) -> None:
    request.clerk = request.assigned_clerk = data.get("holder")
    request.token = data["token"]
    request.lease_until = None
    request.released_because = data["reason"]


def _told(_request: FoldedRequest, _: _Data) -> None:
    """Informed or warned: the request stands where it stood."""


def _fee_paid(request: FoldedRequest, _: _Data) -> None:
    request.is_fee_outstanding = False
    request.payment_due_at = None


def _forwarded(request: FoldedRequest, data: _Data) -> None:
    request.is_forwarded = True
    request.answer_due_at = data["answer_due_at"]


def _responded(request: FoldedRequest, data: _Data) -> None:
    outcome = data["outcome"]
    request.outcome = outcome
    request.reason = data.get("reason")
    request.is_information_needed = outcome == _INFORMATION_NEEDED
    # Another answer is another document, which wants its own stamp.
    request.needs_stamp = request.wants_stamp
    # Each answer says anew whether a fee falls due with it.
    request.payment_due_at = data.get("payment_due_at")


def _information_requested(request: FoldedRequest, data: _Data) -> None:
    request.is_information_asked = True
    request.is_information_needed = False
    request.missing = array_of(data["missing"])


def _information_supplied(request: FoldedRequest, data: _Data) -> None:
    """The clock goes on, and an agency that wanted more has not answered any more."""
    request.is_information_asked = request.is_information_needed = False
    if request.outcome == _INFORMATION_NEEDED:
        request.outcome = request.reason = None
    request.missing = None
    request.due_at = data.get("due_at") or request.due_at
    request.answer_due_at = data.get("answer_due_at") or request.answer_due_at


def _stamped(request: FoldedRequest, data: _Data) -> None:
    request.needs_stamp = False
    request.payment_due_at = data.get("payment_due_at") or request.payment_due_at


def _mailed(request: FoldedRequest, data: _Data) -> None:
    request.stage = _COMPLETED_ISSUED
    request.is_mailed = True
    request.is_returned = False
    request.item = data["item"]


def _returned(request: FoldedRequest, _: _Data) -> None:
    request.is_returned = True


def _received(request: FoldedRequest, _: _Data) -> None:
    request.is_received = True


def _handed_over(request: FoldedRequest, _: _Data) -> None:
    request.stage = _COMPLETED_ISSUED
    request.is_returned = False
    request.is_received = True


def _result_told(request: FoldedRequest, data: _Data) -> None:
    is_issued = data["outcome"] == _ISSUED
    request.stage = _COMPLETED_ISSUED if is_issued else _COMPLETED_REFUSED


def _withdrawn(request: FoldedRequest, _: _Data) -> None:
    request.stage = _WITHDRAWN


def _expired(request: FoldedRequest, _: _Data) -> None:
    request.stage = _EXPIRED


def _corrected(request: FoldedRequest, data: _Data) -> None:
    delivery = data.get("delivery")
    if delivery is not None:
        request.delivery = delivery
        # Before acceptance no terms say yet whether the paper may be posted.
        if request.route is not None:
            request.is_posted = request.is_postable and delivery != _COUNTER


_Change = Callable[[FoldedRequest, _Data], None]


def _topics(**changes: _Change) -> dict[str, _Change]:
    return {
        f"{PREFIX}{name.replace('_', '-')}.v1": change
        for name, change in changes.items()
    }


_BOOKKEEPING = _topics(
    assigned=_assigned,
    claimed=_claimed,
    released=_released,
    informed=_told,
    warned=_told,
)
"""Events that leave the ETag: they decide nothing about what is next."""
_CHANGES = _topics(
    accepted=_accepted,
    not_accepted=_not_accepted,
    fee_paid=_fee_paid,
    forwarded=_forwarded,
    agency_responded=_responded,
    information_requested=_information_requested,
    information_supplied=_information_supplied,
    stamped=_stamped,
    mailed=_mailed,
    delivered=_received,
    collected=_received,
    returned=_returned,
    handed_over=_handed_over,
    result_told=_result_told,
    withdrawn=_withdrawn,
    expired=_expired,
    corrected=_corrected,
)
FOLDED_TOPICS = frozenset(
    {SUBMITTED, f"{PREFIX}fee-refunded.v1", *_BOOKKEEPING, *_CHANGES}
)
"""Every event of a request. That of a refund changes its ETag and nothing else."""
_ENDS = frozenset(
    f"{PREFIX}{name}.v1"
    for name in (
        "not-accepted",
        "mailed",
        "handed-over",
        "result-told",
        "withdrawn",
        "expired",
    )
)


def folded_sql(columns: Mapping[str, str], nothing: Mapping[str, str]) -> str:
    """The SELECT list whose rows are the arguments of a FoldedRequest.

    ``columns`` gives the SQL of each part by its name, ``nothing`` that of the parts
    which a view does not keep. PostgreSQL's own times and arrays come as texts.
    """
    return ", ".join(columns.get(name) or nothing[name] for name in _FIELDS)


def rfc3339_sql(column: str) -> str:
    """A timestamptz as the body's own text, for a fold to go on from."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
