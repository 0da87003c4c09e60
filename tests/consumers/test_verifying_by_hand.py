"""``sijil verify-topic``: what an operator reads of a topic, and the exit code."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner

from api.cli import command_line
from consumers.relay import Relay
from consumers.topics import EVENTS, REQUEST_STATUS, Topic
from office.errors import OperatorError
from tests.consumers.conftest import Book, new_topic, relay_until
from tests.consumers.test_verifying import Planted

RUNNER = CliRunner()
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""A database that does not answer."""


def run(*arguments: str, exit_code: int = 0) -> str:
    done = RUNNER.invoke(
        command_line(only="verify-topic"),
        ["verify-topic", *arguments],
        catch_exceptions=False,
    )
    assert done.exit_code == exit_code, done.output
    return done.output


def refused(*arguments: str) -> OperatorError:
    """What the operator is told where a topic cannot be looked at."""
    with pytest.raises(OperatorError) as raised:
        run(*arguments)
    return raised.value


@pytest.fixture
def kafka(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker that all tests share, and an empty home."""
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path))
    monkeypatch.setenv("SIJIL_KAFKA", ",".join(options["bootstrap_servers"]))


@pytest.fixture
def ledger(kafka: None, book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    """A ledger with 30 entries that the command reads too."""
    for name, value in book.database.environment().items():
        monkeypatch.setenv(name, value)
    book.add(10)
    return book


@pytest.fixture
def planted(options: dict[str, Any], topic: Topic, ledger: Book) -> Planted:
    return Planted(options, topic, ledger)


def plant(planted: Planted, *, without: int = 0, twice: int = 0) -> None:
    """All entries of the ledger but one, and one of them doubled at the end."""
    stored = planted.rows()
    chosen = [row for row in stored if row[0] != without]
    again = [row for row in stored if row[0] == twice]
    planted.write([planted.record(row) for row in [*chosen, *again]])


def test_a_whole_topic_is_said_to_be_so(planted: Planted) -> None:
    plant(planted)
    name = planted.topic.name
    said = f"{name}: whole, positions 1 to 30, 30 records"
    assert run(name) == f"{said}, 30 compared with the ledger\n"
    assert run(name, "--alone") == f"{said}\n"


@pytest.mark.parametrize("more", [[], ["--alone"]])
def test_a_position_that_a_topic_lacks_is_named(
    planted: Planted, more: list[str]
) -> None:
    plant(planted, without=7)
    name = planted.topic.name
    first, last = run(name, *more, exit_code=1).splitlines()
    assert first == "missing: position 7"
    assert last.startswith(f"{name}: NOT whole, positions 1 to 30, 29 records")


@pytest.mark.parametrize("more", [[], ["--alone"]])
def test_a_position_that_a_topic_has_twice_is_named(
    planted: Planted, more: list[str]
) -> None:
    plant(planted, twice=12)
    name = planted.topic.name
    first, last = run(name, *more, exit_code=1).splitlines()
    assert first.startswith("doubled: position 12 at ")
    assert last.startswith(f"{name}: NOT whole, positions 1 to 30, 31 records")


def test_a_topic_is_proved_alone_where_no_ledger_is(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(planted, without=30)
    name = planted.topic.name
    assert "the ledger has 1 more" in run(name)
    monkeypatch.setenv("SIJIL_DATABASE_URL", NOWHERE)
    said = f"{name}: whole, positions 1 to 29, 29 records\n"
    assert run(name, "--alone") == said


def test_what_a_relay_has_not_published_yet_is_no_fault(
    options: dict[str, Any], topic: Topic, ledger: Book
) -> None:
    relay_until(Relay(ledger.reader, options, topic=topic), 30)
    ledger.add(4, 1)
    said, behind = run(topic.name).splitlines()
    assert said.startswith(f"{topic.name}: whole, positions 1 to 30, 30 records")
    assert behind == "the ledger has 4 more"


@pytest.mark.parametrize(("like", "lacking"), [(EVENTS, 30), (REQUEST_STATUS, 20)])
def test_a_topic_that_has_nothing_of_a_ledger_is_not_called_whole(
    options: dict[str, Any], ledger: Book, like: Topic, lacking: int
) -> None:
    empty = new_topic(options, like)
    said, behind = run(empty.name).splitlines()
    assert said.startswith(f"{empty.name}: EMPTY, nothing of what the ledger has")
    assert behind == f"the ledger has {lacking} more"


def test_an_empty_topic_alone_says_nothing(kafka: None, topic: Topic) -> None:
    assert run(topic.name, "--alone") == f"{topic.name}: no records\n"


def test_records_that_are_no_entries_are_not_said_to_be_none(
    options: dict[str, Any], kafka: None, topic: Topic
) -> None:
    with closing(KafkaProducer(**options)) as producer:
        producer.send(topic.name, key=b"stray", value=b"{}", partition=0).get(30)
    first, last = run(topic.name, "--alone", exit_code=1).splitlines()
    assert first.startswith("not-an-event: at 0/0")
    assert last.startswith(f"{topic.name}: NOT whole, 1 records, none of them")


def test_statuses_prove_nothing_alone(kafka: None) -> None:
    error = refused(REQUEST_STATUS.name, "--alone")
    assert "proves nothing alone" in str(error)
    assert error.exit_code == 2


def test_a_topic_that_is_not_there_is_named(ledger: Book) -> None:
    error = refused("sijil.not-there.v1")
    assert "sijil.not-there.v1 is not there; `sijil topics apply`" in str(error)
    assert error.exit_code == 2
