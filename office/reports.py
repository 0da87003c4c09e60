"""Reports from outside by message: of an agency, the post, a bank.

A message says what happened, not how the office names it: the post knows the number of
an item, a bank the tracking number that somebody paid under. Whose request that is
stands in the views, which may be a moment behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.access import Permission, Scope
from domain.acts import MINISTRY, Act, ActorKind
from domain.errors import InvalidValueError, NotFoundError
from domain.ids import parse_tracking_number
from domain.money import Unit, total
from domain.naming import checked_reference
from domain.payments import Payment, UnmatchedBecause
from domain.persons import ascii_digits
from domain.post import parse_item_number
from domain.requests import PaymentChannel, ReturnedBecause, ServiceRequest
from domain.requests.working import due_fee, is_paid_with, was_paid_under
from domain.services import Relationship
from ledger.persistence import append
from ledger.reader import LedgerReader
from office.acts import Acts, Done, Envelope, On, translated
from office.commands import (
    BringBack,
    ConfirmCollection,
    ConfirmDelivery,
    PayFee,
    RecordResponse,
)
from office.errors import CommandReusedError, NotFreshEnoughError
from office.payments import is_first_for
from office.requests import Requests
from projections.payments import Payments, PaymentsQueries
from projections.postal_manifest import (
    PostalFilter,
    PostalManifest,
    PostalManifestQueries,
    PostalSort,
)
from projections.progress import ProgressQueries
from projections.tracking import Tracking, TrackingQueries

FRESH_TIMEOUT_S = 5.0
"""How long a look-up waits for its view: a healthy runner needs milliseconds."""
_MAILED = Scope(only_mailed=True)


class Scanned(StrEnum):
    """What the post reports of an item."""

    DELIVERED = "delivered"
    COLLECTED = "collected"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalScan:
    """One scan. ``capacity`` is of whoever received, ``reason`` of what came back.

    ``request_id`` spares the look-up where the post knows it.
    """

    scanned: Scanned
    item: str
    request_id: UUID | None = None
    capacity: Relationship | None = None
    reason: ReturnedBecause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayment:
    """One payment: ``amount`` in hundredths of ``unit``, under a typed number."""

    tracking_number: str
    amount: int
    unit: Unit
    bank_reference: str


class _NotMatchedError(Exception):
    """The payment is not this request's fee. It never leaves this file."""

    def __init__(self, *, reason: UnmatchedBecause, centre: str) -> None:
        super().__init__(reason, centre)
        self.reason = reason
        self.centre = centre


