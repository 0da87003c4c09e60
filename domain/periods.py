"""Periods of whole days: when a service rests, a place is closed, a clerk is away.

What shall hold from a later day is a date in an event's facts, because an event's own
time is never later than the moment it was recorded. Days are those of Asia/Damascus.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from domain.acts import Act, ActorKind
from domain.calendars import office_day
from domain.errors import DatePassedError, InvalidValueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From ``first`` to ``last`` inclusive; without ``last`` until somebody ends it."""

    first: date
    last: date | None = None

    def includes(self, day: date) -> bool:
        """Whether ``day`` lies in it."""
        return self.first <= day and (self.last is None or day <= self.last)

    def overlaps(self, other: "Period") -> bool:
        """Whether some day lies in both."""
        starts_in_time = self.last is None or other.first <= self.last
        return starts_in_time and (other.last is None or self.first <= other.last)


Periods = tuple[Period, ...]


def covers(periods: Iterable[Period], day: date) -> bool:
    """Whether ``day`` lies in one of the periods."""
    return any(period.includes(day) for period in periods)


def overlapping(periods: Iterable[Period], new: Period) -> Period | None:
    """The period that shares a day with ``new``, or None."""
    return next((period for period in periods if period.overlaps(new)), None)


def ended(periods: Periods, on: date) -> Periods:
    """The periods, the one that includes ``on`` ended the day before.

    One that would begin on ``on`` is called off: it leaves nothing.
    """
    left = []
    for period in periods:
        if not period.includes(on):
            left.append(period)
        elif period.first < on:
            left.append(replace(period, last=on - timedelta(days=1)))
    return tuple(left)


def period(act: Act, *, first: date | None, last: date | None = None) -> Period:
    """The period that begins on ``first``, or on the day of ``act``.

    Raises InvalidValueError when it ends before it begins, DatePassedError when it
    begins before the day of the act.
    """
    begins = not_passed(act, first)
    if last is not None and last < begins:
        raise InvalidValueError(field="last", reason="order")
    return Period(first=begins, last=last)


def not_passed(act: Act, on: date | None) -> date:
    """``on``, or the day of ``act``. Raises DatePassedError for a day before it.

    Days that are over were worked under the rules of their time. What began earlier
    and was not recorded says so by the act's effective time, which is bounded and
    approved. An import tells of the past and is exempt.
    """
    today = office_day(act.effective_at)
    if on is None:
        return today
    if on < today and act.actor.kind is not ActorKind.IMPORT:
        raise DatePassedError(day=on, earliest=today)
    return on
