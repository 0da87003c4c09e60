"""The work on an accepted request: fee, agency, what is missing, stamp."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.acts import Act, ActorKind
from domain.errors import (
    InvalidValueError,
    UnknownStampError,
    WrongAgencyError,
    WrongAmountError,
    WrongRouteError,
)
from domain.money import Unit, total
from domain.naming import checked_reason, checked_reference
from domain.requests.facts import Answer, PaymentChannel
from domain.requests.guards import (
    must_be_in_progress,
    must_be_issued,
    must_be_paid,
    must_hold,
    must_not_stand_still,
    payment_due_with,
    will_never_be_due,
    wrong_state,
)
from domain.services import Route
from domain.stages import Stage
from domain.stamps import Stamp
from domain.working_time import WorkingTime

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest

_SECOND = timedelta(seconds=1)


def pay(
    request: ServiceRequest,
    act: Act,
    *,
    channel: PaymentChannel,
    amount: int,
    unit: Unit,
    bank_reference: str | None = None,
    token: int | None = None,
    claimed_at: datetime | None = None,
) -> None:
    """Take the whole fee, to the hundredth and in its own unit.

    ``claimed_at`` is the time that a bank told, where the act's was moved.
    """
    terms = must_be_in_progress(request, "pay")
    must_hold(request, act, token)
    due = due_fee(request)
    if due is None:
        raise wrong_state(request, "pay", "nothing-due")
    if (amount, unit) != due:
        raise WrongAmountError(due=due[0], unit=due[1])
    if (channel is PaymentChannel.BANK) != (bank_reference is not None):
        raise InvalidValueError(field="bank_reference", reason="channel")
    if bank_reference is not None:
        checked_reference(bank_reference, field="bank_reference")
    request._happened(
        request.FeePaid,
        act,
        channel=channel,
        lines=terms.fee_lines,
        amount=due[0],
        unit=due[1],
        bank_reference=bank_reference,
        claimed_at=claimed_at,
    )


def due_fee(request: ServiceRequest) -> tuple[int, Unit] | None:
    """What is to be paid now: hundredths and their unit; None where nothing is."""
    terms = request.terms
    if terms is None or not request.is_fee_outstanding:
        return None
    return None if will_never_be_due(request, terms) else total(terms.fee_lines)


def is_paid_with(
    request: ServiceRequest, *, bank: str, bank_reference: str, amount: tuple[int, Unit]
) -> bool:
    """Whether the fee was paid with this very payment of a bank.

    Raises InvalidValueError where it was paid with another that the bank calls so.
    """
    if not was_paid_under(request, bank=bank, bank_reference=bank_reference):
        return False
    if total(request.paid_lines) != amount:
        raise InvalidValueError(field="bank_reference", reason="another-payment")
    return True


def was_paid_under(request: ServiceRequest, *, bank: str, bank_reference: str) -> bool:
    """Whether the fee was paid with what a bank calls so.

    A clerk who took the bank's word writes down its reference, not which bank.
    """
    payer = request.paid_by
    if payer is None or request.bank_reference != bank_reference:
        return False
    return payer.kind is not ActorKind.BANK or payer.id == bank


def forward(
    request: ServiceRequest,
    act: Act,
    *,
    working_time: WorkingTime,
    agency_reference: str | None = None,
    token: int | None = None,
) -> None:
    """Send the request to its agency; the first-answer time runs from here."""
    terms = must_be_in_progress(request, "forward")
    must_hold(request, act, token)
    if terms.route is not Route.REPLY:
        raise WrongRouteError(route=terms.route)
    if request.is_forwarded:
        raise wrong_state(request, "forward", "forwarded-already")
    must_not_stand_still(request, "forward")
    must_be_paid(request)
    _must_be_codes(agency_reference, None)
    # Where the act is clamped to the previous event, the time runs from there.
    at = max(act.effective_at, request.modified_on)
    due = working_time.due(at, terms.first_answer_days)
    request._happened(
        request.Forwarded,
        act,
        agency=terms.agency,
        answer_due_at=due.at,
        agency_reference=agency_reference,
    )


def respond(
    request: ServiceRequest,
    act: Act,
    *,
    outcome: Answer,
    working_time: WorkingTime,
    agency: str | None = None,
    agency_reference: str | None = None,
    reason: str | None = None,
    document_digest: str | None = None,
    supersedes: int | None = None,
    token: int | None = None,
) -> None:
    """Record the agency's answer.

    On the direct route a clerk reads it in the agency's system and carries the token;
    on the other route it is the agency's own reply, or the clerk's record of one. A
    second answer must name the version of the one it supersedes, and comes before the
    request is completed; what was stamped under the first wants its stamp again. After
    information was supplied the agency answers anew; by message at a later time by its
    own clock, because a message has seen no page and may be an old one sent once more.
    """
    terms = must_be_in_progress(request, "respond")
    if act.actor.kind is ActorKind.AGENCY:
        if agency != terms.agency:
            raise WrongAgencyError(agency=terms.agency)
        if terms.route is Route.DIRECT:
            raise WrongRouteError(route=terms.route)
    else:
        must_hold(request, act, token)
    must_not_stand_still(request, "respond")
    must_be_paid(request)
    if terms.route is Route.REPLY and not request.is_forwarded:
        raise wrong_state(request, "respond", "not-forwarded")
    if supersedes != request.answer_version:
        is_first = request.answer is None
        raise wrong_state(
            request, "respond", "not-answered" if is_first else "answered-already"
        )
    if act.is_message and supersedes is None and _was_given(request, act):
        raise wrong_state(request, "respond", "answered-already")
    if (outcome is not Answer.ISSUED) != (reason is not None):
        raise InvalidValueError(field="reason", reason="outcome")
    if outcome is not Answer.ISSUED and document_digest is not None:
        raise InvalidValueError(field="document_digest", reason="outcome")
    _must_be_codes(agency_reference, reason)
    request._happened(
        request.AgencyResponded,
        act,
        outcome=outcome,
        by=terms.route,
        agency_reference=agency_reference,
        reason=reason,
        document_digest=document_digest,
        supersedes=supersedes,
        payment_due_at=payment_due_with(
            request,
            act,
            terms,
            working_time,
            is_last_step=outcome is Answer.ISSUED
            and not (terms.paper and terms.live_stamp),
        ),
    )


def _was_given(request: ServiceRequest, act: Act) -> bool:
    """Whether an answer is not later than one before it, by what its giver claims."""
    answered_at = request.answered_at
    return answered_at is not None and act.effective_at <= answered_at


def _must_be_codes(agency_reference: str | None, reason: str | None) -> None:
    """Doors check these too; an import has no door, and events are for ever."""
    if agency_reference is not None:
        checked_reference(agency_reference, field="agency_reference")
    if reason is not None:
        checked_reason(reason, field="reason")


def request_information(
    request: ServiceRequest,
    act: Act,
    *,
    missing: tuple[str, ...],
    token: int | None = None,
) -> None:
    """Ask the citizen for what is missing; everything stands still until it comes.

    While the request waits, no clock runs yet; in progress it stops.
    """
    if request.stage not in {Stage.WAITING, Stage.IN_PROGRESS}:
        raise wrong_state(request, "request-information", "ended")
    must_hold(request, act, token)
    must_not_stand_still(request, "request-information")
    if request.answer in {Answer.ISSUED, Answer.REFUSED}:
        raise wrong_state(request, "request-information", "answered-already")
    if not missing:
        raise InvalidValueError(field="missing", reason="empty")
    request._happened(request.InformationRequested, act, missing=missing)


def supply_information(
    request: ServiceRequest,
    act: Act,
    *,
    supplied: tuple[str, ...],
    working_time: WorkingTime,
    token: int | None = None,
) -> None:
    """Record what the citizen brought; the clock goes on from here.

    What was left of each limit when the clock stopped is counted anew from now, in
    working time. An agency that had asked gets its first-answer time again.
    """
    if request.stage not in {Stage.WAITING, Stage.IN_PROGRESS}:
        raise wrong_state(request, "supply-information", "ended")
    must_hold(request, act, token)
    asked_at = request.asked_at
    if asked_at is None:
        raise wrong_state(request, "supply-information", "nothing-asked")
    if not supplied:
        raise InvalidValueError(field="supplied", reason="empty")
    terms = request.terms
    if terms is None:
        request._happened(request.InformationSupplied, act, supplied=supplied)
        return
    # Where the act is clamped to the previous event, so is the end of the pause.
    at = max(act.effective_at, request.modified_on)
    due_at = request.due_at
    answer_due_at = None
    if request.answer is Answer.INFORMATION_NEEDED and terms.route is Route.REPLY:
        answer_due_at = working_time.due(at, terms.first_answer_days).at
    elif request.is_forwarded and request.answer_due_at is not None:
        rest = working_time.time_between(asked_at, request.answer_due_at)
        is_late = asked_at >= request.answer_due_at
        answer_due_at = None if is_late else working_time.after(at, rest)
    if due_at is not None and asked_at < due_at:
        due_at = working_time.after(at, working_time.time_between(asked_at, due_at))
    request._happened(
        request.InformationSupplied,
        act,
        supplied=supplied,
        stopped_s=working_time.time_between(asked_at, at) // _SECOND,
        due_at=due_at,
        answer_due_at=answer_due_at,
    )


def stamp(
    request: ServiceRequest,
    act: Act,
    *,
    stamp: Stamp | None,
    serial: str,
    stamped_digest: str,
    working_time: WorkingTime,
    token: int | None = None,
) -> None:
    """Stamp the issued paper; ``stamp`` is what the ledger knows of ``serial``.

    It has to be one that was issued to the centre and is good on the day.
    """
    terms = must_be_in_progress(request, "stamp")
    must_hold(request, act, token)
    must_not_stand_still(request, "stamp")
    must_be_issued(request, "stamp")
    if not terms.live_stamp or request.stamp_serial is not None:
        is_stamped = request.stamp_serial is not None
        raise wrong_state(
            request, "stamp", "stamped-already" if is_stamped else "no-stamp-wanted"
        )
    must_be_paid(request)
    if stamp is None or stamp.serial != serial or stamp.centre != request.centre:
        raise UnknownStampError
    request._happened(
        request.Stamped,
        act,
        serial=serial,
        kind=stamp.kind,
        officer=act.actor.id,
        stamped_digest=stamped_digest,
        payment_due_at=payment_due_with(
            request,
            act,
            terms,
            working_time,
            is_last_step=True,
        ),
    )
