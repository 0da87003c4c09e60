"""The catalogue over HTTP: versions, days, strict bodies, problems that help."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response

from domain.calendars import office_day
from tests.api.door import CENTRE_FACTS, OFFER, SUBMISSION, Door

FEE = {"channel": "cash", "amount": 3000, "unit": "SYP.new"}


def new_code(kind: str = "T") -> str:
    # Not without the letter: ten digits of chance may be those of a phone.
    return f"{kind}-x{uuid4().hex[:10]}"


def admin(door: Door, path: str, body: Any, etag: str | None = None) -> Response:
    return door.post("administrator", path, body, if_match=etag)


def service(door: Door) -> tuple[str, Response]:
    code = new_code("SRV")
    answer = admin(door, "/v1/services", {**OFFER, "code": code})
    assert answer.status_code == 201, answer.text
    return code, answer


def days(door: Door, *numbers: int) -> list[str]:
    """The days so many after today. It is read once, for midnight may come between."""
    today = office_day(door.scene.clock())
    return [(today + timedelta(days=number)).isoformat() for number in numbers]


def test_a_thing_is_read_with_its_etag_at_once_and_listed_once_the_view_is_there(
    door: Door,
) -> None:
    code, made = service(door)
    read = door.get("clerk", f"/v1/services/{code}")
    assert read.headers["ETag"] == made.headers["ETag"] == '"1"'
    assert read.json() == made.json()
    door.scene.level()
    listed: list[Any] = []
    cursor = None
    while True:
        asked = {"limit": 20, **({"cursor": cursor} if cursor else {})}
        page = door.get("clerk", "/v1/services", **asked).json()
        listed += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert read.json() in listed
    codes = [item["code"] for item in listed]
    assert len(codes) == len(set(codes)) >= 48


def test_publishing_again_wants_the_version_that_was_seen(door: Door) -> None:
    code, made = service(door)
    body = {**OFFER, "code": code, "completion_days": 5}
    assert admin(door, "/v1/services", body).status_code == 428
    assert admin(door, "/v1/services", body, '"9"').status_code == 412
    again = admin(door, "/v1/services", body, made.headers["ETag"])
    assert (again.status_code, again.headers["ETag"]) == (200, '"2"')
    assert again.json()["facts"]["completion_days"] == 5
    same = admin(door, "/v1/services", body, '"2"')
    assert (same.status_code, same.headers["ETag"]) == (200, '"2"')
    assert "Ledger-Position" not in same.headers
    before = made.headers["Ledger-Position"]
    then = door.get("auditor", f"/v1/services/{code}", as_of=before).json()
    assert then["version"] == 1


def test_a_suspension_is_seen_with_its_days_and_whether_it_holds_today(
    door: Door,
) -> None:
    code, made = service(door)
    path = f"/v1/services/{code}"
    tomorrow, second, fourth = days(door, 1, 2, 4)
    body = {"reason": "system_down", "first": second, "last": fourth}
    announced = admin(door, f"{path}/suspension", body, made.headers["ETag"])
    assert announced.json()["rests"] == [body]
    assert announced.json()["is_active"]
    now = admin(
        door, f"{path}/suspension", {"reason": "other", "last": tomorrow}, '"2"'
    )
    assert not now.json()["is_active"]
    twice = admin(door, f"{path}/suspension", {**body, "first": fourth}, '"3"')
    assert (twice.status_code, twice.json()["code"]) == (409, "already-suspended")
    assert twice.json()["facts"] == {"first": second, "last": fourth}
    # Typed in Arabic-Indic digits it is the same day.
    arabic = second.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    off = admin(door, f"{path}/resumption", {"on": arabic}, '"3"')
    assert [rest["reason"] for rest in off.json()["rests"]] == ["other"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": "because"}, "/reason"),
        ({}, "/reason"),
        ({"reason": "other", "first": "tomorrow"}, "/first"),
        ({"reason": "other", "first": 20261201}, "/first"),
        ({"reason": "other", "first": "2026-02-30"}, "/first"),
        ({"reason": "other", "first": "2026-12-01T00:00:00Z"}, "/first"),
        ({"reason": "other", "note": "free text"}, "/note"),
        ({"reason": "other", "first": "2999-01-02", "last": "2999-01-01"}, "/last"),
    ],
)
def test_a_suspension_with_nonsense_is_told_where(
    door: Door, body: dict[str, Any], pointer: str
) -> None:
    code, made = service(door)
    answer = admin(door, f"/v1/services/{code}/suspension", body, made.headers["ETag"])
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "two words"}, "/code"),
        ({"code": "رمز"}, "/code"),
        ({"name_ar": " "}, "/name_ar"),
        ({"completion_days": 1000}, "/completion_days"),
        ({"completion_days": True}, "/completion_days"),
        ({"direct_in": ["SY-XX"]}, "/direct_in"),
        ({"applicants": []}, "/applicants"),
        ({"applicants": ["self", "self"]}, "/applicants"),
        ({"documents": OFFER["documents"] * 2}, "/documents"),
        ({"fee_lines": [{"kind": "tip", "amount": 1, "unit": "SYP.new"}]}, None),
        (
            {"fee_lines": [{"kind": "state_fee", "amount": 1.5, "unit": "SYP.new"}]},
            None,
        ),
        ({"paper": False}, "/paper"),
        ({"payment_days": 0}, "/payment_days"),
        ({"surprise": 1}, "/surprise"),
    ],
)
def test_a_service_that_cannot_be_is_not_published(
    door: Door, changes: dict[str, Any], pointer: str | None
) -> None:
    body = {**OFFER, "code": new_code(), **changes}
    answer = admin(door, "/v1/services", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")
    if pointer is not None:
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert door.get("clerk", f"/v1/services/{new_code()}").status_code == 404


def test_what_rests_on_a_closed_place_says_which(door: Door) -> None:
    centre = new_code("C")
    made = admin(door, "/v1/centres", {**CENTRE_FACTS, "code": centre})
    closed = admin(
        door,
        f"/v1/centres/{centre}/closing",
        {"reason": "works"},
        made.headers["ETag"],
    )
    assert not closed.json()["is_active"]
    answer = admin(door, "/v1/clerks", {"code": new_code("clk"), "centre": centre})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-open")
    assert answer.json()["facts"] == {"thing": "centre", "name": centre}
    last, opens_on = days(door, 2, 3)
    opened = admin(
        door,
        "/v1/centres",
        {**CENTRE_FACTS, "code": centre, "opens_on": opens_on},
        closed.headers["ETag"],
    )
    assert opened.status_code == 200
    assert not opened.json()["is_active"]
    assert opened.json()["rests"][0]["last"] == last


def test_a_clerks_days_and_agencies(door: Door) -> None:
    code = new_code("clk")
    made = admin(door, "/v1/clerks", {"code": code, "centre": "SY-DI-01"})
    assert made.status_code == 201
    path = f"/v1/clerks/{code}"
    given = admin(
        door,
        f"{path}/responsibility",
        {"agencies": ["CIV", "CRM"]},
        made.headers["ETag"],
    )
    assert (given.headers["ETag"], given.json()["agencies"]) == ('"3"', ["CIV", "CRM"])
    before = days(door, 0)
    away = door.post(
        "supervisor", f"{path}/absence", {"reason": "leave"}, if_match='"3"'
    )
    [absence] = away.json()["absences"]
    assert absence["first"] in before + days(door, 0)
    assert absence["last"] is None
    assert not away.json()["is_available"]
    assert door.get("foreign-supervisor", path).status_code == 404
    moved = admin(door, "/v1/clerks", {"code": code, "centre": "SY-HL-01"}, '"4"')
    assert (moved.json()["centre"], moved.json()["agencies"]) == ("SY-HL-01", [])
    assert door.get("supervisor", path).status_code == 404
    assert door.get("foreign-supervisor", path).json() == moved.json()


def test_stamps_and_clerks_are_listed_for_their_own_centre(door: Door) -> None:
    for who, centre in (("supervisor", "SY-DI-01"), ("foreign-supervisor", "SY-HL-01")):
        for kind in ("clerks", "stamps"):
            items = door.get(who, f"/v1/{kind}", limit=200).json()["items"]
            assert items
            assert {
                item.get("centre") or item["facts"]["centre"] for item in items
            } == {centre}
    assert door.get("foreign-clerk", "/v1/stamps/ختم-DI-000001").status_code == 404


def test_a_calendar_is_corrected_before_the_day_and_not_after(door: Door) -> None:
    holiday = {"name_ar": "عطلة", "name_en": "Holiday", "certainty": "announced"}
    read = door.get("clerk", "/v1/calendars/2026")
    known = read.json()["facts"]
    body = {"year": 2026, "holidays": [*known["holidays"]]}
    dates = {each["day"] for each in known["holidays"]}
    later = next(
        (
            each
            # Not tomorrow, which may be today by then.
            for each in days(door, *range(2, 30))
            if each not in dates and each.startswith("2026")
        ),
        None,
    )
    past = {**body, "holidays": [*body["holidays"], {**holiday, "day": "2026-01-05"}]}
    refused = admin(door, "/v1/calendars", past, read.headers["ETag"])
    assert (refused.status_code, refused.json()["code"]) == (409, "day-begun")
    assert refused.json()["facts"] == {"day": "2026-01-05"}
    if later is not None:
        coming = {**body, "holidays": [*body["holidays"], {**holiday, "day": later}]}
        corrected = admin(door, "/v1/calendars", coming, read.headers["ETag"])
        assert corrected.status_code == 200
        assert later in {e["day"] for e in corrected.json()["facts"]["holidays"]}
    overlapping = [
        {
            "first": "2032-02-01",
            "last": "2032-02-10",
            "opens": "09:00",
            "closes": "13:00",
        },
        {
            "first": "2032-02-10",
            "last": "2032-02-12",
            "opens": "09:00",
            "closes": "13:00",
        },
    ]
    answer = admin(
        door, "/v1/calendars", {"year": 2032, "holidays": [], "hours": overlapping}
    )
    assert answer.json()["errors"] == [{"pointer": "/hours", "detail": "overlap"}]


def test_an_act_sent_twice_has_the_same_answer(door: Door) -> None:
    code, key = new_code(), uuid4()
    body = {**OFFER, "code": code}
    first = door.post("administrator", "/v1/services", body, key=key)
    again = door.post("administrator", "/v1/services", body, key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Hit"] == "true"


def test_a_suspended_service_and_an_absent_clerk_get_nothing_new(door: Door) -> None:
    code, made = service(door)
    before = door.submitted(service=code)
    suspended = admin(
        door,
        f"/v1/services/{code}/suspension",
        {"reason": "agency_asked"},
        made.headers["ETag"],
    )
    refused = door.post("clerk", "/v1/requests", {**SUBMISSION, "service": code})
    assert (refused.status_code, refused.json()["code"]) == (409, "service-not-offered")
    # What was accepted before goes on.
    assert door.act("clerk", before, "payment", **FEE).status_code == 200
    admin(door, f"/v1/services/{code}/resumption", {}, suspended.headers["ETag"])
    assert (
        door.post("clerk", "/v1/requests", {**SUBMISSION, "service": code}).status_code
        == 201
    )

    clerk = new_code("clk")
    made = admin(door, "/v1/clerks", {"code": clerk, "centre": "SY-DI-01"})
    away = admin(
        door, f"/v1/clerks/{clerk}/absence", {"reason": "leave"}, made.headers["ETag"]
    )
    answer = door.act("supervisor", before, "assignment", clerk=clerk)
    assert (answer.status_code, answer.json()["code"]) == (409, "service-not-offered")
    admin(door, f"/v1/clerks/{clerk}/return", {}, away.headers["ETag"])
    assert door.act("supervisor", before, "assignment", clerk=clerk).status_code == 200


NONSENSE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    "",
    " ",
    "x" * 300,
    "\0",
    "\ud800",
    "../x",
    "2026-02-30",
    "9999-12-31",
    [],
    [[]],
    {},
    [{"day": "9999-12-31"}],
)
DAY = "2999-01-01"
HOLIDAY = {"day": DAY, "name_ar": "ع", "name_en": "H", "certainty": "-"}


def whole_bodies() -> dict[str, dict[str, Any]]:
    """Every route of the administrator with a body that says all it can."""
    dated = {"on": DAY, "effective_at": "2026-01-01T00:00:00Z", "approval": "x"}
    spell = {"reason": "other", "first": DAY, "last": DAY, "approved": True}
    return {
        "/v1/services": {
            **OFFER,
            "code": "F-1",
            "receipt": ["self"],
            "acceptance_days": 3,
            "fee_due": "acceptance",
        },
        "/v1/agencies": {
            "code": "F-1",
            "name_ar": "ج",
            "name_en": "A",
            "scope": "national",
        },
        "/v1/centres": {**CENTRE_FACTS, "code": "F-1", "opens_on": DAY},
        "/v1/clerks": {"code": "F-1", "centre": "SY-DI-01"},
        "/v1/stamps": {"serial": "F-1", "centre": "SY-DI-01", "kind": "live"},
        "/v1/calendars": {
            "year": 2050,
            "holidays": [HOLIDAY],
            "hours": [{"first": DAY, "last": DAY, "opens": "08:00", "closes": "09:00"}],
            "weekend": [4],
            "opens": "08:00",
            "closes": "09:00",
        },
        "/v1/services/CIV-03/suspension": spell,
        "/v1/services/CIV-03/resumption": dated,
        "/v1/agencies/LND/closing": {"reason": "other", **dated},
        "/v1/centres/SY-QU-01/closing": {"reason": "other", **dated},
        "/v1/clerks/clk-QU-1/responsibility": {"agencies": ["CIV"]},
        "/v1/clerks/clk-QU-1/relief": {"agencies": ["CIV"]},
        "/v1/clerks/clk-QU-1/absence": spell,
        "/v1/clerks/clk-QU-1/return": dated,
        "/v1/clerks/clk-QU-2/departure": dated,
        "/v1/stamps/ختم-QU-000001/withdrawal": {"reason": "other", **dated},
    }


@pytest.mark.parametrize("path", whole_bodies())
def test_nothing_that_is_sent_makes_the_server_stumble(door: Door, path: str) -> None:
    body = whole_bodies()[path]
    thing = path.rpartition("/")[0] if path.count("/") > 2 else None
    for name in body:
        for value in NONSENSE:
            etag = door.get("auditor", thing).headers["ETag"] if thing else None
            sent = json.dumps({**body, name: value})
            answer = door.client.post(
                path,
                headers={
                    **door.headers(
                        "administrator", Idempotency_Key=str(uuid4()), If_Match=etag
                    ),
                    "Content-Type": "application/json",
                },
                content=sent,
            )
            assert answer.status_code < 500, (path, name, value, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["code"] != "internal-error"
