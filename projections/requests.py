"""What the views over requests remember of one request, folded from its facts.

Every such view keeps these columns for itself, so that each stands on its own rows
and progress; what is next is decided by domain.standing, never here. The fold runs
for every event of the ledger: a request is changed in place, and its texts are those
that COPY takes, because a row is written for every event and read seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from domain.requests import Answer, Delivery
from domain.stages import NextAct, WaitingFor
from ledger.copying import NOTHING, copied_text
from projections.copying import array_of, rfc3339_sql
from projections.facts import Fact
from projections.memory import Memory
from projections.situations import (
    NEW,
    PREFIX,
    SITUATION,
    Situation,
    next_of,
    situation_after,
    situation_of,
    standing_of,
)

__all__ = [
    "FOLDED_TOPICS",
    "PREFIX",
    "SUBMITTED",
    "FoldedRequest",
    "after_fact",
    "folded_from",
    "folded_sql",
    "next_of",
    "rfc3339_sql",
    "standing_of",
    "unremembered",
]

SUBMITTED = f"{PREFIX}submitted.v1"


@dataclass(slots=True)
class FoldedRequest:
    """One request as its facts left it, changed in place. Times are effective ones.

    Every text is as COPY takes it: what was not said is NOTHING, and what wants an
    escape has it. ``since`` is when the present next act began to wait; ``ended_at``
    when the request reached a final stage. ``reason`` is the code of why it was not
    accepted, or of the agency's answer; ``missing`` what the citizen is asked for, or
    did not show. ``next_act`` and ``waiting_for`` follow from the rest.
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
    reason: str = NOTHING
    missing: str = NOTHING
    item: str = NOTHING
    clerk: str = NOTHING
    token: int = 0
    lease_until: str = NOTHING
    assigned_clerk: str = NOTHING
    released_because: str = NOTHING
    due_at: str = NOTHING
    answer_due_at: str = NOTHING
    payment_due_at: str = NOTHING
    expires_at: str = NOTHING
    ended_at: str = NOTHING
    next_act: str = NextAct.ACCEPT.value
    waiting_for: str = WaitingFor.CLERK.value
    situation: Situation = NEW
    row_since: int | None = None
    """Where its view's current row of it begins."""
    asked_since: int | None = None
    """Where the current row of what was asked for begins, in a view that has such."""

    @property
    def until(self) -> str:
        """When the present step is due: acceptance, fee, answer, else the whole.

        Nothing is due while the clock stands still, nor of an item that came back.
        """
        act = self.next_act
        if act == _ACCEPT:
            return self.expires_at
        if act in _UNTIMED:
            return NOTHING
        if act == _TAKE_FEE:
            due_at = self.payment_due_at
            return self.due_at if due_at == NOTHING else due_at
        if act == _RECORD_REPLY and self.situation.is_forwarded:
            return self.answer_due_at
        return self.due_at


_OWN = tuple(each.name for each in fields(FoldedRequest))[:-3]
"""The parts that columns hold, beside those of the situation."""

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
_COUNTER = Delivery.COUNTER.value
_INFORMATION_NEEDED = Answer.INFORMATION_NEEDED.value


def after_fact(request: FoldedRequest | None, fact: Fact) -> FoldedRequest | None:
    """The request after a fact of it; None where nothing is known of it."""
    topic = fact.topic
    if topic == SUBMITTED:
        return _submitted(fact)
    if request is None:
        return None
    version = fact.version
    request.version = version
    bookkeeping = _BOOKKEEPING.get(topic)
    if bookkeeping is not None:
        bookkeeping(request, fact.copied_data)
        return request
    request.etag_version = version
    change = _CHANGES.get(topic)
    if change is None:
        return request
    at = fact.effective_text
    said = change(request, fact.copied_data)
    request.situation = situation = situation_after(request.situation, topic, said)
    if topic in _ENDS:
        # What has ended is in nobody's hands any more.
        request.clerk = request.assigned_clerk
        request.lease_until = NOTHING
        if request.ended_at == NOTHING:
            request.ended_at = at
    act, request.waiting_for = next_of(situation)
    if act != request.next_act:
        request.next_act = act
        request.since = at
    return request


def unremembered(facts: Sequence[Fact], memory: Memory[Any]) -> set[str]:
    """The requests of a batch that would have to be read: nothing is known of them."""
    begun_with = {fact.key: fact.topic for fact in reversed(facts)}
    missing = memory.unknown(begun_with.keys())
    return {key for key in missing if begun_with[key] != SUBMITTED}


