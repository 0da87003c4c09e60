"""Days in Damascus that a question is about."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import Query

from api.times import Day
from domain.calendars import office_day
from domain.errors import InvalidValueError
from office.house import House

LONGEST_SPAN_DAYS = 400
"""Days one question may span: a year and its comparison."""
USUAL_DAYS = 31

FirstDay = Annotated[
    Day | None,
    Query(
        description="The first day; without it, a month before the last.",
        examples=["2026-11-01"],
    ),
]
LastDay = Annotated[
    Day | None,
    Query(
        description="The last day; without it, today in Damascus.",
        examples=["2026-11-30"],
    ),
]


def days_of(house: House, first: date | None, last: date | None) -> tuple[date, date]:
    """The first and the last day. Raises InvalidValueError for too wide a span."""
    last = last or office_day(house.clock())
    first = first or last - timedelta(days=min(USUAL_DAYS, last.toordinal()) - 1)
    if not 0 <= (last - first).days < LONGEST_SPAN_DAYS:
        raise InvalidValueError(field="first", reason="span")
    return first, last