class Reports:
    """What outsiders report. Every envelope has the tracking of its message.

    ``fresh_timeout_s`` is how long a view that is behind is waited for.
    """

    def __init__(
        self,
        acts: Acts,
        requests: Requests,
        *,
        reader: LedgerReader,
        tracking: TrackingQueries,
        post: PostalManifestQueries,
        payments: PaymentsQueries,
        progress: ProgressQueries,
        fresh_timeout_s: float = FRESH_TIMEOUT_S,
    ) -> None:
        self._acts = acts
        self._reader = reader
        self._requests = requests
        self._tracking = tracking
        self._post = post
        self._payments = payments
        self._progress = progress
        self._fresh_timeout_s = fresh_timeout_s

    def reply(self, command: RecordResponse, envelope: Envelope) -> Done:
        """An agency's answer. It carries no claim's token."""
        return self._requests.respond(command, envelope)

    def scan(self, scan: PostalScan, envelope: Envelope) -> Done:
        """What the post did with an item.

        Raises NotFoundError for an item that nobody mailed, NotFreshEnoughError while
        the manifest is behind, and what the rules refuse.
        """
        item = parse_item_number(scan.item)
        is_received = scan.scanned is not Scanned.RETURNED
        if is_received != (scan.capacity is not None):
            raise InvalidValueError(field="capacity", reason="scanned")
        if is_received != (scan.reason is None):
            raise InvalidValueError(field="reason", reason="scanned")
        request_id = scan.request_id or self._request_of_item(item)
        if scan.reason is not None:
            back = BringBack(request_id=request_id, item=item, reason=scan.reason)
            return self._requests.bring_back(back, envelope)
        if scan.capacity is None:
            raise TypeError(scan)
        if scan.scanned is Scanned.COLLECTED:
            collected = ConfirmCollection(
                request_id=request_id, item=item, capacity=scan.capacity
            )
            return self._requests.collect(collected, envelope)
        delivered = ConfirmDelivery(
            request_id=request_id, item=item, capacity=scan.capacity
        )
        return self._requests.deliver(delivered, envelope)

    def payment(self, payment: BankPayment, envelope: Envelope) -> Done:
        """Money that a bank has: a request's fee, or kept as unmatched.

        The same reference reported again changes nothing, also where something became
        due since. A time out of bounds is moved to the bound and kept. Raises
        InvalidValueError where the reference stands for another payment,
        NotFreshEnoughError while the view of tracking numbers or of payments is behind.
        """
        envelope.principal.must_be_allowed(Permission.PAY)
        checked_reference(payment.bank_reference, field="bank_reference")
        command = self._acts.command(envelope, payment)
        envelope = replace(envelope, is_time_moved=True)
        number = _number(payment.tracking_number)
        if self._is_kept(payment, envelope):
            # It is in the hands of people since: were it taken as a fee now, it would
            # count twice.
            return self._unmatched(payment, envelope, command, number=number)
        request_id = None if number is None else self._request_of_number(number)
        centre, reason = None, UnmatchedBecause.UNKNOWN_NUMBER
        try:
            if not self._is_paid(request_id, payment, envelope):
                self._must_have_paid_nothing_else(payment, envelope)
                self._must_be_alone(payment, envelope, number=number)
            elif request_id is not None:
                self._must_be_its_fee(request_id, payment, envelope)
            if request_id is not None:
                return self._acts.on_request(
                    envelope,
                    command,
                    request_id,
                    self._request,
                    lambda request, act: _pay(
                        request, act, payment, claimed_at=_claimed(envelope, act)
                    ),
                )
        except _NotMatchedError as error:
            centre, reason = error.centre, error.reason
        return self._unmatched(
            payment,
            envelope,
            command,
            number=number,
            request_id=request_id,
            centre=centre,
            reason=reason,
        )

    def fee(self, command: PayFee, envelope: Envelope) -> Done:
        """The fee as somebody takes it at a door; raises as Requests.pay.

        The word of a bank holds there no more than in its messages: InvalidValueError
        where its reference stands for another payment, NotFreshEnoughError while the
        view of payments is behind.
        """
        if envelope.principal.role is ActorKind.BANK:
            self._must_be_free(command, envelope)
        return self._requests.pay(command, envelope)

    def _must_be_free(self, command: PayFee, envelope: Envelope) -> None:
        """Raise InvalidValueError where a bank's reference stands for something else.

        Asked only of what the rules would take: a reference that is refused with the
        act is still the bank's to use.
        """
        reference = command.bank_reference
        with translated():
            request = self._acts.ledger.find(ServiceRequest, command.request_id)
        if reference is None or request is None:
            return
        checked_reference(reference, field="bank_reference")
        amount = (command.amount, command.unit)
        if command.channel is not PaymentChannel.BANK or due_fee(request) != amount:
            return
        payment = BankPayment(
            tracking_number=request.tracking_number,
            amount=command.amount,
            unit=command.unit,
            bank_reference=reference,
        )
        if self._is_kept(payment, envelope):
            raise InvalidValueError(field="bank_reference", reason="another-payment")
        self._must_have_paid_nothing_else(payment, envelope)
        self._must_be_alone(payment, envelope, number=request.tracking_number)

    def _unmatched(
        self,
        payment: BankPayment,
        envelope: Envelope,
        command: append.Command,
        *,
        number: str | None,
        request_id: UUID | None = None,
        centre: str | None = None,
        reason: UnmatchedBecause = UnmatchedBecause.UNKNOWN_NUMBER,
    ) -> Done:
        bank = envelope.principal.id
        payment_id = Payment.id_of(bank, payment.bank_reference)

        def decide(known: Payment | None, act: Act) -> Payment:
            if known is not None:
                known.must_be_the_same(
                    amount=payment.amount, unit=payment.unit, tracking_number=number
                )
                return known
            return Payment.unmatched(
                act,
                bank_reference=payment.bank_reference,
                amount=payment.amount,
                unit=payment.unit,
                reason=reason,
                tracking_number=number,
                request=request_id,
                centre=centre,
                claimed_at=_claimed(envelope, act),
            )

        return self._acts.on(
            envelope,
            command,
            On(
                thing_id=payment_id,
                load=lambda: self._acts.ledger.find(Payment, payment_id),
                actor=lambda _: envelope.principal.actor,
                centre=lambda _: centre or MINISTRY,
            ),
            decide,
        )

    # What it was before -----------------------------------------------------------

    def _is_kept(self, payment: BankPayment, envelope: Envelope) -> bool:
        """Whether the bank's payment is an unmatched one already."""
        bank = envelope.principal.id
        payment_id = Payment.id_of(bank, payment.bank_reference)
        with translated():
            return self._acts.ledger.find(Payment, payment_id) is not None

    def _is_paid(
        self, request_id: UUID | None, payment: BankPayment, envelope: Envelope
    ) -> bool:
        """Whether the request was paid with the reference; it says with how much."""
        if request_id is None:
            return False
        with translated():
            return was_paid_under(
                self._request(request_id),
                bank=envelope.principal.id,
                bank_reference=payment.bank_reference,
            )

    def _must_be_its_fee(
        self, request_id: UUID, payment: BankPayment, envelope: Envelope
    ) -> None:
        """Raise _NotMatchedError where the fee that a clerk took is another bank's.

        Without that two sums of money would have one fee, and one of them no place.
        """
        with translated():
            request = self._request(request_id)
        payer, amount = request.paid_by, (payment.amount, payment.unit)
        if payer is None or payer.kind is ActorKind.BANK:
            return
        payment_id = Payment.id_of(envelope.principal.id, payment.bank_reference)
        if total(request.paid_lines) == amount and not is_first_for(
            self._acts, request_id, payment_id
        ):
            raise _NotMatchedError(
                reason=UnmatchedBecause.NOTHING_DUE, centre=request.centre
            )

    def _must_have_paid_nothing_else(
        self, payment: BankPayment, envelope: Envelope
    ) -> None:
        """Raise InvalidValueError where another request was paid with the reference."""
        with translated():
            # What paid a moment ago is not in the view yet; nothing else tells of it.
            self._must_be_fresh(Payments.name)
            others = self._payments.paid_under(payment.bank_reference)
        if any(self._is_paid(other, payment, envelope) for other in others):
            raise InvalidValueError(field="bank_reference", reason="another-payment")

    def _must_be_alone(
        self, payment: BankPayment, envelope: Envelope, *, number: str | None
    ) -> None:
        """Raise InvalidValueError where the reference is reported as another payment.

        At the same moment, that is: of what is not stored yet no view can tell, and the
        two would be fees of two requests. Whoever binds the reference first has it.
        """
        try:
            self._acts.bind(
                f"payment/{envelope.principal.id}/{payment.bank_reference}",
                {"number": number, "amount": payment.amount, "unit": payment.unit},
            )
        except CommandReusedError as error:
            raise InvalidValueError(
                field="bank_reference", reason="another-payment"
            ) from error

    # Whose it is ------------------------------------------------------------------

    def _request(self, request_id: UUID) -> ServiceRequest:
        """The request, also one that a bank does not see: it is told nothing of it."""
        request = self._acts.ledger.find(ServiceRequest, request_id)
        if request is None:
            raise NotFoundError(thing="request")
        return request

    def _request_of_number(self, number: str) -> UUID | None:
        with translated():
            found = self._tracking.by_number(number)
            if found is None:
                self._must_be_fresh(Tracking.name)
                found = self._tracking.by_number(number)
        return None if found is None else found.request_id

    def _request_of_item(self, item: str) -> UUID:
        """The request that was mailed last under an item's number."""
        with translated():
            found = self._mailed(item)
            if found is None:
                self._must_be_fresh(PostalManifest.name)
                found = self._mailed(item)
        if found is None:
            raise NotFoundError(thing="item")
        return found

    def _mailed(self, item: str) -> UUID | None:
        page = self._post.items(
            _MAILED,
            now=self._acts.clock(),
            only=PostalFilter(item=item),
            sort=PostalSort.NEWEST,
            limit=1,
        )
        return page.items[0].request_id if page.items else None

    def _must_be_fresh(self, view: str) -> None:
        """Wait until a view has all that is stored now: only then nothing is there."""
        head = self._reader.head().position
        if not self._progress.wait_for([view], head, timeout_s=self._fresh_timeout_s):
            raise NotFreshEnoughError(position=head)


