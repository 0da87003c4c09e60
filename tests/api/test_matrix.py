"""Every operation with every role, on an own and a foreign row, and without a token.

One table over the whole OpenAPI document: an operation without a row fails, and so
does a row without its operation.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tests.api.door import WHO, Door
from tests.api.matrix import ROWS, operations


def test_every_operation_has_its_row(door: Door) -> None:
    assert set(operations(door)) == {name.partition("/")[0] for name in ROWS}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_role_gets_what_the_table_says(door: Door, name: str) -> None:
    row = ROWS[name]
    method, template = operations(door)[name.partition("/")[0]]
    # From those who are refused to those who succeed: a success moves the request.
    askers = sorted([*WHO], key=lambda who: row.expected.get(who, 403), reverse=True)
    found: dict[str, int] = {}
    request_id = row.make(door) if row.make else ""
    thing = row.thing(door) if row.thing else None
    for who in (None, *askers):
        body = row.body(door, request_id) if row.body else None
        before = door.scene.entries(UUID(request_id)) if row.make else []
        answer = door.client.request(
            method,
            template.format(
                request_id=request_id, **row.path, **(thing.path if thing else {})
            ),
            headers=door.headers(
                who,
                Idempotency_Key=str(uuid4()),
                If_Match=thing.etag
                if thing
                else door.etag(request_id)
                if row.make
                else None,
            ),
            json=body,
            params=row.asked,
        )
        found[who or "nobody"] = answer.status_code
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
            if row.make:
                assert door.scene.entries(UUID(request_id)) == before
        elif row.make and method == "post":
            request_id = row.make(door)
        elif row.thing:
            thing = row.thing(door)
    anonymous = next(iter(row.expected.values())) if row.is_public else 401
    expected = {who: row.expected.get(who, 403) for who in WHO}
    assert found == {"nobody": anonymous, **expected}


def test_lists_show_the_rows_in_scope_and_no_other(door: Door) -> None:
    """The list's rule is SQL and that of one request is not: they agree."""
    rows = [make(door) for make in (Door.submitted, Door.forwarded, Door.mailed)]
    rows += [door.online(), door.refused()]
    door.scene.level()
    for who in WHO:
        listed = door.get(who, "/v1/requests", limit=200).json()["items"]
        shown = {item["id"] for item in listed}
        for row in rows:
            answer = door.get(who, f"/v1/requests/{row}")
            assert (row in shown) is (answer.status_code == 200), (who, row)


def test_queues_and_counts_are_of_the_own_centre(door: Door) -> None:
    door.submitted()
    for who, centre in (("supervisor", "SY-DI-01"), ("foreign-supervisor", None)):
        work = door.get(who, "/v1/queue").json()["items"]
        assert {item["centre"] for item in work} == ({centre} if centre else set())
        for path in ("/v1/counts", "/v1/counts/flows", "/v1/turnaround"):
            counts = door.get(who, path, by="centre").json()["items"]
            centres = {count["group"]["centre"] for count in counts}
            assert centres == ({centre} if centre else set())


def test_every_field_has_an_example_and_every_route_its_problems(door: Door) -> None:
    schema = door.app.openapi()
    for name, component in schema["components"]["schemas"].items():
        for field_name, facts in component.get("properties", {}).items():
            is_nested = "$ref" in str(facts)
            assert "examples" in facts or is_nested, f"{name}.{field_name}"
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                is_shown = "examples" in parameter or "examples" in parameter["schema"]
                has_enum = "$ref" in str(parameter["schema"])
                assert is_shown or has_enum or path == "/problems/{code}", parameter
            if path.startswith("/v1") and path != "/v1/tracking":
                assert "401" in operation["responses"], path
