"""Unmatched payments: what an administrator or a supervisor says became of them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import MINISTRY, Act
from domain.errors import InvalidValueError, NotFoundError
from domain.payments import Payment, PaymentSettledBecause
from domain.requests import ServiceRequest
from office.acts import Acts, Done, Envelope, On
from office.errors import CommandReusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePayment:
    """Say what became of an unmatched payment.

    ``request_id`` is the request whose fee it was taken as, where that is the reason.
    """

    payment_id: UUID
    reason: PaymentSettledBecause
    request_id: UUID | None = None


class PaymentsDesk:
    """Settles payments. Raises the errors of the rules."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._ledger = acts.ledger

    def settle(self, command: SettlePayment, envelope: Envelope) -> Done:
        """Record what became of the money.

        Raises NotFoundError for a payment, or a request, outside the scope,
        AlreadySettledError, and InvalidValueError for a request whose fee was not paid
        with this payment, or that another one was said to have paid.
        """
        principal, request_id = envelope.principal, command.request_id
        principal.must_be_allowed(Permission.SETTLE_PAYMENTS)

        def load() -> Payment:
            payment = self._ledger.find(Payment, command.payment_id)
            if payment is None or principal.scope.centre not in {None, payment.centre}:
                raise NotFoundError(thing="payment")
            return payment

        def decide(payment: Payment | None, act: Act) -> Payment:
            if payment is None:
                raise NotFoundError(thing="payment")
            request = self._request(request_id, principal)
            payment.settle(act, reason=command.reason, fee_of=request)
            if request is not None:
                self._must_be_the_only_one(payment, request)
            return payment

        return self._acts.on(
            envelope,
            self._acts.command(envelope, command),
            On(
                thing_id=command.payment_id,
                load=load,
                actor=lambda _: principal.actor,
                centre=_centre_of,
                needs=lambda: () if request_id is None else (request_id,),
            ),
            decide,
        )

    def _request(
        self, request_id: UUID | None, principal: Principal
    ) -> ServiceRequest | None:
        if request_id is None:
            return None
        request = self._ledger.find(ServiceRequest, request_id)
        if request is None:
            raise NotFoundError(thing="request")
        principal.must_see(request.whereabouts)
        return request

    def _must_be_the_only_one(self, payment: Payment, request: ServiceRequest) -> None:
        """Raise InvalidValueError where the fee was said to be another payment."""
        if not is_first_for(self._acts, request.id, payment.id):
            raise InvalidValueError(field="request_id", reason="another-payment")


def is_first_for(acts: Acts, request_id: UUID, payment_id: UUID) -> bool:
    """Whether a fee is a bank's payment and no other; who asks first has it.

    For a fee that a clerk took: written down are the reference and not the bank, and
    two banks may use the same.
    """
    try:
        acts.bind(f"fee/{request_id}", payment_id)
    except CommandReusedError:
        return False
    return True


def is_of_another(acts: Acts, request_id: UUID, payment_id: UUID) -> bool:
    """Whether a fee was said to be another payment than this one; nothing is bound."""
    return acts.is_bound_otherwise(f"fee/{request_id}", payment_id)


def _centre_of(payment: Payment | None) -> str:
    """Whose supervisor sees the attempts on a payment."""
    return MINISTRY if payment is None else payment.centre or MINISTRY
