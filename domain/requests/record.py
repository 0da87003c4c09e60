"""One request as an aggregate: its events, and what each of them leaves behind.

The acts that decide stand in the files beside this one, grouped as the office works.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from eventsourcing.domain import event

from domain.access import Whereabouts
from domain.acts import Act, Actor
from domain.aggregates import OfficeAggregate
from domain.money import FeeKind, FeeLine, Unit, total
from domain.requests import correcting, ending, holding, leaving, taking_in, working
from domain.requests.facts import (
    Answer,
    AssignedBecause,
    Channel,
    Claim,
    CorrectedBecause,
    CorrectedField,
    Correction,
    Declined,
    Delivery,
    ExpiredBecause,
    GivenWarning,
    Limit,
    Means,
    Party,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import FeeDue, Relationship, Route, Terms
from domain.stages import Stage
from domain.standing import Standing


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
        """Asked for. ``code_key`` names the key the secret code was made with.

        ``expires_at`` is when it expires unless somebody has accepted it.
        """

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
        expires_at: datetime | None = None

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

    class Claimed(Event):
        """A clerk took the request in hand, until ``lease_until`` (UTC)."""

        TOPIC = "sijil.request.claimed.v1"
        clerk: str
        token: int
        lease_until: datetime

    class Released(Event):
        """The request left ``clerk``'s hands; ``holder`` has it now, if anybody."""

        TOPIC = "sijil.request.released.v1"
        clerk: str
        reason: ReleasedBecause
        token: int
        holder: str | None = None

    class FeePaid(Event):
        """The due fee was paid: ``amount`` in hundredths of ``unit``."""

        TOPIC = "sijil.request.fee-paid.v1"
        channel: PaymentChannel
        lines: tuple[FeeLine, ...]
        amount: int
        unit: Unit
        bank_reference: str | None = None

    class FeeRefunded(Event):
        """Lines of the fee were paid back: ``amount`` in hundredths of ``unit``."""

        TOPIC = "sijil.request.fee-refunded.v1"
        channel: PaymentChannel
        lines: tuple[FeeLine, ...]
        amount: int
        unit: Unit
        reason: RefundedBecause
        bank_reference: str | None = None

    class Forwarded(Event):
        """Sent to the agency; its first answer is due at ``answer_due_at`` (UTC)."""

        TOPIC = "sijil.request.forwarded.v1"
        agency: str
        answer_due_at: datetime
        agency_reference: str | None = None

    class AgencyResponded(Event):
        """The agency's answer, replied or read directly in its system.

        ``payment_due_at`` where a fee fell due with this answer.
        """

        TOPIC = "sijil.request.agency-responded.v1"
        outcome: Answer
        by: Route
        agency_reference: str | None = None
        reason: str | None = None
        document_digest: str | None = None
        supersedes: int | None = None
        payment_due_at: datetime | None = None

    class InformationRequested(Event):
        """The citizen was asked for what is missing; the clock stands still."""

        TOPIC = "sijil.request.information-requested.v1"
        missing: tuple[str, ...]

    class InformationSupplied(Event):
        """It came; the clock goes on. The due times are the ones that hold now.

        ``stopped_s``: working seconds for which the clock stood still.
        """

        TOPIC = "sijil.request.information-supplied.v1"
        supplied: tuple[str, ...]
        stopped_s: int | None = None
        due_at: datetime | None = None
        answer_due_at: datetime | None = None

    class Stamped(Event):
        """The document got its stamp. The ink is outside the software.

        ``payment_due_at`` where a fee fell due with the stamp.
        """

        TOPIC = "sijil.request.stamped.v1"
        serial: str
        kind: str
        officer: str
        stamped_digest: str
        payment_due_at: datetime | None = None

    class Mailed(Event):
        """Given to the post under its S10 item number."""

        TOPIC = "sijil.request.mailed.v1"
        item: str
        to: Delivery

    class Delivered(Event):
        """The post handed the item to somebody at home in this capacity."""

        TOPIC = "sijil.request.delivered.v1"
        item: str
        capacity: Relationship
        condition: tuple[str, ...]

    class Collected(Event):
        """Somebody fetched the item at the post office in this capacity."""

        TOPIC = "sijil.request.collected.v1"
        item: str
        capacity: Relationship
        condition: tuple[str, ...]

    class Returned(Event):
        """The post brought the item back. The request stays completed."""

        TOPIC = "sijil.request.returned.v1"
        item: str
        reason: ReturnedBecause

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

    class Warned(Event):
        """Staff were warned of a limit, before or after ``due_at`` (UTC)."""

        TOPIC = "sijil.request.warned.v1"
        limit: Limit
        when: WarnedWhen
        due_at: datetime

    class Withdrawn(Event):
        """The citizen took the request back."""

        TOPIC = "sijil.request.withdrawn.v1"
        reason: WithdrawnBecause

    class Expired(Event):
        """Nobody accepted it, or nobody paid for it, until ``due_at`` (UTC)."""

        TOPIC = "sijil.request.expired.v1"
        reason: ExpiredBecause
        due_at: datetime

    class Corrected(Event):
        """A field was corrected; a person's values old and new are in the vault.

        ``party`` names whose value it was; ``delivery`` is the new choice where that
        was corrected. ``allowed_by`` is the code of who allowed it.
        """

        TOPIC = "sijil.request.corrected.v1"
        field: CorrectedField
        reason: CorrectedBecause
        allowed_by: str
        party: PartyRole | None = None
        delivery: Delivery | None = None

    BOOKKEEPING: ClassVar[frozenset[str]] = frozenset(
        {"Assigned", "Claimed", "Released", "Informed", "Warned"}
    )

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
        expires_at: datetime | None,
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
        # Who has it.
        self.assigned_clerk: str | None = None
        self.claim_held: Claim | None = None
        self.clerk: str | None = None
        self.token = 0
        # Limits, as they hold now.
        self.expires_at = expires_at
        self.due_at: datetime | None = None
        self.answer_due_at: datetime | None = None
        self.payment_due_at: datetime | None = None
        self.warnings_given: frozenset[GivenWarning] = frozenset()
        # What was paid, answered and asked.
        self.paid_lines: tuple[FeeLine, ...] = ()
        self.paid_by: Actor | None = None
        self.bank_reference: str | None = None
        self.refunded: frozenset[FeeKind] = frozenset()
        self.is_forwarded = False
        self.answer: Answer | None = None
        self.answer_version: int | None = None
        self.answered_at: datetime | None = None
        self.information_asked: tuple[str, ...] | None = None
        self.asked_at: datetime | None = None
        # Where the paper is.
        self.stamp_serial: str | None = None
        self.item: str | None = None
        self.former_items: frozenset[str] = frozenset()
        self.mailed_to: Delivery | None = None
        self.is_received = False
        self.is_returned = False
        self.corrections: tuple[Correction, ...] = ()

    # Where it stands ------------------------------------------------------------

    @property
    def is_fee_paid(self) -> bool:
        """Whether the fee was taken."""
        return bool(self.paid_lines)

    @property
    def is_fee_outstanding(self) -> bool:
        """Whether an accepted request that has not ended still has a fee to take."""
        terms = self.terms
        return (
            terms is not None
            and self.stage is Stage.IN_PROGRESS
            and not self.is_fee_paid
            and total(terms.fee_lines)[0] > 0
        )

    @property
    def standing(self) -> Standing:
        """The facts that decide what is next and who has to do it."""
        terms = self.terms
        if terms is None:
            return Standing(
                stage=self.stage,
                is_information_asked=self.information_asked is not None,
            )
        has_result = self.answer in {Answer.ISSUED, Answer.REFUSED}
        is_asked = self.information_asked is not None
        return Standing(
            stage=self.stage,
            route=terms.route,
            fee_due=terms.fee_due if self.is_fee_outstanding else None,
            is_forwarded=self.is_forwarded,
            is_refused=self.answer is Answer.REFUSED if has_result else None,
            is_information_needed=self.answer is Answer.INFORMATION_NEEDED
            and not is_asked,
            is_information_asked=is_asked,
            has_paper=terms.paper,
            needs_stamp=terms.live_stamp and self.stamp_serial is None,
            is_posted=is_posted(terms, self.delivery),
            is_returned=self.is_returned,
        )

    @property
    def whereabouts(self) -> Whereabouts:
        """What decides who may see this request."""
        return Whereabouts(
            centre=self.centre,
            governorate=self.governorate,
            agency=self.agency,
            is_forwarded=self.is_forwarded,
            is_mailed=self.item is not None,
            is_fee_outstanding=self.is_fee_outstanding,
            parties=frozenset(str(party.id) for party in self.parties),
        )

    # The acts, in the order of a request's life ---------------------------------

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
        expires_at: datetime | None = None,
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
            expires_at=expires_at,
        )

    accept = taking_in.accept
    decline = taking_in.decline
    assign = holding.assign
    claim = holding.claim
    release = holding.release
    warn = holding.warn
    pay = working.pay
    refund = ending.refund
    forward = working.forward
    respond = working.respond
    request_information = working.request_information
    supply_information = working.supply_information
    stamp = working.stamp
    mail = leaving.mail
    deliver = leaving.deliver
    collect = leaving.collect
    bring_back = leaving.bring_back
    hand_over = leaving.hand_over
    tell_result = leaving.tell_result
    inform = leaving.inform
    withdraw = ending.withdraw
    expire = ending.expire
    correct = correcting.correct

    # What each event leaves ------------------------------------------------------

    def _end(self, stage: Stage) -> None:
        """Reach a final stage: what has ended is in nobody's hands any more."""
        self.stage = stage
        self.claim_held = None
        self.clerk = self.assigned_clerk

    @event(Accepted)
    def _accepted(self, documents: tuple[str, ...], terms: Terms) -> None:
        self.stage = Stage.IN_PROGRESS
        self.documents = documents
        self.agency = terms.agency
        self.terms = terms
        self.due_at = terms.due_at
        self.payment_due_at = terms.payment_due_at
        self.expires_at = None

    @event(NotAccepted)
    def _not_accepted(self) -> None:
        self._end(Stage.NOT_ACCEPTED)

    @event(Assigned)
    def _assigned(self, clerk: str, token: int) -> None:
        self.assigned_clerk = clerk
        self.clerk = clerk
        self.token = token
        self.claim_held = None

    @event(Claimed)
    def _claimed(self, clerk: str, token: int, lease_until: datetime) -> None:
        self.clerk = clerk
        self.token = token
        self.claim_held = Claim(clerk=clerk, until=lease_until)

    @event(Released)
    def _released(self, token: int, holder: str | None) -> None:
        self.assigned_clerk = holder
        self.clerk = holder
        self.token = token
        self.claim_held = None

    @event(FeePaid)
    def _fee_paid(
        self, act: Act, lines: tuple[FeeLine, ...], bank_reference: str | None
    ) -> None:
        self.paid_lines = lines
        self.paid_by = act.actor
        self.bank_reference = bank_reference
        self.payment_due_at = None

    @event(FeeRefunded)
    def _fee_refunded(self, lines: tuple[FeeLine, ...]) -> None:
        self.refunded = self.refunded | {line.kind for line in lines}

    @event(Forwarded)
    def _forwarded(self, answer_due_at: datetime) -> None:
        self.is_forwarded = True
        self.answer_due_at = answer_due_at

    @event(AgencyResponded)
    def _responded(
        self,
        outcome: Answer,
        payment_due_at: datetime | None,
        timestamp: datetime,
        claimed_at: datetime | None,
    ) -> None:
        # By the clock of whoever answered, so that it compares with the next answer.
        given_at = claimed_at or timestamp
        self.answered_at = max(given_at, self.answered_at or given_at)
        self.answer = outcome
        self.answer_version = self.version + 1
        # Another answer is another document: the stamp stands on the former one.
        self.stamp_serial = None
        # Each answer says anew whether a fee falls due with it, and until when.
        self.payment_due_at = payment_due_at

    @event(InformationRequested)
    def _information_requested(
        self, missing: tuple[str, ...], timestamp: datetime
    ) -> None:
        self.information_asked = missing
        self.asked_at = timestamp

    @event(InformationSupplied)
    def _information_supplied(
        self, due_at: datetime | None, answer_due_at: datetime | None
    ) -> None:
        self.information_asked = None
        self.asked_at = None
        self.due_at = due_at or self.due_at
        self.answer_due_at = answer_due_at or self.answer_due_at
        if self.answer is Answer.INFORMATION_NEEDED:
            self.answer = None
            self.answer_version = None

    @event(Stamped)
    def _stamped(self, serial: str, payment_due_at: datetime | None) -> None:
        self.stamp_serial = serial
        if payment_due_at is not None:
            self.payment_due_at = payment_due_at

    @event(Mailed)
    def _mailed(self, item: str, to: Delivery) -> None:
        self._end(Stage.COMPLETED_ISSUED)
        if self.item is not None:
            self.former_items = self.former_items | {self.item}
        self.item = item
        self.mailed_to = to
        self.is_returned = False

    @event(Delivered)
    def _delivered(self) -> None:
        self.is_received = True

    @event(Collected)
    def _collected(self) -> None:
        self.is_received = True

    @event(Returned)
    def _returned(self) -> None:
        self.is_returned = True

    @event(HandedOver)
    def _handed_over(self) -> None:
        self._end(Stage.COMPLETED_ISSUED)
        self.is_received = True
        self.is_returned = False

    @event(ResultTold)
    def _result_told(self, outcome: Answer) -> None:
        is_issued = outcome is Answer.ISSUED
        self._end(Stage.COMPLETED_ISSUED if is_issued else Stage.COMPLETED_REFUSED)

    @event(Informed)
    def _informed(self) -> None:
        pass

    @event(Warned)
    def _warned(self, limit: Limit, when: WarnedWhen, due_at: datetime) -> None:
        given = GivenWarning(limit=limit, when=when, due_at=due_at)
        self.warnings_given = self.warnings_given | {given}

    @event(Withdrawn)
    def _withdrawn(self) -> None:
        self._end(Stage.WITHDRAWN)

    @event(Expired)
    def _expired(self) -> None:
        self._end(Stage.EXPIRED)

    @event(Corrected)
    def _corrected(
        self,
        act: Act,
        field: CorrectedField,
        party: PartyRole | None,
        delivery: Delivery | None,
    ) -> None:
        self.corrections = (
            *self.corrections,
            Correction(command_id=act.command_id, field=field, party=party),
        )
        self.delivery = delivery or self.delivery
