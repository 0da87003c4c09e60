"""What a killed supervisor of a node leaves behind is ended, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from api.cli import command_line
from consumers import processes as streams
from consumers.broker import cli, jars
from consumers.broker.jars import NoKafkaError, class_path
from consumers.broker.nodes import Node
from consumers.processes import processes
from consumers.settings import BrokerSettings
from office.errors import OperatorError
from tests.kafka.broker import Cluster

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (made,) = Cluster(tmp_path).nodes
    made.folder.mkdir()
    return made


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for each in made:
        each.kill()
        each.wait()


def test_a_node_that_was_left_behind_is_ended(
    node: Node, started: list[subprocess.Popen[bytes]]
) -> None:
    left = subprocess.Popen([sys.executable, "-c", SLEEP, str(node._properties)])
    started.append(left)
    node._pid_file.write_text(str(left.pid), encoding="utf-8")
    # It is our child here, and stays in the list until it is waited for.
    waiting = Thread(target=left.wait)
    waiting.start()
    node._end_leftover()
    waiting.join()
    assert left.returncode == -15


def test_another_process_of_that_number_is_left_alone(
    node: Node, started: list[subprocess.Popen[bytes]]
) -> None:
    other = subprocess.Popen([sys.executable, "-c", SLEEP])
    started.append(other)
    for said in (str(other.pid), "", "none"):
        node._pid_file.write_text(said, encoding="utf-8")
        node._end_leftover()
    assert other.poll() is None


def test_without_java_or_maven_the_words_say_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafkaError, match="java"):
        class_path(tmp_path / "kept")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    with pytest.raises(NoKafkaError, match="mvn"):
        class_path(tmp_path / "kept")
    # With the jars there, Maven is not needed.
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "whole").write_bytes(jars.POM.read_bytes())
    assert class_path(tmp_path / "kept").endswith("/kept/jars/*")


@pytest.mark.parametrize("fails", [0, 2, 3])
def test_jars_that_do_not_come_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jars, "TRY_AGAIN_AFTER_S", 0.0)
    asked = tmp_path / "asked"
    count = f"n=0; echo >> {asked}; while read -r _; do n=$((n+1)); done < {asked}"
    for name, does in (
        ("java", ""),
        ("mvn", f"{count}; echo gone; [ $n -gt {fails} ]"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    kept = tmp_path / "kept"
    if fails < jars.TRIES:
        assert class_path(kept).endswith("/kept/jars/*")
    else:
        with pytest.raises(NoKafkaError, match="gone"):
            class_path(kept)
    assert len(asked.read_text().splitlines()) == min(fails + 1, jars.TRIES)
    assert (kept / "whole").exists() is (fails < jars.TRIES)


def test_two_brokers_of_one_home_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path))
    with cli._the_only_one(tmp_path / "kafka"), pytest.raises(OperatorError):
        CliRunner().invoke(
            command_line(only="broker"), ["broker"], catch_exceptions=False
        )


def test_nobody_logs_in_at_it_whatever_is_set_for_another_kafka(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIJIL_KAFKA", "another:9092")
    monkeypatch.setenv("SIJIL_KAFKA_PROTOCOL", "SASL_SSL")
    made = BrokerSettings(broker_port=9999).client()
    assert made["bootstrap_servers"] == ["127.0.0.1:9999"]
    assert made["security_protocol"] == "PLAINTEXT"


class TestWhatRunKeepsRunning:
    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SIJIL_KAFKA", raising=False)

    def test_nothing_without_a_broker(self, tmp_path: Path) -> None:
        made = processes(tmp_path, with_broker=False)
        assert made.processes == ()
        assert "no Kafka is named" in made.said

    def test_the_streams_where_one_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIJIL_KAFKA", "b:9092")
        for with_broker in (False, True):
            made = processes(tmp_path, with_broker=with_broker)
            assert [each.name for each in made.processes] == ["relay", "analytics"]
            assert all(each.may_start() for each in made.processes)
            assert made.shown == {"Kafka": "b:9092"}

    def test_a_broker_and_then_the_streams_where_one_is_wanted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streams, "why_not", lambda _: None)
        serves = tmp_path / "kafka" / "serves"
        serves.parent.mkdir()
        serves.touch()
        made = processes(tmp_path, with_broker=True)
        broker, *others = made.processes
        # What an earlier one left is gone.
        assert broker.may_start()
        assert not any(each.may_start() for each in others)
        serves.touch()
        assert all(each.may_start() for each in others)
        assert {e.environment["SIJIL_KAFKA"] for e in others} == {"127.0.0.1:9092"}

    def test_everything_else_where_none_can_be_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streams, "why_not", lambda _: "java is not installed")
        made = processes(tmp_path, with_broker=True)
        assert made.processes == ()
        assert "java is not installed" in made.said

    def test_no_analytics_without_the_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIJIL_KAFKA", "b:9092")
        monkeypatch.setattr(streams, "is_installed", lambda: False)
        made = processes(tmp_path, with_broker=False)
        assert [each.name for each in made.processes] == ["relay"]
        assert "extra `analytics`" in made.said
