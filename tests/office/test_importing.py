"""Imported history: it adds up, repeats, says what it refused, and invents nothing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.access import Scope
from domain.stages import WaitingFor
from office.importing import (
    Importer,
    ImportReport,
    MappingError,
    RowFate,
    SourceError,
    read_mapping,
)
from tests.conftest import Database
from tests.office.scene import Scene, scene_in

MAPPING = """
source = "desk"
[columns]
case = "case"
activity = "step"
time = "at"
clerk = "who"
[times]
zone = "Europe/Amsterdam"
[governorate]
code = "NL-01"
name_ar = "بلدية"
name_en = "A municipality"
[centre]
code = "NL-01-01"
name_ar = "مكتب"
name_en = "A desk"
opened_on = 2010-01-01
[agency]
code = "DESK"
name_ar = "جهة"
name_en = "An agency"
[service]
code = "DESK-01"
name_ar = "خدمة"
name_en = "A service"
completion_days = 10
is_direct = true
paper = false
live_stamp = false
post = false
basis = "invented for a test"
[clerks]
responsible = "who"
prefix = "desk/"
[channels]
column = "channel"
values = { web = "online", desk = "counter" }
[activities.in]
act = "submitted"
facts = { relationship = "other", delivery = "counter" }
[activities.ok]
act = "accepted"
[activities.answer]
act = "agency-responded"
columns = { outcome = "outcome", reason = "reason" }
[activities.told]
act = "result-told"
facts = { means = "post" }
[unmapped]
check = "an inner check"
"""
HEADER = ["case", "step", "at", "who", "channel", "outcome", "reason"]


def row(case: str, step: str, minute: int, **more: str) -> list[str]:
    facts = {"who": "R1", "channel": "web", "outcome": "", "reason": "", **more}
    at = facts.pop("at", f"2011-10-11 13:{minute:02d}:00")
    return [case, step, at, *(facts[name] for name in HEADER[3:])]


ROWS = [
    row("c1", "in", 1),
    row("c1", "check", 2),
    row("c1", "ok", 3),
    row("c1", "answer", 4, outcome="refused", reason="no-permit"),
    row("c1", "told", 5),
    row("c2", "in", 6, channel="desk", who="R2"),
    row("c2", "told", 7),
    row("c2", "ok", 8),
    row("c2", "ok", 9),
    row("c3", "ok", 10),
    row("c4", "in", 11, channel="pigeon"),
    row("c5", "in", 12),
    row("c5", "answer", 13, outcome="maybe"),
    row("c5", "surprise", 14),
]


class Desk:
    """A file, a mapping, and the ledger they are imported into."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.csv = folder / "desk.csv"
        self.toml = folder / "desk.toml"
        self.write(ROWS)
        self.toml.write_text(MAPPING, encoding="utf-8")

    def write(self, rows: list[list[str]]) -> None:
        with self.csv.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])

    def map(self, old: str, new: str) -> None:
        assert old in MAPPING
        self.toml.write_text(MAPPING.replace(old, new), encoding="utf-8")

    def run(self) -> ImportReport:
        report = Importer(self.scene.house, read_mapping(self.toml)).run(self.csv)
        assert report.adds_up
        return report

    def head(self) -> int:
        return self.scene.house.ledger.reader.head().position

    def bodies(self) -> list[dict[str, Any]]:
        return [
            {"topic": e.topic, **json.loads(e.body)}
            for e in self.scene.entries()
            if e.topic.startswith("sijil.request.")
        ]


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    with scene_in(database) as scene:
        yield Desk(scene, tmp_path)


class TestReport:
    def test_every_row_has_one_fate_and_each_refusal_its_line(self, desk: Desk) -> None:
        report = desk.run()
        assert report.fates == {
            RowFate.WRITTEN: 7,
            RowFate.UNMAPPED: 2,
            RowFate.REFUSED: 5,
        }
        assert [(note.line, note.reason) for note in report.notes] == [
            (8, "wrong-state: not-in-progress"),
            (10, "wrong-state: not-waiting"),
            (11, "case-not-submitted"),
            (12, "channel-not-mapped"),
            (14, "facts-do-not-fit: outcome"),
            (15, "not in the mapping"),
        ]
        assert report.by_reason[RowFate.UNMAPPED, "not in the mapping"] == 1

    def test_a_refused_row_of_an_import_is_no_attempt(self, desk: Desk) -> None:
        desk.run()
        assert not desk.scene.attempts()

    def test_a_second_run_changes_nothing(self, desk: Desk) -> None:
        desk.run()
        head = desk.head()
        again = desk.run()
        assert desk.head() == head
        assert again.fates[RowFate.REPEATED] == 7
        assert again.fates[RowFate.WRITTEN] == 0

    def test_rows_added_at_the_end_are_written(self, desk: Desk) -> None:
        desk.run()
        desk.write([*ROWS, row("c5", "ok", 20)])
        assert desk.run().fates[RowFate.WRITTEN] == 1


