"""Money: integer hundredths of a pound and the unit they are in, never a float."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import InvalidValueError

LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8785, 7493)."""


class Unit(StrEnum):
    """Pounds before and since 1 January 2026: one new pound is 100 old ones."""

    NEW = "SYP.new"
    OLD = "SYP.old"


class FeeKind(StrEnum):
    """The lines of a fee, kept apart because they go to different accounts."""

    STATE_FEE = "state_fee"
    SERVICE_CHARGE = "service_charge"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeLine:
    """One line of a fee: ``amount`` in hundredths of a pound of ``unit``, not negative.

    30 new pounds are ``FeeLine(kind=…, amount=3000, unit=Unit.NEW)``.
    """

    kind: FeeKind
    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= LARGEST_INTEGER:
            raise InvalidValueError(field="amount", reason="range")


def total(lines: Iterable[FeeLine]) -> tuple[int, Unit]:
    """The sum of ``lines`` in hundredths and its unit; nothing is ``(0, SYP.new)``.

    Raises InvalidValueError when the lines mix units: they are never converted
    silently, because rounding an amount is a decision of the cashier's. And when the
    sum is no integer that can be told: nobody could ever pay it.
    """
    kept = tuple(lines)
    units = {line.unit for line in kept}
    if len(units) > 1:
        raise InvalidValueError(field="fee_lines", reason="mixed-units")
    amount = sum(line.amount for line in kept)
    if amount > LARGEST_INTEGER:
        raise InvalidValueError(field="fee_lines", reason="range")
    return amount, next(iter(units), Unit.NEW)


OLD_FOR_NEW = 100
"""Old pounds for one new pound, since 1 January 2026."""


def worth(amount: int, unit: Unit) -> int:
    """What an amount is worth in hundredths of old pounds: exact, as a multiple is."""
    return amount if unit is Unit.OLD else amount * OLD_FOR_NEW


def in_old_pounds(line: FeeLine) -> FeeLine:
    """A line of new pounds as it was before 2026."""
    amount = worth(line.amount, line.unit)
    return FeeLine(kind=line.kind, amount=amount, unit=Unit.OLD)
