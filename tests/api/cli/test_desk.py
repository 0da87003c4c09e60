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
from api.cli import command_line, money, shown
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

    for each in (module, money, shown):
        monkeypatch.setattr(each, "connect", connect)


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


def items_of(*asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told(*asked, "--json"))["items"]
    return found


def test_fees_are_shown_in_pounds_and_narrowed(filled: Door) -> None:
    [paid, *_] = everything = items_of("payments", "--state", "paid")
    shown = told("payments", "--state", "paid")
    assert all(fee["tracking_number"] in shown for fee in everything)
    assert paid["amount"] == 3000
    assert "30.00" in shown
    reference = paid["bank_reference"]
    for narrowed in (
        ("--channel", paid["channel"], "--centre", paid["centre"]),
        ("--service", paid["service"], "--unit", "SYP.new"),
        *((("--reference", reference),) if reference else ()),
    ):
        found = items_of("payments", "--state", "paid", *narrowed)
        assert paid in found
    assert items_of("payments", "--due-before", "2020-01-01T00:00:00Z") == []
    assert "no fee is so" in told("payments", "--state", "cancelled")


def test_one_fee_is_shown_by_its_request(filled: Door) -> None:
    [fee, *_] = items_of("payments", "--state", "paid")
    assert json.loads(told("payment", fee["request_id"], "--json")) == fee
    assert f"30.00 {fee['unit']}" in told("payment", fee["request_id"])
    # Nobody has accepted it, so nothing is expected of it.
    waiting = filled.online()
    filled.scene.level()
    assert "no fee is expected" in told("payment", waiting)
    assert json.loads(told("payment", waiting, "--json")) is None


def test_sums_are_those_of_the_fees_shown() -> None:
    fees = items_of("payments", "--state", "paid", "--limit", "200")
    paid = sum(fee["amount"] for fee in fees)
    [all_of_it] = [s for s in items_of("sums") if s["unit"] == "SYP.new"]
    assert all_of_it["paid"]["amount"] == paid
    assert f"{money.pounds(paid)} of {len(fees)}" in told("sums")
    by = told("sums", "--by", "centre", "--by", "channel")
    assert "SY-DI-01" in by
    assert fees[0]["channel"] in by
    asked = ("sums", "--from", "2020-01-01", "--to", "2020-01-31")
    assert "nothing moved" in told(*asked)


@pytest.mark.parametrize(
    ("hundredths", "said"),
    [(0, "0.00"), (5, "0.05"), (3000, "30.00"), (123_456_789, "1,234,567.89")],
)
def test_pounds_are_written_as_on_a_receipt(hundredths: int, said: str) -> None:
    assert money.pounds(hundredths) == said


def test_stampings_are_shown_and_narrowed() -> None:
    [stamping, *_] = everything = items_of("stampings")
    for narrowed in (
        ("--serial", STAMP),
        ("--digest", DIGEST),
        ("--officer", stamping["officer"]),
        ("--centre", stamping["centre"]),
    ):
        assert items_of("stampings", *narrowed) == everything
        assert stamping["tracking_number"] in told("stampings", *narrowed)
    assert items_of("stampings", "--officer", "clk-DI-9") == []
    assert "nothing was stamped so" in told("stampings", "--doubtful")


def test_the_register_of_stamps_is_shown() -> None:
    [stamp] = items_of("stamps", "--serial", STAMP)
    assert stamp["last_stamped_at"] is not None
    assert STAMP in told("stamps", "--in-use")
    assert "no stamp is so" in told("stamps", "--withdrawn")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("centre", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("inbox", "--agency", "NOPE"), "NOPE is none of the agencies"),
        (("post", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("post", "--day", "2026-02-30"), "day is no day written as 2026-11-23"),
        (("paper", "xyz"), "digest is too short"),
        (("payments", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("stampings", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("stamps", "--centre", "SY-XX-99"), "SY-XX-99 is none of the centres"),
        (("sums", "--from", "2026-02-30"), "first is no day written as 2026-11-23"),
    ],
)
def test_a_slip_is_not_told_as_nothing(asked: tuple[str, ...], said: str) -> None:
    done = RUNNER.invoke(command_line(only="desk"), ["desk", *asked])
    assert isinstance(done.exception, Failure), done.output
    assert said in str(done.exception)
