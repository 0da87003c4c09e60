"""``sijil topics``: what an operator reads of them, and the exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from typer.testing import CliRunner

from api.cli import command_line
from consumers.schemas import URN
from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin
from consumers.topics import BANK_PAYMENTS, EVENTS, TOPICS
from ledger.settings import SettingMissingError
from office.errors import OperatorError
from tests.consumers.conftest import until
from tests.docs.pages import REFERENCE
from tests.kafka.broker import Cluster
from tests.kafka.shared import one_node

RUNNER = CliRunner()
ALL_RIGHT = f"{len(TOPICS)} topics are as the catalogue has them\n"
STAMPED = "sijil.request.stamped.v1"


def run(*arguments: str, exit_code: int | None = 0) -> str:
    """What is printed; with any of the two codes where None is given."""
    done = RUNNER.invoke(
        command_line(only="topics"), ["topics", *arguments], catch_exceptions=False
    )
    assert done.exit_code in ({0, 1} if exit_code is None else {exit_code}), done.output
    return done.output


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home, no broker, and a terminal that no row is too long for."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path))
    monkeypatch.delenv("SIJIL_KAFKA", raising=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker of these tests' own: what they change is every test's elsewhere."""
    with one_node(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture
def bare(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaAdminClient]:
    """An administrator of a broker without topics."""
    monkeypatch.setenv("SIJIL_KAFKA", cluster.bootstrap)
    options = KafkaSettings(kafka=cluster.bootstrap).client()
    with (
        closing(KafkaAdminClient(**options)) as kafka,
        closing(TopicAdmin(options, replication=1)) as admin,
    ):
        kafka.delete_topics([name for name in admin.names() if name[0] != "_"])
        until(lambda: len(admin.differences()) == len(TOPICS))
        yield kafka


def rows(output: str) -> list[list[str]]:
    """The cells of a printed table, without its heading."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in output.splitlines()
        if line.startswith("│")
    ]


def test_topics_are_made_and_then_as_they_have_to_be(bare: KafkaAdminClient) -> None:
    lacking = rows(run("check", exit_code=1))
    assert lacking == [[topic.name, "topic", "there", "missing"] for topic in TOPICS]
    assert not [name for name in bare.list_topics() if name.startswith("sijil.")]
    assert run("apply") == ALL_RIGHT
    assert run("check") == ALL_RIGHT
    assert set(bare.list_topics()) >= {topic.name for topic in TOPICS}
    # Again it changes nothing.
    assert run("apply") == ALL_RIGHT


def test_a_changed_setting_is_named_and_mended(bare: KafkaAdminClient) -> None:
    run("apply")
    changed = {"retention.ms": "1000"}
    bare.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, EVENTS.name, configs=changed)]
    )
    until(lambda: "1000" in run("check", exit_code=None))
    named = [[EVENTS.name, "retention.ms", "-1", "1000"]]
    assert rows(run("check", exit_code=1)) == named
    # A look alone mends nothing.
    assert rows(run("check", exit_code=1)) == named
    assert run("apply") == ALL_RIGHT
    assert run("check") == ALL_RIGHT


def test_what_cannot_be_mended_is_named_by_both(bare: KafkaAdminClient) -> None:
    run("apply")
    wanted = BANK_PAYMENTS.partitions
    bare.create_partitions({BANK_PAYMENTS.name: wanted + 1})
    named = [[BANK_PAYMENTS.name, "partitions", str(wanted), str(wanted + 1)]]
    until(lambda: "partitions" in run("check", exit_code=None))
    assert rows(run("apply", exit_code=1)) == named
    assert rows(run("check", exit_code=1)) == named


def test_topics_of_no_kafka_are_no_answer() -> None:
    for command in ("apply", "check"):
        with pytest.raises(SettingMissingError, match="SIJIL_KAFKA"):
            run(command)


def test_the_description_is_the_one_of_the_reference() -> None:
    asked = run("describe")
    assert asked == (REFERENCE / "asyncapi.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [STAMPED, f"{URN}{STAMPED}"])
def test_a_schema_is_described_by_its_type_and_its_id(name: str) -> None:
    path = REFERENCE / "schemas" / f"{STAMPED}.json"
    assert run("describe", name) == path.read_text(encoding="utf-8")


def test_a_schema_that_is_not_there_is_named() -> None:
    with pytest.raises(OperatorError) as raised:
        run("describe", "sijil.request.vanished.v1")
    assert str(raised.value) == "there is no schema sijil.request.vanished.v1"
    assert raised.value.exit_code == 2


def test_the_description_is_written_as_files(tmp_path: Path) -> None:
    assert run("describe", "--output", str(tmp_path / "made")) == ""
    written = (tmp_path / "made" / "schemas" / f"{STAMPED}.json").read_bytes()
    assert written == (REFERENCE / "schemas" / f"{STAMPED}.json").read_bytes()
