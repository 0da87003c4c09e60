"""Every number that is published equals one counted apart, in SQL over the bodies.

Over a simulated national history, and over the real permit desk where
``SIJIL_PERMIT_DESK`` names its file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg2
import pytest

from domain.access import Scope
from domain.calendars import OFFICE_ZONE
from domain.stages import Stage
from ledger.persistence.recorders import PostgresProcessRecorder
from office.house import House, ViewsRoom
from office.importing import Importer, read_mapping
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from projections.governorate_counts import CountBy
from projections.payments import PayBy
from projections.turnaround import Part, TurnaroundBy
from tests import recount as apart
from tests.conftest import Database
from tests.projections.histories import random_history

EVERYTHING = Scope()
PLACE = ("governorate", "centre", "agency", "service")
FIRST, LAST = date(2010, 1, 1), date(2090, 1, 1)
FROM, UNTIL = datetime(2010, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)


class Office:
    """A house with a history, its views level."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.house = House(database.settings)

    def level(self) -> int:
        room = ViewsRoom(self.database.settings)
        try:
            return room.runner.catch_up()
        finally:
            room.close()

    def apart(self, **asked: Any) -> apart.Numbers:
        with closing(psycopg2.connect(**self.database.superuser_dsn())) as connection:
            return apart.recount(connection, **asked)


@pytest.fixture
def office(seeded_database: Database) -> Iterator[Office]:
    made = Office(seeded_database)
    yield made
    made.house.close()


def published(
    house: House, *, position: int, now: datetime, before: datetime | None = None
) -> apart.Numbers:
    """The same numbers as the product gives them."""
    queries = house.queries
    at = None if before is None else before - timedelta(microseconds=1)
    stocks = queries.counts.stocks(
        EVERYTHING,
        by=[CountBy(name) for name in PLACE],
        as_of=position,
        effective_at=at,
    )
    numbers: apart.Numbers = {
        "stocks": Counter(
            {
                (*(count.group[name] for name in PLACE), str(stage)): number
                for count in stocks
                for stage in Stage
                if (number := getattr(count, stage))
            }
        )
    }
    times = queries.turnaround.times(
        EVERYTHING,
        first=FIRST,
        last=LAST,
        now=now,
        by=[TurnaroundBy.CENTRE],
        as_of=position,
        effective_at=at,
    )
    numbers["times"] = {
        each.group["centre"]: (
            each.completed,
            *_ranks(each.whole),
            *_ranks(each.centre),
            each.agency.n,
            *_ranks(each.agency),
            each.post.n,
            *_ranks(each.post),
            each.inside_limit.inside,
        )
        for each in times
        if each.completed
    }
    numbers["open"] = {
        each.group["centre"]: (each.open, each.oldest_open)
        for each in times
        if each.open
    }
    if before is not None:
        return numbers
    numbers["flows"] = Counter(
        {
            (date.fromisoformat(flow.group["day"]), flow.group["centre"], name): number
            for flow in queries.counts.flows(
                EVERYTHING,
                first=FIRST,
                last=LAST,
                by=[CountBy.DAY, CountBy.CENTRE],
                as_of=position,
            )
            for name in ("submitted", *(stage for stage in Stage if stage != "waiting"))
            if (number := getattr(flow, name))
        }
    )
    sums = queries.payments.sums(
        EVERYTHING, since=FROM, until=UNTIL, by=[PayBy.CENTRE], as_of=position
    )
    moved: dict[Any, Any] = {}
    for each in sums:
        for name in ("expected", "paid", "refunded"):
            found = getattr(each, name)
            if found.count:
                key = (name, each.group["centre"], str(each.unit))
                moved[key] = (found.count, found.amount)
    numbers["payments"] = moved
    post: Counter[Any] = Counter()
    after = None
    while True:
        page = queries.post.days(
            EVERYTHING,
            since=FROM,
            until=UNTIL,
            after=after,
            limit=200,
            as_of=position,
        )
        for day in page.items:
            for state in ("on_the_way", "delivered", "collected", "returned"):
                if number := getattr(day, state):
                    post[day.centre, day.day, state] += number
        if (after := page.next) is None:
            break
    numbers["post"] = post
    stampings: Counter[Any] = Counter()
    after = None
    while True:
        part = queries.stamps.stampings(
            EVERYTHING, after=after, limit=200, as_of=position
        )
        stampings.update((each.centre, each.serial) for each in part.items)
        if (after := part.next) is None:
            break
    numbers["stampings"] = stampings
    return numbers


def _ranks(part: Part) -> tuple[int | None, int | None]:
    return part.median, part.p90


def queues(house: House, position: int) -> Counter[Any]:
    """Open items by who has them and whom they wait for."""
    found: Counter[Any] = Counter()
    for waiting_for in ("clerk", "agency", "citizen"):
        after = None
        while True:
            page = house.queries.queue.page(
                EVERYTHING,
                now=UNTIL,
                waiting_for=waiting_for,  # type: ignore[arg-type]
                after=after,
                limit=200,
                as_of=position,
            )
            for item in page.items:
                found[item.clerk, waiting_for] += 1
            if (after := page.next) is None:
                break
    return found


