"""Payments that a bank reported and no request waited for, and what became of them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.errors import AlreadySettledError, InvalidValueError
from domain.ids import code_id
from domain.money import LARGEST_INTEGER, Unit, total, worth
from domain.naming import checked_reference
from domain.requests import ServiceRequest
from domain.requests.working import was_paid_under


class UnmatchedBecause(StrEnum):
    """Why a payment was taken for no request's fee."""

    UNKNOWN_NUMBER = "unknown_number"
    WRONG_AMOUNT = "wrong_amount"
    NOTHING_DUE = "nothing_due"


class PaymentSettledBecause(StrEnum):
    """What became of a payment that no request was waiting for."""

    RETURNED = "returned"
    TAKEN_AS_FEE = "taken-as-fee"
    REPORTED_TWICE = "reported-twice"
    OTHER = "other"


class Payment(OfficeAggregate):
    """A payment without its request: somebody's money that has to be found a place.

    One aggregate for each reference of a bank, so that the same payment reported
    twice is one. It is open until somebody says what became of the money.
    """

    TOPIC = "sijil.payment"

    class Event(OfficeAggregate.Event):
        """An event of a payment."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a payment begins with ``Unmatched``."""

        TOPIC = "sijil.payment.created.v1"

    class Unmatched(Created):
        """The bank, which is the actor, has money that no request was waiting for.

        ``amount`` is in hundredths of ``unit``. ``tracking_number`` is there where what
        was reported is one; ``request`` and ``centre`` where it is some request's.
        """

        TOPIC = "sijil.payment.unmatched.v1"
        bank_reference: str
        amount: int
        unit: Unit
        reason: UnmatchedBecause
        tracking_number: str | None = None
        request: UUID | None = None
        centre: str | None = None

    class Settled(Event):
        """Somebody said what became of the money.

        ``request`` is the one whose fee it was taken as, where that is the reason.
        """

        TOPIC = "sijil.payment.settled.v1"
        reason: PaymentSettledBecause
        request: UUID | None = None

    def __init__(
        self,
        *,
        act: Act,
        bank_reference: str,
        amount: int,
        unit: Unit,
        reason: UnmatchedBecause,
        tracking_number: str | None,
        request: UUID | None,
        centre: str | None,
    ) -> None:
        self.bank = act.actor.id
        self.bank_reference = bank_reference
        self.amount = amount
        self.unit = unit
        self.reason = reason
        self.tracking_number = tracking_number
        self.request = request
        self.centre = centre
        self.settled_because: PaymentSettledBecause | None = None

    @staticmethod
    def id_of(bank: str, bank_reference: str) -> UUID:
        """The id of what a bank calls so. Two banks may use the same reference."""
        return code_id("payment", f"{bank}/{bank_reference}")

    @classmethod
    def unmatched(
        cls,
        act: Act,
        *,
        bank_reference: str,
        amount: int,
        unit: Unit,
        reason: UnmatchedBecause,
        tracking_number: str | None = None,
        request: UUID | None = None,
        centre: str | None = None,
        claimed_at: datetime | None = None,
    ) -> "Payment":
        """The payment as its bank reports it.

        ``claimed_at`` is the time that the bank told, where the act's was moved.
        """
        checked_reference(bank_reference, field="bank_reference")
        if not 0 < amount <= LARGEST_INTEGER:
            raise InvalidValueError(field="amount", reason="range")
        return cls._create(
            cls.Unmatched,
            id=cls.id_of(act.actor.id, bank_reference),
            timestamp=act.effective_at,
            act=act,
            claimed_at=claimed_at,
            bank_reference=bank_reference,
            amount=amount,
            unit=unit,
            reason=reason,
            tracking_number=tracking_number,
            request=request,
            centre=centre,
        )

    def must_be_the_same(
        self, *, amount: int, unit: Unit, tracking_number: str | None
    ) -> None:
        """Raise InvalidValueError where the reference stands for another payment."""
        is_same = (self.amount, self.unit, self.tracking_number) == (
            amount,
            unit,
            tracking_number,
        )
        if not is_same:
            raise InvalidValueError(field="bank_reference", reason="another-payment")

    def settle(
        self,
        act: Act,
        *,
        reason: PaymentSettledBecause,
        fee_of: ServiceRequest | None = None,
    ) -> None:
        """Record what became of the money, once. Nothing moves by it.

        ``fee_of`` is the request whose fee it was taken as, by the act that takes fees.
        Raises AlreadySettledError, and InvalidValueError where the reason wants a
        request, or wants none, and for one that was not paid with this payment.
        """
        if self.settled_because is not None:
            raise AlreadySettledError(reason=self.settled_because)
        is_fee = reason is PaymentSettledBecause.TAKEN_AS_FEE
        if is_fee != (fee_of is not None):
            raise InvalidValueError(field="request_id", reason="reason")
        if fee_of is not None:
            self._must_have_paid(fee_of)
        self._happened(
            self.Settled,
            act,
            reason=reason,
            request=None if fee_of is None else fee_of.id,
        )

    @event(Settled)
    def _settled(self, reason: PaymentSettledBecause) -> None:
        self.settled_because = reason

    def _must_have_paid(self, request: ServiceRequest) -> None:
        """Raise InvalidValueError unless the request's fee was paid with this money.

        It may be on record in the other unit: a bank told old pounds, and the fee is in
        new ones.
        """
        if not was_paid_under(
            request, bank=self.bank, bank_reference=self.bank_reference
        ):
            raise InvalidValueError(field="request_id", reason="not-paid-with-it")
        if worth(*total(request.paid_lines)) != worth(self.amount, self.unit):
            raise InvalidValueError(field="request_id", reason="another-amount")
