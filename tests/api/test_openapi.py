"""The description of the interface in the repository is the one the server gives."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.door import Door

GOLDEN = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def test_the_golden_description_is_the_present_one(door: Door) -> None:
    """When it is meant to change: `make openapi`, and read the difference."""
    written = json.loads(GOLDEN.read_text(encoding="utf-8"))
    told = door.client.get("/openapi.json").json()
    assert told == written


def test_the_golden_description_is_written_in_one_way() -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    document = json.loads(text)
    assert text == (
        json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    )


def test_every_operation_promises_problems_and_never_another_shape(door: Door) -> None:
    schema = door.app.openapi()
    assert schema["openapi"].startswith("3.1")
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert operation["operationId"].isidentifier()
            assert operation["tags"], path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path.startswith(("/v1", "/problems")):
                    assert set(answer["content"]) == {"application/problem+json"}
    assert "HTTPValidationError" not in json.dumps(schema)


def test_no_name_tells_where_its_code_stands(door: Door) -> None:
    # Two classes of one name are told apart by their modules.
    names = door.app.openapi()["components"]["schemas"]
    assert [name for name in names if "__" in name] == []
