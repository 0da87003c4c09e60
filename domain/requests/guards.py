"""What has to hold before an act: each guard raises the error that says what does not.

Guards read the request and change nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import (
    FeeUnpaidError,
    HeldByAnotherError,
    NotAssignedError,
    StaleClaimError,
    StampRequiredError,
    WrongReceiverError,
    WrongStateError,
)
from domain.money import total
from domain.requests.facts import Answer
from domain.services import FeeDue, Relationship, Terms, is_allowed
from domain.stages import Stage
from domain.working_time import WorkingTime

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest


def wrong_state(request: ServiceRequest, act: str, reason: str) -> WrongStateError:
    """The error of an act that does not begin where the request stands."""
    return WrongStateError(act=act, stage=request.stage, reason=reason)


def must_be_waiting(request: ServiceRequest, act: str) -> None:
    """Nobody has accepted or declined it, and nothing ended it."""
    if request.stage is not Stage.WAITING:
        raise wrong_state(request, act, "not-waiting")


def must_be_in_progress(request: ServiceRequest, act: str) -> Terms:
    """It was accepted and has not ended; the terms it was accepted under."""
    if request.stage is not Stage.IN_PROGRESS or request.terms is None:
        raise wrong_state(request, act, "not-in-progress")
    return request.terms


def must_not_stand_still(request: ServiceRequest, act: str) -> None:
    """Nothing goes further while the citizen is asked for what is missing."""
    if request.information_asked is not None:
        raise wrong_state(request, act, "information-outstanding")


def must_hold(request: ServiceRequest, act: Act, token: int | None) -> None:
    """Clerks act on what is theirs, with the token of their latest claim.

    A supervisor needs the token too, not the claim itself. A bank and the import
    carry none: their acts come from outside. At the counter a request is accepted
    in the act that submits it, before anybody can have a claim.
    """
    kind = act.actor.kind
    if kind not in {ActorKind.CLERK, ActorKind.SUPERVISOR} or is_new_in(request, act):
        return
    if token is None and request.clerk is None and kind is ActorKind.CLERK:
        raise NotAssignedError
    if token != request.token:
        raise StaleClaimError(holder=request.clerk, token=request.token)
    if kind is ActorKind.CLERK:
        if request.clerk is None:
            raise NotAssignedError
        if request.clerk != act.actor.id:
            raise HeldByAnotherError(holder=request.clerk)


def is_new_in(request: ServiceRequest, act: Act) -> bool:
    """Whether this very act submits the request."""
    return any(
        isinstance(pending, request.Submitted)
        and pending.act.command_id == act.command_id
        for pending in request.pending_events
    )


def must_be_paid(request: ServiceRequest) -> None:
    """No fee that is due now is outstanding."""
    if request.standing.is_fee_blocking:
        must_be_settled(request)


def must_be_settled(request: ServiceRequest) -> None:
    """No fee at all is outstanding."""
    if request.is_fee_outstanding and request.terms is not None:
        amount, unit = total(request.terms.fee_lines)
        raise FeeUnpaidError(amount=amount, unit=unit)


def will_never_be_due(request: ServiceRequest, terms: Terms) -> bool:
    """Whether there is nothing to hand over, so that a fee due there is not taken."""
    return terms.fee_due is FeeDue.HAND_OVER and request.answer is Answer.REFUSED


def must_be_issued(request: ServiceRequest, act: str) -> None:
    """The agency's answer is positive."""
    if request.answer is not Answer.ISSUED:
        is_refused = request.answer is Answer.REFUSED
        raise wrong_state(request, act, "refused" if is_refused else "not-answered")


def must_have_paper_here(request: ServiceRequest, act: str) -> Terms:
    """It is in progress, or its paper came back; the terms it was accepted under."""
    if request.is_returned and request.terms is not None:
        return request.terms
    return must_be_in_progress(request, act)


def must_be_ready_to_leave(request: ServiceRequest, act: str, terms: Terms) -> None:
    """The paper is answered, stamped and paid; what came back was so before."""
    if request.is_returned:
        return
    must_not_stand_still(request, act)
    must_be_issued(request, act)
    if not terms.paper:
        raise wrong_state(request, act, "no-paper")
    if terms.live_stamp and request.stamp_serial is None:
        raise StampRequiredError
    must_be_settled(request)


def must_be_allowed_to_receive(capacity: Relationship, terms: Terms) -> None:
    """The receipt condition includes who receives."""
    if not is_allowed(capacity, terms.receipt, spouse_counts=terms.spouse_counts):
        raise WrongReceiverError(allowed=", ".join(terms.receipt))


def payment_due_with(
    request: ServiceRequest,
    act: Act,
    terms: Terms,
    working_time: WorkingTime,
    *,
    is_last_step: bool,
) -> datetime | None:
    """When a fee that falls due at hand-over has to be paid, once all else is done.

    Where the act is clamped to the previous event, the time to pay runs from there.
    What is imported never expires: its payment may stand in the next line.
    """
    is_due_now = (
        is_last_step
        and terms.fee_due is FeeDue.HAND_OVER
        and request.is_fee_outstanding
        and act.actor.kind is not ActorKind.IMPORT
    )
    at = max(act.effective_at, request.modified_on)
    return working_time.due(at, terms.payment_days).at if is_due_now else None
