"""A citizen's request, from the counter to the post.

Stages, guards and who may do what: docs/reference/contract.md. Reading order of the
life of one request: ``submit``, ``accept`` (or ``decline``), ``assign``, ``pay``,
``forward`` and ``respond`` (or ``respond`` alone on the direct route), ``stamp``,
``mail`` (or ``hand_over``), ``deliver``; a refusal ends with ``tell_result``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from eventsourcing.domain import event

from domain.access import Whereabouts
from domain.acts import Act, ActorKind
from domain.aggregates import OfficeAggregate
from domain.errors import (
    DocumentsMissingError,
    FeeUnpaidError,
    HeldByAnotherError,
    IneligibleError,
    InvalidValueError,
    NotAssignedError,
    NotPostableError,
    StaleClaimError,
    StampRequiredError,
    UnknownStampError,
    WrongAgencyError,
    WrongAmountError,
    WrongReceiverError,
    WrongRouteError,
    WrongStateError,
)
from domain.money import FeeLine, Unit, total
from domain.post import parse_item_number
from domain.services import (
    FeeDue,
    Relationship,
    Route,
    Terms,
    is_allowed,
)
from domain.stages import FINAL_STAGES, Stage
from domain.stamps import Stamp
from domain.standing import Standing
from domain.working_time import WorkingTime


class Channel(StrEnum):
    """How a request came in."""

    COUNTER = "counter"
    ONLINE = "online"
    POST = "post"
    EMAIL = "email"
    PHONE = "phone"


class PartyRole(StrEnum):
    """Which part a person has in one request."""

    APPLICANT = "applicant"
    CONCERNED = "concerned"


class Delivery(StrEnum):
    """Where the paper shall go. The address itself is the vault's."""

    POST_OFFICE = "post_office"
    HOME = "home"
    COUNTER = "counter"


class Declined(StrEnum):
    """Why a request was not accepted."""

    INELIGIBLE = "ineligible"
    DOCUMENTS_MISSING = "documents_missing"


class AssignedBecause(StrEnum):
    """Why a clerk got a request."""

    RESPONSIBLE = "responsible"
    SUPERVISOR = "supervisor"


class PaymentChannel(StrEnum):
    """How a fee was paid."""

    CASH = "cash"
    BANK = "bank"


class Answer(StrEnum):
    """What the agency answered."""

    ISSUED = "issued"
    REFUSED = "refused"


class Means(StrEnum):
    """By what means the citizen was told."""

    COUNTER = "counter"
    PHONE = "phone"
    SMS = "sms"
    EMAIL = "email"
    POST = "post"
    ONLINE = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person's part in this request: a random id that only the vault can follow."""

    role: PartyRole
    id: UUID


def is_posted(terms: Terms, delivery: Delivery) -> bool:
    """Whether the paper leaves by post: the service, the citizen and the fee allow it.

    A fee that falls due at hand-over is paid at the counter, so nothing is posted.
    """
    return (
        terms.post
        and delivery is not Delivery.COUNTER
        and terms.fee_due is FeeDue.ACCEPTANCE
    )


