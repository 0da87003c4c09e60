"""The calendars that durations are counted over, as the view has met them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import orjson

from domain.calendars import Days, Holiday, OfficeHours
from domain.working_minutes import WorkingMinutes, WorkingYear

UNPUBLISHED = 0
"""Stands for the version of a year that had no calendar."""


class Calendars:
    """Every calendar that was published, by year and version.

    A request is measured over the versions that its acceptance names, years that were
    unpublished then included. Another year, which only a late request reaches, counts
    as it was published last.
    """

    def __init__(self, rows: Iterable[tuple[int, int, str]]) -> None:
        self._facts: dict[tuple[int, int], str] = {}
        self._newest: dict[int, str] = {}
        self._minutes: dict[str, WorkingMinutes] = {}
        for year, version, facts in rows:
            self.add(year, version, facts)

    def add(self, year: int, version: int, facts: str) -> None:
        """Take the next published calendar in."""
        self._facts[year, version] = facts
        self._newest[year] = facts
        self._minutes.clear()

    def over(self, named: str) -> WorkingMinutes:
        """Working minutes over the calendars of ``named_in``."""
        minutes = self._minutes.get(named)
        if minutes is None:
            minutes = self._minutes[named] = self._over(named)
        return minutes

    def _over(self, named: str) -> WorkingMinutes:
        said: dict[int, str | None] = dict(self._newest)
        for each in named.split():
            year, _, version = each.partition(":")
            said[int(year)] = self._facts.get((int(year), int(version)))
        years: dict[int, WorkingYear] = {}

        def year_of(year: int) -> WorkingYear:
            found = years.get(year)
            if found is None:
                found = years[year] = _year(year, said.get(year))
            return found

        return WorkingMinutes(year_of)


def named_in(terms: Mapping[str, Any]) -> str:
    """The calendars that the terms of an acceptance rest on: ``2026:1 2027:0``."""
    pinned = [f"{each['year']}:{each['version']}" for each in terms["calendars"]]
    pinned += [f"{year}:{UNPUBLISHED}" for year in terms["unpublished_years"]]
    return " ".join(pinned)


def facts_of(data: Mapping[str, Any]) -> str:
    """What a published calendar says of working time, as text."""
    said = {
        "weekend": data["weekend"],
        "opens": data["opens"],
        "closes": data["closes"],
        "holidays": [holiday["day"] for holiday in data["holidays"]],
        "hours": data["hours"],
    }
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=256)
def _year(year: int, facts: str | None) -> WorkingYear:
    """A year laid out; without a calendar, weekends only."""
    if facts is None:
        return WorkingYear(Days(year=year))
    said = orjson.loads(facts)
    return WorkingYear(
        Days(
            year=year,
            weekend=tuple(said["weekend"]),
            opens=said["opens"],
            closes=said["closes"],
            holidays=tuple(
                Holiday(
                    day=date.fromisoformat(day), name_ar="", name_en="", certainty=""
                )
                for day in said["holidays"]
            ),
            hours=tuple(
                OfficeHours(
                    first=date.fromisoformat(hours["first"]),
                    last=date.fromisoformat(hours["last"]),
                    opens=hours["opens"],
                    closes=hours["closes"],
                )
                for hours in said["hours"]
            ),
        )
    )
