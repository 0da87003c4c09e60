"""An address says all that it takes; what nothing takes is refused as that, unread."""

from __future__ import annotations

import pytest

from tests.api.door import Door


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/services", "GET, POST"),
        ("/v1/services/CIV-01", "GET"),
        ("/v1/services/CIV-01/suspension", "POST"),
        ("/v1/requests", "GET, POST"),
        ("/livez", "GET"),
    ],
)
def test_a_method_that_is_not_taken_is_told_all_that_are(
    door: Door, path: str, allowed: str
) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "POST", "GET"):
        if method not in allowed.split(", "):
            answer = door.client.request(method, path, headers=door.headers("clerk"))
            assert answer.status_code == 405, method
            assert answer.headers["Allow"] == allowed
            assert answer.json()["code"] == "method-not-allowed"


def test_what_is_not_there_takes_nothing(door: Door) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = door.client.request(method, "/v1/nothing", content=b"x")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_the_description_leads_from_a_request_to_its_acts_and_back(door: Door) -> None:
    paths = door.app.openapi()["paths"]
    made = paths["/v1/requests"]["post"]["responses"]["201"]
    assert made["links"]["get_request"]["parameters"] == {
        "request_id": "$response.body#/id"
    }
    assert set(made["headers"]) >= {"ETag", "Location"}
    reading = paths["/v1/requests/{request_id}"]["get"]["responses"]["200"]
    assert reading["links"]["accept_request"]["parameters"] == {
        "request_id": "$request.path.request_id",
        "header.If-Match": "$response.header.ETag",
    }
    acts = {
        operation["operationId"]
        for path, methods in paths.items()
        if path.startswith("/v1/requests/{request_id}/")
        for operation in methods.values()
    }
    assert set(reading["links"]) == acts


def test_no_question_takes_a_number_for_a_day(door: Door) -> None:
    """What a framework reads as a date may be seconds since 1970."""
    asked = 0
    for path, methods in door.app.openapi()["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", ()):
            kinds = parameter["schema"].get("anyOf", [parameter["schema"]])
            if parameter["in"] == "query" and {"date"} & {
                kind.get("format") for kind in kinds
            }:
                asked += 1
                answer = door.get("auditor", path, **{parameter["name"]: "0"})
                assert answer.status_code in {403, 422}, (path, parameter["name"])
    assert asked


@pytest.mark.parametrize(
    "day", ["0", "20261101", "2026-W45-1", "2026-11-01T00:00:00", "2026-02-30", ""]
)
def test_a_day_is_written_in_one_way(door: Door, day: str) -> None:
    for name in ("first", "last"):
        answer = door.get("auditor", "/v1/counts/flows", **{name: day})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")
    answer = door.get("auditor", "/v1/counts/flows", first="٢٠٢٦-١١-٠١")
    assert answer.status_code == 200