class TestChangedMapping:
    @pytest.mark.parametrize(
        ("old", "new", "changed"),
        [
            ('means = "post"', 'means = "phone"', 1),
            ('delivery = "counter"', 'delivery = "home"', 3),
            ('[activities.ok]\nact = "accepted"\n', "", 2),
        ],
    )
    def test_it_is_reported_row_by_row_and_not_written_twice(
        self, desk: Desk, old: str, new: str, changed: int
    ) -> None:
        desk.run()
        head = desk.head()
        desk.map(old, new)
        report = desk.run()
        assert report.fates[RowFate.CHANGED] == changed
        assert report.fates[RowFate.WRITTEN] == 0
        assert desk.head() == head

    def test_reading_the_times_otherwise_changes_every_row(self, desk: Desk) -> None:
        desk.run()
        head = desk.head()
        desk.map("Europe/Amsterdam", "Asia/Damascus")
        assert desk.run().fates == {RowFate.CHANGED: len(ROWS)}
        assert desk.head() == head


class TestEvents:
    def test_each_body_says_where_it_comes_from(self, desk: Desk) -> None:
        desk.run()
        first = desk.bodies()[0]
        assert first["topic"] == "sijil.request.submitted.v1"
        assert first["actor"] == {"id": "desk", "kind": "import", "place": "NL-01-01"}
        assert first["effective_at"] == "2011-10-11T11:01:00.000000Z"
        assert first["provenance"] == {
            "source": "desk",
            "case": "c1",
            "line": 2,
            "activity": "in",
            "clerk": "R1",
        }

    @pytest.mark.parametrize(
        "case", ["04130977215", "0944817263", "زبيدة", "zubaydah", "z@x.example", "a 1"]
    )
    def test_a_case_that_may_be_a_person_is_refused(
        self, desk: Desk, case: str
    ) -> None:
        desk.write([row(case, "in", 1)])
        report = desk.run()
        assert [note.reason for note in report.notes] == ["case-not-a-code"]
        assert desk.bodies() == []

    @pytest.mark.parametrize("name", ["زبيدة المرقومة", "Zubaydah", "04130977215"])
    def test_a_name_of_staff_stays_in_the_source(self, desk: Desk, name: str) -> None:
        desk.write([row("c1", "in", 1), row("c1", "ok", 2, who=name)])
        desk.run()
        accepted = next(b for b in desk.bodies() if ".accepted." in b["topic"])
        assert "clerk" not in accepted["provenance"]
        desk.write([row("c1", "in", 1), row("c2", "in", 3, who=name)])
        report = desk.run()
        remarks = {why: rows for (_, why), rows in report.by_reason.items()}
        assert remarks == {"responsible-not-a-code": 1}
        assert report.fates[RowFate.REFUSED] == 0
        assert not any(name in str(body) for body in desk.bodies())

    @pytest.mark.parametrize("reason", ["لا سجل لزبيدة", "04130977215", "No Permit"])
    def test_free_text_is_no_reason(self, desk: Desk, reason: str) -> None:
        steps = [("in", {}), ("ok", {}), ("answer", {"outcome": "refused"})]
        desk.write(
            [
                row("c1", step, at, **more, **({"reason": reason} if more else {}))
                for at, (step, more) in enumerate(steps)
            ]
        )
        report = desk.run()
        assert [note.reason for note in report.notes] == ["invalid-value: shape"]
        assert not any("responded" in body["topic"] for body in desk.bodies())

    def test_nobody_is_invented(self, desk: Desk) -> None:
        desk.run()
        submitted = [b for b in desk.bodies() if b["topic"].endswith("submitted.v1")]
        assert all(body["data"]["parties"] == [] for body in submitted)

    def test_a_step_before_the_previous_one_is_clamped(self, desk: Desk) -> None:
        desk.write([row("c1", "in", 30), row("c1", "ok", 10)])
        desk.run()
        accepted = next(b for b in desk.bodies() if ".accepted." in b["topic"])
        assert accepted["effective_at"] == "2011-10-11T11:30:00.000000Z"
        assert accepted["data"]["claimed_at"] == "2011-10-11T11:10:00.000000Z"

    def test_the_ledger_has_only_what_the_mapping_declares(self, desk: Desk) -> None:
        desk.run()
        desk.scene.level()
        catalogue = desk.scene.house.queries.catalogue
        assert [s.code for s in catalogue.page("service").items] == ["DESK-01"]
        assert [c.code for c in catalogue.page("centre").items] == ["NL-01-01"]


