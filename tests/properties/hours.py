"""Working time, counted a second time: the hours, days off and limits of offices."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files


def _holidays() -> set[date]:
    table = files("domain") / "catalogue" / "holidays.csv"
    with table.open(encoding="utf-8") as rows:
        return {
            date.fromisoformat(row["start"]) + timedelta(days=number)
            for row in csv.DictReader(rows)
            for number in range(int(row["days"]))
        }


HOLIDAYS = _holidays()


def day_of(at: datetime) -> date:
    """The day in Damascus, which is three hours ahead since October 2022."""
    return (at + timedelta(hours=3)).date()


def is_working(day: date) -> bool:
    return day.weekday() not in {4, 5} and day not in HOLIDAYS


def opens(day: date) -> datetime:
    return datetime.combine(day, time(5), UTC)


def closes(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def due(start: datetime, days: int) -> datetime:
    day = day_of(start)
    if start > closes(day):
        day += timedelta(days=1)
    while not is_working(day):
        day += timedelta(days=1)
    for _ in range(days):
        day += timedelta(days=1)
        while not is_working(day):
            day += timedelta(days=1)
    return closes(day)


def worked(start: datetime, end: datetime) -> timedelta:
    """How long offices were open between two instants."""
    spent, day = timedelta(0), day_of(start)
    while day <= day_of(end):
        if is_working(day):
            first, last = max(start, opens(day)), min(end, closes(day))
            spent += max(last - first, timedelta(0))
        day += timedelta(days=1)
    return spent


def later(start: datetime, working: timedelta) -> datetime:
    """When so much working time has passed."""
    day = day_of(start)
    while working:
        if is_working(day):
            first = max(start, opens(day))
            if first < closes(day) and closes(day) - first >= working:
                return first + working
            working -= max(closes(day) - first, timedelta(0))
        day += timedelta(days=1)
    return start
