"""The counts against a count by hand: of any position, any time, in any batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import psycopg2
import pytest

from domain.access import Scope
from domain.acts import ActorKind
from domain.calendars import OFFICE_ZONE
from domain.stages import Stage
from ledger.bodies import parse_body
from ledger.entries import Entry
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.governorate_counts import (
    Count,
    CountBy,
    GovernorateCounts,
    GovernorateCountsQueries,
)
from projections.runner import ViewRunner
from tests.conftest import Database
from tests.domain.office import terms
from tests.projections.histories import Life, store

EVERYTHING = Scope()
DAYS = 12
PLACE = ("governorate", "centre", "agency", "service")
BY_PLACE = [CountBy(name) for name in PLACE]
ENTERED = {
    "submitted": "waiting",
    "accepted": "in_progress",
    "not-accepted": "not_accepted",
    "mailed": "completed_issued",
    "handed-over": "completed_issued",
    "withdrawn": "withdrawn",
    "expired": "expired",
}


class Counts:
    """A ledger with a history over some days, and its counts."""

    def __init__(self, database: Database) -> None:
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.reader = LedgerReader(database.datastore("runner"))
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.runner = ViewRunner(self.written, self.reader, (GovernorateCounts(),))
        self.queries = GovernorateCountsQueries(
            database.datastore("app", schema=VIEWS_SCHEMA)
        )

    def live(self, requests: int, seed: int) -> None:
        """Requests of random days, their steps mixed: what was late is told late."""
        random = Random(seed)  # noqa: S311 -- reproducible test data
        going = [Life(random.randrange(DAYS * 1440), random) for _ in range(requests)]
        while going:
            life = random.choice(going)
            life.minutes += random.choice((0, 1, 60, 1440))
            if random.random() < 0.08 or not life.step():
                going.remove(life)
            elif life.request.pending_events:
                store(self.recorder, life.request)

    @property
    def entries(self) -> list[Entry]:
        return list(self.reader.stream())

    def rows(self) -> dict[str, list[Any]]:
        found = {}
        with self.written.transaction(commit=False) as cursor:
            for table in GovernorateCounts.tables:
                cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                found[table] = cursor.fetchall()
        return found

    def start_over(self) -> None:
        with self.written.transaction() as cursor:
            for table in GovernorateCounts.tables:
                cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")


@pytest.fixture
def counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    """Blocks are short, so that a short history has many."""
    monkeypatch.setattr("projections.governorate_counts.folding.BLOCK", 25)
    return Counts(database)


def by_hand(
    entries: Sequence[Entry], *, before: datetime | None = None
) -> Counter[tuple[str, ...]]:
    """Requests by place and stage: each walked through from its first event."""
    places: dict[Any, dict[str, str]] = {}
    for entry in entries:
        body = parse_body(entry.body)
        if before and datetime.fromisoformat(body["effective_at"]) >= before:
            continue
        happened = entry.topic.split(".")[2]
        data = body["data"]
        if happened == "submitted":
            places[entry.aggregate_id] = {name: data[name] for name in PLACE}
        if entry.aggregate_id not in places:
            continue
        place = places[entry.aggregate_id]
        if happened == "accepted":
            place["agency"] = data["terms"]["agency"]
        if happened == "result-told":
            place["stage"] = f"completed_{data['outcome']}"
        elif happened in ENTERED:
            place["stage"] = ENTERED[happened]
    return Counter(
        (*(place[name] for name in PLACE), place["stage"]) for place in places.values()
    )


def told(found: Sequence[Count]) -> Counter[tuple[str, ...]]:
    return Counter(
        {
            (*(count.group[name] for name in PLACE), stage): requests
            for count in found
            for stage in Stage
            if (requests := getattr(count, stage))
        }
    )


def midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), OFFICE_ZONE)


class TestStocks:
    def test_stocks_are_right_as_of_every_position(self, counts: Counts) -> None:
        counts.live(40, seed=1)
        counts.runner.catch_up()
        entries = counts.entries
        for position in range(len(entries) + 2):
            found = counts.queries.stocks(EVERYTHING, by=BY_PLACE, as_of=position)
            assert told(found) == by_hand(entries[:position]), position

    def test_stocks_are_right_as_of_any_time_as_known_at_any_position(
        self, counts: Counts
    ) -> None:
        counts.live(40, seed=2)
        counts.runner.catch_up()
        entries = counts.entries
        random = Random(3)  # noqa: S311
        times = [
            datetime.fromisoformat(parse_body(entry.body)["effective_at"])
            for entry in entries
        ]
        for _ in range(150):
            position = random.randrange(len(entries) + 1)
            at = random.choice(times) + timedelta(
                microseconds=random.choice((-1, 0, 1))
            )
            found = counts.queries.stocks(
                EVERYTHING, by=BY_PLACE, as_of=position, effective_at=at
            )
            before = at + timedelta(microseconds=1)
            assert told(found) == by_hand(entries[:position], before=before)

    def test_stocks_at_the_end_of_a_day_have_all_of_it_and_nothing_after(
        self, counts: Counts
    ) -> None:
        counts.live(60, seed=4)
        counts.runner.catch_up()
        entries = counts.entries
        for number in range(-2, DAYS + 9):
            day = date(2026, 11, 23) + timedelta(days=number)
            by_hand_then = by_hand(entries, before=midnight_after(day))
            last = midnight_after(day) - timedelta(microseconds=1)
            for asked in (day, last, last.astimezone(UTC)):
                found = counts.queries.stocks(
                    EVERYTHING, by=BY_PLACE, effective_at=asked
                )
                assert told(found) == by_hand_then

    def test_submitted_is_the_sum_of_all_stages_in_every_group(
        self, counts: Counts
    ) -> None:
        counts.live(40, seed=5)
        counts.runner.catch_up()
        entries = counts.entries
        (total,) = counts.queries.stocks(EVERYTHING, by=())
        submitted = sum(
            entry.topic == "sijil.request.submitted.v1" for entry in entries
        )
        assert total.submitted == submitted
        for by in BY_PLACE:
            groups = counts.queries.stocks(EVERYTHING, by=[by])
            assert sum(group.submitted for group in groups) == submitted
            for group in groups:
                assert group.submitted == sum(getattr(group, each) for each in Stage)

    def test_a_request_that_is_accepted_for_another_agency_moves_to_it(
        self, counts: Counts
    ) -> None:
        life = Life(0, Random(6))  # noqa: S311
        store(counts.recorder, life.request)
        life.request.accept(
            life.act(ActorKind.SUPERVISOR),
            terms=terms(agency="JUS", governorate=life.governorate),
            documents=("id-card",),
            token=0,
        )
        store(counts.recorder, life.request)
        counts.runner.catch_up()
        for position, agencies in ((1, {"CIV": 1}), (2, {"JUS": 1})):
            found = counts.queries.stocks(
                EVERYTHING, by=[CountBy.AGENCY], as_of=position
            )
            assert {each.group["agency"]: each.submitted for each in found} == agencies
        day = date(2026, 11, 23)
        flows = counts.queries.flows(
            EVERYTHING, first=day, last=day, by=[CountBy.AGENCY]
        )
        assert [(f.group["agency"], f.submitted, f.in_progress) for f in flows] == [
            ("CIV", 1, 0),
            ("JUS", 0, 1),
        ]

    def test_a_scope_counts_its_own_places_only(self, counts: Counts) -> None:
        counts.live(40, seed=7)
        counts.runner.catch_up()
        for scope, place in (
            (Scope(centre="SY-HL-01"), {"centre": "SY-HL-01"}),
            (Scope(governorate="SY-DI"), {"governorate": "SY-DI"}),
            (Scope(centre="SY-HL-01", governorate="SY-DI"), None),
            (Scope(parties=frozenset({"x"})), None),
        ):
            found = counts.queries.stocks(scope, by=BY_PLACE)
            assert bool(found) == (place is not None)
            for count in found:
                assert (place or {}).items() <= count.group.items()


class TestFlows:
    def test_flows_are_right_by_day_and_place_as_of_any_position(
        self, counts: Counts
    ) -> None:
        counts.live(50, seed=8)
        counts.runner.catch_up()
        entries = counts.entries
        first = date(2026, 11, 24)
        last = date(2026, 11, 30)
        for position in range(0, len(entries) + 1, 13):
            # What entered by the end of a day, less what had by the end of the last.
            by_day: Counter[tuple[str, str]] = Counter()
            for count in counts.queries.flows(
                EVERYTHING,
                first=first,
                last=last,
                by=[CountBy.DAY, CountBy.CENTRE],
                as_of=position,
            ):
                assert count.waiting is None
                by_day[count.group["day"], count.group["centre"]] += count.submitted
            expected: Counter[tuple[str, str]] = Counter()
            for entry in entries[:position]:
                body = parse_body(entry.body)
                at = datetime.fromisoformat(body["effective_at"])
                day = at.astimezone(OFFICE_ZONE).date()
                is_begun = entry.topic == "sijil.request.submitted.v1"
                if is_begun and first <= day <= last:
                    expected[day.isoformat(), body["data"]["centre"]] += 1
            assert +by_day == expected

    def test_a_second_mailing_completes_nothing_again(self, counts: Counts) -> None:
        counts.live(80, seed=9)
        counts.runner.catch_up()
        mailed = [
            entry.aggregate_id
            for entry in counts.entries
            if entry.topic == "sijil.request.mailed.v1"
        ]
        assert len(set(mailed)) < len(mailed)
        (flow,) = counts.queries.flows(
            EVERYTHING, first=date(2026, 1, 1), last=date(2027, 12, 31), by=()
        )
        assert flow.completed_issued == len(set(mailed))


class TestRows:
    def test_batches_of_any_size_make_the_same_rows(
        self, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts.live(30, seed=10)
        counts.runner.catch_up()
        whole = counts.rows()
        assert all(whole.values())
        for size in (1, 7):
            counts.start_over()
            monkeypatch.setattr("projections.runner.BATCH_SIZE", size)
            counts.runner.catch_up()
            assert counts.rows() == whole

    def test_more_requests_leaving_a_stage_than_entered_it_stop_the_view(
        self, counts: Counts
    ) -> None:
        counts.live(5, seed=11)
        counts.runner.catch_up()
        insert = (
            "INSERT INTO governorate_stocks VALUES (1, 'x', 'x', 'x', 'x', 'x', -1)"
        )
        raw = psycopg2.errors.CheckViolation
        with counts.written.transaction(commit=False) as cursor, pytest.raises(raw):
            cursor.execute(insert)
