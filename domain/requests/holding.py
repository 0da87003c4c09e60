"""Who has a request: assignment, claims with a lease, and warnings of its limits.

All of it is bookkeeping: it moves no stage and stales nobody's page.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import HeldByAnotherError, StaleClaimError
from domain.requests.facts import (
    AssignedBecause,
    GivenWarning,
    Limit,
    ReleasedBecause,
    WarnedWhen,
)
from domain.requests.guards import must_not_stand_still, wrong_state
from domain.stages import Stage

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest


def assign(
    request: ServiceRequest, act: Act, *, clerk: str, reason: AssignedBecause
) -> None:
    """Give the request to a clerk; the token rises, so older claims are stale.

    Assigning it to whom it belongs changes nothing.
    """
    if not request.standing.is_open:
        raise wrong_state(request, "assign", "ended")
    if request.clerk == clerk == request.assigned_clerk:
        return
    request._happened(
        request.Assigned, act, clerk=clerk, reason=reason, token=request.token + 1
    )


def claim(
    request: ServiceRequest,
    act: Act,
    *,
    now: datetime,
    lease_until: datetime,
    clerk: str | None = None,
) -> None:
    """Take the request in hand until ``lease_until``; the answer has the new token.

    ``now`` is the office's clock: a lease is real time, whenever the acts under it
    happened. ``clerk`` is whom an imported history names. What nobody has, any clerk
    of the centre may claim; what is assigned, its clerk. Claiming again renews the
    lease and makes the former token stale. Raises HeldByAnotherError while somebody
    else has it.
    """
    if not request.standing.is_open:
        raise wrong_state(request, "claim", "ended")
    held = request.claim_held
    me = clerk or act.actor.id
    if held is not None and held.clerk != me and now < held.until:
        raise HeldByAnotherError(holder=held.clerk, until=held.until)
    if request.assigned_clerk not in {None, me}:
        raise HeldByAnotherError(holder=str(request.assigned_clerk))
    request._happened(
        request.Claimed, act, clerk=me, token=request.token + 1, lease_until=lease_until
    )


def release(
    request: ServiceRequest,
    act: Act,
    *,
    reason: ReleasedBecause,
    token: int | None = None,
    now: datetime | None = None,
) -> None:
    """Let the request go: the token rises, so that who had it is too late.

    A clerk gives back a claim; what was assigned stays assigned. A supervisor, or an
    absence, takes it from whoever has it. An imported history has no token and names
    nobody: it was whoever had it. The scheduler ends a lease that is over by ``now``;
    where the claim of ``token`` is gone already it changes nothing.
    """
    is_told = act.actor.kind is ActorKind.IMPORT
    if act.actor.kind is ActorKind.SYSTEM:
        if _is_past(request, reason, token, now):
            return
    elif not request.standing.is_open:
        raise wrong_state(request, "release", "ended")
    elif token != request.token and not is_told:
        raise StaleClaimError(holder=request.clerk, token=request.token)
    clerk = request.clerk
    is_claim_given_up = reason in {
        ReleasedBecause.GIVEN_BACK,
        ReleasedBecause.LEASE_ENDED,
    }
    if clerk is None or (is_claim_given_up and request.claim_held is None):
        raise wrong_state(request, "release", "not-claimed")
    is_other = clerk != act.actor.id and not is_told
    if reason is ReleasedBecause.GIVEN_BACK and is_other:
        raise HeldByAnotherError(holder=clerk)
    request._happened(
        request.Released,
        act,
        clerk=clerk,
        reason=reason,
        token=request.token + 1,
        holder=request.assigned_clerk if is_claim_given_up else None,
    )


def _is_past(
    request: ServiceRequest,
    reason: ReleasedBecause,
    token: int | None,
    now: datetime | None,
) -> bool:
    """Whether what the system wants to end is over already, or not yet."""
    if not request.standing.is_open or request.clerk is None:
        return True
    if token is not None and token != request.token:
        return True
    held = request.claim_held
    return reason is ReleasedBecause.LEASE_ENDED and (
        held is None or now is None or now < held.until
    )


def warn(
    request: ServiceRequest,
    act: Act,
    *,
    limit: Limit,
    when: WarnedWhen,
    due_at: datetime,
) -> None:
    """Warn of a limit, once; of one that holds no more, nothing happens.

    While the clock stands still nobody is warned, and the act may be sent again: it
    is refused, so that its id is not used up.
    """
    given = GivenWarning(limit=limit, when=when, due_at=due_at)
    if request.stage is not Stage.IN_PROGRESS or given in request.warnings_given:
        return
    must_not_stand_still(request, "warn")
    is_answered = not request.is_forwarded or request.answer is not None
    if limit is Limit.FIRST_ANSWER and is_answered:
        return
    holds = request.answer_due_at if limit is Limit.FIRST_ANSWER else request.due_at
    if holds == due_at:
        request._happened(request.Warned, act, limit=limit, when=when, due_at=due_at)
