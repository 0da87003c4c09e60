"""``sijil dead-letters``: what an operator sees and does, at a server and a broker."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from eventsourcing.persistence import Tracking
from typer.testing import CliRunner

from api import asking
from api.cli import command_line
from api.cli.failures import Failure
from office.errors import OperatorError
from office.streams import LetterPlace
from tests.api.live import LiveServer, live_in
from tests.conftest import Server, fresh_database
from tests.consumers.test_dead_letters import Office

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def live(server: Server, template: str) -> Iterator[LiveServer]:
    database = fresh_database(server, template)
    try:
        with pytest.MonkeyPatch.context() as patched, live_in(database) as made:
            # The views follow in a thread of this same busy process. The command waits
            # for half a minute.
            patched.setattr(asking, "FRESH_TIMEOUT_S", 25.0)
            yield made
    finally:
        database.close()


@pytest.fixture
def office(
    options: dict[str, Any], live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    settings = live.scene.database.settings
    monkeypatch.setenv("SIJIL_HOME", str(settings.home))
    monkeypatch.setenv("SIJIL_URL", live.url)
    monkeypatch.setenv("SIJIL_KAFKA", ",".join(options["bootstrap_servers"]))
    made = Office(options, live.scene)
    try:
        yield made
    finally:
        made.close()


def run(*arguments: str, exit_code: int = 0) -> str:
    done = RUNNER.invoke(
        command_line(only="dead-letters"),
        ["dead-letters", *arguments],
        catch_exceptions=False,
    )
    assert done.exit_code == exit_code, done.output
    return done.output


def told(*arguments: str, exit_code: int = 0) -> Any:
    output = run(*arguments, "--json", exit_code=exit_code)
    # The server's log is in between: it runs in this process.
    return json.JSONDecoder().raw_decode(output[output.index("{\n") :])[0]


def listed(office: Office, *arguments: str) -> list[str]:
    head = office.scene.house.ledger.reader.head().position
    found = told("list", "--min-position", str(head), "--limit", "200", *arguments)
    return [i["id"] for i in found["items"] if i["group"] == office.group]


def test_it_is_seen_shown_and_settled(office: Office) -> None:
    value = "نص\x1b[31m".encode()
    letter = office.set_aside(office.sent(value=value), detail="line-1")
    assert listed(office) == [str(letter.id)]
    assert str(letter.id) in run("list", "--cause", "not-json")
    assert listed(office, "--cause", "fault") == []
    assert office.group in run("totals")
    assert "not-json" in run("show", str(letter.id))
    shown = told("show", str(letter.id), "--content")
    # What would change a terminal is shown as a code; bytes that are no text too.
    assert shown["value"] == "نص\\u001b[31m"
    assert shown["headers"] == ["sijil_signature: base64:AP8="]
    assert shown["detail"] == "line-1"
    settled = told("settle", str(letter.id), "--reason", "not-ours")
    assert settled["settled_because"] == "not-ours"
    assert listed(office) == []
    assert listed(office, "--all") == listed(office, "--state", "settled")
    with pytest.raises(Failure, match="it was settled: not-ours"):
        run("replay", str(letter.id))


def test_it_is_sent_again_and_that_is_recorded_once(office: Office) -> None:
    message = office.sent()
    letter = office.set_aside(message)
    (first,) = told("replay", str(letter.id))["items"]
    assert (first["state"], first["replays"]) == ("replayed", 1)
    with pytest.raises(Failure, match="was sent again before"):
        run("replay", str(letter.id))
    (second,) = told("replay", str(letter.id), "--again")["items"]
    assert second["replays"] == 2
    records = office.records(office.topic, 1, message.offset + 1)
    assert [record.offset for record in records] == [
        first["replayed_offset"],
        second["replayed_offset"],
    ]
    events = [
        entry.topic.removeprefix("sijil.message.").removesuffix(".v1")
        for entry in office.scene.entries(letter.id)
    ]
    assert events == ["dead-lettered", "replayed", "replayed"]


def test_what_was_sent_and_not_recorded_is_recorded_and_not_sent(
    office: Office,
) -> None:
    message = office.sent()
    letter = office.set_aside(message)
    sent = office.box.send_again(letter, replay=1)
    (answer,) = told("replay", str(letter.id))["items"]
    assert answer["replayed_offset"] == sent.offset
    assert len(office.records(office.topic, 1, message.offset + 1)) == 1


def test_all_of_a_cause_go_the_oldest_first_and_one_holds_up_no_other(
    office: Office,
) -> None:
    letters = [office.set_aside(office.sent(), cause="unknown-key") for _ in range(2)]
    gone = lost(office, letters[-1], cause="unknown-key")
    other = office.set_aside(office.sent())
    listed(office)
    answer = told("replay", "--all-of", "unknown-key", exit_code=1)
    replayed = [each["id"] for each in answer["items"]]
    assert replayed == [str(letter.id) for letter in letters]
    assert set(listed(office)) == {str(other.id), gone}
    with pytest.raises(OperatorError, match="the content is gone"):
        run("replay", gone)


def lost(office: Office, place: LetterPlace, *, cause: str) -> str:
    """A dead letter of which the dead-letter topic has nothing any more; its id."""
    message = dataclasses.replace(office.sent(), timestamp_ms=1)
    aside = office.aside
    kept = aside._sender.send
    aside._sender.send = lambda *a, **k: kept(*a, **k)._replace(offset=10_000)
    try:
        aside.set_aside(
            message,
            cause=cause,
            attempts=1,
            tracking=Tracking(office.tracked, message.offset),
        )
    finally:
        aside._sender.send = kept
    assert place.id != office.letters()[-1].id
    return str(office.letters()[-1].id)


@pytest.mark.parametrize("arguments", [[], ["{id}", "--all-of", "fault"]])
def test_it_has_to_be_clear_what_is_sent_again(
    office: Office, arguments: list[str]
) -> None:
    letter = office.set_aside(office.sent())
    with pytest.raises(Failure, match="not clear"):
        run("replay", *[each.format(id=letter.id) for each in arguments])
