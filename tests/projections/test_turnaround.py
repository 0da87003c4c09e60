"""The times against times told by hand, as of any position and any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import ceil
from random import Random
from typing import Any

import pytest

from domain.access import Scope
from domain.calendars import OFFICE_ZONE, Holiday
from domain.working_time import WorkingTime
from ledger.bodies import parse_body
from ledger.entries import Entry
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.runner import ViewRunner
from projections.turnaround import (
    Part,
    Share,
    Times,
    Turnaround,
    TurnaroundBy,
    TurnaroundQueries,
)
from tests.conftest import Database
from tests.domain.office import WORKING_TIME, act, calendar
from tests.projections.histories import Life, store

EVERYTHING = Scope()
DAYS = 9
FIRST, LAST = date(2026, 11, 1), date(2027, 11, 1)
EVER = datetime(2028, 1, 1, tzinfo=OFFICE_ZONE)


class Office:
    """A ledger with a history over some days, and its times."""

    def __init__(self, database: Database) -> None:
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.reader = LedgerReader(database.datastore("runner"))
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.runner = ViewRunner(self.written, self.reader, (Turnaround(),))
        self.queries = TurnaroundQueries(database.datastore("app", schema=VIEWS_SCHEMA))

    def live(self, requests: int, seed: int) -> None:
        """Requests over some days; half way the calendar is published again."""
        random = Random(seed)  # noqa: S311 -- reproducible test data
        published = calendar()
        store(self.recorder, published)
        going = [Life(random.randrange(DAYS * 1440), random) for _ in range(requests)]
        steps = 0
        while going:
            life = random.choice(going)
            life.minutes += random.choice((0, 7, 95, 400, 1440))
            if random.random() < 0.04 or not life.step():
                going.remove(life)
            elif life.request.pending_events:
                store(self.recorder, life.request)
            steps += 1
            if steps == 3 * requests:
                # Those accepted before keep the calendar that they were accepted under.
                off = Holiday(
                    day=date(2026, 12, 1), name_ar="عطلة", name_en="x", certainty="x"
                )
                published.publish_again(act("again"), holidays=(off,))
                store(self.recorder, published)

    @property
    def entries(self) -> list[Entry]:
        return list(self.reader.stream())

    def rows(self) -> dict[str, list[Any]]:
        found = {}
        with self.written.transaction(commit=False) as cursor:
            for table in Turnaround.tables:
                cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                found[table] = cursor.fetchall()
        return found

    def start_over(self) -> None:
        with self.written.transaction() as cursor:
            for table in Turnaround.tables:
                cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    return Office(database)


@dataclass
class Told:
    """One request's times, told by hand from its events."""

    centre_code: str = ""
    accepted: datetime | None = None
    ended: datetime | None = None
    is_completed: bool = False
    is_reply: bool = False
    due: str = ""
    answer_due: str = ""
    is_in_time: bool = False
    is_answer_in_time: bool = False
    agency: int = 0
    first_answer: int | None = None
    post: int = 0
    is_received: bool = False
    asked: list[tuple[datetime, datetime | None]] = field(default_factory=list)


def working(known: WorkingTime, start: datetime, end: datetime) -> int:
    return known.minutes_between(start, end)


def by_hand(  # noqa: PLR0912, PLR0915 -- one case an event
    known: WorkingTime, entries: Sequence[Entry], before: datetime
) -> list[Told]:
    """Each request by itself; what the clerk, agency and post had, span by span."""
    lives: dict[Any, Told] = {}
    # When the agency and the post got what they have now.
    agencys: dict[Any, datetime] = {}
    posts: dict[Any, datetime] = {}
    to_answer: set[Any] = set()
    for entry in entries:
        key = entry.aggregate_id
        body = parse_body(entry.body)
        at = datetime.fromisoformat(body["effective_at"])
        if at >= before:
            continue
        data = body["data"]
        happened = entry.topic.split(".")[2]
        if happened == "submitted":
            lives[key] = Told(centre_code=data["centre"])
        if key not in lives:
            continue
        told = lives[key]
        if happened == "accepted":
            told.accepted = at
            told.is_reply = data["terms"]["route"] == "reply"
            told.due = data["terms"]["due_at"]
        elif told.accepted is None:
            continue
        elif happened == "forwarded":
            agencys[key] = at
            told.answer_due = data["answer_due_at"]
        elif happened == "agency-responded" and told.is_reply:
            if key in agencys:
                told.agency += working(known, agencys.pop(key), at)
            if data["outcome"] == "information_needed":
                to_answer.add(key)
            if told.first_answer is None:
                told.first_answer = told.agency
                told.is_answer_in_time = body["effective_at"] <= told.answer_due
        elif happened == "information-requested":
            if key in agencys:
                told.agency += working(known, agencys.pop(key), at)
                to_answer.add(key)
            told.asked.append((at, None))
        elif happened == "information-supplied":
            told.asked[-1] = (told.asked[-1][0], at)
            told.due = data.get("due_at", told.due)
            told.answer_due = data.get("answer_due_at", told.answer_due)
            if key in to_answer:
                to_answer.discard(key)
                agencys[key] = at
        elif happened in {"mailed", "handed-over", "result-told"}:
            if told.ended is None:
                told.ended, told.is_completed = at, True
                told.is_in_time = body["effective_at"] <= told.due
            if happened == "mailed":
                posts[key] = at
        elif happened in {"returned", "delivered", "collected"}:
            told.post += working(known, posts.pop(key), at)
            told.is_received = happened != "returned"
        elif happened in {"withdrawn", "expired"}:
            told.ended = at
    return list(lives.values())


def stopped(known: WorkingTime, told: Told, until: datetime) -> int:
    return sum(working(known, begun, end or until) for begun, end in told.asked)


