"""Fees of requests: taken at a door, or reported by a bank. A payment pays one thing.

A bank calls a payment by its own reference, and says so again after a lost answer. The
same payment told twice changes nothing; a reference that stands for another payment is
refused. Money that no request was waiting for is kept as unmatched (office.payments).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain.access import Permission
from domain.acts import MINISTRY, Act, ActorKind
from domain.errors import InvalidValueError, NotFoundError
from domain.ids import parse_tracking_number
from domain.money import Unit, total
from domain.naming import checked_reference
from domain.payments import Payment, UnmatchedBecause
from domain.persons import ascii_digits
from domain.requests import PaymentChannel, ServiceRequest
from domain.requests.working import due_fee, is_paid_with, was_paid_under
from ledger.persistence import append
from office.acts import Acts, Done, Envelope, On, translated
from office.commands import PayFee
from office.errors import CommandReusedError
from office.freshness import Freshness
from office.payments import is_first_for, is_of_another
from office.requests import Requests
from projections.payments import Payments, PaymentsQueries
from projections.tracking import Tracking, TrackingQueries


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


class Fees:
    """Takes fees. Raises the errors of domain and office."""

    def __init__(
        self,
        acts: Acts,
        requests: Requests,
        *,
        tracking: TrackingQueries,
        payments: PaymentsQueries,
        freshness: Freshness,
    ) -> None:
        self._acts = acts
        self._requests = requests
        self._tracking = tracking
        self._payments = payments
        self._freshness = freshness

    def pay(self, command: PayFee, envelope: Envelope) -> Done:
        """The fee as somebody takes it at a door; raises as Requests.pay.

        The word of a bank holds there no more than in its messages, and no less: what
        paid the fee already changes nothing, whichever page it was sent from. Raises
        InvalidValueError where its reference stands for another payment or was kept as
        unmatched, NotFreshEnoughError while the view of payments is behind.
        """
        if envelope.principal.role is not ActorKind.BANK:
            return self._requests.pay(command, envelope)
        envelope.principal.must_be_allowed(Permission.PAY)
        request, reference = self._found(command.request_id), command.bank_reference
        if request is None or reference is None:
            return self._requests.pay(command, envelope)
        payment = BankPayment(
            tracking_number=request.tracking_number,
            amount=command.amount,
            unit=command.unit,
            bank_reference=reference,
        )
        if self._is_fee_of(request, payment, envelope):
            # Nothing comes of it, whenever it was. And a bank sees only what is unpaid,
            # so it could not ask for the page anew.
            return self._acts.on_request(
                replace(envelope, if_version=request.etag_version, effective_at=None),
                self._acts.command(envelope, command),
                request.id,
                self._request,
                lambda _request, _act: None,
            )
        return self._requests.pay(
            command, envelope, last=lambda: self._must_be_free(payment, envelope)
        )

    def report(self, payment: BankPayment, envelope: Envelope) -> Done:
        """Money that a bank has: a request's fee, or kept as unmatched.

        ``envelope`` MUST have the tracking of its message. The same reference reported
        again changes nothing, also where something became due since. A time out of
        bounds is moved to the bound and kept. Raises InvalidValueError where the
        reference stands for another payment, NotFreshEnoughError while the view of
        tracking numbers or of payments is behind.
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
                self._must_be_its_fee(self._request(request_id), payment, envelope)
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
        payment_id = _id_of(payment, envelope)

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
        with translated():
            found = self._acts.ledger.find(Payment, _id_of(payment, envelope))
        return found is not None

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

    def _is_fee_of(
        self, request: ServiceRequest, payment: BankPayment, envelope: Envelope
    ) -> bool:
        """Whether the fee was paid with this very payment.

        Raises InvalidValueError where it was with another one that is called so.
        """
        is_it = is_paid_with(
            request,
            bank=envelope.principal.id,
            bank_reference=payment.bank_reference,
            amount=(payment.amount, payment.unit),
        )
        if is_it:
            try:
                self._must_be_its_fee(request, payment, envelope)
            except _NotMatchedError as error:
                raise _another_payment() from error
        return is_it

    def _must_be_its_fee(
        self, request: ServiceRequest, payment: BankPayment, envelope: Envelope
    ) -> None:
        """Raise _NotMatchedError where the fee that a clerk took is another bank's.

        Without that two sums of money would have one fee, and one of them no place.
        """
        payer, amount = request.paid_by, (payment.amount, payment.unit)
        if payer is None or payer.kind is ActorKind.BANK:
            return
        if total(request.paid_lines) == amount and not is_first_for(
            self._acts, request.id, _id_of(payment, envelope)
        ):
            raise _NotMatchedError(
                reason=UnmatchedBecause.NOTHING_DUE, centre=request.centre
            )

    def _must_be_free(self, payment: BankPayment, envelope: Envelope) -> None:
        """Raise InvalidValueError where a bank's reference stands for something else.

        MUST be asked last: whoever is refused afterwards would leave it bound.
        """
        if self._is_kept(payment, envelope):
            # People find its place: as a fee as well it would count twice.
            raise InvalidValueError(field="bank_reference", reason="kept-already")
        self._must_have_paid_nothing_else(payment, envelope)
        self._must_be_alone(payment, envelope, number=payment.tracking_number)

    def _must_have_paid_nothing_else(
        self, payment: BankPayment, envelope: Envelope
    ) -> None:
        """Raise InvalidValueError where another request was paid with the reference."""
        with translated():
            # What paid a moment ago is not in the view yet; nothing else tells of it.
            self._freshness.must_have_all(Payments.name)
            others = self._payments.paid_under(payment.bank_reference)
        if any(self._has_paid(other, payment, envelope) for other in others):
            raise _another_payment()

    def _has_paid(
        self, request_id: UUID, payment: BankPayment, envelope: Envelope
    ) -> bool:
        """Whether a request's fee is what the bank calls so.

        A fee that a clerk took is, unless it was said to be another bank's payment.
        """
        return self._is_paid(request_id, payment, envelope) and not is_of_another(
            self._acts, request_id, _id_of(payment, envelope)
        )

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
            raise _another_payment() from error

    # Whose it is ------------------------------------------------------------------

    def _found(self, request_id: UUID) -> ServiceRequest | None:
        with translated():
            return self._acts.ledger.find(ServiceRequest, request_id)

    def _request(self, request_id: UUID) -> ServiceRequest:
        """The request, also one that a bank does not see: it is told nothing of it."""
        request = self._found(request_id)
        if request is None:
            raise NotFoundError(thing="request")
        return request

    def _request_of_number(self, number: str) -> UUID | None:
        with translated():
            found = self._tracking.by_number(number)
            if found is None:
                self._freshness.must_have_all(Tracking.name)
                found = self._tracking.by_number(number)
        return None if found is None else found.request_id


def _id_of(payment: BankPayment, envelope: Envelope) -> UUID:
    return Payment.id_of(envelope.principal.id, payment.bank_reference)


def _another_payment() -> InvalidValueError:
    return InvalidValueError(field="bank_reference", reason="another-payment")


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
