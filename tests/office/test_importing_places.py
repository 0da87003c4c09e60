"""What a mapping declares: places, staff, stamps, days, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from uuid import UUID

import pytest

from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.agencies import Agency, AgencyScope
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import ClerkLeftError
from domain.services import Service
from domain.stamps import Stamp
from office.importing import Importer, RowFate, read_mapping
from tests.office.whole_history import WHOLE, Whole, changed


def test_staff_are_there_as_the_mapping_says(whole: Whole) -> None:
    whole.run()
    clerk = whole.scene.house.ledger.find(Clerk, Clerk.id_of("w/W-01/9"))
    assert clerk is not None
    assert clerk.agencies == ("W-CIV", "W-LAND")
    assert [each.first.isoformat() for each in clerk.absences] == [
        "2024-02-01",
        "2024-03-01",
    ]
    assert str(clerk.left_on) == "2024-12-01"


def test_what_became_of_places_and_staff_is_taken_over(whole: Whole) -> None:
    report = changed(whole)
    assert report.is_clean, report.notes
    find = whole.scene.house.ledger.find

    def days(is_so: Callable[[date], bool], *told: str) -> list[bool]:
        return [is_so(date.fromisoformat(f"2024-{day}")) for day in told]

    agency = find(Agency, Agency.id_of("W-OLD"))
    centre = find(Centre, Centre.id_of("W-03"))
    service = find(Service, Service.id_of("W-REST"))
    stamp = find(Stamp, Stamp.id_of("W-STAMP-2"))
    clerk = find(Clerk, Clerk.id_of("w/W-01/8"))
    assert agency
    assert centre
    assert service
    assert stamp
    assert clerk
    assert agency.published.name_en == "A new one"
    assert days(agency.is_open_on, "02-29", "03-01", "04-30", "05-01") == [1, 0, 0, 1]
    assert days(centre.is_open_on, "01-31", "02-01", "02-29", "03-01") == [1, 0, 0, 1]
    rest = ("01-31", "02-01", "02-03", "02-04", "04-01", "04-09", "04-10")
    assert days(service.is_offered_on, *rest) == [1, 0, 0, 1, 0, 0, 1]
    assert days(stamp.is_valid_on, "02-29", "03-01") == [1, 0]
    assert str(stamp.created_on.date()) == "2024-02-01"
    assert days(clerk.is_available_on, "02-29", "03-01", "03-04", "03-05") == [
        *(1, 0, 0, 1)
    ]
    assert (clerk.centre, clerk.agencies, clerk.left_on) == ("W-02", ("W-CIV",), None)
    told = [
        entry.topic.removeprefix("sijil.clerk.").removesuffix(".v1")
        for entry in whole.scene.entries(clerk.id)
    ]
    assert told == [
        "appointed",
        "made-responsible",
        "made-responsible",
        "relieved",
        "away",
        "back",
        "left",
        "appointed",
        "made-responsible",
    ]
    # Each took effect on its own day, after what came before it.
    assert not any(b"claimed_at" in entry.body for entry in whole.scene.entries())
    head = whole.scene.house.ledger.reader.head().position
    assert changed(whole).fates == {RowFate.REPEATED: report.rows_read}
    assert whole.scene.house.ledger.reader.head().position == head


def test_a_step_goes_by_what_held_on_its_day(whole: Whole) -> None:
    changed(whole)
    requests = whole.requests()
    # The clerk was at the first centre in January, and at the second in July.
    for case, centre in (("moved-1", "W-01"), ("moved-2", "W-02")):
        assert (requests[case].clerk, requests[case].centre) == ("w/W-01/8", centre)
    before, after = requests["asked-3"].terms, requests["asked-2"].terms
    assert before is not None
    assert after is not None
    assert (before.completion_days, after.completion_days) == (5, 9)
    # From Monday 8 July on, the 14th is off by the calendar as it was corrected.
    assert after.due_at.date().isoformat() == "2024-07-22"
    assert [each.version for each in after.calendars] == [2]
    assert [each.version for each in before.calendars] == [1]


OURS = Act(
    command_id=UUID(int=7),
    actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
    correlation_id=UUID(int=7),
    effective_at=datetime(2024, 1, 1, tzinfo=UTC),
)
"""What was said in this ledger before the import."""


def test_a_past_does_not_close_what_lives_on_in_this_ledger(whole: Whole) -> None:
    desk = whole.scene.house.catalogue
    facts = {"code": "W-OLD", "name_ar": "جهة", "name_en": "Ours"}
    make = partial(Agency.publish, OURS, scope=AgencyScope.NATIONAL, **facts)
    assert desk.publish_once(Agency, Agency.id_of("W-OLD"), make)
    assert changed(whole).is_clean
    agency = whole.scene.house.ledger.find(Agency, Agency.id_of("W-OLD"))
    assert agency is not None
    assert (agency.version, agency.published.name_en) == (1, "Ours")


def test_a_past_does_not_end_who_works_in_this_office(whole: Whole) -> None:
    code = "clk-W-1"
    make = partial(Clerk.appoint, OURS, code=code, centre="W-01")
    assert whole.scene.house.catalogue.publish_once(Clerk, Clerk.id_of(code), make)
    past = """
[[staff]]
code = "clk-W-1"
centre = "W-01"
agencies = ["W-CIV"]
left_on = 2024-12-01
"""
    whole.toml.write_text(WHOLE + past, encoding="utf-8")
    assert whole.run().is_clean
    clerk = whole.scene.house.ledger.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    assert (clerk.version, clerk.agencies, clerk.left_on) == (1, (), None)


def test_who_was_appointed_by_a_row_is_told_of_by_a_later_mapping(whole: Whole) -> None:
    whole.run()
    later = """
[[staff]]
code = "w/W-01/1"
centre = "W-01"
appointed_on = 2023-12-31
left_on = 2024-12-01
"""
    whole.toml.write_text(WHOLE + later, encoding="utf-8")
    assert whole.run().is_clean
    clerk = whole.scene.house.ledger.find(Clerk, Clerk.id_of("w/W-01/1"))
    assert clerk is not None
    assert str(clerk.left_on) == "2024-12-01"


def test_what_cannot_have_been_stops_before_the_first_row(whole: Whole) -> None:
    gone = """
[[staff]]
code = "w/W-01/7"
centre = "W-01"
left_on = 2024-02-01
away = [{ first = 2024-02-02, last = 2024-02-03 }]
"""
    whole.toml.write_text(WHOLE + gone, encoding="utf-8")
    importer = Importer(whole.scene.house, read_mapping(whole.toml))
    with pytest.raises(ClerkLeftError):
        importer.run(whole.csv)
    assert importer.report.stopped == "clerk-left"
    assert importer.report.rows_read == 0