def part(minutes: Sequence[int | None]) -> Part:
    """The nearest rank: the smallest that half, or nine of ten, do not exceed."""
    found = sorted(each for each in minutes if each is not None)
    if not found:
        return Part(n=0, median=None, p90=None)
    median, p90 = (found[ceil(len(found) * tenths / 10) - 1] for tenths in (5, 9))
    return Part(n=len(found), median=median, p90=p90)


def times_by_hand(
    known: WorkingTime, told: Sequence[Told], until: datetime
) -> dict[str, Any]:
    done = [each for each in told if each.is_completed]
    whole = [
        working(known, each.accepted, each.ended) - stopped(known, each, each.ended)
        for each in done
        if each.accepted and each.ended
    ]
    going = [each for each in told if each.accepted and each.ended is None]
    ages = [
        working(known, each.accepted, until) - stopped(known, each, until)
        for each in going
        if each.accepted
    ]
    answered = [each for each in done if each.first_answer is not None]
    return {
        "completed": len(done),
        "whole": part(whole),
        "centre": part(
            [minutes - each.agency for minutes, each in zip(whole, done, strict=True)]
        ),
        "agency": part([each.agency for each in done if each.is_reply]),
        "post": part([each.post for each in done if each.is_received]),
        "first_answer": part([each.first_answer for each in answered]),
        "inside_limit": Share(
            n=len(done), inside=sum(each.is_in_time for each in done)
        ),
        "first_answer_inside_limit": Share(
            n=len(answered), inside=sum(each.is_answer_in_time for each in answered)
        ),
        "open": len(going),
        "oldest_open": max(ages, default=None),
    }


def facts(times: Times) -> dict[str, Any]:
    return {name: getattr(times, name) for name in Times.__slots__ if name != "group"}


class TestTimes:
    def test_times_are_right_as_of_any_position_and_any_time(
        self, office: Office
    ) -> None:
        office.live(50, seed=1)
        office.runner.catch_up()
        entries = office.entries
        random = Random(2)  # noqa: S311
        moments = [
            datetime.fromisoformat(parse_body(entry.body)["effective_at"])
            for entry in entries
        ]
        asked: list[tuple[int | None, datetime | None]] = [(None, None)]
        asked += [(random.randrange(len(entries) + 1), None) for _ in range(30)]
        asked += [(None, random.choice(moments)) for _ in range(30)]
        asked += [
            (random.randrange(len(entries) + 1), random.choice(moments))
            for _ in range(60)
        ]
        seen: set[str] = set()
        for position, at in asked:
            found = office.queries.times(
                EVERYTHING,
                first=FIRST,
                last=LAST,
                now=EVER,
                by=[TurnaroundBy.CENTRE],
                as_of=position,
                effective_at=at,
            )
            before = (at or EVER) + timedelta(microseconds=1)
            known = entries if position is None else entries[:position]
            told = by_hand(WORKING_TIME, known, before)
            groups = {times.group["centre"]: facts(times) for times in found}
            for centre in {each.centre_code for each in told}:
                of_centre = [each for each in told if each.centre_code == centre]
                expected = times_by_hand(WORKING_TIME, of_centre, at or EVER)
                if expected["completed"] or expected["open"]:
                    assert groups.pop(centre) == expected, (position, at)
                    seen |= {name for name, value in expected.items() if value}
            assert not groups
        assert seen == set(Times.__slots__) - {"group"}

    def test_times_by_month_and_day_are_of_the_completion_and_say_nothing_of_the_open(
        self, office: Office
    ) -> None:
        office.live(50, seed=3)
        office.runner.catch_up()
        told = by_hand(WORKING_TIME, office.entries, EVER)
        for by, digits in ((TurnaroundBy.MONTH, 7), (TurnaroundBy.DAY, 10)):
            found = office.queries.times(
                EVERYTHING, first=FIRST, last=LAST, now=EVER, by=[by]
            )
            for times in found:
                of_period = [
                    each
                    for each in told
                    if each.is_completed
                    and each.ended
                    and each.ended.astimezone(OFFICE_ZONE).date().isoformat()[:digits]
                    == times.group[by]
                ]
                expected = times_by_hand(WORKING_TIME, of_period, EVER)
                assert facts(times) == {
                    **expected,
                    "open": None,
                    "oldest_open": None,
                }
            assert sum(times.completed for times in found) == sum(
                each.is_completed for each in told
            )

    def test_what_was_not_measured_is_none_and_says_of_how_many(
        self, office: Office
    ) -> None:
        day = date(2026, 11, 1)
        office.live(20, seed=4)
        office.runner.catch_up()
        (total,) = office.queries.times(
            EVERYTHING, first=day, last=day, now=EVER, by=()
        )
        assert total.completed == 0
        assert total.whole == Part(n=0, median=None, p90=None)
        assert total.open
        nowhere = office.queries.times(
            Scope(centre="SY-XX-09"), first=day, last=day, now=EVER
        )
        assert nowhere == ()

    def test_the_oldest_open_is_none_older_for_a_stop_of_its_clock(
        self, office: Office
    ) -> None:
        office.live(60, seed=5)
        office.runner.catch_up()
        told = by_hand(WORKING_TIME, office.entries, EVER)
        assert any(each.asked and each.ended is None for each in told)


class TestRows:
    def test_batches_of_any_size_make_the_same_rows(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office.live(30, seed=6)
        office.runner.catch_up()
        whole = office.rows()
        assert all(whole.values())
        for size in (1, 7):
            office.start_over()
            monkeypatch.setattr("projections.runner.BATCH_SIZE", size)
            office.runner.catch_up()
            assert office.rows() == whole
