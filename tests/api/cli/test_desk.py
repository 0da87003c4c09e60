"""``sijil desk``: each command shows what its route has, in columns that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

import api.cli.desk as module
from api.cli import command_line
from api.cli.failures import Failure
from api.cli.logins import Login, mint
from api.cli.server import Answer, RefusedError, RunningServer
from tests.api.door import Door
from tests.office.scene import DIGEST, ITEM, STAMP

RUNNER = CliRunner()


class Through(RunningServer):
    """The running server of a command: the door of these tests, as who logs in."""

    def __init__(self, door: Door, login: Login) -> None:
        self.door = door
        self.headers = {"Authorization": f"Bearer {mint(door.settings, login)}"}

    def get(self, path: str, **asked: Any) -> Answer:
        known = {name: value for name, value in asked.items() if value is not None}
        answer = self.door.client.get(path, headers=self.headers, params=known)
        if answer.status_code != 200:
            raise RefusedError(answer.status_code, answer.json(), url="http://x")
        return Answer(status=200, body=answer.json())


@pytest.fixture(scope="module")
def filled(door: Door) -> Door:
    """An office with something on every desk."""
    door.forwarded()
    returned = door.mailed()
    sent_back = {"item": ITEM, "reason": "receiver_absent"}
    assert door.act("post", returned, "return", **sent_back).is_success
    assert door.act("post", returned, "return", **sent_back).status_code == 409
    long_ago = door.scene.house.clock() - timedelta(days=20)
    door.submitted("supervisor", effective_at=long_ago.isoformat(), approved=True)
    assert door.act("supervisor", door.online(), "release").is_success
    door.scene.level()
    return door


@pytest.fixture(autouse=True)
def _through_the_door(filled: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connect(login: Login) -> Iterator[Through]:
        yield Through(filled, login)

    monkeypatch.setattr(module, "connect", connect)


def told(*arguments: str) -> str:
    done = RUNNER.invoke(command_line(only="desk"), ["desk", *arguments])
    assert done.exit_code == 0, done.output
    # The door logs into the same place here.
    lines = done.output.splitlines()
    return "\n".join(line for line in lines if "api.request" not in line)


@pytest.mark.parametrize("part", list(module.Part))
def test_every_part_of_the_desk_has_rows_and_its_columns(part: module.Part) -> None:
    [*items] = json.loads(told("centre", part.value, "--json"))["items"]
    assert items
    assert set(module._COLUMNS[part]) <= items[0].keys()
    assert "nothing" not in told("centre", part.value)


def test_an_inbox_is_shown_as_its_officer_sees_it() -> None:
    asked = ("inbox", "--agency", "CIV", "--governorate", "SY-DI")
    [item] = json.loads(told(*asked, "--json"))["items"]
    assert item["tracking_number"] in told(*asked)
    assert "nothing is answered at CIV" in told(*asked, "--state", "answered")


def test_the_manifest_is_shown_as_the_post_sees_it() -> None:
    assert ITEM in told("post", "--state", "returned")
    assert "nothing was mailed" in told("post", "--day", "2020-01-01")


def test_a_paper_is_checked_by_its_digest() -> None:
    assert STAMP in told("paper", DIGEST)
    assert json.loads(told("paper", DIGEST, "--json"))["stamps"][0]["is_good"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("centre", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("inbox", "--agency", "NOPE"), "NOPE is none of the agencies"),
        (("post", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("post", "--day", "2026-02-30"), "day is no day written as 2026-11-23"),
        (("paper", "xyz"), "digest is too short"),
    ],
)
def test_a_slip_is_not_told_as_nothing(asked: tuple[str, ...], said: str) -> None:
    done = RUNNER.invoke(command_line(only="desk"), ["desk", *asked])
    assert isinstance(done.exception, Failure), done.output
    assert said in str(done.exception)
