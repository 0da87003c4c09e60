"""The manifest says of every item what the events say, as of any position."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.access import Scope
from domain.calendars import OFFICE_ZONE
from domain.requests import Delivery
from projections.postal_manifest import (
    ItemState,
    PostalFilter,
    PostalManifest,
    PostalManifestQueries,
    PostalSort,
)
from tests.conftest import Database
from tests.domain.office import NINE
from tests.projections.desks import (
    EVERYTHING,
    Desks,
    Happened,
    everything,
    of_requests,
    submissions,
)

NOW = NINE + timedelta(days=400)
ENDS = ("delivered", "collected", "returned")


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (PostalManifest(),))
    desks.live(seed=22)
    return desks


def recount(told: list[Happened]) -> list[tuple[Any, ...]]:
    """Every item with what became of it, in the order of the mailing."""
    requests = submissions(told)
    ends = {
        (each.key, each.data["item"]): (name, each)
        for name in ENDS
        for each in of_requests(told, name)
    }
    found = []
    for each in of_requests(told, "mailed"):
        state, end = ends.get((each.key, each.data["item"]), ("on_the_way", None))
        found.append(
            (
                each.at,
                each.data["item"],
                each.key,
                requests[each.key]["centre"],
                requests[each.key]["governorate"],
                each.data["to"],
                state,
                None if end is None else end.at,
                None if end is None else end.data.get("capacity"),
                None if end is None else end.data.get("reason"),
            )
        )
    return sorted(found, key=lambda row: row[:3])


def shown(row: Any) -> tuple[Any, ...]:
    return (
        row.mailed_at,
        row.item,
        str(row.request_id),
        row.centre,
        row.governorate,
        row.destination,
        row.state,
        row.ended_at,
        row.capacity,
        row.reason,
    )


def test_items_are_those_of_the_events_as_of_any_position(desks: Desks) -> None:
    queries = PostalManifestQueries(desks.read)
    states: set[ItemState] = set()
    for position in desks.positions():
        told = desks.until(desks.head if position is None else position)
        asked = {"scope": EVERYTHING, "now": NOW, "as_of": position}
        rows = everything(queries.items, **asked)
        assert [shown(row) for row in rows] == recount(told)
        back = everything(queries.items, **asked, sort=PostalSort.NEWEST)
        assert back == rows[::-1]
        for row in rows:
            age = (row.ended_at or NOW) - row.mailed_at
            assert row.age_s == int(age.total_seconds())
        states |= {row.state for row in rows}
    assert states == set(ItemState)


def test_days_add_up_to_the_items(desks: Desks) -> None:
    queries = PostalManifestQueries(desks.read)
    span = {"since": NINE - timedelta(days=2), "until": NOW}
    for position in desks.positions(5):
        told = desks.until(desks.head if position is None else position)
        counted: dict[Any, Counter[str]] = {}
        for row in recount(told):
            day = row[0].astimezone(OFFICE_ZONE).date()
            counted.setdefault((day, row[3]), Counter())[row[6]] += 1
        rows = everything(queries.days, scope=EVERYTHING, as_of=position, **span)
        assert [(row.day, row.centre) for row in rows] == sorted(counted)[::-1]
        for row in rows:
            states = counted[row.day, row.centre]
            assert row.mailed == states.total()
            for state in ItemState:
                assert getattr(row, state) == states[state]


def test_filters_narrow_the_list(desks: Desks) -> None:
    queries = PostalManifestQueries(desks.read)
    told = recount(desks.told)
    middle: datetime = told[len(told) // 2][0]
    for only, keeps in (
        (PostalFilter(centre="SY-HL-01"), lambda r: r[3] == "SY-HL-01"),
        (PostalFilter(governorate="SY-QU"), lambda r: r[4] == "SY-QU"),
        (PostalFilter(item=told[0][1]), lambda r: r[1] == told[0][1]),
        (PostalFilter(destination=Delivery.HOME), lambda r: r[5] == "home"),
        (PostalFilter(state=ItemState.RETURNED), lambda r: r[6] == "returned"),
        (PostalFilter(since=middle), lambda r: r[0] >= middle),
        (PostalFilter(until=middle), lambda r: r[0] < middle),
    ):
        rows = everything(queries.items, scope=EVERYTHING, now=NOW, only=only)
        assert [shown(row) for row in rows] == [row for row in told if keeps(row)]


def test_the_post_sees_what_was_mailed_and_a_centre_its_own(desks: Desks) -> None:
    queries = PostalManifestQueries(desks.read)
    mailed = everything(queries.items, scope=Scope(only_mailed=True), now=NOW)
    assert [shown(row) for row in mailed] == recount(desks.told)
    own = everything(queries.items, scope=Scope(centre="SY-DI-01"), now=NOW)
    assert {row.centre for row in own} == {"SY-DI-01"}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_of_any_size_make_the_same_manifest(
    desks: Desks, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desks.is_same_in_batches(size, monkeypatch)
