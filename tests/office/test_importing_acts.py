"""Every act of the rules from a mapping, at several centres, by whom rows name."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from eventsourcing.domain import CanMutateAggregate

from office.bulk import METHODS
from office.importing import MappingError, RowFate, read_mapping
from office.importing.acts import COMMANDS, ActName
from tests.docs.surface import subclasses
from tests.office.scene import DIGEST
from tests.office.whole_history import (
    CHANGED,
    HEADER,
    LIVES,
    PAID,
    PAY,
    WHOLE,
    Step,
    Whole,
    case_of,
    changed,
)


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
