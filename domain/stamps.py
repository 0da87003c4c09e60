"""Live stamps: each has a serial and belongs to one centre, once in its life."""

import re
from datetime import date
from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.errors import InvalidValueError, StampIssuedError, StampWithdrawnError
from domain.ids import code_id
from domain.naming import (
    LONGEST_CODE,
    checked_code,
    checked_text,
    may_be_a_persons_number,
)
from domain.periods import not_passed
from domain.persons import ascii_digits

LIVE = "live"
_BETWEEN_DIGITS = re.compile(r"[\s()+]+")
_NOT_IN_ADDRESSES = frozenset("/?#%\\")


class StampWithdrawnBecause(StrEnum):
    """Why a stamp is used no more."""

    LOST = "lost"
    WORN = "worn"
    DAMAGED = "damaged"
    MISUSED = "misused"
    RETURNED = "returned"
    OTHER = "other"


class Stamp(OfficeAggregate):
    """One stamp, issued to one centre.

    A withdrawn stamp is never issued again: its serial on a paper must mean one stamp
    and one time. The centre gets another stamp with another serial.
    """

    TOPIC = "sijil.stamp"

    class Event(OfficeAggregate.Event):
        """An event of a stamp."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a stamp begins with ``Issued``."""

        TOPIC = "sijil.stamp.created.v1"

    class Issued(Created):
        """The stamp may be used at ``centre`` from the effective time on."""

        TOPIC = "sijil.stamp.issued.v1"
        serial: str
        kind: str
        centre: str

    class Withdrawn(Event):
        """``on`` is the first day on which the stamp is valid no more."""

        TOPIC = "sijil.stamp.withdrawn.v1"
        on: date
        reason: StampWithdrawnBecause

    def __init__(self, *, serial: str, kind: str, centre: str) -> None:
        self.serial = serial
        self.kind = kind
        self.centre = centre
        self.withdrawn_on: date | None = None

    @staticmethod
    def id_of(serial: str) -> UUID:
        """The id of the stamp with this serial."""
        return code_id("stamp", serial)

    @classmethod
    def issue(cls, act: Act, *, serial: str, kind: str, centre: str) -> "Stamp":
        """A new stamp of a centre. Its serial is a part of addresses."""
        if not _NOT_IN_ADDRESSES.isdisjoint(serial):
            raise InvalidValueError(field="serial", reason="shape")
        bare = _BETWEEN_DIGITS.sub("", ascii_digits(serial))
        if "@" in serial or may_be_a_persons_number(bare):
            raise InvalidValueError(field="serial", reason="may-be-a-persons-number")
        return cls._create(
            cls.Issued,
            id=cls.id_of(serial),
            timestamp=act.effective_at,
            act=act,
            serial=checked_text(serial, field="serial", longest=LONGEST_CODE),
            kind=checked_code(kind, field="kind"),
            centre=centre,
        )

    def issue_again(self, *, kind: str, centre: str) -> None:
        """Nothing, when it is what was issued already.

        Raises StampWithdrawnError, and StampIssuedError for another kind or centre.
        """
        if self.withdrawn_on is not None:
            raise StampWithdrawnError(serial=self.serial, day=self.withdrawn_on)
        if (kind, centre) != (self.kind, self.centre):
            raise StampIssuedError(serial=self.serial, centre=self.centre)

    def withdraw(
        self, act: Act, *, reason: StampWithdrawnBecause, on: date | None = None
    ) -> None:
        """Take the stamp out of use from ``on``, or from the day of the act.

        Raises StampWithdrawnError when that was said before, and DatePassedError.
        """
        if self.withdrawn_on is not None:
            raise StampWithdrawnError(serial=self.serial, day=self.withdrawn_on)
        self._happened(self.Withdrawn, act, on=not_passed(act, on), reason=reason)

    @event(Withdrawn)
    def _withdrawn(self, on: date) -> None:
        self.withdrawn_on = on

    def is_valid_on(self, day: date) -> bool:
        """Whether the stamp may be used on ``day`` (Asia/Damascus) at its centre.

        ``office_day(act.effective_at)`` of domain/calendars.py gives an act's day.
        """
        return self.withdrawn_on is None or day < self.withdrawn_on
