"""Corrections: what was written down wrongly is corrected beside it, never edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import ApprovalRequiredError, InvalidValueError
from domain.requests.facts import (
    IDENTITY_FIELDS,
    CorrectedBecause,
    CorrectedField,
    Delivery,
    PartyRole,
)
from domain.requests.guards import wrong_state
from domain.stages import FINAL_STAGES

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest


def correct(
    request: ServiceRequest,
    act: Act,
    *,
    field: CorrectedField,
    reason: CorrectedBecause,
    party: PartyRole | None = None,
    delivery: Delivery | None = None,
) -> None:
    """Record that a field was corrected. It changes no stage and no outcome.

    Values of a person go to the vault before; who somebody is (name, numbers) is
    corrected only with a supervisor's word. Where the paper goes can be corrected
    until it has left, and again when it came back.
    """
    is_personal = field is not CorrectedField.DELIVERY
    if is_personal != (party is not None):
        raise InvalidValueError(field="party", reason="field")
    if is_personal == (delivery is not None):
        raise InvalidValueError(field="delivery", reason="field")
    if party is not None and party not in {each.role for each in request.parties}:
        raise InvalidValueError(field="party", reason="not-in-request")
    if not is_personal and request.stage in FINAL_STAGES and not request.is_returned:
        raise wrong_state(request, "correct", "ended")
    is_supervisor = act.actor.kind is ActorKind.SUPERVISOR
    if field in IDENTITY_FIELDS and not is_supervisor and act.approved_by is None:
        raise ApprovalRequiredError
    request._happened(
        request.Corrected,
        act,
        field=field,
        reason=reason,
        allowed_by=act.approved_by or act.actor.id,
        party=party,
        delivery=delivery,
    )
