"""What FastAPI does not say of our answers: their headers, and what follows on what.

Links (OpenAPI's) let a reader of the description, or a program, go from a request that
was submitted to reading it, from there to every act on it with the ETag that was read,
and from an act back. They are made of the paths, so that a new route has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {
        "description": "The version to send in If-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$', "examples": ['"4"']},
    },
    "Ledger-Position": {
        "description": "Where the act stands in the ledger, for `min_position`; "
        "absent when it changed nothing.",
        "schema": {"type": "integer", "minimum": 1, "examples": [48213]},
    },
    "Idempotency-Hit": {
        "description": "The act was done before under this id.",
        "schema": {"type": "string", "enum": ["true"], "examples": ["true"]},
    },
    "Location": {
        "description": "The address of what was made.",
        "required": True,
        "schema": {
            "type": "string",
            "examples": ["/v1/requests/019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"],
        },
    },
    "Link": {
        "description": "Where the next page is (RFC 8288); absent on the last.",
        "schema": {
            "type": "string",
            "examples": ['</v1/requests?cursor=WzFd>; rel="next"'],
        },
    },
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "examples": [2]},
    },
    "WWW-Authenticate": {
        "description": "How to log in.",
        "required": True,
        "schema": {"type": "string", "examples": ["Bearer"]},
    },
}
"""What answers carry beside their bodies."""
_OF_A_REFUSAL = {
    "401": "WWW-Authenticate",
    "429": "Retry-After",
    "503": "Retry-After",
}
_PROBLEM = "application/problem+json"

Operation = dict[str, Any]


def complete(schema: dict[str, Any]) -> None:
    """Write headers and links into a description."""
    schema.setdefault("components", {})["headers"] = HEADERS
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            _write_headers(path, method, operation)
    _write_links(schema)


def _write_headers(path: str, method: str, operation: Operation) -> None:
    for status, answer in operation["responses"].items():
        if status in _OF_A_REFUSAL and _PROBLEM in answer.get("content", {}):
            names = [_OF_A_REFUSAL[status]]
        elif status < "300":
            names = list(_of_success(path, method, operation, status))
        else:
            names = []
        if names:
            answer["headers"] = {
                name: {"$ref": f"#/components/headers/{name}"} for name in names
            }


def _of_success(
    path: str, method: str, operation: Operation, status: str
) -> Iterator[str]:
    if _takes(operation, "cursor") and method == "get":
        yield "Link"
    if method == "post" and (_takes(operation, "If-Match") or status == "201"):
        yield from ("ETag", "Ledger-Position", "Idempotency-Hit")
    if status == "201" and path == "/v1/requests":
        yield "Location"


def _takes(operation: Operation, name: str) -> bool:
    return any(each["name"] == name for each in operation.get("parameters", ()))


def _write_links(schema: dict[str, Any]) -> None:
    paths = schema["paths"]
    for path, methods in paths.items():
        head, _, last = path.rpartition("/")
        if "get" not in methods or not (last.startswith("{") and last.endswith("}")):
            continue
        reading, name = methods["get"], last[1:-1]
        field = _named(schema, reading, name)
        for other, others in paths.items():
            for operation in others.values():
                if other.startswith(f"{path}/"):
                    _to_what_follows(reading, operation, name)
                    if "requestBody" in operation:
                        _link(operation, reading, {name: f"$request.path.{name}"})
        for method, operation in paths.get(head, {}).items():
            if field is not None:
                told = f"items/0/{field}" if method == "get" else field
                _link(operation, reading, {name: f"$response.body#/{told}"})


def _to_what_follows(reading: Operation, operation: Operation, name: str) -> None:
    given = {name: f"$request.path.{name}"}
    if _takes(operation, "If-Match"):
        given["header.If-Match"] = "$response.header.ETag"
        reading["responses"]["200"].setdefault("headers", {})["ETag"] = {
            "$ref": "#/components/headers/ETag"
        }
    _link(reading, operation, given)


def _link(source: Operation, target: Operation, given: dict[str, str]) -> None:
    for status, answer in source["responses"].items():
        if status < "300":
            answer.setdefault("links", {})[target["operationId"]] = {
                "operationId": target["operationId"],
                "parameters": given,
            }


def _named(schema: dict[str, Any], reading: Operation, name: str) -> str | None:
    """Under which name the answer of a reading tells the part of its path."""
    content = reading["responses"]["200"].get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    fields = schema["components"]["schemas"].get(reference, {}).get("properties", {})
    for field in (name, name.rpartition("_")[2], "code"):
        if field in fields:
            return field
    return None
