"""Persons over HTTP: what is asked stays out of addresses, logs and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from api.v1.people import SearchLimits
from projections.pages import encode_cursor
from tests.api.door import PERSON, Door, door_of
from tests.conftest import Database
from tests.marks import stands_in
from tests.office.persons import IDENTIFIER

SEARCH = "/v1/persons/search"
OTHER = {
    "full_name": "ليلى مؤمنة",
    "other_identifier": IDENTIFIER,
    "phone": "0944000001",
}
VALUES = ("علامة", "01000099887", "933123498", "شارع", "ليلى", IDENTIFIER, "944000001")


@pytest.fixture
def door(seeded_database: Database) -> Iterator[Door]:
    with door_of(seeded_database) as made:
        yield made


def party(request_id: str, role: str = "applicant") -> dict[str, str]:
    return {"request_id": request_id, "role": role}


def found(door: Door, who: str = "clerk", **asked: Any) -> set[str]:
    answer = door.post(who, SEARCH, asked)
    assert answer.status_code == 200, answer.text
    assert not any(value in answer.text for value in VALUES)
    return {item["id"] for item in answer.json()["items"]}


def test_a_person_is_found_merged_and_told(door: Door) -> None:
    one, other = door.submitted(), door.submitted(applicant=OTHER)
    assert found(door, national_number="٠١٠٠٠٠٩٩٨٨٧") == {one}
    assert found(door, phone="0944 000 001") == {other}
    assert found(door, name="ليلي") == {other}
    assert found(door, "foreign-clerk", national_number="01000099887") == set()
    body = {"first": party(one), "second": party(other), "reason": "registered-twice"}
    key = uuid4()
    merged = door.post("supervisor", "/v1/persons/merge", body, key=key)
    assert merged.status_code == 200, merged.text
    assert not any(value in merged.text for value in VALUES)
    again = door.post("supervisor", "/v1/persons/merge", body, key=key)
    assert again.headers["Idempotency-Hit"] == "true"
    assert again.json() == merged.json()
    refused = door.post("supervisor", "/v1/persons/merge", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "already-merged")
    assert found(door, other_identifier=IDENTIFIER) == {one, other}
    told = door.post("supervisor", "/v1/persons/export", party(other))
    assert told.status_code == 200, told.text
    assert told.headers["Cache-Control"] == "no-store"
    held = told.json()
    assert {each["id"] for each in held["requests"]} == {one, other}
    assert PERSON["full_name"] in told.text
    assert OTHER["full_name"] in told.text
    assert "clk-DI-1" not in told.text
    assert held["requests"][0]["events"][0]["words_ar"] == "تقديم الطلب"


def test_who_looked_is_told_by_office_and_role(door: Door) -> None:
    request_id = door.online()
    assert door.get("clerk", f"/v1/requests/{request_id}/parties").status_code == 200
    door.scene.level()
    path = f"/v1/requests/{request_id}/looks"
    (look,) = door.get("citizen", path).json()["items"]
    assert (look["role"], look["office"], look["purpose"], look["by"]) == (
        "clerk",
        "SY-DI-01",
        "counter",
        None,
    )
    (look,) = door.get("auditor", path).json()["items"]
    assert look["by"] == "clk-DI-1"
    assert "clk" not in door.get("citizen", path).text


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": "علامة", "phone": "0944000001"},
        {"name": "\ud800"},
        {"name": "ًٌٍ"},
        {"name": "ع" * 201},
        {"name": "a\0b"},
        {"national_number": "1"},
        {"phone": "12marked"},
        {"full_name": "علامة"},
        {"name": 7},
        {"name": "علامة", "cursor": "marked"},
        [],
    ],
)
def test_wrong_questions_are_refused_without_repeating_them(
    door: Door, asked: Any
) -> None:
    answer = door.client.post(
        SEARCH,
        headers={**door.headers("clerk"), "Content-Type": "application/json"},
        content=json.dumps(asked),
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid-value"
    assert not any(value in answer.text for value in (*VALUES, "marked", "ععع"))


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "because"},
        {"reason": 1},
        {"first": {"request_id": "x", "role": "applicant"}},
        {"first": {"request_id": str(uuid4()), "role": "clerk"}},
        {"note": "علامة"},
    ],
)
def test_a_merge_names_two_parties_and_a_reason(
    door: Door, change: dict[str, Any]
) -> None:
    body = {
        "first": party(str(uuid4())),
        "second": party(str(uuid4())),
        "reason": "registered-twice",
    }
    answer = door.post("supervisor", "/v1/persons/merge", {**body, **change})
    assert answer.status_code == 422, answer.text
    assert "علامة" not in answer.text


def test_searches_of_one_login_are_bounded(door: Door) -> None:
    door.app.state.search_limits = SearchLimits(2)
    for expected in (200, 200, 429):
        answer = door.post("clerk", SEARCH, {"name": "علامة"})
        assert answer.status_code == expected
    assert int(answer.headers["Retry-After"]) > 0
    assert door.post("supervisor", SEARCH, {"name": "علامة"}).status_code == 200


def test_no_value_is_stored_or_logged(
    door: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = door.submitted(), door.submitted(applicant=OTHER)
    for asked in (
        {"national_number": PERSON["national_number"]},
        {"phone": PERSON["phone"]},
        {"name": "علامة"},
        {"name": "ليلى", "cursor": "marked"},
    ):
        door.post("clerk", SEARCH, asked)
    body = {"first": party(one), "second": party(other), "reason": "registered-twice"}
    door.post("supervisor", "/v1/persons/merge", body)
    door.post("supervisor", "/v1/persons/export", party(one))
    door.scene.level()
    stored, said = door.scene.stored_bytes(), "".join(capfd.readouterr())
    for value in VALUES:
        assert not stands_in(stored, value)
        assert value not in said


@pytest.mark.parametrize(
    "key",
    [
        [1],
        ["x", "y"],
        ["2026-11-23T08:14:05+00:00", "y"],
        ["0000-00-00", str(uuid4())],
        [1, 2],
    ],
)
def test_a_cursor_of_another_kind_is_refused(door: Door, key: list[Any]) -> None:
    cursor = encode_cursor(key)
    for asked in ({"name": "علامة"}, {"phone": "0944000001"}):
        answer = door.post("clerk", SEARCH, {**asked, "cursor": cursor})
        assert answer.status_code == 422, answer.text
    for path in ("/v1/requests", "/v1/queue"):
        assert door.get("clerk", path, cursor=cursor).status_code == 422
