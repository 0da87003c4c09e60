"""``sijil telling``: what is on its way, what is stuck, and trying it again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from api.cli import command_line
from api.cli.failures import Failure
from office.couriers import CourierError
from tests.conftest import Database
from tests.office.scene import MARKED_PHONE, scene_in
from tests.office.telling import Office

RUNNER = CliRunner()


@pytest.fixture
def told(
    seeded_database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    for name, value in seeded_database.environment().items():
        monkeypatch.setenv(name, value)
    with scene_in(seeded_database) as scene:
        made = Office(scene)
        try:
            yield made
        finally:
            made.close()


def asked(*arguments: str) -> str:
    done = RUNNER.invoke(
        command_line(only="telling"), ["telling", *arguments], catch_exceptions=False
    )
    assert done.exit_code == 0
    return done.output


def test_it_says_what_is_stuck_and_lets_it_be_tried_again(told: Office) -> None:
    assert "no message was on its way lately" in asked("list")
    assert "nothing is stuck" in asked("list", "--stuck")
    told.box.troubles = [CourierError("smtp-550", is_final=True)]
    told.scene.submit()
    told.scene.submit()
    told.tell()
    counted = json.loads(asked("list", "--json"))["items"]
    assert [(row["state"], row["failure"], row["count"]) for row in counted] == [
        ("given_up", "smtp-550", 1),
        ("told", None, 1),
    ]
    (stuck,) = json.loads(asked("list", "--stuck", "--json"))["items"]
    assert stuck["failure"] == "smtp-550"
    assert MARKED_PHONE not in asked("list") + asked("list", "--stuck")
    assert "tried again" in asked("retry", stuck["id"])
    told.tell()
    assert len(told.informed()) == 2
    with pytest.raises(Failure, match="no such message"):
        asked("retry", stuck["id"])
