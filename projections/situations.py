"""The situations that requests are in: what decides what is next, shared by many.

An office knows some hundreds of them. So what is next in one, what an event makes of
it, and its text in a row are worked out once, and not once an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from domain.requests import Answer, Delivery
from domain.services import FeeDue, Route
from domain.stages import Stage
from domain.standing import Standing
from ledger.copying import NOTHING, copied_text

SITUATIONS = 4_096
"""Situations kept in memory, and as many ways from one to the next times four."""
PREFIX = "sijil.request."
_RESULTS = frozenset({Answer.ISSUED, Answer.REFUSED})

# Plain texts: comparing a member of an enumeration costs ten times as much.
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


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """One situation, made by ``situation_of``; two that are alike are one object."""

    stage: str
    route: str | None
    fee_due: str | None
    is_fee_outstanding: bool
    is_forwarded: bool
    outcome: str | None
    has_paper: bool
    wants_stamp: bool
    needs_stamp: bool
    is_postable: bool
    is_posted: bool
    is_mailed: bool
    is_information_needed: bool
    is_information_asked: bool
    is_returned: bool
    is_received: bool

    @property
    def is_in_the_post(self) -> bool:
        """Whether its paper is on the way: it may come back and be work again."""
        return self.is_mailed and not self.is_returned and not self.is_received

    def but(self, **changes: Any) -> Situation:
        """The situation that differs from this one in some parts."""
        return situation_of(
            *(changes.get(name, getattr(self, name)) for name in _PARTS)
        )


_PARTS = tuple(part.name for part in fields(Situation))
SITUATION = _PARTS[:-1]
"""The columns of a situation, in their order. Whether paper was received is told by a
row that is there no more, or by the step."""


@lru_cache(maxsize=SITUATIONS)
def situation_of(*parts: Any) -> Situation:
    """The situation of these parts, in the order of the class."""
    return Situation(*parts)


NEW = situation_of(
    Stage.WAITING.value,
    *(None, None, False, False, None),
    *(True, False, False, True, True),
    *(False,) * 5,
)
"""The situation of what was just submitted."""


@lru_cache(maxsize=SITUATIONS)
def row_text(situation: Situation) -> str:
    """The columns of SITUATION as COPY takes them."""
    return "\t".join(
        NOTHING
        if part is None
        else copied_text(part)
        if isinstance(part, str)
        else "t"
        if part
        else "f"
        for part in (getattr(situation, name) for name in SITUATION)
    )


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
def next_of(situation: Situation) -> tuple[str, str]:
    """What is next in a situation, and who has to move, as texts."""
    standing = standing_of(
        stage=situation.stage,
        route=situation.route,
        fee_due=situation.fee_due if situation.is_fee_outstanding else None,
        is_forwarded=situation.is_forwarded,
        outcome=situation.outcome,
        has_paper=situation.has_paper,
        needs_stamp=situation.needs_stamp,
        is_posted=situation.is_posted,
        is_information_needed=situation.is_information_needed,
        is_information_asked=situation.is_information_asked,
        is_returned=situation.is_returned,
    )
    return standing.next_act.value, standing.waiting_for.value


@lru_cache(maxsize=4 * SITUATIONS)
def situation_after(situation: Situation, topic: str, said: Any) -> Situation:
    """The situation after an event; ``said`` is what of its facts decides it."""
    return _AFTER[topic](situation, said)


Accepted = tuple[str, str, bool, bool, bool, bool, bool]
"""Of the terms: route, when the fee is due, whether there is one, whether there is
paper, whether it wants a stamp, whether it may be posted, whether it is to be."""


def _accepted(before: Situation, said: Accepted) -> Situation:
    route, fee_due, is_fee_outstanding, has_paper, wants_stamp, may_post, by_post = said
    is_postable = may_post and fee_due == _AT_ACCEPTANCE
    return before.but(
        stage=_IN_PROGRESS,
        route=route,
        fee_due=fee_due,
        is_fee_outstanding=is_fee_outstanding,
        has_paper=has_paper,
        wants_stamp=wants_stamp,
        needs_stamp=wants_stamp,
        is_postable=is_postable,
        is_posted=is_postable and by_post,
    )


def _responded(before: Situation, outcome: str) -> Situation:
    return before.but(
        outcome=outcome,
        is_information_needed=outcome == _INFORMATION_NEEDED,
        # Another answer is another document, which wants its own stamp.
        needs_stamp=before.wants_stamp,
    )


def _information_supplied(before: Situation, _: Any) -> Situation:
    """An agency that wanted more has not answered any more."""
    outcome = before.outcome
    return before.but(
        is_information_asked=False,
        is_information_needed=False,
        outcome=None if outcome == _INFORMATION_NEEDED else outcome,
    )


def _result_told(before: Situation, outcome: str) -> Situation:
    stage = _COMPLETED_ISSUED if outcome == _ISSUED else _COMPLETED_REFUSED
    return before.but(stage=stage, is_fee_outstanding=False)


def _corrected(before: Situation, delivery: str | None) -> Situation:
    # Before acceptance no terms say yet whether the paper may be posted.
    if delivery is None or before.route is None:
        return before
    return before.but(is_posted=before.is_postable and delivery != _COUNTER)


def _always(**changes: Any) -> Callable[[Situation, Any], Situation]:
    """An event that says nothing more: it makes the same of every situation."""
    return lambda before, _: before.but(**changes)


_After = Callable[[Situation, Any], Situation]
_NAMED: dict[str, _After] = {
    "accepted": _accepted,
    "not-accepted": _always(stage=_NOT_ACCEPTED, is_fee_outstanding=False),
    "fee-paid": _always(is_fee_outstanding=False),
    "forwarded": _always(is_forwarded=True),
    "agency-responded": _responded,
    "information-requested": _always(
        is_information_asked=True, is_information_needed=False
    ),
    "information-supplied": _information_supplied,
    "stamped": _always(needs_stamp=False),
    "mailed": _always(
        stage=_COMPLETED_ISSUED,
        is_mailed=True,
        is_returned=False,
        is_fee_outstanding=False,
    ),
    "delivered": _always(is_received=True),
    "collected": _always(is_received=True),
    "returned": _always(is_returned=True),
    "handed-over": _always(
        stage=_COMPLETED_ISSUED,
        is_returned=False,
        is_received=True,
        is_fee_outstanding=False,
    ),
    "result-told": _result_told,
    "withdrawn": _always(stage=_WITHDRAWN, is_fee_outstanding=False),
    "expired": _always(stage=_EXPIRED, is_fee_outstanding=False),
    "corrected": _corrected,
}
_AFTER = {f"{PREFIX}{name}.v1": after for name, after in _NAMED.items()}
"""By topic. What has ended has no fee that can still be paid."""
