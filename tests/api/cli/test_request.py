"""``sijil request``: every act has its command, and no value of a person is typed in
one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

import pytest
import typer.main
from typer.testing import CliRunner

from api.cli import command_line
from api.cli.act_commands import ACTS, TYPED
from api.cli.acting import Deed, Who
from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.server import RefusedError
from api.v1.bodies import Person
from domain.acts import ActorKind
from tests.docs.pages import REFERENCE
from tests.running import REPOSITORY

RUNNER = CliRunner()
PREFIX = "/v1/requests"
REQUEST = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
KEY = "019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"
SECRET = "علامة-01000099887"
SUBMIT = [
    "submit",
    *("--service", "CIV-01", "--channel", "counter", "--relationship", "self"),
    *("--delivery", "home"),
]
SUBMIT_FOR_A_CHILD = [*SUBMIT, "--relationship", "first_degree"]


def acts_of_the_interface() -> dict[str, set[str]]:
    """The fields of each act on a request by the end of its path, "" for a new one."""
    document = json.loads((REFERENCE / "openapi.json").read_text("utf-8"))
    found = {}
    for path, item in document["paths"].items():
        if not path.startswith(PREFIX) or "post" not in item:
            continue
        body = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        name = path.removeprefix(PREFIX).removeprefix("/{request_id}").strip("/")
        found[name] = set(schema.get("properties", {}))
    return found


def test_every_act_of_the_interface_has_its_command_and_every_field_its_option() -> (
    None
):
    group: Any = typer.main.get_command(command_line(only="request"))
    commands = group.commands["request"].commands
    interface = acts_of_the_interface()
    assert {act.path for act in ACTS} == set(interface)
    for act in ACTS:
        options = {option for each in commands[act.name].params for option in each.opts}
        fields = {f"--{name.replace('_', '-')}" for name in interface[act.path] - TYPED}
        assert fields <= options, act.name


def test_no_option_holds_a_person() -> None:
    for act in ACTS:
        for name in act.body.model_fields:
            schema = json.dumps(act.body.model_json_schema()["properties"][name])
            assert name in TYPED or Person.__name__ not in schema
        assert not TYPED & act.options.keys()
        assert not Person.model_fields.keys() & act.options.keys()


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (None, Who(role=ActorKind.CLERK)),
        ("supervisor", Who(role=ActorKind.SUPERVISOR)),
        ("clerk:clk-DI-2", Who(role=ActorKind.CLERK, code="clk-DI-2")),
        (
            "agency:o-1@CIV/SY-DI",
            Who(role=ActorKind.AGENCY, code="o-1", place="CIV/SY-DI"),
        ),
        ("clerk:@SY-HL-01", Who(role=ActorKind.CLERK, place="SY-HL-01")),
    ],
)
def test_who_acts_is_a_role_a_code_and_a_place(text: str | None, who: Who) -> None:
    assert Who.read(text, default=ActorKind.CLERK) == who


def test_what_is_not_said_of_who_acts_follows_from_the_request() -> None:
    request = {
        "centre": "SY-HL-01",
        "clerk": "clk-HL-2",
        "agency": "LND",
        "governorate": "SY-HL",
    }
    clerk = Who.read(None, default=ActorKind.CLERK).login(request)
    assert (clerk.subject, clerk.centre) == ("clk-HL-2", "SY-HL-01")
    officer = Who.read("agency", default=ActorKind.CLERK).login(request)
    assert (officer.agency, officer.governorate) == ("LND", "SY-HL")
    national = Who.read("agency:o@EDU", default=ActorKind.CLERK).login(request)
    assert (national.agency, national.governorate) == ("EDU", "")
    nobodys = {**request, "clerk": None}
    with pytest.raises(Failure, match="say it with --as clerk:CODE"):
        Who.read(None, default=ActorKind.CLERK).login(nobodys)
    with pytest.raises(Failure, match="nobody acts as post of a place"):
        Who.read("post:p@SY-DI-01", default=ActorKind.CLERK).login(request)
    with pytest.raises(Failure, match="nobody can act as that"):
        Who.read("king", default=ActorKind.CLERK)


@pytest.mark.parametrize(
    ("asked", "typed"),
    [
        (SUBMIT, b""),
        (SUBMIT, b"[]"),
        (SUBMIT, SECRET.encode()),
        (SUBMIT, b"\xff" + SECRET.encode()),
        (SUBMIT, b'{"applicant": {"full_name": "\\ud800"}}'),
        (SUBMIT, b"[" * 50_000),
        (SUBMIT, SECRET.encode() * 5_000),
        (SUBMIT, json.dumps({"applicant": SECRET}).encode()),
        (SUBMIT, json.dumps({"applicant": {SECRET: "x"}}).encode()),
        (SUBMIT, json.dumps({"applicant": {"full_name": 1}}).encode()),
        (SUBMIT, json.dumps({"applicant": {}, SECRET: {}}).encode()),
        (SUBMIT, json.dumps({"applicant": {}, "concerned": {}}).encode()),
        (SUBMIT_FOR_A_CHILD, json.dumps({"concerned": {}}).encode()),
        (
            f"correct {REQUEST} --field phone --reason typing_error".split(),
            b"\xff" + SECRET.encode(),
        ),
        (f"correct {REQUEST} --field phone --reason typing_error".split(), b""),
    ],
)
def test_nonsense_on_standard_input_is_refused_without_repeating_it(
    asked: list[str], typed: bytes
) -> None:
    done = RUNNER.invoke(command_line(only="request"), ["request", *asked], typed)
    failure = done.exception
    assert isinstance(failure, Failure), done.output
    assert failure.exit_code == COULD_NOT_ASK
    assert "standard input" in str(failure)
    for told in (str(failure), done.output):
        assert SECRET not in told
        assert "01000099887" not in told
    assert failure.__cause__ is None


def test_the_words_that_send_an_act_again_are_whole_and_hold_no_person() -> None:
    deed = Deed(
        command="correct",
        request_id=UUID(REQUEST),
        path="",
        body={"field": "address", "value": SECRET},
        told={"field": "address", "missing": ["a", "b c"], "approved": True},
        key=UUID(KEY),
    )
    assert deed.with_body(token=3).again("clerk:clk-DI-1@SY-DI-01") == (
        f"sijil request correct {REQUEST} --as clerk:clk-DI-1@SY-DI-01 "
        f"--field address --missing a --missing 'b c' --approved --token 3 --key {KEY}"
    )
    assert "--as" not in deed.again(None)


def test_a_refusal_tells_who_has_it_and_what_is_due() -> None:
    held = {
        "code": "held-by-another",
        "title": "The request is assigned to somebody else",
        "facts": {"holder": "clk-DI-2", "until": "2026-11-23T08:14:05+00:00"},
    }
    assert (
        "because The request is assigned to somebody else (clk-DI-2 has it now, "
        in (str(RefusedError(409, held, url="http://x")))
    )
    unpaid = {"title": "A due fee is unpaid", "facts": {"due": "5", "unit": "SYP.new"}}
    assert "(5 hundredths of SYP.new are due)" in str(
        RefusedError(409, unpaid, url="http://x")
    )


class FakeServer(BaseHTTPRequestHandler):
    """Takes an act, forgets to answer with sense, and remembers what was sent."""

    asked: list[tuple[str, Any]]

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.asked.append((self.path, json.loads(self.rfile.read(size))))
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def fake() -> Iterator[tuple[str, list[Any]]]:
    found: list[Any] = []
    handler = type("Handler", (FakeServer,), {"asked": found})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def at_a_terminal(url: str, lines: str, *arguments: str) -> tuple[int, str]:
    """The exit code and all that a terminal showed while ``lines`` were typed."""
    ours, theirs = pty.openpty()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SIJIL_")}
    with subprocess.Popen(
        [sys.executable, "-m", "api.cli", "request", *arguments],
        cwd=REPOSITORY,
        env={**kept, "SIJIL_URL": url, "SIJIL_TOKEN": "t"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        for line in [*lines.split("\n"), None]:
            # Each answer is typed when its question stands there, as people do.
            while line is None or not shown.endswith(b": "):
                try:
                    more = os.read(ours, 4096)
                except OSError:
                    # Linux tells the end of a terminal so.
                    break
                if not more:
                    break
                shown += more
            if line is not None:
                os.write(ours, line.encode() + b"\n")
                shown += b"\n"
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode(errors="replace")


def test_at_a_terminal_persons_are_asked_and_numbers_are_not_shown(
    fake: tuple[str, list[Any]],
) -> None:
    url, asked = fake
    lines = f"اسم مختلق\n{SECRET[-11:]}\n\n+963900000001\nعنوان\n"
    code, shown = at_a_terminal(url, lines, *SUBMIT)
    assert code == 1
    ((path, body),) = asked
    assert path == "/v1/requests"
    assert body["applicant"] == {
        "full_name": "اسم مختلق",
        "national_number": "01000099887",
        "phone": "+963900000001",
        "address": "عنوان",
    }
    assert "01000099887" not in shown
    assert "963900000001" not in shown
    assert "To send this very act again: sijil request submit" in shown
