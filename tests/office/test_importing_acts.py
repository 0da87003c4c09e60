"""Every act of the rules from a mapping, at several centres, by whom rows name."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.domain import CanMutateAggregate

from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.agencies import Agency, AgencyScope
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import ClerkLeftError
from domain.post import item_number
from domain.requests import ServiceRequest
from domain.services import Service
from domain.stages import Stage
from domain.stamps import Stamp
from office.bulk import METHODS
from office.importing import (
    Importer,
    ImportReport,
    MappingError,
    RowFate,
    read_mapping,
)
from office.importing.acts import COMMANDS, ActName
from tests.conftest import Database
from tests.docs.surface import subclasses
from tests.office.scene import DIGEST, Scene, scene_in

WHOLE = """
source = "whole"
[columns]
case = "case"
activity = "step"
time = "at"
[times]
zone = "Asia/Damascus"
[governorate]
code = "SY-DI"
name_ar = "دمشق"
name_en = "Damascus"
[[centres]]
code = "W-01"
name_ar = "مركز أول"
name_en = "First"
opened_on = 2024-01-01
[[centres]]
code = "W-02"
name_ar = "مركز ثان"
name_en = "Second"
opened_on = 2024-06-01
governorate = "SY-HL"
[[agencies]]
code = "W-CIV"
name_ar = "جهة"
name_en = "An agency"
[[agencies]]
code = "W-LAND"
name_ar = "جهة أخرى"
name_en = "Another"
[[services]]
code = "W-PAPER"
agency = "W-CIV"
name_ar = "وثيقة"
name_en = "A paper"
completion_days = 3
is_direct = true
paper = true
live_stamp = true
post = true
basis = "invented for a test"
documents = [{ code = "id-card", name_ar = "هوية", name_en = "Identity card" }]
fee_lines = [{ kind = "state_fee", amount = 3000, unit = "SYP.new" }]
[[services]]
code = "W-ASK"
agency = "W-LAND"
name_ar = "سؤال"
name_en = "A question"
completion_days = 5
is_direct = ["SY-HL"]
paper = false
live_stamp = false
post = false
basis = "invented for a test"
[chosen.centre]
column = "office"
values = { one = "W-01", two = "W-02" }
[chosen.service]
column = "service"
values = { paper = "W-PAPER", ask = "W-ASK" }
[clerks]
responsible = "who"
prefix = "w/{centre}/"
[[staff]]
code = "w/W-01/9"
centre = "W-01"
agencies = ["W-CIV", "W-LAND"]
away = [
    { first = 2024-02-01, last = 2024-02-10, reason = "leave" },
    { first = 2024-03-01, last = 2024-03-02 },
]
left_on = 2024-12-01
[[stamps]]
serial = "W-STAMP-1"
centre = "W-01"
[[calendars]]
year = 2024
weekend = [4, 5]
holidays = [{ day = 2024-01-09, name_ar = "عطلة", name_en = "A holiday" }]
[activities.in]
act = "submitted"
facts = { relationship = "self", delivery = "home", channel = "counter" }
columns = { documents = "what" }
[activities.take]
act = "claimed"
columns = { clerk = "what" }
[activities.give]
act = "assigned"
columns = { clerk = "what" }
[activities.drop]
act = "released"
columns = { reason = "what" }
values = { reason = { away = "clerk_away", back = "given_back" } }
[activities.ok]
act = "accepted"
columns = { documents = "what" }
[activities.no]
act = "not-accepted"
columns = { reason = "what", missing = "more" }
values = { reason = { lacking = "documents_missing" } }
[activities.pay]
act = "fee-paid"
facts = { channel = "bank", unit = "SYP.new" }
columns = { amount = "what", bank_reference = "more" }
[activities.repay]
act = "fee-refunded"
facts = { channel = "cash", kinds = ["state_fee"] }
columns = { reason = "what" }
[activities.send]
act = "forwarded"
columns = { agency_reference = "what" }
[activities.answer]
act = "agency-responded"
columns = { outcome = "what", reason = "more" }
values = { outcome = { yes = "issued", no = "refused", more = "information_needed" } }
[activities.ask]
act = "information-requested"
columns = { missing = "what" }
values = { missing = { photo = "photograph", name = "full_name" } }
[activities.told-more]
act = "information-supplied"
columns = { supplied = "what" }
values = { supplied = { photo = "photograph", name = "full_name" } }
[activities.stamp]
act = "stamped"
columns = { serial = "what", stamped_digest = "more" }
[activities.post]
act = "mailed"
facts = { to = "home" }
columns = { item = "what" }
[activities.home]
act = "delivered"
facts = { capacity = "self" }
columns = { item = "what" }
[activities.fetched]
act = "collected"
facts = { capacity = "self" }
columns = { item = "what" }
[activities.returned]
act = "returned"
facts = { reason = "address_unknown" }
columns = { item = "what" }
[activities.hand]
act = "handed-over"
facts = { capacity = "self" }
[activities.told]
act = "result-told"
facts = { means = "phone" }
[activities.letter]
act = "informed"
facts = { message = "ready", means = "sms" }
[activities.never-mind]
act = "withdrawn"
facts = { reason = "not_needed" }
[activities.gone]
act = "expired"
[activities.right]
act = "corrected"
facts = { reason = "typing_error" }
columns = { delivery = "what" }
"""
CHANGED = """
[[agencies]]
code = "W-OLD"
name_ar = "جهة قديمة"
name_en = "An old one"
closed_on = 2024-03-01
closed_because = "merged"
[[agencies]]
code = "W-OLD"
since = 2024-05-01
name_ar = "جهة جديدة"
name_en = "A new one"
[[centres]]
code = "W-03"
name_ar = "مركز ثالث"
name_en = "Third"
opened_on = 2024-01-01
closed_on = 2024-02-01
closed_because = "works"
[[centres]]
code = "W-03"
name_ar = "مركز ثالث"
name_en = "Third"
opened_on = 2024-03-01
[[services]]
code = "W-REST"
agency = "W-OLD"
name_ar = "خدمة"
name_en = "A service that rested"
completion_days = 5
is_direct = true
paper = false
live_stamp = false
post = false
basis = "invented for a test"
suspended = [
    { first = 2024-04-01, resumed_on = 2024-04-10 },
    { first = 2024-02-01, last = 2024-02-03, reason = "system_down" },
]
[[services]]
code = "W-ASK"
since = 2024-06-15
agency = "W-LAND"
name_ar = "سؤال"
name_en = "A question"
completion_days = 9
is_direct = ["SY-HL"]
paper = false
live_stamp = false
post = false
basis = "invented for a test"
[[stamps]]
serial = "W-STAMP-2"
centre = "W-01"
issued_on = 2024-02-01
withdrawn_on = 2024-03-01
withdrawn_because = "lost"
[[staff]]
code = "w/W-01/8"
centre = "W-01"
agencies = ["W-LAND"]
responsible = [{ agency = "W-CIV", since = 2024-01-10, relieved_on = 2024-02-01 }]
away = [{ first = 2024-03-01, back_on = 2024-03-05, reason = "mission" }]
left_on = 2024-05-01
[[staff]]
code = "w/W-01/8"
centre = "W-02"
appointed_on = 2024-06-01
agencies = ["W-CIV"]
[[calendars]]
year = 2024
since = 2024-06-20
weekend = [4, 5]
holidays = [{ day = 2024-07-14, name_ar = "عطلة", name_en = "A holiday" }]
hours = [{ first = 2024-03-11, last = 2024-04-09, opens = "09:00", closes = "14:00" }]
[activities.hold]
act = "assigned"
columns = { clerk = "what" }
values = { clerk = { eight = "w/W-01/8" } }
"""
"""What became of places, services, stamps, staff and days, each on its day."""
HEADER = ("case", "step", "at", "office", "service", "who", "what", "more")
FIRST, SECOND = "RA473124829GB", item_number(2)

Step = tuple[str, str, str]


def case_of(name: str, office: str, service: str, steps: list[Step]) -> list[list[str]]:
    """The rows of one case, a day apart from 7 January 2024 on."""
    return [
        [
            name,
            step,
            f"2024-{'07' if office == 'two' else '01'}-{7 + day:02d} 10:00",
            office,
            service,
            "1" if step == "in" else "",
            what,
            more,
        ]
        for day, (step, what, more) in enumerate(steps)
    ]


PAY: Step = ("pay", "3000", "bank-77")
PAID: list[Step] = [
    ("in", "id-card", ""),
    ("ok", "id-card", ""),
    PAY,
    ("answer", "yes", ""),
    ("stamp", "W-STAMP-1", DIGEST),
]
LIVES: dict[str, tuple[str, str, list[Step], Stage]] = {
    "returned-1": (
        "one",
        "paper",
        [
            *PAID,
            ("right", "post_office", ""),
            ("post", FIRST, ""),
            ("returned", FIRST, ""),
            ("post", SECOND, ""),
            ("fetched", SECOND, ""),
            ("letter", "", ""),
        ],
        Stage.COMPLETED_ISSUED,
    ),
    "home-1": (
        "one",
        "paper",
        [*PAID, ("post", FIRST, ""), ("home", FIRST, "")],
        Stage.COMPLETED_ISSUED,
    ),
    "counter-1": ("one", "paper", [*PAID, ("hand", "", "")], Stage.COMPLETED_ISSUED),
    "withdrawn-1": (
        "one",
        "paper",
        [*PAID[:3], ("never-mind", "", ""), ("repay", "withdrawn", "")],
        Stage.WITHDRAWN,
    ),
    "declined-1": (
        "one",
        "paper",
        [("in", "", ""), ("no", "lacking", "id-card")],
        Stage.NOT_ACCEPTED,
    ),
    "expired-1": (
        "one",
        "paper",
        [*PAID[:2], *([("letter", "", "")] * 12), ("gone", "", "")],
        Stage.EXPIRED,
    ),
    "asked-1": (
        "two",
        "ask",
        [
            ("in", "", ""),
            ("take", "1", ""),
            ("drop", "back", ""),
            ("ok", "", ""),
            ("give", "2", ""),
            ("drop", "away", ""),
            ("ask", "photo; name", ""),
            ("told-more", "photo;name", ""),
            ("answer", "no", "no-record"),
            ("told", "", ""),
        ],
        Stage.COMPLETED_REFUSED,
    ),
    "reply-1": (
        "one",
        "ask",
        [
            ("in", "", ""),
            ("ok", "", ""),
            ("send", "ref-1", ""),
            ("answer", "yes", ""),
            ("told", "", ""),
        ],
        Stage.COMPLETED_ISSUED,
    ),
}


class Whole:
    """All lives in one file."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.csv, self.toml = folder / "whole.csv", folder / "whole.toml"
        self.toml.write_text(WHOLE, encoding="utf-8")
        self.write(
            [
                row
                for name, (office, service, steps, _) in LIVES.items()
                for row in case_of(name, office, service, steps)
            ]
        )

    def write(self, rows: list[list[str]]) -> None:
        with self.csv.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])

    def run(self) -> ImportReport:
        report = Importer(self.scene.house, read_mapping(self.toml)).run(self.csv)
        assert report.adds_up
        return report

    def requests(self) -> dict[str, ServiceRequest]:
        found = {}
        for entry in self.scene.entries():
            if entry.topic == "sijil.request.submitted.v1":
                case = json.loads(entry.body)["provenance"]["case"]
                request = self.scene.house.ledger.find(
                    ServiceRequest, entry.aggregate_id
                )
                assert request is not None
                found[case] = request
        return found