class ServiceRequest(OfficeAggregate):
    """One request. The public methods decide; the ``@event`` methods only assign."""

    TOPIC = "sijil.request"

    class Event(OfficeAggregate.Event):
        """An event of a request."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a request begins with ``Submitted``."""

        TOPIC = "sijil.request.created.v1"

    class Submitted(Created):
        """Asked for. ``code_key`` names the key the secret code was made with."""

        TOPIC = "sijil.request.submitted.v1"
        service: str
        agency: str
        centre: str
        governorate: str
        channel: Channel
        parties: tuple[Party, ...]
        relationship: Relationship
        documents: tuple[str, ...]
        delivery: Delivery
        tracking_number: str
        code_key: str

    class Accepted(Event):
        """Conditions, documents and person checked; the clock starts."""

        TOPIC = "sijil.request.accepted.v1"
        condition: Relationship
        documents: tuple[str, ...]
        terms: Terms

    class NotAccepted(Event):
        """The end: the reason and, where documents lack, which."""

        TOPIC = "sijil.request.not-accepted.v1"
        reason: Declined
        missing: tuple[str, ...]

    class Assigned(Event):
        """The request is a clerk's now; acts carry ``token`` from here on."""

        TOPIC = "sijil.request.assigned.v1"
        clerk: str
        reason: AssignedBecause
        token: int

    class FeePaid(Event):
        """The due fee was paid: ``amount`` in hundredths of ``unit``."""

        TOPIC = "sijil.request.fee-paid.v1"
        channel: PaymentChannel
        lines: tuple[FeeLine, ...]
        amount: int
        unit: Unit
        bank_reference: str | None = None

    class Forwarded(Event):
        """Sent to the agency; its first answer is due at ``answer_due_at`` (UTC)."""

        TOPIC = "sijil.request.forwarded.v1"
        agency: str
        answer_due_at: datetime
        agency_reference: str | None = None

    class AgencyResponded(Event):
        """The agency's answer, replied or read directly in its system."""

        TOPIC = "sijil.request.agency-responded.v1"
        outcome: Answer
        by: Route
        agency_reference: str | None = None
        reason: str | None = None
        document_digest: str | None = None
        supersedes: int | None = None

    class Stamped(Event):
        """The document got its stamp. The ink is outside the software."""

        TOPIC = "sijil.request.stamped.v1"
        serial: str
        kind: str
        officer: str
        stamped_digest: str

    class Mailed(Event):
        """Given to the post under its S10 item number."""

        TOPIC = "sijil.request.mailed.v1"
        item: str
        to: Delivery

    class Delivered(Event):
        """The post handed the item to somebody in this capacity."""

        TOPIC = "sijil.request.delivered.v1"
        item: str
        capacity: Relationship
        condition: tuple[str, ...]

    class HandedOver(Event):
        """Received at the counter by somebody in this capacity."""

        TOPIC = "sijil.request.handed-over.v1"
        capacity: Relationship
        condition: tuple[str, ...]

    class ResultTold(Event):
        """The citizen knows the result; closes refusals and services without paper."""

        TOPIC = "sijil.request.result-told.v1"
        outcome: Answer
        means: Means

    class Informed(Event):
        """A message on the way was sent; ``message`` is its code."""

        TOPIC = "sijil.request.informed.v1"
        message: str
        means: Means

    BOOKKEEPING: ClassVar[frozenset[str]] = frozenset({"Assigned", "Informed"})

    def __init__(
        self,
        *,
        service: str,
        agency: str,
        centre: str,
        governorate: str,
        parties: tuple[Party, ...],
        relationship: Relationship,
        documents: tuple[str, ...],
        delivery: Delivery,
        tracking_number: str,
        code_key: str,
    ) -> None:
        self.service = service
        self.agency = agency
        self.centre = centre
        self.governorate = governorate
        self.parties = parties
        self.relationship = relationship
        self.documents = documents
        self.delivery = delivery
        self.tracking_number = tracking_number
        self.code_key = code_key
        self.stage = Stage.WAITING
        self.terms: Terms | None = None
        self.clerk: str | None = None
        self.token = 0
        self.is_fee_paid = False
        self.answer_due_at: datetime | None = None
        self.answer: Answer | None = None
        self.answer_version: int | None = None
        self.stamp_serial: str | None = None
        self.item: str | None = None
        self.is_received = False

    # Where it stands ------------------------------------------------------------

    @property
    def is_fee_outstanding(self) -> bool:
        """Whether an accepted request still has a fee to take."""
        terms = self.terms
        return (
            terms is not None and total(terms.fee_lines)[0] > 0 and not self.is_fee_paid
        )

    @property
    def standing(self) -> Standing:
        """The facts that decide what is next and who has to do it."""
        terms = self.terms
        if terms is None:
            return Standing(stage=self.stage)
        return Standing(
            stage=self.stage,
            route=terms.route,
            fee_due=terms.fee_due if self.is_fee_outstanding else None,
            is_forwarded=self.answer_due_at is not None,
            is_refused=None if self.answer is None else self.answer is Answer.REFUSED,
            has_paper=terms.paper,
            needs_stamp=terms.live_stamp and self.stamp_serial is None,
            is_posted=is_posted(terms, self.delivery),
        )

    @property
    def whereabouts(self) -> Whereabouts:
        """What decides who may see this request."""
        return Whereabouts(
            centre=self.centre,
            governorate=self.governorate,
            agency=self.agency,
            is_forwarded=self.answer_due_at is not None,
            is_mailed=self.item is not None,
            is_fee_outstanding=self.is_fee_outstanding,
            parties=frozenset(str(party.id) for party in self.parties),
        )

    # Coming in ------------------------------------------------------------------

    @classmethod
    def submit(
        cls,
        act: Act,
        *,
        request_id: UUID,
        service: str,
        agency: str,
        centre: str,
        governorate: str,
        channel: Channel,
        parties: tuple[Party, ...],
        relationship: Relationship,
        documents: tuple[str, ...],
        delivery: Delivery,
        tracking_number: str,
        code_key: str,
    ) -> "ServiceRequest":
        """A new request, waiting to be accepted."""
        return cls._create(
            cls.Submitted,
            id=request_id,
            timestamp=act.effective_at,
            act=act,
            service=service,
            agency=agency,
            centre=centre,
            governorate=governorate,
            channel=channel,
            parties=parties,
            relationship=relationship,
            documents=documents,
            delivery=delivery,
            tracking_number=tracking_number,
            code_key=code_key,
        )

    def accept(
        self,
        act: Act,
        *,
        terms: Terms,
        documents: tuple[str, ...],
        token: int | None = None,
    ) -> None:
        """Take the request in under ``terms``; ``documents`` are those ticked off.

        Raises IneligibleError or DocumentsMissingError: then decline instead.
        """
        self._must_be(Stage.WAITING, "accept")
        self._must_hold(act, token)
        if not is_allowed(
            self.relationship, terms.applicants, spouse_counts=terms.spouse_counts
        ):
            raise IneligibleError(allowed=", ".join(terms.applicants))
        missing = tuple(code for code in terms.documents if code not in documents)
        if missing:
            raise DocumentsMissingError(missing=", ".join(missing))
        self._happened(
            self.Accepted,
            act,
            condition=self.relationship,
            documents=terms.documents,
            terms=terms,
        )

    @event(Accepted)
    def _accepted(self, terms: Terms) -> None:
        self.stage = Stage.IN_PROGRESS
        self.agency = terms.agency
        self.terms = terms

    def decline(
        self,
        act: Act,
        *,
        reason: Declined,
        missing: tuple[str, ...] = (),
        token: int | None = None,
    ) -> None:
        """Do not take the request in; it ends here."""
        self._must_be(Stage.WAITING, "decline")
        self._must_hold(act, token)
        if (reason is Declined.DOCUMENTS_MISSING) != bool(missing):
            raise InvalidValueError(field="missing", reason="does-not-fit-reason")
        self._happened(self.NotAccepted, act, reason=reason, missing=missing)

    @event(NotAccepted)
    def _not_accepted(self) -> None:
        self.stage = Stage.NOT_ACCEPTED

    def assign(self, act: Act, *, clerk: str, reason: AssignedBecause) -> None:
        """Give the request to a clerk; the token rises, so older claims are stale.

        Assigning it to whom it belongs changes nothing.
        """
        if self.stage in FINAL_STAGES:
            raise self._wrong_state("assign", "ended")
        if self.clerk != clerk:
            self._happened(
                self.Assigned, act, clerk=clerk, reason=reason, token=self.token + 1
            )

    @event(Assigned)
    def _assigned(self, clerk: str, token: int) -> None:
        self.clerk = clerk
        self.token = token

    # In progress ----------------------------------------------------------------

    def pay(
        self,
        act: Act,
        *,
        channel: PaymentChannel,
        amount: int,
        unit: Unit,
        bank_reference: str | None = None,
        token: int | None = None,
    ) -> None:
        """Take the whole fee, to the hundredth and in its own unit."""
        terms = self._must_be_in_progress("pay")
        self._must_hold(act, token)
        if not self.is_fee_outstanding:
            raise self._wrong_state("pay", "nothing-due")
        due, due_unit = total(terms.fee_lines)
        if (amount, unit) != (due, due_unit):
            raise WrongAmountError(due=due, unit=due_unit)
        if (channel is PaymentChannel.BANK) != (bank_reference is not None):
            raise InvalidValueError(field="bank_reference", reason="channel")
        self._happened(
            self.FeePaid,
            act,
            channel=channel,
            lines=terms.fee_lines,
            amount=due,
            unit=due_unit,
            bank_reference=bank_reference,
        )

    @event(FeePaid)
    def _fee_paid(self) -> None:
        self.is_fee_paid = True

    def forward(
        self,
        act: Act,
        *,
        working_time: WorkingTime,
        agency_reference: str | None = None,
        token: int | None = None,
    ) -> None:
        """Send the request to its agency; the first-answer time runs from here."""
        terms = self._must_be_in_progress("forward")
        self._must_hold(act, token)
        if terms.route is not Route.REPLY:
            raise WrongRouteError(route=terms.route)
        if self.answer_due_at is not None:
            raise self._wrong_state("forward", "forwarded-already")
        self._must_be_paid()
        due = working_time.due(act.effective_at, terms.first_answer_days)
        self._happened(
            self.Forwarded,
            act,
            agency=terms.agency,
            answer_due_at=due.at,
            agency_reference=agency_reference,
        )

    @event(Forwarded)
    def _forwarded(self, answer_due_at: datetime) -> None:
        self.answer_due_at = answer_due_at

    def respond(
        self,
        act: Act,
        *,
        outcome: Answer,
        agency: str | None = None,
        agency_reference: str | None = None,
        reason: str | None = None,
        document_digest: str | None = None,
        supersedes: int | None = None,
        token: int | None = None,
    ) -> None:
        """Record the agency's answer.

        On the direct route a clerk reads it in the agency's system and carries the
        token; on the other route it is the agency's own reply, or the clerk's record
        of one. A second answer must name the version of the one it supersedes, and
        comes before the paper is stamped or the result told.
        """
        terms = self._must_be_in_progress("respond")
        if act.actor.kind is ActorKind.AGENCY:
            if agency != terms.agency:
                raise WrongAgencyError(agency=terms.agency)
            if terms.route is Route.DIRECT:
                raise WrongRouteError(route=terms.route)
        else:
            self._must_hold(act, token)
        self._must_be_paid()
        if terms.route is Route.REPLY and self.answer_due_at is None:
            raise self._wrong_state("respond", "not-forwarded")
        if supersedes != self.answer_version:
            raise self._wrong_state(
                "respond", "not-answered" if self.answer is None else "answered-already"
            )
        if self.stamp_serial is not None:
            raise self._wrong_state("respond", "stamped-already")
        if (outcome is Answer.REFUSED) != (reason is not None):
            raise InvalidValueError(field="reason", reason="outcome")
        if outcome is Answer.REFUSED and document_digest is not None:
            raise InvalidValueError(field="document_digest", reason="outcome")
        self._happened(
            self.AgencyResponded,
            act,
            outcome=outcome,
            by=terms.route,
            agency_reference=agency_reference,
            reason=reason,
            document_digest=document_digest,
            supersedes=supersedes,
        )

    @event(AgencyResponded)
    def _responded(self, outcome: Answer) -> None:
        self.answer = outcome
        self.answer_version = self.version + 1

    def stamp(
        self,
        act: Act,
        *,
        stamp: Stamp | None,
        serial: str,
        stamped_digest: str,
        token: int | None = None,
    ) -> None:
        """Stamp the issued paper; ``stamp`` is what the ledger knows of ``serial``."""
        terms = self._must_be_in_progress("stamp")
        self._must_hold(act, token)
        self._must_be_issued("stamp")
        if not terms.live_stamp or self.stamp_serial is not None:
            raise self._wrong_state(
                "stamp", "stamped-already" if self.stamp_serial else "no-stamp-wanted"
            )
        self._must_be_paid()
        if stamp is None or stamp.serial != serial or stamp.centre != self.centre:
            raise UnknownStampError(serial=serial)
        self._happened(
            self.Stamped,
            act,
            serial=serial,
            kind=stamp.kind,
            officer=act.actor.id,
            stamped_digest=stamped_digest,
        )

    @event(Stamped)
    def _stamped(self, serial: str) -> None:
        self.stamp_serial = serial

    # Leaving the office ---------------------------------------------------------

    def mail(
        self, act: Act, *, item: str, to: Delivery, token: int | None = None
    ) -> None:
        """Give the paper to the post; the first mailing completes the request."""
        terms = self._must_be_in_progress("mail")
        self._must_hold(act, token)
        self._must_be_ready_to_leave("mail", terms)
        if (
            not terms.post
            or to is Delivery.COUNTER
            or terms.fee_due is FeeDue.HAND_OVER
        ):
            raise NotPostableError
        self._happened(self.Mailed, act, item=parse_item_number(item), to=to)

    @event(Mailed)
    def _mailed(self, item: str) -> None:
        self.stage = Stage.COMPLETED_ISSUED
        self.item = item

    def deliver(self, act: Act, *, item: str, capacity: Relationship) -> None:
        """Record that the post delivered the item to somebody who may receive it."""
        terms = self.terms
        if terms is None or self.item is None or self.is_received:
            raise self._wrong_state(
                "deliver", "received-already" if self.is_received else "not-mailed"
            )
        if parse_item_number(item) != self.item:
            raise self._wrong_state("deliver", "other-item")
        self._must_be_allowed_to_receive(capacity, terms)
        self._happened(
            self.Delivered,
            act,
            item=self.item,
            capacity=capacity,
            condition=terms.receipt,
        )

    @event(Delivered)
    def _delivered(self) -> None:
        self.is_received = True

    def hand_over(
        self, act: Act, *, capacity: Relationship, token: int | None = None
    ) -> None:
        """Hand the paper over at the counter under its receipt condition."""
        terms = self._must_be_in_progress("hand-over")
        self._must_hold(act, token)
        self._must_be_ready_to_leave("hand-over", terms)
        self._must_be_allowed_to_receive(capacity, terms)
        self._happened(self.HandedOver, act, capacity=capacity, condition=terms.receipt)

    @event(HandedOver)
    def _handed_over(self) -> None:
        self.stage = Stage.COMPLETED_ISSUED
        self.is_received = True

    def tell_result(self, act: Act, *, means: Means, token: int | None = None) -> None:
        """Tell the citizen; completes refusals and services without paper."""
        terms = self._must_be_in_progress("tell-result")
        self._must_hold(act, token)
        if self.answer is None:
            raise self._wrong_state("tell-result", "not-answered")
        if self.answer is Answer.ISSUED:
            if terms.paper:
                raise self._wrong_state("tell-result", "paper-must-leave")
            self._must_be_settled()
        self._happened(self.ResultTold, act, outcome=self.answer, means=means)

    @event(ResultTold)
    def _result_told(self, outcome: Answer) -> None:
        self.stage = (
            Stage.COMPLETED_ISSUED
            if outcome is Answer.ISSUED
            else Stage.COMPLETED_REFUSED
        )

    def inform(self, act: Act, *, message: str, means: Means) -> None:
        """Record that a message went to the citizen; it changes no stage."""
        self._happened(self.Informed, act, message=message, means=means)

    @event(Informed)
    def _informed(self) -> None:
        pass

    # Guards ---------------------------------------------------------------------

    def _wrong_state(self, act: str, reason: str) -> WrongStateError:
        return WrongStateError(act=act, stage=self.stage, reason=reason)

    def _must_be(self, stage: Stage, act: str) -> None:
        if self.stage is not stage:
            raise self._wrong_state(act, f"not-{stage}".replace("_", "-"))

    def _must_be_in_progress(self, act: str) -> Terms:
        if self.stage is not Stage.IN_PROGRESS or self.terms is None:
            raise self._wrong_state(act, "not-in-progress")
        return self.terms

    def _must_hold(self, act: Act, token: int | None) -> None:
        """Clerks act on what is theirs, with the token of their latest claim.

        A supervisor needs the token too, not the claim itself. A bank and the import
        carry none: their acts come from outside. At the counter a request is
        accepted in the act that submits it, before anybody can have a claim.
        """
        kind = act.actor.kind
        if kind not in {ActorKind.CLERK, ActorKind.SUPERVISOR}:
            return
        if self._is_new_in(act):
            return
        if self.clerk is None and kind is ActorKind.CLERK:
            raise NotAssignedError
        if token != self.token:
            raise StaleClaimError(holder=self.clerk, token=self.token)
        if kind is ActorKind.CLERK and self.clerk != act.actor.id:
            raise HeldByAnotherError(holder=str(self.clerk))

    def _is_new_in(self, act: Act) -> bool:
        return any(
            isinstance(pending, self.Submitted)
            and pending.act.command_id == act.command_id
            for pending in self.pending_events
        )

    def _must_be_paid(self) -> None:
        if self.standing.is_fee_blocking:
            self._must_be_settled()

    def _must_be_settled(self) -> None:
        if self.is_fee_outstanding and self.terms is not None:
            amount, unit = total(self.terms.fee_lines)
            raise FeeUnpaidError(amount=amount, unit=unit)

    def _must_be_issued(self, act: str) -> None:
        if self.answer is not Answer.ISSUED:
            raise self._wrong_state(
                act, "not-answered" if self.answer is None else "refused"
            )

    def _must_be_ready_to_leave(self, act: str, terms: Terms) -> None:
        self._must_be_issued(act)
        if not terms.paper:
            raise self._wrong_state(act, "no-paper")
        if terms.live_stamp and self.stamp_serial is None:
            raise StampRequiredError
        self._must_be_settled()

    def _must_be_allowed_to_receive(self, capacity: Relationship, terms: Terms) -> None:
        if not is_allowed(capacity, terms.receipt, spouse_counts=terms.spouse_counts):
            raise WrongReceiverError(allowed=", ".join(terms.receipt))