def _submitted(fact: Fact) -> FoldedRequest:
    data, at = fact.copied_data, fact.effective_text
    return FoldedRequest(
        data["tracking_number"],
        data["code_key"],
        data["service"],
        data["agency"],
        data["centre"],
        data["governorate"],
        data["channel"],
        data["delivery"],
        _array(party["id"] for party in data["parties"]),
        at,
        at,
        fact.version,
        fact.version,
        expires_at=data.get("expires_at", NOTHING),
    )


_Data = dict[str, Any]


def _array(values: Iterable[str]) -> str:
    """An array's text as COPY takes it."""
    return copied_text(array_of(values))


def _accepted(request: FoldedRequest, data: _Data) -> Any:
    terms = data["terms"]
    request.agency = terms["agency"]
    request.due_at = terms["due_at"]
    request.payment_due_at = terms.get("payment_due_at", NOTHING)
    request.expires_at = NOTHING
    return (
        terms["route"],
        terms["fee_due"],
        sum([line["amount"] for line in terms["fee_lines"]]) > 0,
        terms["paper"],
        terms["live_stamp"],
        terms["post"],
        request.delivery != _COUNTER,
    )


def _not_accepted(request: FoldedRequest, data: _Data) -> None:
    request.reason = data["reason"]
    missing = data["missing"]
    request.missing = _array(missing) if missing else NOTHING


def _assigned(request: FoldedRequest, data: _Data) -> None:
    request.clerk = request.assigned_clerk = data["clerk"]
    request.token = data["token"]
    request.lease_until = request.released_because = NOTHING


def _claimed(request: FoldedRequest, data: _Data) -> None:
    request.clerk = data["clerk"]
    request.token = data["token"]
    request.lease_until = data["lease_until"]
    request.released_because = NOTHING


def _released(request: FoldedRequest, data: _Data) -> None:
    request.clerk = request.assigned_clerk = data.get("holder", NOTHING)
    request.token = data["token"]
    request.lease_until = NOTHING
    request.released_because = data["reason"]


def _told(_request: FoldedRequest, _: _Data) -> None:
    """Informed, warned and the like: nothing but the situation changes, if that."""


def _fee_paid(request: FoldedRequest, _: _Data) -> None:
    request.payment_due_at = NOTHING


def _forwarded(request: FoldedRequest, data: _Data) -> None:
    request.answer_due_at = data["answer_due_at"]


def _responded(request: FoldedRequest, data: _Data) -> Any:
    request.reason = data.get("reason", NOTHING)
    # Each answer says anew whether a fee falls due with it.
    request.payment_due_at = data.get("payment_due_at", NOTHING)
    return data["outcome"]


def _information_requested(request: FoldedRequest, data: _Data) -> None:
    request.missing = _array(data["missing"])


def _information_supplied(request: FoldedRequest, data: _Data) -> None:
    """The clock goes on."""
    if request.situation.outcome == _INFORMATION_NEEDED:
        request.reason = NOTHING
    request.missing = NOTHING
    request.due_at = data.get("due_at") or request.due_at
    request.answer_due_at = data.get("answer_due_at") or request.answer_due_at


def _stamped(request: FoldedRequest, data: _Data) -> None:
    request.payment_due_at = data.get("payment_due_at") or request.payment_due_at


def _mailed(request: FoldedRequest, data: _Data) -> None:
    request.item = data["item"]


def _result_told(_request: FoldedRequest, data: _Data) -> Any:
    return data["outcome"]


def _corrected(request: FoldedRequest, data: _Data) -> Any:
    delivery = data.get("delivery")
    if delivery is not None:
        request.delivery = delivery
    return delivery


_Change = Callable[[FoldedRequest, _Data], Any]
"""Changes a request in place; gives what of the facts decides its situation."""


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
    delivered=_told,
    collected=_told,
    returned=_told,
    handed_over=_told,
    result_told=_result_told,
    withdrawn=_told,
    expired=_told,
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
    """The SELECT list whose rows ``folded_from`` takes.

    ``columns`` gives the SQL of each part by its name, ``nothing`` that of the parts
    which a view does not keep. PostgreSQL's own times and arrays come as texts.
    """
    return ", ".join(columns.get(name) or nothing[name] for name in _OWN + SITUATION)


def folded_from(values: list[Any]) -> FoldedRequest:
    """The request of a row of ``folded_sql``, to fold on from."""
    own: Any = [
        NOTHING
        if value is None
        else copied_text(value)
        if type(value) is str
        else value
        for value in values[: len(_OWN)]
    ]
    # A row that is there tells that nobody has received the paper.
    request = FoldedRequest(*own)
    request.situation = situation_of(*values[len(_OWN) :], False)
    return request