@pytest.fixture
def whole(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with scene_in(database) as scene:
        yield Whole(scene, tmp_path)


def test_each_act_name_has_a_command_that_somebody_can_do() -> None:
    assert set(COMMANDS) == set(ActName)
    assert set(COMMANDS.values()) <= set(METHODS)


def test_every_act_of_the_rules_is_taken_over(whole: Whole) -> None:
    report = whole.run()
    assert report.notes == []
    assert report.is_clean
    requests = whole.requests()
    assert {case: r.stage for case, r in requests.items()} == {
        case: stage for case, (*_, stage) in LIVES.items()
    }
    told = Counter(
        entry.topic.split(".")[2]
        for entry in whole.scene.entries()
        if entry.topic.startswith("sijil.request.")
    )
    assert set(told) == set(ActName)
    again = whole.run()
    assert again.fates == {RowFate.REPEATED: report.rows_read}


def test_centre_service_and_agency_are_chosen_by_columns(whole: Whole) -> None:
    whole.run()
    requests = whole.requests()
    asked, reply = requests["asked-1"], requests["reply-1"]
    assert (asked.centre, asked.governorate, asked.agency) == (
        "W-02",
        "SY-HL",
        "W-LAND",
    )
    assert (reply.centre, reply.governorate) == ("W-01", "SY-DI")
    assert asked.terms is not None
    assert reply.terms is not None
    assert (asked.terms.route, reply.terms.route) == ("direct", "reply")
    assert requests["home-1"].clerk == "w/W-01/1"
    bodies = [json.loads(e.body) for e in whole.scene.entries(asked.id)]
    assert {body["actor"]["place"] for body in bodies} == {"W-02"}


def test_the_mappings_holiday_moves_a_due_day(whole: Whole) -> None:
    whole.run()
    terms = whole.requests()["home-1"].terms
    assert terms is not None
    # Accepted on Monday the 8th; the 9th is off, Friday and Saturday are the weekend.
    assert terms.due_at.date().isoformat() == "2024-01-14"


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


def changed(whole: Whole) -> ImportReport:
    whole.toml.write_text(WHOLE + CHANGED, encoding="utf-8")
    rows = [
        *case_of("moved-1", "one", "ask", [("in", "", ""), ("hold", "eight", "")]),
        *case_of("moved-2", "two", "ask", [("in", "", ""), ("hold", "eight", "")]),
        *case_of("asked-2", "two", "ask", [("in", "", ""), ("ok", "", "")]),
        *case_of("asked-3", "one", "ask", [("in", "", ""), ("ok", "", "")]),
    ]
    whole.write(rows)
    return whole.run()


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
    code = "w/W-01/9"
    make = partial(Clerk.appoint, OURS, code=code, centre="W-01")
    assert whole.scene.house.catalogue.publish_once(Clerk, Clerk.id_of(code), make)
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


def test_every_act_that_the_rules_know_is_imported_or_said_why_not(
    whole: Whole,
) -> None:
    whole.run()
    changed(whole)
    told = {entry.topic for entry in whole.scene.entries()}
    page = Path(__file__).parents[2] / "docs" / "reference" / "import-mapping.md"
    without = page.read_text("utf-8").partition("## What is never imported")[2]
    named = {f"sijil.{each}.v1" for each in re.findall(r"`([a-z.-]+)`", without)}
    known = {
        topic
        for kind in subclasses(CanMutateAggregate)
        if isinstance(topic := kind.__dict__.get("TOPIC"), str)
        and kind.__module__.startswith("domain.")
        and not topic.endswith(".created.v1")
        and topic.endswith(".v1")
    }
    assert len(known) > 40
    assert known - told <= named
    assert not told & named


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"office": "three"}, "centre-not-mapped"),
        ({"office": ""}, "centre-not-mapped"),
        ({"service": "other"}, "service-not-mapped"),
        ({"what": "passport"}, "invalid-value: unknown-code"),
        ({"at": "2023-12-31 10:00"}, "before-the-centre-opened"),
    ],
)
def test_what_is_not_mapped_is_refused_not_assumed(
    whole: Whole, change: dict[str, str], reason: str
) -> None:
    (row,) = case_of("c-1", "one", "paper", [("in", "id-card", "")])
    whole.write([list({**dict(zip(HEADER, row, strict=True)), **change}.values())])
    assert [note.reason for note in whole.run().notes] == [reason]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([("answer", "perhaps", "")], "facts-do-not-fit: outcome"),
        ([PAY, ("answer", "no", "")], "invalid-value: outcome"),
        ([PAY, ("answer", "no", "زبيدة")], "invalid-value: shape"),
        ([("pay", "30.00", "bank-77")], "facts-do-not-fit: amount"),
        ([("pay", "2999", "bank-77")], "wrong-amount"),
        ([("pay", "3000", "04130977215")], "invalid-value: may-be-a-persons-number"),
        ([("answer", "yes", ""), ("stamp", "W-9", DIGEST)], "fee-unpaid"),
        ([("gone", "", "")], "effective-time: before-limit"),
        ([("take", "زبيدة", "")], "clerk-not-a-code"),
        ([("take", "", "")], "facts-do-not-fit: clerk"),
        ([("ask", "everything", "")], "facts-do-not-fit: missing"),
    ],
)
def test_what_the_rules_forbid_is_refused_with_its_reason(
    whole: Whole, steps: list[Step], reason: str
) -> None:
    whole.write(case_of("c-1", "one", "paper", [*PAID[:2], *steps]))
    report = whole.run()
    assert report.notes[0].reason == reason
    assert report.fates[RowFate.WRITTEN] == 2 + (PAY in steps)