def must_agree(office: Office, *, positions: list[int], now: datetime) -> set[str]:
    """The numbers that said anything, which were the same each time."""
    seen: set[str] = set()
    for position in positions:
        counted = office.apart(position=position, now=now)
        told = published(office.house, position=position, now=now)
        told["queue"] = queues(office.house, position)
        for name, numbers in told.items():
            assert numbers == counted[name], (name, position)
            seen |= {name} if numbers else set()
    return seen


def test_every_number_of_a_simulated_history_is_counted_apart_the_same(
    office: Office,
) -> None:
    Simulation(office.house, Options(completed=250)).run()
    head = office.level()
    now = datetime(2026, 11, 25, 9, tzinfo=UTC)
    seen = must_agree(office, positions=[head, head // 2, head // 3 * 2], now=now)
    assert seen == {
        *("stocks", "flows", "times", "open"),
        *("queue", "payments", "post", "stampings"),
    }
    (first, last) = _times_of(office)
    for share in (0.2, 0.5, 0.9):
        before = first + share * (last - first)
        for position in (head, head * 3 // 5):
            counted = office.apart(position=position, now=before, before=before)
            told = published(office.house, position=position, now=before, before=before)
            for name, numbers in told.items():
                assert numbers == counted[name], (name, position, before)


def test_every_number_of_random_lives_is_counted_apart_the_same(
    office: Office,
) -> None:
    recorder = PostgresProcessRecorder(office.database.datastore("app"))
    begun = office.level()
    random_history(recorder, requests=60, seed=21)
    head = office.level()
    random = Random(22)  # noqa: S311 -- reproducible test data
    positions = [head, *(random.randint(begun, head) for _ in range(8))]
    now = datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert must_agree(office, positions=positions, now=now)


def test_every_number_of_the_permit_desk_is_counted_apart_the_same(
    office: Office,
) -> None:
    """The real history, where its file is at hand (its terms forbid to ship it)."""
    named = os.environ.get("SIJIL_PERMIT_DESK")
    if named is None:
        pytest.skip("SIJIL_PERMIT_DESK does not name the permit desk's CSV")
    docs = Path(__file__).parents[2] / "docs" / "how-to" / "permit-desk.toml"
    report = Importer(office.house, read_mapping(docs)).run(Path(named))
    assert report.adds_up
    head = office.level()
    now = datetime(2012, 6, 1, 9, tzinfo=UTC)
    assert must_agree(office, positions=[head, head // 2, head // 3], now=now)


def _times_of(office: Office) -> tuple[datetime, datetime]:
    with (
        closing(psycopg2.connect(**office.database.superuser_dsn())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT min(t), max(t) FROM (SELECT"
            " (convert_from(body, 'UTF8')::jsonb ->> 'effective_at')::timestamptz t"
            " FROM sijil.events WHERE topic LIKE 'sijil.request.%') times"
        )
        found = cursor.fetchone()
    assert found is not None
    return found[0].astimezone(OFFICE_ZONE), found[1].astimezone(OFFICE_ZONE)


FAULTS = {
    "stocks": """
        UPDATE sijil_views.governorate_moves SET stage_entered = 'expired'
        WHERE stage_entered = 'completed_issued' AND position = (
            SELECT max(position) FROM sijil_views.governorate_moves
            WHERE stage_entered = 'completed_issued')
    """,
    "flows": """
        UPDATE sijil_views.governorate_moves SET day = day + 1
        WHERE position = (SELECT max(position) FROM sijil_views.governorate_moves)
    """,
    "times": """
        UPDATE sijil_views.turnaround_ended SET is_in_time = NOT is_in_time
        WHERE position = (SELECT max(position) FROM sijil_views.turnaround_ended
            WHERE is_in_time IS NOT NULL)
    """,
    "payments": """
        UPDATE sijil_views.payment_movements SET state_fee = state_fee + 1
        WHERE position = (SELECT max(position) FROM sijil_views.payment_movements
            WHERE movement = 'paid')
    """,
    "stampings": """
        DELETE FROM sijil_views.stampings
        WHERE position = (SELECT max(position) FROM sijil_views.stampings)
    """,
}


@pytest.mark.parametrize(("name", "fault"), FAULTS.items())
def test_a_planted_fault_is_seen(office: Office, name: str, fault: str) -> None:
    Simulation(office.house, Options(completed=40)).run()
    head = office.level()
    with (
        closing(psycopg2.connect(**office.database.superuser_dsn())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(fault)
        assert cursor.rowcount == 1
    now = datetime(2026, 11, 25, 9, tzinfo=UTC)
    counted = office.apart(position=head, now=now)
    told = published(office.house, position=head, now=now)
    differing = {each for each in told if told[each] != counted[each]}
    # A stage entered wrongly is a flow too.
    assert name in differing <= {name, "flows"}
