"""The fuzzing catches what it is there to catch: each kind of fault, planted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg2
import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE
from tests.api.door import Door
from tests.fuzz.running import Found, Ground, ground_of
from tests.marks import NAME

Change = Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


class Planted:
    """A layer that changes answers, and may do something else before one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.change: Change | None = None
        self.before: Callable[[], object] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.change is None or scope["path"] == "/openapi.json":
            await self._app(scope, receive, send)
            return
        if self.before is not None:
            self.before()
        head: Message = {}
        content = b""

        async def kept(message: Message) -> None:
            nonlocal head, content
            if message["type"] == "http.response.start":
                head = message
            else:
                content += message.get("body", b"")

        await self._app(scope, receive, kept)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in head["headers"]}
        headers.pop("content-length", None)
        status, headers, content = self.change(head["status"], headers, content)
        pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await send({**head, "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})


class Planting:
    """An office with a layer for faults between it and its witness."""

    def __init__(self, ground: Ground, layer: Planted) -> None:
        self.ground = ground
        self.layer = layer

    def fuzzed(self, operation: str) -> Found:
        return self.ground.fuzzed(
            seed=1, only_operation=operation, who="auditor", phases=("coverage",)
        )

    def asked(self, method: str, path: str, who: str | None = "clerk") -> set[str]:
        """What the witness says of one call."""
        self.ground.witness.look()
        self.ground.witness.faults.clear()
        headers = self.ground.door.headers(who, Idempotency_Key=str(uuid4()))
        client = TestClient(self.ground.witness)
        client.request(
            method, path, headers=headers, json={} if method == "POST" else None
        )
        return {fault.what for fault in self.ground.witness.faults}


@pytest.fixture(scope="module")
def ready(door: Door) -> Iterator[Planting]:
    layers: list[Planted] = []

    def between(app: ASGIApp) -> ASGIApp:
        layers.append(Planted(app))
        return layers[0]

    with ground_of(door, 1, between) as ground:
        yield Planting(ground, layers[0])


@pytest.fixture
def planting(ready: Planting) -> Planting:
    ready.layer.change = ready.layer.before = None
    return ready


def problem(code: str, status: int) -> Change:
    document = {
        "type": f"/problems/{code}",
        "title": "",
        "status": status,
        "detail": "",
        "code": code,
    }
    return lambda _, headers, __: (
        status,
        {**headers, "content-type": MEDIA_TYPE},
        json.dumps(document).encode(),
    )


def test_nothing_is_found_where_nothing_is_wrong(planting: Planting) -> None:
    planting.layer.change = lambda *answer: answer
    assert planting.fuzzed("list_governorates").told() == ""
    assert planting.asked("GET", "/v1/governorates") == set()
    assert planting.asked("POST", "/v1/requests") == set()


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (lambda _, h, c: (418, h, c), "Undocumented status code"),
        (lambda s, h, _: (s, h, b'{"items": 7}'), "Response violates schema"),
        (
            lambda s, h, c: (s, {**h, "content-type": "text/html"}, c),
            "Undocumented Content-Type",
        ),
        (problem("internal-error", 500), "Server error"),
    ],
)
def test_an_answer_that_is_not_as_described_is_caught(
    planting: Planting, change: Change, title: str
) -> None:
    planting.layer.change = change
    found = planting.fuzzed("list_governorates")
    assert title in {name for name, _ in found.failures}, found.told()


def test_an_unforeseen_error_is_caught(
    planting: Planting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(planting.ground.door.scene.house.queries.trail, "page", fall)
    found = planting.fuzzed("get_request_trail")
    assert ("Server error", "GET /v1/requests/{request_id}/trail") in found.failures
    assert "failed" in {fault.what for fault in found.faults}


def test_a_missing_header_is_caught(planting: Planting) -> None:
    planting.layer.change = lambda status, headers, content: (
        status,
        {k: v for k, v in headers.items() if k not in {"etag", "trace-id"}},
        content,
    )
    found = planting.fuzzed("get_request")
    assert any("header" in name for name, _ in found.failures), found.told()
    assert "sent without headers" in {fault.what for fault in found.faults}


def test_a_refused_call_that_recorded_something_is_caught(planting: Planting) -> None:
    planting.layer.change = problem("wrong-state", 409)
    planting.layer.before = planting.ground.door.scene.submit
    assert "refused, and something was recorded" in planting.asked(
        "POST", "/v1/requests"
    )


def test_a_reading_that_recorded_something_is_caught(planting: Planting) -> None:
    planting.layer.change = lambda *answer: answer
    planting.layer.before = planting.ground.door.scene.submit
    assert "read, and something was recorded" in planting.asked(
        "GET", "/v1/governorates"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO vault.merges SELECT * FROM vault.merges LIMIT 0",
        "UPDATE vault.persons SET created_at = created_at",
        "DELETE FROM vault.blind_index",
    ],
)
def test_a_refused_call_that_changed_the_vault_is_caught(
    planting: Planting, statement: str
) -> None:
    def write() -> None:
        dsn = planting.ground.door.scene.database.superuser_dsn(is_vault=True)
        with closing(psycopg2.connect(**dsn)) as connection, connection:
            connection.cursor().execute(statement)

    planting.layer.change = problem("wrong-state", 409)
    planting.layer.before = write
    is_changed = not statement.startswith("INSERT")
    found = planting.asked("POST", "/v1/requests")
    assert ("refused, and the vault changed" in found) is is_changed


def test_an_undeclared_problem_is_caught(planting: Planting) -> None:
    planting.layer.change = problem("unknown-stamp", 409)
    assert "an undeclared problem" in planting.asked("POST", "/v1/requests")
    planting.layer.change = lambda _, headers, __: (404, headers, b"{}")
    assert "no problem document" in planting.asked("GET", "/v1/governorates")


def test_a_marked_value_in_an_answer_is_caught(planting: Planting) -> None:
    planting.layer.change = lambda status, headers, content: (
        status,
        headers,
        content + NAME.encode(),
    )
    assert "showed a marked value" in planting.asked("GET", "/v1/governorates")
    planting.layer.change = lambda status, headers, content: (
        status,
        {**headers, "location": f"/v1/{quote(NAME)}"},
        content,
    )
    assert "showed a marked value" in planting.asked("GET", "/v1/governorates")


def test_values_shown_to_another_centre_are_caught(planting: Planting) -> None:
    path = f"/v1/requests/{planting.ground.door.submitted()}/parties"
    planting.layer.change = lambda _, headers, __: (200, headers, NAME.encode())
    assert "showed a marked value" not in planting.asked("GET", path, "clerk")
    assert "showed a marked value" in planting.asked("GET", path, "foreign-clerk")
    assert "showed a marked value" in planting.asked("GET", path, "auditor")


def test_what_nobody_did_is_caught(planting: Planting) -> None:
    planting.layer.change = lambda *answer: answer
    planting.layer.before = planting.ground.door.scene.submit
    assert "changed by nobody" in planting.asked("POST", "/v1/requests", None)