def _number(typed: str) -> str | None:
    """The tracking number that was typed; None where it is none."""
    try:
        return parse_tracking_number(ascii_digits(typed))
    except InvalidValueError:
        return None


def _claimed(envelope: Envelope, act: Act) -> datetime | None:
    """The time that was told, where the act's was moved to a bound."""
    is_moved = envelope.effective_at != act.effective_at
    return envelope.effective_at if is_moved else None


def _pay(
    request: ServiceRequest,
    act: Act,
    payment: BankPayment,
    *,
    claimed_at: datetime | None,
) -> None:
    """Take the payment as the request's fee, once. Raises _NotMatchedError."""
    if is_paid_with(
        request,
        bank=act.actor.id,
        bank_reference=payment.bank_reference,
        amount=(payment.amount, payment.unit),
    ):
        return
    due = due_fee(request)
    if due is None:
        raise _NotMatchedError(
            reason=UnmatchedBecause.NOTHING_DUE, centre=request.centre
        )
    if due != (payment.amount, payment.unit):
        raise _NotMatchedError(
            reason=UnmatchedBecause.WRONG_AMOUNT, centre=request.centre
        )
    request.pay(
        act,
        channel=PaymentChannel.BANK,
        amount=payment.amount,
        unit=payment.unit,
        bank_reference=payment.bank_reference,
        claimed_at=claimed_at,
    )
