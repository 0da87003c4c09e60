"""What a start says of the history it loads, or does not."""

from __future__ import annotations

from datetime import date

import pytest

from api.cli.first_start import FirstStart
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.ids import code_id
from domain.services import Service
from office.house import House
from office.seeding import SEEDED_AT, offers, seed
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from tests.conftest import Database


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIJIL_SIMULATE", raising=False)


def first_start(database: Database) -> FirstStart:
    # A program that cannot be started: nothing may try.
    return FirstStart(database.settings, ("/nowhere/sijil",), say=lambda _: None)


def begun_in_2026(database: Database) -> None:
    """A ledger as a release seeded it that knew of no history before 2026."""
    offer = offers()[0]
    act = Act(
        command_id=code_id("test", "published"),
        actor=Actor(kind=ActorKind.IMPORT, id="sijil-catalogue", place=MINISTRY),
        correlation_id=code_id("test", "published"),
        effective_at=SEEDED_AT,
    )
    with House(database.settings) as house:
        house.ledger.append(Service.publish(act, offer))
        seed(house.catalogue)


def test_a_ledger_of_an_earlier_release_is_told_why_no_history_comes(
    database: Database,
) -> None:
    begun_in_2026(database)
    first = first_start(database)
    assert "would begin on 2025-09-09" in first.described
    assert "sijil simulate --first-day 2026-01-01" in first.described
    first.start()
    first.look()
    first.stop()


def test_what_it_advises_there_comes_in(database: Database) -> None:
    begun_in_2026(database)
    options = Options(completed=20, first=date(2026, 1, 1))
    with House(database.settings) as house:
        assert not Simulation(house, options).run().refused
    assert "with another number" in first_start(database).described


def test_where_an_earlier_release_had_begun_one_it_does_not_go_on(
    database: Database,
) -> None:
    begun_in_2026(database)
    with House(database.settings) as house:
        simulation = Simulation(house, Options())
        house.acts.remember(simulation._marker("simulation"), simulation._asked())
    assert "No simulated history comes in" in first_start(database).described


def test_an_empty_ledger_gets_one(seeded_database: Database) -> None:
    said = first_start(seeded_database).described
    assert "A simulated history of 44,000 completed requests" in said
    assert "SIJIL_SIMULATE=0 stops that" in said
