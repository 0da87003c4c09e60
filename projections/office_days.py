"""The office's days, as views count by them: what happened on one, and by its end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

from domain.calendars import OFFICE_ZONE, office_day
from domain.errors import InvalidValueError

DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def day_of(effective_text: str) -> str:
    """The office's day of a time as bodies write it, ``2026-11-23T08:14:05.120000Z``.

    The clocks of Damascus stand whole hours from UTC since 1920: a day begins with an
    hour of both.
    """
    return _day_of_hour(effective_text[:13])


@lru_cache(maxsize=4096)
def _day_of_hour(hour: str) -> str:
    return office_day(datetime.fromisoformat(f"{hour}:00:00+00:00")).isoformat()


def midnight(day: date) -> datetime:
    """When a day begins in Damascus."""
    return datetime(day.year, day.month, day.day, tzinfo=OFFICE_ZONE)


def not_yet_at(effective_at: datetime | date) -> datetime:
    """The first instant that had not come at a time, or at the end of a day.

    Raises InvalidValueError where no calendar has it.
    """
    try:
        if isinstance(effective_at, datetime):
            return effective_at + _MICROSECOND
        return midnight(effective_at + DAY)
    except OverflowError as error:
        raise InvalidValueError(field="effective_at", reason="range") from error