@pytest.mark.parametrize("digest", ["زبيدة المرقومة", "04130977215", "", "ABC"])
def test_a_digest_is_a_digest(whole: Whole, digest: str) -> None:
    steps = [*PAID[:4], ("stamp", "W-STAMP-1", digest)]
    whole.write(case_of("c-1", "one", "paper", steps))
    report = whole.run()
    assert [n.reason for n in report.notes] == ["facts-do-not-fit: stamped_digest"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('columns = { clerk = "what" }', 'columns = { klerk = "what" }'),
        ('facts = { means = "phone" }', 'facts = { means = "pigeon" }'),
        ('values = { outcome = { yes = "issued"', 'values = { outcome = { yes = "ok"'),
        ('facts = { message = "ready"', 'facts = { applicant = "me", message = "x"'),
        ('[clerks]\nresponsible = "who"\nprefix = "w/{centre}/"\n', ""),
        ('[chosen.centre]\ncolumn = "office"', '[chosen.center]\ncolumn = "office"'),
        ('agency = "W-LAND"\nname_ar = "سؤال"', 'name_ar = "سؤال"'),
        ("since = 2024-05-01\n", ""),
        ("opened_on = 2024-03-01", "opened_on = 2023-03-01"),
        ('serial = "W-STAMP-2"', 'serial = "W-STAMP-1"'),
        ('reason = "system_down"', 'reason = "rain"'),
        ("[columns]", '[file]\nencoding = "klingon"\n[columns]'),
    ],
)
def test_a_wrong_mapping_is_refused_whole(whole: Whole, old: str, new: str) -> None:
    right = WHOLE + CHANGED
    assert old in right
    whole.toml.write_text(right.replace(old, new), encoding="utf-8")
    with pytest.raises(MappingError):
        read_mapping(whole.toml)
