"""The simulated history: exact, the same everywhere, by the rules, about nobody."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulation_under_kills import drive
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.calendars import OFFICE_ZONE, Calendar
from domain.governorates import governorates
from domain.ids import code_id
from ledger.bodies import canonical, plain
from ledger.entries import Entry
from office.bulk import Item
from office.commands import SubmitRequest
from office.errors import CommandReusedError
from office.house import House
from office.simulating import assumptions
from office.simulating.days import calendar_of_2025
from office.simulating.draws import Draws, Weighted
from office.simulating.history import History, Options, SimulationError
from office.simulating.people import MARK
from office.simulating.simulation import Simulation, State
from tests.conftest import Database, Server, fresh_database

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "simulation.md"
SMALL = Options(completed=120)
COMPLETING = ("mailed", "handed-over", "result-told")
ENDED = (*COMPLETING, "withdrawn", "expired", "not-accepted")


@pytest.fixture
def house(seeded_database: Database) -> Iterator[House]:
    with House(seeded_database.settings) as made:
        yield made


@pytest.fixture(scope="module")
def large() -> list[Item]:
    return [item for _, item in History(Options(completed=4_000)).items()]


def submissions(items: list[Item]) -> list[SubmitRequest]:
    return [i.command for i in items if isinstance(i.command, SubmitRequest)]


def told(house: House) -> list[Entry]:
    """Every entry of the simulation, in order."""
    entries = house.ledger.reader.entries(after=0, limit=100_000)
    return [each for each in entries if b'"source":"simulation-1"' in each.body]


def stored(house: House) -> list[tuple[Any, ...]]:
    return [(e.aggregate_id, e.version, e.topic, bytes(e.body)) for e in told(house)]


def stages(entries: list[Entry]) -> Counter[str]:
    """Where each request stands at the end, by its events alone."""
    found: dict[Any, str] = {}
    for entry in entries:
        _, thing, happened, _ = entry.topic.split(".")
        if thing == "request" and happened in ("submitted", *ENDED):
            found[entry.aggregate_id] = (
                "completed" if happened in COMPLETING else happened
            )
    return Counter(found.values())


class TestAHistory:
    def test_it_completes_exactly_what_was_asked_for(self, large: list[Item]) -> None:
        completed = set()
        for item in large:
            if item.envelope.route.partition("/")[2] in COMPLETING:
                assert item.envelope.provenance is not None
                completed.add(item.envelope.provenance.case)
        assert len(completed) == 4_000

    def test_the_same_options_give_the_same_acts_on_every_machine(self) -> None:
        digest = hashlib.sha256()
        for recorded_s, item in History(Options(completed=300)).items():
            said = {
                "recorded": recorded_s,
                "id": item.envelope.command_id,
                "at": item.envelope.effective_at,
                "command": item.command,
                "provenance": item.envelope.provenance,
            }
            digest.update(canonical(plain(said)))  # type: ignore[arg-type]
        assert digest.hexdigest() == GOLDEN

    def test_another_seed_gives_another_history(self) -> None:
        first, second = (
            [i.envelope.command_id for _, i in History(options).items()]
            for options in (SMALL, Options(completed=120, seed=2))
        )
        assert not set(first) & set(second)

    def test_the_mix_is_the_documented_one(self, large: list[Item]) -> None:
        asked = Counter(command.service[:3] for command in submissions(large))
        total = asked.total()
        for group, share in (("CIV", 557), ("CRM", 131), ("EMP", 130), ("TMP", 55)):
            assert asked[group] / total == pytest.approx(share / 1_000, abs=0.02)

    def test_governorates_have_their_share_of_the_people(
        self, large: list[Item]
    ) -> None:
        asked = Counter(command.centre for command in submissions(large))
        people = sum(place.population for place in governorates())
        for place in governorates():
            share = asked[f"{place.code}-01"] / asked.total()
            assert share == pytest.approx(place.population / people, abs=0.02)

    def test_a_third_comes_between_nine_and_eleven(self, large: list[Item]) -> None:
        hours = Counter(
            item.envelope.effective_at.astimezone(OFFICE_ZONE).hour
            for item in large
            if isinstance(item.command, SubmitRequest)
            and item.command.channel == "counter"
            and item.envelope.effective_at is not None
        )
        assert (hours[9] + hours[10]) / hours.total() == pytest.approx(0.335, abs=0.02)
        assert set(hours) == set(range(8, 15))

    def test_nothing_happened_outside_the_period_or_before_it_was_recorded(
        self,
    ) -> None:
        last_s = 0
        for recorded_s, item in History(SMALL).items():
            at = item.envelope.effective_at
            assert at is not None
            assert int(at.timestamp()) <= recorded_s
            assert recorded_s >= last_s
            last_s = recorded_s
        assert datetime.fromtimestamp(last_s, UTC).date() <= assumptions.LAST_DAY

    def test_every_way_a_request_can_go_is_gone(self, large: list[Item]) -> None:
        gone = {item.envelope.route.partition("/")[2] for item in large}
        assert gone == {
            *("submitted", "accepted", "not-accepted", "assigned", "fee-paid"),
            *("fee-refunded", "forwarded", "agency-responded", "information-requested"),
            *("information-supplied", "stamped", "mailed", "delivered", "collected"),
            *("returned", "handed-over", "result-told", "informed", "withdrawn"),
            *("expired", "corrected"),
        }

    def test_a_period_without_working_days_is_refused(self) -> None:
        friday = date(2026, 11, 20)
        with pytest.raises(SimulationError):
            History(Options(completed=1, first=friday, last=friday))

    def test_more_than_a_short_period_can_complete_is_refused_in_words(self) -> None:
        short = Options(completed=10_000, first=date(2026, 11, 18))
        with pytest.raises(SimulationError, match="do not fit"):
            History(short)

    def test_every_number_stands_on_the_page(self) -> None:
        page = PAGE.read_text(encoding="utf-8").replace(",", " ")
        known = set(re.findall(r"\d{4}-\d\d-\d\d", page))
        known |= set(re.findall(r"\d+", PAGE.read_text(encoding="utf-8")))
        known |= set(re.findall(r"\d+", page.replace(" 000", "000")))
        # Told in another form: 08:00 counted in minutes, a day in words.
        words = {"330", "4", "1", "0", "9"}
        for name, value in vars(assumptions).items():
            if name.isupper():
                missing = set(_numbers(value)) - known - words
                assert not missing, name


class TestALoad:
    def test_it_adds_up_and_nothing_is_refused(self, house: House) -> None:
        report = Simulation(house, SMALL).run()
        assert not report.refused
        assert report.acts == report.written
        entries = told(house)
        found = stages(entries)
        assert found["completed"] == SMALL.completed
        submitted = sum(e.topic == "sijil.request.submitted.v1" for e in entries)
        assert submitted == found.total()

    def test_loaded_again_everything_is_repeated(self, house: House) -> None:
        simulation = Simulation(house, SMALL)
        assert simulation.state() is State.EMPTY
        simulation.run()
        assert simulation.state() is State.DONE
        head = house.ledger.reader.head().position
        report = simulation.run()
        assert report.repeated == report.acts
        assert house.ledger.reader.head().position == head

    def test_killed_while_it_writes_and_run_again_it_is_the_one_left_alone(
        self, server: Server, seeded_template: str
    ) -> None:
        both = [fresh_database(server, seeded_template) for _ in range(2)]
        try:
            killed, alone = (database.settings for database in both)
            outcome = drive(killed, alone, SMALL, kills=4, batch=40)
        finally:
            for database in both:
                database.close()
        assert outcome.wrong == []
        assert outcome.while_writing > 1

    def test_a_ledger_takes_one_simulated_history_and_says_so(
        self, house: House
    ) -> None:
        Simulation(house, SMALL).run()
        head = house.ledger.reader.head().position
        with pytest.raises(SimulationError, match="another simulated history"):
            Simulation(house, Options(completed=20, seed=2)).run()
        assert house.ledger.reader.head().position == head

    def test_what_an_administrator_published_before_stays(self, house: House) -> None:
        act = Act(
            command_id=code_id("test", "calendar"),
            actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
            correlation_id=code_id("test", "calendar"),
            effective_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        house.ledger.append(
            Calendar.publish(act, year=2025, holidays=calendar_of_2025())
        )
        assert not Simulation(house, Options(completed=20)).run().refused

    def test_it_begins_in_no_ledger_whose_services_came_later(
        self, house: House
    ) -> None:
        before = Options(completed=20, first=date(2025, 8, 17))
        simulation = Simulation(house, before)
        head = house.ledger.reader.head().position
        assert simulation.state() is State.LATE
        with pytest.raises(SimulationError, match="begin on 2025-09-01, the history"):
            simulation.run()
        assert house.ledger.reader.head().position == head
        # Not even that it was asked for is remembered: other days may come in.
        later = Simulation(house, Options(completed=20, first=date(2025, 9, 1)))
        assert later.state() is State.EMPTY

    def test_a_seed_means_one_history(self, house: House) -> None:
        Simulation(house, SMALL).run()
        other = Simulation(house, Options(completed=121))
        assert other.state() is State.OTHERWISE
        with pytest.raises(CommandReusedError):
            other.run()
        assert Simulation(house, Options(completed=1, seed=9)).state() is State.OTHERS

    def test_no_value_of_a_person_is_in_a_body_and_the_vault_has_those_of_the_open(
        self, house: House
    ) -> None:
        Simulation(house, SMALL).run()
        entries = told(house)
        whole = b"".join(bytes(entry.body) for entry in entries).decode()
        assert MARK not in whole
        assert "+963" not in whole
        assert not re.search(r'"000[0-9]{8}"', whole)
        parties = [
            party["id"]
            for entry in entries
            if entry.topic == "sijil.request.submitted.v1"
            for party in json.loads(entry.body)["data"]["parties"]
        ]
        found = stages(entries)
        assert len(parties) >= found["submitted"] > 0
        details = house.vault.details_of(parties)
        assert len(details) == len(parties)
        assert all(person and MARK in person.full_name for person in details.values())


class TestDraws:
    def test_a_case_draws_the_same_whatever_was_drawn_before(self) -> None:
        one, other = Draws(1, 2, 3), Draws(1, 2, 3)
        Draws(9).below(5)
        assert [one.below(100) for _ in range(9)] == [
            other.below(100) for _ in range(9)
        ]

    def test_weights_are_kept(self) -> None:
        draws, coin = Draws(7), Weighted([("often", 9), ("seldom", 1)])
        found = Counter(coin.draw(draws) for _ in range(5_000))
        assert found["often"] / 5_000 == pytest.approx(0.9, abs=0.02)

    def test_a_table_gives_what_lies_between_its_steps(self) -> None:
        draws = Draws(3)
        values = [draws.from_table((10, 20, 100)) for _ in range(4_000)]
        assert min(values) >= 10
        assert max(values) < 100
        assert sum(value < 20 for value in values) / 4_000 == pytest.approx(
            0.5, abs=0.03
        )


GOLDEN = "e0572300ab92ca8bc777f98eacdd23b9f5cbc17e002f3bb5dc651223a0431b8c"
"""Of the acts of one small history: it changes when an assumption does."""


def _numbers(value: object) -> Iterator[str]:
    match value:
        case date():
            yield value.isoformat()
        case bool() | str():
            return
        case int():
            yield str(value)
        case dict():
            # Keys are codes, which the page names, or days of the week.
            for each in value.values():
                yield from _numbers(each)
        case tuple():
            for each in value:
                yield from _numbers(each)
