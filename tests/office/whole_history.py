"""A history with every act in it, and what became of the office it belongs to."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from domain.post import item_number
from domain.requests import ServiceRequest
from domain.stages import Stage
from office.importing import Importer, ImportReport, read_mapping
from tests.office.scene import DIGEST, Scene

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
