"""Working time: days, closing, due times over weekends, holidays, clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from domain.calendars import CalendarVersion, OfficeHours
from domain.errors import InvalidValueError
from domain.working_time import WorkingTime
from tests.domain.office import calendar

DAYS = WorkingTime([calendar(date(2026, 12, 8), date(2026, 12, 25))])


def damascus(*parts: int) -> datetime:
    """A time on the office's clock since October 2022, as UTC."""
    local = datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    return local.replace(hour=local.hour - 3)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        pytest.param((2026, 11, 23, 9), 0, (2026, 11, 23, 15), id="the same day"),
        pytest.param((2026, 11, 23, 9), 1, (2026, 11, 24, 15), id="the next day"),
        pytest.param((2026, 11, 23, 15), 1, (2026, 11, 24, 15), id="at closing"),
        pytest.param((2026, 11, 23, 15, 5), 1, (2026, 11, 25, 15), id="five past"),
        pytest.param((2026, 11, 26, 9), 1, (2026, 11, 29, 15), id="over a weekend"),
        pytest.param((2026, 11, 27, 9), 1, (2026, 11, 30, 15), id="on a Friday"),
        pytest.param((2026, 12, 7, 9), 1, (2026, 12, 9, 15), id="over a holiday"),
        pytest.param((2026, 12, 7, 15, 5), 1, (2026, 12, 10, 15), id="late before it"),
        pytest.param((2026, 11, 23, 9), 10, (2026, 12, 7, 15), id="ten days"),
    ],
)
def test_n_working_days_end_at_closing_of_the_nth_day_after_day_0(
    start: tuple[int, ...], days: int, due: tuple[int, ...]
) -> None:
    assert DAYS.due(damascus(*start), days).at == damascus(*due)


def test_a_due_time_names_its_calendars_and_the_years_without_one() -> None:
    due = DAYS.due(damascus(2026, 12, 30, 9), 3)
    assert due.calendars == (CalendarVersion(year=2026, version=1),)
    assert due.unpublished_years == (2027,)
    # Thursday 31 December, Sunday 3, Monday 4 January: New Year is not known here.
    assert due.at == damascus(2027, 1, 4, 15)


def test_shorter_hours_close_earlier() -> None:
    hours = OfficeHours(
        first=date(2026, 2, 18), last=date(2026, 3, 17), opens="09:00", closes="14:00"
    )
    days = WorkingTime([calendar(hours=[hours])])
    assert days.due(damascus(2026, 2, 22, 14, 1), 0).at == damascus(2026, 2, 23, 14)


def test_before_october_2022_winter_was_two_hours_ahead() -> None:
    days = WorkingTime([])
    # 27 January 2022 was UTC+2; 26 June 2022 was UTC+3.
    assert days.due(datetime(2022, 1, 26, 8, tzinfo=UTC), 0).at == datetime(
        2022, 1, 26, 13, tzinfo=UTC
    )
    assert days.due(datetime(2022, 6, 26, 8, tzinfo=UTC), 0).at == datetime(
        2022, 6, 26, 12, tzinfo=UTC
    )


def test_a_due_time_over_the_clock_change_keeps_the_offices_closing() -> None:
    # The clocks went forward on Friday 25 March 2022.
    due = WorkingTime([]).due(datetime(2022, 3, 24, 9, tzinfo=UTC), 1)
    assert due.at == datetime(2022, 3, 27, 12, tzinfo=UTC)


def test_an_allowance_has_a_bound() -> None:
    with pytest.raises(InvalidValueError):
        DAYS.due(damascus(2026, 11, 23, 9), 401)
