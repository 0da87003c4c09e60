"""Working time: due times and durations over days off, hours and clock changes.

The properties, held against a counter that was written apart, are in
test_working_time_properties.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from domain.acts import ActorKind
from domain.calendars import OFFICE_ZONE, Calendar, CalendarVersion, OfficeHours
from domain.errors import InvalidValueError
from domain.requests import ServiceRequest
from domain.working_time import LONGEST_SEARCH_DAYS, WorkingTime
from tests.domain.office import NINE, act, assigned, calendar, service, submitted

DAYS = WorkingTime([calendar(date(2026, 12, 8), date(2026, 12, 25))])


def damascus(*parts: int) -> datetime:
    """A time on the office's clock since October 2022, as UTC."""
    local = datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    return local - timedelta(hours=3)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        pytest.param((2026, 11, 23, 9), 0, (2026, 11, 23, 15), id="the same day"),
        pytest.param((2026, 11, 23, 9), 1, (2026, 11, 24, 15), id="the next day"),
        pytest.param((2026, 11, 23, 6), 1, (2026, 11, 24, 15), id="before opening"),
        pytest.param((2026, 11, 23, 15), 1, (2026, 11, 24, 15), id="at closing"),
        pytest.param((2026, 11, 23, 15), 0, (2026, 11, 23, 15), id="none, at closing"),
        pytest.param((2026, 11, 23, 15, 5), 0, (2026, 11, 24, 15), id="none, late"),
        pytest.param((2026, 11, 27, 9), 0, (2026, 11, 29, 15), id="none, on a Friday"),
        pytest.param((2026, 11, 24, 0, 30), 0, (2026, 11, 24, 15), id="past midnight"),
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


def test_a_year_ends_in_the_next_calendar() -> None:
    known = WorkingTime([calendar(), calendar(date(2027, 1, 3), year=2027)])
    due = known.due(damascus(2026, 12, 31, 15, 5), 0)
    # After closing on Thursday 31 December; Sunday 3 January is a day off.
    assert due.at == damascus(2027, 1, 4, 15)
    assert [each.year for each in due.calendars] == [2026, 2027]
    assert due.unpublished_years == ()


def test_the_year_of_a_due_time_is_the_offices_year() -> None:
    # Half past midnight on New Year's Day in Damascus is still the old year in UTC.
    due = WorkingTime([calendar(year=2027)]).due(damascus(2027, 1, 1, 0, 30), 0)
    assert [each.year for each in due.calendars] == [2027]
    assert due.unpublished_years == ()


def test_ramadan_hours_count_on_their_days_only() -> None:
    ramadan = OfficeHours(
        first=date(2026, 2, 18), last=date(2026, 3, 17), opens="09:00", closes="14:00"
    )
    days = WorkingTime([calendar(hours=[ramadan])])
    assert days.opening(date(2026, 2, 17)) == damascus(2026, 2, 17, 8)
    assert days.opening(date(2026, 2, 18)) == damascus(2026, 2, 18, 9)
    assert days.closing(date(2026, 3, 17)) == damascus(2026, 3, 17, 14)
    assert days.closing(date(2026, 3, 18)) == damascus(2026, 3, 18, 15)
    over_the_first_day = damascus(2026, 2, 17, 12), damascus(2026, 2, 18, 12)
    assert days.minutes_between(*over_the_first_day) == (3 + 3) * 60


def test_in_an_import_hours_listed_later_replace_those_before() -> None:
    def hours(first: date, last: date, closes: str) -> OfficeHours:
        return OfficeHours(first=first, last=last, opens="09:00", closes=closes)

    days = WorkingTime(
        [
            calendar(
                hours=[
                    hours(date(2026, 2, 18), date(2026, 3, 17), "14:00"),
                    hours(date(2026, 3, 10), date(2026, 3, 17), "13:00"),
                ],
                kind=ActorKind.IMPORT,
            )
        ]
    )
    assert days.closing(date(2026, 3, 9)) == damascus(2026, 3, 9, 14)
    assert days.closing(date(2026, 3, 10)) == damascus(2026, 3, 10, 13)


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


CHANGES = [
    pytest.param(date(2021, 3, 26), 2, 3, id="forward, Friday 26 March 2021"),
    pytest.param(date(2021, 10, 29), 3, 2, id="back, Friday 29 October 2021"),
    pytest.param(date(2022, 3, 25), 2, 3, id="forward, Friday 25 March 2022"),
]


@pytest.mark.parametrize(("change", "before", "after"), CHANGES)
def test_clocks_changed_at_midnight_and_a_working_day_kept_its_length(
    change: date, before: int, after: int
) -> None:
    # Every day is a working day, so that the change falls between two of them.
    year = Calendar.publish(
        act("calendar", ActorKind.ADMINISTRATOR),
        year=change.year,
        holidays=(),
        weekend=(),
    )
    days = WorkingTime([year])
    eve = change - timedelta(days=1)
    for day, offset in ((eve, before), (change, after)):
        assert days.opening(day) == datetime.combine(day, time(8 - offset), UTC), (
            "by the zone's name"
        )
        assert days.closing(day) - days.opening(day) == timedelta(hours=7)
    noon, next_noon = (
        datetime.combine(day, time(12), OFFICE_ZONE).astimezone(UTC)
        for day in (eve, change)
    )
    # Between the two noons lie 23 or 25 hours; of work, seven either way.
    assert next_noon - noon == timedelta(hours=24 + before - after)
    assert days.time_between(noon, next_noon) == timedelta(hours=7)
    assert days.after(noon, timedelta(hours=7)) == next_noon
    assert days.before(next_noon, timedelta(hours=7)) == noon


