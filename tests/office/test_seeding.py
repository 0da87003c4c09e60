"""The reference data: whole, from the tables, and the same however often it is sown."""

from __future__ import annotations

import csv
import json
import threading
from importlib.resources import files

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.governorates import governorates
from domain.money import FeeKind, Unit
from domain.services import Service
from domain.stamps import Stamp
from office.catalogue_commands import AppointClerk, RecordDeparture, RelieveClerk
from office.house import House
from office.seeding import SEEDED_AT, SOURCE, clerk_code, seed, stamp_serial
from tests.conftest import Database
from tests.office.scene import Scene, envelope

ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")


def table(name: str) -> list[dict[str, str]]:
    text = (files("domain") / "catalogue" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_seeding_again_appends_nothing(scene: Scene) -> None:
    before = scene.house.ledger.reader.head().position
    assert seed(scene.house.catalogue).new == 0
    assert scene.house.ledger.reader.head().position == before


def test_two_seeding_at_once_sow_everything_once(database: Database) -> None:
    new: list[int] = []
    start = threading.Barrier(2)

    def sow() -> None:
        with House(database.settings) as house:
            start.wait()
            new.append(seed(house.catalogue).new)

    threads = [threading.Thread(target=sow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with House(database.settings) as house:
        assert sum(new) == house.ledger.reader.head().position
        assert seed(house.catalogue).new == 0


def test_every_line_of_the_tables_is_an_event_that_says_where_from(
    scene: Scene,
) -> None:
    entries = scene.entries()
    kinds: dict[str, int] = {}
    for entry in entries:
        body = json.loads(entry.body)
        assert body["actor"]["kind"] == "import"
        assert body["provenance"]["source"] == SOURCE
        kinds[entry.topic] = kinds.get(entry.topic, 0) + 1
    places, agencies = len(governorates()), len(table("agencies"))
    assert kinds == {
        "sijil.agency.published.v1": agencies,
        # Once in old pounds and once in new ones, where there is a fee.
        "sijil.service.published.v1": len(table("services"))
        + sum(row["fee_syp"] != "0" for row in table("services")),
        "sijil.calendar.published.v1": 1,
        "sijil.centre.opened.v1": places,
        "sijil.clerk.appointed.v1": 3 * places,
        "sijil.clerk.made-responsible.v1": agencies * places,
        "sijil.stamp.issued.v1": 5 * places,
    }


def test_a_service_says_what_its_line_says(scene: Scene) -> None:
    codes = {row["name_ar"]: row["code"] for row in table("documents")}
    for row in table("services"):
        service = scene.house.ledger.find(Service, Service.id_of(row["code"]))
        assert service is not None
        told = service.published
        assert told.name_ar == row["name_ar"]
        assert told.completion_days == int(row["turnaround_working_days"])
        assert [document.code for document in told.documents] == [
            codes[name] for name in row["documents"].split(";") if name
        ]
        pounds = int(row["fee_syp"])
        assert [(f.kind, f.amount, f.unit) for f in told.fee_lines] == (
            [(FeeKind.STATE_FEE, 100 * pounds, Unit.NEW)] if pounds else []
        )


def test_each_agency_has_exactly_one_clerk_in_every_centre(scene: Scene) -> None:
    for governorate in governorates():
        centre = scene.house.ledger.find(Centre, Centre.id_of(f"{governorate.code}-01"))
        assert centre is not None
        held: list[str] = []
        for number in (1, 2, 3):
            code = clerk_code(governorate.code, number)
            clerk = scene.house.ledger.find(Clerk, Clerk.id_of(code))
            assert clerk is not None
            assert clerk.centre == centre.code
            held += clerk.agencies
        assert sorted(held) == sorted(row["code"] for row in table("agencies"))
        serial = stamp_serial(governorate.code, 5)
        stamp = scene.house.ledger.find(Stamp, Stamp.id_of(serial))
        assert stamp is not None
        assert stamp.centre == centre.code


def test_the_calendar_is_that_of_2026_and_bars_no_backdated_work(scene: Scene) -> None:
    calendar = scene.house.ledger.find(Calendar, Calendar.id_of(2026))
    assert calendar is not None
    assert calendar.created_on == SEEDED_AT


@pytest.mark.parametrize("name", ["documents", "agencies", "services"])
def test_no_code_and_no_name_stands_twice(name: str) -> None:
    rows = table(name)
    assert len({row["code"] for row in rows}) == len(rows)
    if name == "documents":
        assert len({row["name_ar"] for row in rows}) == len(rows)


def test_seeding_again_gives_back_nothing_that_the_administrator_took(
    scene: Scene,
) -> None:
    """``sijil run`` sows at every start, whatever has become of the clerks since."""
    catalogue = scene.house.catalogue
    for code, act in (
        (
            clerk_code("SY-DI", 1),
            lambda code, asked: catalogue.relieve_clerk(
                RelieveClerk(clerk=code, agencies=("CIV",)), asked
            ),
        ),
        (
            clerk_code("SY-DI", 2),
            lambda code, asked: catalogue.record_departure(
                RecordDeparture(clerk=code), asked
            ),
        ),
        (
            clerk_code("SY-DI", 3),
            lambda code, asked: catalogue.appoint_clerk(
                AppointClerk(code=code, centre="SY-HL-01"), asked
            ),
        ),
    ):
        version = scene.entries(Clerk.id_of(code))[-1].version
        act(code, envelope(ADMINISTRATOR, if_version=version))
    before = scene.house.ledger.reader.head().position
    assert seed(catalogue).new == 0
    assert scene.house.ledger.reader.head().position == before
