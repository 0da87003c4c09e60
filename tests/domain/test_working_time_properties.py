"""Working time against a counter that was written apart, over random calendars.

The counter walks minute by minute and asks of each what a person at the door would
ask: what does the clock on the wall say, is it a day off, is the office open? It
shares no line with domain/working_time.py.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.acts import ActorKind
from domain.calendars import Calendar, Days, Holiday, OfficeHours
from domain.working_minutes import WorkingMinutes, WorkingYear, minute_at, minute_of
from domain.working_time import WorkingTime
from tests.domain.office import act

WALL = ZoneInfo("Asia/Damascus")
YEARS = (2021, 2022, 2023)
"""Years with changes of the clock, the year they ended, and one without."""
SPAN = timedelta(days=9)
"""Longest stretch of an example: the slow counter walks each minute of it."""

NEAR = 12
"""Days around an example within which its calendar says something."""

# Offices that open in the small hours would meet the change of the clocks at midnight.
EARLIEST, LATEST = 2 * 60, 22 * 60


@st.composite
def open_hours(draw: st.DrawFn) -> tuple[str, str]:
    opens = draw(st.integers(EARLIEST, LATEST - 1))
    closes = draw(st.integers(opens + 1, LATEST))
    return tuple(f"{each // 60:02}:{each % 60:02}" for each in (opens, closes))  # type: ignore[return-value]


@st.composite
def calendars(draw: st.DrawFn, year: int, around: date) -> Calendar:
    """A calendar whose days off and hours lie where the example looks, if they can."""
    bounds = date(year, 1, 1), date(year, 12, 31)
    days = st.integers(-NEAR, NEAR).map(
        lambda off: min(max(around + timedelta(days=off), bounds[0]), bounds[1])
    )
    hours = []
    for first in draw(st.lists(days, max_size=3)):
        last = first + timedelta(days=draw(st.integers(0, NEAR)))
        opens, closes = draw(open_hours())
        hours.append(OfficeHours(first=first, last=last, opens=opens, closes=closes))
    opens, closes = draw(open_hours())
    return Calendar.publish(
        # An import: the hours of its days may overlap, and then the last ones hold.
        act("calendar", ActorKind.IMPORT),
        year=year,
        weekend=tuple(draw(st.sets(st.integers(0, 6), max_size=4))),
        opens=opens,
        closes=closes,
        holidays=tuple(
            Holiday(day=day, name_ar="عطلة", name_en="Holiday", certainty="fixed")
            for day in draw(st.sets(days, max_size=12))
        ),
        hours=tuple(hours),
    )


NEAR_A_CHANGE = st.sampled_from(
    [
        datetime(2021, 3, 24, tzinfo=UTC),
        datetime(2021, 10, 27, tzinfo=UTC),
        datetime(2022, 3, 23, tzinfo=UTC),
        datetime(2022, 10, 26, tzinfo=UTC),
        datetime(2021, 12, 30, tzinfo=UTC),
        datetime(2022, 12, 30, tzinfo=UTC),
    ]
)


def stretches(days: int) -> st.SearchStrategy[timedelta]:
    """Stretches of up to so many days, their parts drawn apart.

    A stretch drawn as one is mostly round: it hardly ever ends within office hours.
    """
    return st.builds(
        lambda whole, minutes, seconds: timedelta(
            days=whole, minutes=minutes, seconds=seconds
        ),
        st.integers(0, days - 1),
        st.integers(0, 24 * 60 - 1),
        st.sampled_from([0, 0, 0.000001, 29.5, 59.999999]),
    )


STRETCHES = st.just(timedelta(0)) | stretches(SPAN.days)
MOMENTS = st.builds(
    lambda since, on: since + on,
    st.just(datetime(2021, 1, 3, tzinfo=UTC)),
    stretches(1050),
) | st.builds(lambda day, on: day + on, NEAR_A_CHANGE, stretches(SPAN.days))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Calendar], datetime]:
    """Calendars of some of the years, and a moment to start from."""
    start = draw(MOMENTS)
    known = [
        draw(calendars(year, start.date())) for year in YEARS if draw(st.booleans())
    ]
    return known, start


def slow_minutes(known: list[Calendar], start: datetime, end: datetime) -> int:
    """Minutes of the wall's clock at which the office was open, one after another."""
    said = {each.published.year: each.published for each in known}
    minute = start.replace(second=0, microsecond=0)
    count = 0
    while minute < end.replace(second=0, microsecond=0):
        wall = minute.astimezone(WALL)
        today = f"{wall:%Y-%m-%d}"  # an ISO date: text sorts as days do
        opens, closes, weekend, off = "08:00", "15:00", {"Fri", "Sat"}, set()
        if wall.year in said:
            year = said[wall.year]
            names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
            weekend = {names[day] for day in year.weekend}
            off = {holiday.day.isoformat() for holiday in year.holidays}
            opens, closes = year.opens, year.closes
            for dated in year.hours:
                if dated.first.isoformat() <= today <= dated.last.isoformat():
                    opens, closes = dated.opens, dated.closes
        count += (
            f"{wall:%a}" not in weekend
            and today not in off
            and opens <= f"{wall:%H:%M}" < closes
        )
        minute += timedelta(minutes=1)
    return count