def test_the_clocks_of_october_2022_were_not_put_back() -> None:
    # The last Friday of October was the 28th; since then UTC+3 stays.
    for day in (date(2022, 10, 27), date(2022, 10, 30), date(2023, 1, 2)):
        assert WorkingTime([]).closing(day) == datetime.combine(day, time(12), UTC)


def test_working_minutes_count_only_while_offices_are_open() -> None:
    between = DAYS.minutes_between
    assert between(damascus(2026, 11, 23, 9), damascus(2026, 11, 23, 9, 30)) == 30
    assert between(damascus(2026, 11, 23, 6), damascus(2026, 11, 23, 20)) == 7 * 60
    assert between(damascus(2026, 11, 23, 14, 50), damascus(2026, 11, 24, 8, 5)) == 15
    assert between(damascus(2026, 11, 26, 14), damascus(2026, 11, 29, 9)) == 2 * 60
    assert between(damascus(2026, 12, 7, 14), damascus(2026, 12, 9, 9)) == 2 * 60
    assert between(damascus(2026, 11, 27, 9), damascus(2026, 11, 28, 9)) == 0
    assert between(damascus(2026, 11, 23, 15, 5), damascus(2026, 11, 24, 8)) == 0


def test_nothing_passes_from_an_end_to_its_start() -> None:
    start, end = damascus(2026, 11, 23, 9), damascus(2026, 11, 25, 9)
    assert DAYS.minutes_between(end, start) == 0
    assert DAYS.time_between(end, start) == timedelta(0)
    assert DAYS.minutes_between(start, start) == 0


def test_seconds_are_left_out_at_both_ends_so_that_minutes_add_up() -> None:
    start, middle, end = (
        damascus(2026, 11, 23, 9, 0, 40),
        damascus(2026, 11, 23, 9, 1, 20),
        damascus(2026, 11, 23, 9, 2, 0),
    )
    assert DAYS.time_between(start, end) == timedelta(seconds=80)
    assert DAYS.minutes_between(start, end) == 2
    assert DAYS.minutes_between(start, middle) == 1
    assert DAYS.minutes_between(middle, end) == 1


def test_time_that_ends_with_the_day_ends_at_its_closing() -> None:
    start = damascus(2026, 11, 26, 14)
    assert DAYS.after(start, timedelta(hours=1)) == damascus(2026, 11, 26, 15)
    assert DAYS.after(start, timedelta(minutes=61)) == damascus(2026, 11, 29, 8, 1)
    assert DAYS.after(damascus(2026, 11, 27, 3), timedelta(0)) == damascus(
        2026, 11, 27, 3
    )


def test_looking_back_stops_at_an_opening() -> None:
    end = damascus(2026, 11, 29, 9)
    assert DAYS.before(end, timedelta(hours=1)) == damascus(2026, 11, 29, 8)
    assert DAYS.before(end, timedelta(minutes=61)) == damascus(2026, 11, 26, 14, 59)
    # From the closing of a due day, one working day back is its opening.
    assert DAYS.before(damascus(2026, 11, 29, 15), timedelta(hours=7)) == damascus(
        2026, 11, 29, 8
    )


@pytest.mark.parametrize("find", [DAYS.after, DAYS.before])
def test_a_search_for_working_time_has_a_bound(
    find: Callable[[datetime, timedelta], datetime],
) -> None:
    with pytest.raises(InvalidValueError):
        find(damascus(2026, 11, 23, 9), timedelta(hours=7 * LONGEST_SEARCH_DAYS))
    with pytest.raises(InvalidValueError):
        find(damascus(2026, 11, 23, 9), timedelta(microseconds=-1))


def test_a_count_says_which_calendars_it_rests_on() -> None:
    basis = DAYS.basis(damascus(2025, 12, 31, 9), damascus(2027, 1, 4, 9))
    assert basis.calendars == (CalendarVersion(year=2026, version=1),)
    assert basis.unpublished_years == (2025, 2027)


def publish_again(known: Calendar, *days: date) -> None:
    """The calendar, corrected by days off that were announced late."""
    said = calendar(*days, year=known.published.year).published
    known.trigger_event(
        Calendar.Published,
        timestamp=NINE,
        originator_topic=said.originator_topic,
        act=act("again", ActorKind.ADMINISTRATOR),
        **{
            name: getattr(said, name)
            for name in ("year", "weekend", "opens", "closes", "holidays", "hours")
        },
    )


def test_a_day_off_announced_late_moves_no_time_that_was_fixed() -> None:
    year = calendar()
    offered = service(completion_days=1)

    def accept(name: str) -> ServiceRequest:
        request = assigned(submitted())
        now = act(name)
        request.accept(
            now,
            terms=offered.terms(
                governorate="SY-DI",
                accepted_at=now.effective_at,
                working_time=WorkingTime([year]),
            ),
            documents=("id-card",),
            token=1,
        )
        return request

    before = accept("before")
    publish_again(year, date(2026, 11, 24))
    since = accept("since")
    assert before.terms is not None
    assert since.terms is not None
    assert before.terms.due_at == damascus(2026, 11, 24, 15)
    assert before.terms.calendars == (CalendarVersion(year=2026, version=1),)
    assert since.terms.due_at == damascus(2026, 11, 25, 15)
    assert since.terms.calendars == (CalendarVersion(year=2026, version=2),)


def test_an_allowance_has_a_bound() -> None:
    with pytest.raises(InvalidValueError):
        DAYS.due(damascus(2026, 11, 23, 9), 401)