class TestViews:
    def test_counts_and_queue_equal_a_plain_recount(self, desk: Desk) -> None:
        desk.run()
        desk.scene.level()
        queries = desk.scene.house.queries
        (count,) = queries.counts.stocks(Scope())
        assert (count.group, count.submitted) == ({"governorate": "NL-01"}, 3)
        assert (count.waiting, count.in_progress, count.completed_refused) == (1, 1, 1)
        queue = queries.queue.page(
            Scope(), now=desk.scene.now, waiting_for=WaitingFor.CLERK
        ).items
        assert sorted(str(item.clerk) for item in queue) == ["desk/R1", "desk/R2"]


class TestNonsense:
    @pytest.mark.parametrize(
        "bad",
        [
            row("c9", "in", 1, at="2011-13-45 99:00"),
            row("c9", "in", 1, at=""),
            row("c9", "in", 1, at="0001-01-01T00:00:00+14:00"),
            row("", "in", 1),
            row("c9", "", 1),
            row("c9", "in", 1, who="x" * 500),
            row("c9", "in", 1, who="a\0b"),
            ["c9", "in"],
            [*row("c9", "in", 1), "one more"],
        ],
    )
    def test_a_bad_row_is_refused_by_line(self, desk: Desk, bad: list[str]) -> None:
        desk.write([bad, row("c1", "in", 1)])
        report = desk.run()
        assert report.fates == {RowFate.REFUSED: 1, RowFate.WRITTEN: 1}
        assert report.notes[0].line == 2

    def test_a_file_that_is_no_csv_of_this_source_is_refused(self, desk: Desk) -> None:
        desk.csv.write_bytes(b"\xff\xfe\x00\x01not,a,csv")
        with pytest.raises(SourceError):
            desk.run()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("[columns]", "[colums]"),
            ('act = "accepted"', 'act = "loved"'),
            ('zone = "Europe/Amsterdam"', 'zone = "Mars/Olympus"'),
            ('[activities.in]\nact = "submitted"', '[activities.in]\nact = "told"'),
            ("completion_days = 10", "completion_days = -1"),
            ('check = "an inner check"', 'ok = "mapped as well"'),
            ("source", "source ="),
        ],
    )
    def test_a_wrong_mapping_is_named_before_anything_is_read(
        self, desk: Desk, old: str, new: str
    ) -> None:
        desk.map(old, new)
        with pytest.raises(MappingError):
            read_mapping(desk.toml)


def test_the_permit_desk_equals_a_plain_recount(desk: Desk) -> None:
    """The real history, where its file is at hand (its terms forbid to ship it)."""
    named = os.environ.get("SIJIL_PERMIT_DESK")
    if named is None:
        pytest.skip("SIJIL_PERMIT_DESK does not name the permit desk's CSV")
    docs = Path(__file__).parents[2] / "docs" / "how-to" / "permit-desk.toml"
    report = Importer(desk.scene.house, read_mapping(docs)).run(Path(named))
    desk.scene.level()
    waiting, accepted = set(), set()
    refused = 0
    with Path(named).open(encoding="utf-8") as file:
        for each in csv.DictReader(file):
            case, step = each["case:concept:name"], each["concept:name"]
            if step == "Confirmation of receipt":
                if each["case:channel"] == "Intern":
                    refused += 1
                    continue
                waiting.add(case)
            elif step.startswith("T04"):
                if case in waiting and case not in accepted:
                    accepted.add(case)
                else:
                    refused += 1
            elif step.startswith("T05") and case not in waiting:
                refused += 1
    assert report.adds_up
    assert report.rows_read == 6024
    assert report.fates[RowFate.REFUSED] == refused
    (count,) = desk.scene.house.queries.counts.stocks(Scope())
    assert count.submitted == len(waiting)
    assert count.in_progress == len(accepted)
    assert count.waiting == len(waiting - accepted)