@settings(max_examples=100)
@given(case=cases(), stretch=STRETCHES)
def test_minutes_are_those_a_person_at_the_door_counts(
    case: tuple[list[Calendar], datetime], stretch: timedelta
) -> None:
    known, start = case
    counted = WorkingTime(known).minutes_between(start, start + stretch)
    assert counted == slow_minutes(known, start, start + stretch)


@settings(max_examples=300)
@given(
    case=cases(),
    stretch=STRETCHES | stretches(900),
    is_backwards=st.sampled_from([False, False, False, True]),
)
def test_minutes_by_prefix_sums_are_those_of_working_time(
    case: tuple[list[Calendar], datetime], stretch: timedelta, *, is_backwards: bool
) -> None:
    known, start = case
    said = {each.published.year: each.published for each in known}
    names = [each.name for each in fields(Days)]

    def year_of(year: int) -> WorkingYear:
        if year not in said:
            return WorkingYear(Days(year=year))
        return WorkingYear(Days(**{name: getattr(said[year], name) for name in names}))

    end = start + stretch
    if is_backwards:
        start, end = end, start
    quick = WorkingMinutes(year_of).between(minute_at(start), minute_at(end))
    assert quick == WorkingTime(known).minutes_between(start, end)
    text = f"{start:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert minute_of(text) == minute_at(start)


@given(case=cases(), first=STRETCHES, second=STRETCHES)
def test_the_parts_of_a_split_are_the_whole(
    case: tuple[list[Calendar], datetime], first: timedelta, second: timedelta
) -> None:
    known, start = case
    working = WorkingTime(known)
    middle, end = start + first, start + first + second
    for between in (working.time_between, working.minutes_between):
        assert between(start, middle) + between(middle, end) == between(start, end)


@given(case=cases(), first=STRETCHES, second=STRETCHES)
def test_later_is_never_less(
    case: tuple[list[Calendar], datetime], first: timedelta, second: timedelta
) -> None:
    known, start = case
    working = WorkingTime(known)
    sooner, later = start + first, start + first + second
    assert working.time_between(start, sooner) <= working.time_between(start, later)
    assert working.time_between(sooner, later) <= working.time_between(start, later)
    assert timedelta(0) <= working.time_between(start, later) <= later - start


@given(case=cases(), stretch=STRETCHES)
def test_exact_time_and_minutes_lie_less_than_a_minute_apart(
    case: tuple[list[Calendar], datetime], stretch: timedelta
) -> None:
    known, start = case
    working, end = WorkingTime(known), start + stretch
    minutes = timedelta(minutes=working.minutes_between(start, end))
    assert abs(minutes - working.time_between(start, end)) < timedelta(minutes=1)


WORK = st.timedeltas(timedelta(0), timedelta(hours=60))


@given(case=cases(), work=WORK)
def test_after_and_before_are_the_inverse_of_counting(
    case: tuple[list[Calendar], datetime], work: timedelta
) -> None:
    known, start = case
    working = WorkingTime(known)
    later, sooner = working.after(start, work), working.before(start, work)
    assert working.time_between(start, later) == work
    assert working.time_between(sooner, start) == work
    # The first and the last such instant: a little nearer, and less has passed.
    if work:
        little = timedelta(microseconds=1)
        assert working.time_between(start, later - little) < work
        assert working.time_between(sooner + little, start) < work


@given(case=cases(), first=WORK, second=WORK)
def test_after_is_monotone_and_can_be_taken_in_steps(
    case: tuple[list[Calendar], datetime], first: timedelta, second: timedelta
) -> None:
    known, start = case
    working = WorkingTime(known)
    step = working.after(start, first)
    assert start <= step <= working.after(start, first + second)
    assert working.after(step, second) == working.after(start, first + second)


@given(case=cases(), wait=STRETCHES, days=st.integers(0, 30))
def test_a_due_time_is_a_closing_after_its_start_and_later_starts_are_due_no_sooner(
    case: tuple[list[Calendar], datetime], wait: timedelta, days: int
) -> None:
    known, start = case
    working = WorkingTime(known)
    due = working.due(start, days)
    day = due.at.astimezone(WALL).date()
    assert due.at >= start
    assert working.is_working_day(day)
    assert working.closing(day) == due.at
    assert due.at <= working.due(start + wait, days).at
    assert due.at < working.due(start, days + 1).at


@given(case=cases(), days=st.integers(0, 30))
def test_a_due_time_lies_n_working_days_after_day_0(
    case: tuple[list[Calendar], datetime], days: int
) -> None:
    known, start = case
    working = WorkingTime(known)
    day_0, due = (
        working.due(start, number).at.astimezone(WALL).date() for number in (0, days)
    )
    passed = [
        day_0 + timedelta(days=number + 1) for number in range((due - day_0).days)
    ]
    assert sum(working.is_working_day(day) for day in passed) == days
