"""Payments that a bank reports and that no request was waiting for."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.errors import InvalidValueError
from domain.ids import code_id
from domain.money import LARGEST_INTEGER, Unit
from domain.naming import checked_reference


class UnmatchedBecause(StrEnum):
    """Why a payment was taken for no request's fee."""

    UNKNOWN_NUMBER = "unknown_number"
    WRONG_AMOUNT = "wrong_amount"
    NOTHING_DUE = "nothing_due"


class Payment(OfficeAggregate):
    """A payment without its request: somebody's money that has to be found a place.

    One aggregate for each reference of a bank, so that the same payment reported
    twice is one.
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

    def __init__(
        self,
        *,
        bank_reference: str,
        amount: int,
        unit: Unit,
        reason: UnmatchedBecause,
        tracking_number: str | None,
        request: UUID | None,
        centre: str | None,
    ) -> None:
        self.bank_reference = bank_reference
        self.amount = amount
        self.unit = unit
        self.reason = reason
        self.tracking_number = tracking_number
        self.request = request
        self.centre = centre

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
