"""One broker a run of the tests, whichever of its processes asks first.

``SIJIL_TEST_KAFKA`` names another one; with ``SIJIL_TEST_REAL_KAFKA=1`` a run without
any fails instead of leaving tests out.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.broker.jars import NoKafkaError, class_path
from tests.kafka.broker import KEPT, Cluster
from tests.running import REPOSITORY

WAIT_S = 240.0
"""A start on a busy machine; a test may take 300 s."""
_WITHOUT = "without"
"""What is said where there are no jars to start a node from."""
_STARTED: list[subprocess.Popen[bytes]] = []
"""Held for as long as this process lives: the broker outlives the test that asked."""


def is_demanded() -> bool:
    """Whether this run accepts nothing but a real broker."""
    return os.environ.get("SIJIL_TEST_REAL_KAFKA") == "1"


def must_be_had() -> None:
    """Leave the test out where no Kafka can be had; fail where it is demanded.

    A node that does not start, or does not come back, is no reason to leave it out.
    Raises NoKafkaError.
    """
    _leave_out_without(_missing())


def _leave_out_without(missing: str | None) -> None:
    if missing is not None and is_demanded():
        raise NoKafkaError(missing)
    if missing is not None:
        pytest.skip(f"no real Kafka: {missing}")


def _missing() -> str | None:
    """Why there are no jars to start a node from, if there are none."""
    try:
        class_path(KEPT)
    except NoKafkaError as error:
        return str(error)
    return None


@contextmanager
def one_node(folder: Path, *, is_killed: bool = False) -> Iterator[Cluster]:
    """A cluster of one node of one's own. Raises what ``must_be_had`` does."""
    must_be_had()
    made = Cluster(folder, is_killed=is_killed)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def bootstrap(folder: Path) -> str:
    """Where the run's broker is; it is started when nobody has.

    ``folder`` is the run's own. The broker ends with the run, however that ends. Raises
    what ``must_be_had`` does, and NoKafkaError for one that does not start.
    """
    named = os.environ.get("SIJIL_TEST_KAFKA")
    if named:
        return named
    folder.mkdir(exist_ok=True)
    said = folder / "said"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = _missing()
        if missing is not None:
            # Not for good: whoever asks next tries to fetch them again.
            said.write_text(f"{_WITHOUT} {missing}", encoding="utf-8")
        elif _said(said)[0] in {"", _WITHOUT}:
            said.unlink(missing_ok=True)
            _start(folder, said)
        kind, words = _said(said)
    _leave_out_without(missing)
    if kind != "at":
        raise NoKafkaError(words)
    return words


def _said(said: Path) -> tuple[str, str]:
    """What became of the broker, in a word, and more of it; nothing at first."""
    text = said.read_text(encoding="utf-8") if said.exists() else ""
    kind, _, words = text.partition(" ")
    return kind, words


def described(folder: Path) -> str:
    """Which broker a run used, for its last lines; empty when no test asked for one."""
    named = os.environ.get("SIJIL_TEST_KAFKA")
    if named:
        return "the one of SIJIL_TEST_KAFKA"
    kind, words = _said(folder / "said")
    if not kind:
        return ""
    if kind == "at":
        return "Apache Kafka of its own, from Maven's jars"
    return f"none, and its tests were left out, because {words.splitlines()[-1]}"


def _start(folder: Path, said: Path) -> None:
    # A worker of xdist is a child of the run's own process.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    run = os.getppid() if is_worker else os.getpid()
    with (folder / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.kafka", "--while", str(run)),
                *("--data", str(folder / "data"), "--say", str(said)),
            ],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _STARTED.append(supervisor)
    deadline = time.monotonic() + WAIT_S
    while not said.exists():
        if supervisor.poll() is not None and not said.exists():
            words = (folder / "supervisor.log").read_text(encoding="utf-8")
            raise NoKafkaError(words[-2000:] or "the broker's supervisor ended")
        if time.monotonic() > deadline:
            supervisor.terminate()
            raise NoKafkaError("the broker took too long to start")
        time.sleep(0.1)
