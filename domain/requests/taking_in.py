"""Taking a request in: accepted under its terms, or not accepted, with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import DocumentsMissingError, IneligibleError, InvalidValueError
from domain.requests.facts import Declined
from domain.requests.guards import must_be_waiting, must_hold, must_not_stand_still
from domain.services import Terms, is_allowed

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest


def accept(
    request: ServiceRequest,
    act: Act,
    *,
    terms: Terms,
    documents: tuple[str, ...],
    token: int | None = None,
) -> None:
    """Take the request in under ``terms``; ``documents`` are those ticked off.

    What is imported never expires: its payment may stand in the next line.

    Raises IneligibleError or DocumentsMissingError: then decline instead.
    """
    must_be_waiting(request, "accept")
    must_hold(request, act, token)
    must_not_stand_still(request, "accept")
    if not is_allowed(
        request.relationship, terms.applicants, spouse_counts=terms.spouse_counts
    ):
        raise IneligibleError(allowed=", ".join(terms.applicants))
    missing = tuple(code for code in terms.documents if code not in documents)
    if missing:
        raise DocumentsMissingError(missing=", ".join(missing))
    if act.actor.kind is ActorKind.IMPORT:
        terms = replace(terms, payment_due_at=None)
    request._happened(
        request.Accepted,
        act,
        condition=request.relationship,
        documents=documents,
        terms=terms,
    )


def decline(
    request: ServiceRequest,
    act: Act,
    *,
    reason: Declined,
    missing: tuple[str, ...] = (),
    token: int | None = None,
) -> None:
    """Do not take the request in; it ends here."""
    must_be_waiting(request, "decline")
    must_hold(request, act, token)
    if (reason is Declined.DOCUMENTS_MISSING) != bool(missing):
        raise InvalidValueError(field="missing", reason="does-not-fit-reason")
    request._happened(request.NotAccepted, act, reason=reason, missing=missing)
