"""Ends without a result: withdrawn or expired; and what is paid back afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import EffectiveTimeError, InvalidValueError
from domain.money import FeeKind, total
from domain.naming import checked_reference
from domain.requests.facts import (
    ExpiredBecause,
    PaymentChannel,
    RefundedBecause,
    WithdrawnBecause,
)
from domain.requests.guards import wrong_state
from domain.stages import Stage

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest

_REFUND_AFTER = {
    Stage.WITHDRAWN: frozenset(
        {RefundedBecause.WITHDRAWN, RefundedBecause.CHARGED_WRONGLY}
    ),
    Stage.COMPLETED_REFUSED: frozenset(
        {RefundedBecause.REFUSED, RefundedBecause.CHARGED_WRONGLY}
    ),
    Stage.COMPLETED_ISSUED: frozenset({RefundedBecause.CHARGED_WRONGLY}),
}
"""Why a fee may be paid back at each end. In progress it is still owed."""


def withdraw(request: ServiceRequest, act: Act, *, reason: WithdrawnBecause) -> None:
    """The citizen takes the request back, by themselves or at the counter.

    It is the citizen's act, so no clerk's claim bars it.
    """
    if request.stage not in {Stage.WAITING, Stage.IN_PROGRESS}:
        raise wrong_state(request, "withdraw", "ended")
    request._happened(request.Withdrawn, act, reason=reason)


def expire(request: ServiceRequest, act: Act, *, due_at: datetime) -> None:
    """End what nobody accepted, or nobody paid for, until ``due_at``.

    Where that limit holds no more, because somebody acted in time, nothing happens.
    What is imported sets no limit: ``due_at`` is then the one that the rules in force
    gave, and what cannot have expired is refused. Raises EffectiveTimeError before the
    limit.
    """
    is_told = act.actor.kind is ActorKind.IMPORT
    at = max(act.effective_at, request.modified_on) if is_told else act.effective_at
    if at < due_at:
        raise EffectiveTimeError(reason="before-limit", bound=due_at)
    if request.stage is Stage.WAITING and (is_told or request.expires_at == due_at):
        reason = ExpiredBecause.NOT_ACCEPTED
    elif (
        request.stage is Stage.IN_PROGRESS
        and request.is_fee_outstanding
        and (is_told or request.payment_due_at == due_at)
    ):
        reason = ExpiredBecause.NOT_PAID
    elif is_told:
        raise wrong_state(request, "expire", "nothing-due")
    else:
        return
    request._happened(request.Expired, act, reason=reason, due_at=due_at)


def refund(
    request: ServiceRequest,
    act: Act,
    *,
    kinds: tuple[FeeKind, ...],
    reason: RefundedBecause,
    channel: PaymentChannel,
    bank_reference: str | None = None,
) -> None:
    """Pay lines of the fee back, each at most once, after the request has ended."""
    if not request.is_fee_paid:
        raise wrong_state(request, "refund", "not-paid")
    allowed = _REFUND_AFTER.get(request.stage)
    if allowed is None:
        raise wrong_state(request, "refund", "not-ended")
    if reason not in allowed:
        raise wrong_state(request, "refund", "other-end")
    lines = tuple(line for line in request.paid_lines if line.kind in kinds)
    if not lines or {line.kind for line in lines} != set(kinds):
        raise InvalidValueError(field="kinds", reason="not-paid")
    if request.refunded & set(kinds):
        raise wrong_state(request, "refund", "refunded-already")
    if (channel is PaymentChannel.BANK) != (bank_reference is not None):
        raise InvalidValueError(field="bank_reference", reason="channel")
    if bank_reference is not None:
        checked_reference(bank_reference, field="bank_reference")
    amount, unit = total(lines)
    request._happened(
        request.FeeRefunded,
        act,
        channel=channel,
        lines=lines,
        amount=amount,
        unit=unit,
        reason=reason,
        bank_reference=bank_reference,
    )
