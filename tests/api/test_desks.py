"""What the desks show to whom: post, payments, stamped papers."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.calendars import office_day
from tests.api.door import Door
from tests.office.scene import DIGEST, ITEM, STAMP


@pytest.fixture(scope="module")
def filled(door: Door) -> Door:
    """An office with a mailed item, and a fee at every stage."""
    for make in (door.submitted, door.forwarded, door.mailed, door.withdrawn):
        make()
    request_id = door.submitted()
    assert door.act("clerk", request_id, "withdrawal", reason="not_needed").is_success
    door.scene.level()
    return door


def test_the_post_sees_items_and_nothing_of_what_is_inside(filled: Door) -> None:
    [item] = filled.get("post", "/v1/postal-items").json()["items"]
    assert item["item"] == ITEM
    assert item["state"] == "on_the_way"
    assert not {"service", "agency", "tracking_number", "parties"} & item.keys()
    found = filled.get("post", "/v1/postal-items", item=f" {ITEM.lower()} ").json()
    assert [each["item"] for each in found["items"]] == [ITEM]
    # The post's day is the office's, which begins three hours before UTC's.
    day = office_day(datetime.fromisoformat(item["mailed_at"])).isoformat()
    manifest = filled.get("post", "/v1/postal-items", day=day, centre="SY-DI-01")
    assert len(manifest.json()["items"]) == 1
    [counted] = filled.get("post", "/v1/postal-items/days").json()["items"]
    assert (counted["day"], counted["mailed"], counted["on_the_way"]) == (day, 1, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"day": "2026-11-23", "since": "2026-11-01T00:00:00Z"},
        {"day": "0001-01-01"},
        {"day": "9999-12-31"},
        {"item": "RA473124828GB"},
        {"item": "01000099887"},
    ],
)
def test_a_question_to_the_post_without_sense_is_refused_and_not_repeated(
    filled: Door, asked: dict[str, str]
) -> None:
    answer = filled.get("post", "/v1/postal-items", **asked)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid-value"
    assert "01000099887" not in answer.text


def test_a_bank_sees_what_can_still_be_paid_and_not_what_for(filled: Door) -> None:
    everything = filled.get("auditor", "/v1/payments", limit=200).json()["items"]
    states = {item["state"] for item in everything}
    assert {"expected", "paid", "cancelled"} <= states
    seen = filled.get("bank", "/v1/payments", limit=200).json()["items"]
    assert [item["request_id"] for item in seen] == [
        item["request_id"] for item in everything if item["state"] == "expected"
    ]
    assert seen
    assert all(item["service"] is item["agency"] is None for item in seen)
    guessed = filled.get("bank", "/v1/payments", service="CIV-01")
    assert guessed.status_code == 422
    assert filled.get("bank", "/v1/payments/sums").status_code == 403


def test_a_bank_sees_no_request_that_ended_unpaid(filled: Door) -> None:
    fees = filled.get("auditor", "/v1/payments", state="cancelled").json()["items"]
    listed = filled.get("bank", "/v1/requests", limit=200).json()["items"]
    assert fees
    for fee in fees:
        request_id = fee["request_id"]
        assert request_id not in {item["id"] for item in listed}
        assert filled.get("bank", f"/v1/requests/{request_id}").status_code == 404


def test_an_officer_finds_what_to_answer_and_afterwards_what_was_answered(
    door: Door,
) -> None:
    request_id = door.forwarded()
    door.scene.level()

    def shown(who: str, **asked: str) -> set[str]:
        items = door.get(who, "/v1/inbox", limit=200, **asked).json()["items"]
        return {item["request_id"] for item in items}

    assert request_id in shown("agency")
    assert request_id in shown("clerk", agency="CIV")
    assert request_id not in shown("foreign-agency") | shown("foreign-clerk")
    before = door.scene.house.ledger.reader.head().position
    asked = {"outcome": "refused", "reason": "no-record"}
    assert door.act("agency", request_id, "response", **asked).status_code == 200
    door.scene.level()
    assert request_id not in shown("agency")
    assert request_id in shown("agency", state="answered")
    assert request_id in shown("agency", as_of=str(before))
    totals = door.get("agency", "/v1/inbox/totals").json()["items"]
    assert {(row["agency"], row["governorate"]) for row in totals} <= {("CIV", "SY-DI")}


def test_a_supervisor_sees_a_refused_attempt_and_an_approval(door: Door) -> None:
    request_id = door.submitted()
    answer = door.act("clerk", request_id, "mailing", item=ITEM, to="home")
    assert answer.status_code == 409
    long_ago = door.scene.house.clock() - timedelta(days=20)
    old = door.submitted("supervisor", effective_at=long_ago.isoformat(), approved=True)
    attempts = door.get("supervisor", "/v1/desk/refused-attempts").json()["items"]
    assert attempts[0]["target"] == request_id
    assert attempts[0]["code"] == answer.json()["code"]
    approvals = door.get("supervisor", "/v1/desk/approvals").json()["items"]
    assert (approvals[0]["aggregate_id"], approvals[0]["approved_by"]) == (
        old,
        "sup-DI",
    )
    for part in ("refused-attempts", "approvals", "load", "unassigned"):
        path = f"/v1/desk/{part}"
        assert door.get("clerk", path).status_code == 403
        others = door.get("foreign-supervisor", path, limit=200).json()["items"]
        assert {row["centre"] for row in others} <= {"SY-HL-01"}


def test_sums_add_up_to_the_fees(filled: Door) -> None:
    fees = filled.get("auditor", "/v1/payments", limit=200).json()["items"]
    [sums] = filled.get("auditor", "/v1/payments/sums").json()["items"]
    for name in ("paid", "cancelled"):
        amounts = [fee["amount"] for fee in fees if fee["state"] == name]
        assert sums[name]["count"] == len(amounts)
        assert sums[name]["amount"] == sum(amounts)
    assert sums["expected"]["amount"] == sum(fee["amount"] for fee in fees)
    by = filled.get("supervisor", "/v1/payments/sums", by=["centre", "channel"])
    groups = [item["group"] for item in by.json()["items"]]
    assert {"centre": "SY-DI-01", "channel": "cash"} in groups
    assert filled.get("foreign-supervisor", "/v1/payments/sums").json()["items"] == []


def test_a_paper_of_any_centre_is_checked_by_its_digest(filled: Door) -> None:
    answer = filled.get("foreign-agency", f"/v1/papers/{DIGEST}").json()
    [stamp] = answer["stamps"]
    assert (stamp["serial"], stamp["is_good"], stamp["doubts"]) == (STAMP, True, [])
    assert not {"request_id", "officer", "tracking_number"} & stamp.keys()
    assert filled.get("agency", f"/v1/papers/{'0' * 64}").status_code == 404
    assert filled.get("agency", "/v1/papers/no-digest").status_code == 422


def test_stampings_are_found_by_serial_officer_and_digest(filled: Door) -> None:
    for asked in (
        {"serial": STAMP},
        {"officer": "clk-DI-1"},
        {"stamped_digest": DIGEST},
    ):
        found = filled.get("clerk", "/v1/stampings", **asked).json()["items"]
        assert len(found) == 1, asked
    assert filled.get("clerk", "/v1/stampings", doubtful=True).json()["items"] == []
    assert filled.get("foreign-clerk", "/v1/stampings").json()["items"] == []
    [stamp] = [
        item
        for item in filled.get("clerk", "/v1/stamp-register").json()["items"]
        if item["serial"] == STAMP
    ]
    assert stamp["last_stamped_at"] is not None
