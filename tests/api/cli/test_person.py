"""``sijil person``: values come from standard input and travel in bodies alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from api.cli import command_line

RUNNER = CliRunner()
NUMBER = "01000099887"
ONE, OTHER = str(uuid4()), str(uuid4())
ANSWERS: dict[str, Any] = {
    "/v1/persons/search": {
        "items": [
            {
                "id": ONE,
                "tracking_number": "A77W-EAA2-E5G9-Q",
                "stage": "waiting",
                "service": "CIV-01",
                "submitted_at": "2026-11-23T08:14:05Z",
                "roles": ["applicant"],
            }
        ],
        "is_complete": False,
        "next": "WzFd",
    },
    "/v1/persons/merge": {"id": OTHER},
    "/v1/persons/export": {"requests": [{"id": ONE}]},
}


class FakeServer(BaseHTTPRequestHandler):
    """Answers what is expected and remembers what was asked."""

    asked: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.asked.append((self.path, json.loads(self.rfile.read(size))))
        body = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Ledger-Position", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    found: list[Any] = []
    handler = type("Handler", (FakeServer,), {"asked": found})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0})
    thread.start()
    monkeypatch.setenv("SIJIL_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SIJIL_TOKEN", "token")
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(*arguments: str, typed: str = "") -> Any:
    return RUNNER.invoke(command_line(only="person"), ["person", *arguments], typed)


def test_what_is_looked_for_comes_from_standard_input(asked: list[Any]) -> None:
    done = run("search", typed=f"{NUMBER}\nmore\n")
    assert done.exit_code == 0, done.output
    assert asked == [("/v1/persons/search", {"national_number": NUMBER})]
    assert "A77W-EAA2-E5G9-Q" in done.output
    assert "--cursor WzFd" in done.output
    assert NUMBER not in done.output


def test_no_option_takes_a_value(asked: list[Any]) -> None:
    assert run("search", NUMBER).exit_code == 2
    assert run("search", "--name", "علامة").exit_code == 2
    assert run("search", typed="").exit_code == 1
    assert asked == []


def test_a_name_goes_on_where_it_ended(asked: list[Any]) -> None:
    done = run("search", "--by", "name", "--cursor", "WzFd", "--json", typed="علامة\n")
    assert json.loads(done.output) == ANSWERS["/v1/persons/search"]
    assert asked == [("/v1/persons/search", {"name": "علامة", "cursor": "WzFd"})]


def test_a_merge_names_parties_and_a_reason(asked: list[Any]) -> None:
    done = run("merge", ONE, OTHER, "--reason", "number-mistyped", "--json")
    assert json.loads(done.output) == {"merge": OTHER, "position": 7}
    assert asked[0][1] == {
        "first": {"request_id": ONE, "role": "applicant"},
        "second": {"request_id": OTHER, "role": "applicant"},
        "reason": "number-mistyped",
    }


def test_an_export_is_one_json_document(asked: list[Any]) -> None:
    done = run("export", ONE, "--role", "concerned")
    assert json.loads(done.output) == ANSWERS["/v1/persons/export"]
    assert asked[0][1] == {"request_id": ONE, "role": "concerned"}
