"""``sijil unmatched-payments``: what an administrator sees, and says became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

import api.cli.unmatched_payments as module
from api.cli import command_line, shown
from api.cli.failures import Failure
from api.cli.logins import Login, mint
from api.cli.server import Answer, RefusedError, RunningServer
from tests.api.door import Door

RUNNER = CliRunner()


class Through(RunningServer):
    """The running server of a command: the door of these tests, as who logs in."""

    def __init__(self, door: Door, login: Login) -> None:
        super().__init__("http://door")
        self._client.close()
        self._client = door.client
        self._login = {"Authorization": f"Bearer {mint(door.settings, login)}"}

    def __exit__(self, *_: object) -> None:
        """The door stays open."""

    def _ask(self, method: str, path: str, **parts: Any) -> Answer:
        headers = {**self._login, **parts.pop("headers", {})}
        return super()._ask(method, path, headers=headers, **parts)


@pytest.fixture(autouse=True)
def _through_the_door(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connect(login: Login) -> Iterator[Through]:
        yield Through(door, login)

    for each in (module, shown):
        monkeypatch.setattr(each, "connect", connect)


def run(*arguments: str) -> str:
    done = RUNNER.invoke(
        command_line(only="unmatched-payments"),
        ["unmatched-payments", *arguments],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    # The door logs into the same place here.
    lines = done.output.splitlines()
    return "\n".join(line for line in lines if "api.request" not in line)


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def listed(door: Door, *arguments: str) -> list[str]:
    door.scene.level()
    found = told("list", "--limit", "200", *arguments)
    return [each["payment_id"] for each in found["items"]]


def test_it_is_seen_shown_and_settled(door: Door) -> None:
    payment = door.stray_payment(bank_reference="B-cli/1")
    assert payment in listed(door)
    assert listed(door, "--reference", "B-cli/1") == [payment]
    assert payment not in listed(door, "--reason", "wrong_amount")
    assert payment not in listed(door, "--centre", "SY-DI-01")
    table = run("list", "--reference", "B-cli/1")
    assert "30.00" in table
    assert "unknown_number" in table
    assert "30.00 SYP.new" in run("show", payment)
    before = str(door.scene.house.ledger.reader.head().position)
    settled = told("settle", payment, "--reason", "returned")
    assert settled["settled_because"] == "returned"
    assert told("show", payment) == settled
    assert told("show", payment, "--as-of", before)["state"] == "open"
    assert payment not in listed(door)
    assert payment in listed(door, "--all")
    assert payment in listed(door, "--state", "settled")
    assert "settled" in run("list", "--reference", "B-cli/1", "--all")
    with pytest.raises(RefusedError, match="already-settled"):
        run("settle", payment, "--reason", "other")


def test_a_fee_is_named_by_its_request(door: Door) -> None:
    payment = door.stray_payment(bank_reference="B-cli/2")
    request_id = door.submitted()
    asked = ("settle", payment, "--reason", "taken-as-fee", "--request")
    with pytest.raises(RefusedError, match="was not paid with this payment"):
        run(*asked, request_id)
    with pytest.raises(RefusedError, match="not-found"):
        run(*asked, str(uuid4()))
    door.scene.pay(UUID(request_id), bank_reference="B-cli/2")
    assert told(*asked, request_id)["fee_request_id"] == request_id


def test_a_centre_that_nobody_knows_is_not_told_as_nothing() -> None:
    with pytest.raises(Failure, match="SY-XX-99 is none of the centres"):
        run("list", "--centre", "SY-XX-99")
