"""Every act of the rules from a mapping, at several centres, by whom rows name."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.clerks import Clerk
from domain.post import item_number
from domain.requests import ServiceRequest
from domain.stages import Stage
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
        ("[columns]", '[file]\nencoding = "klingon"\n[columns]'),
    ],
)
def test_a_wrong_mapping_is_refused_whole(whole: Whole, old: str, new: str) -> None:
    assert old in WHOLE
    whole.toml.write_text(WHOLE.replace(old, new), encoding="utf-8")
    with pytest.raises(MappingError):
        read_mapping(whole.toml)
