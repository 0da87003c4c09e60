"""Kafka's own jars, brought from Maven once and kept beside the build."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).parent / "pom.xml"
KEPT = Path(__file__).parent.parent.parent / "build" / "kafka"
FETCH_TIMEOUT_S = 300
"""Some 45 files and 43 MB: seconds on a usual line."""


class NoKafkaError(RuntimeError):
    """A real Kafka cannot be had here; the words say what is missing."""


def class_path() -> str:
    """The class path of Kafka's jars, fetched when they are not there.

    Raises NoKafkaError without Java or Maven, and when the jars cannot be fetched.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NoKafkaError(f"{program} is not installed")
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        # Two runs of the tests at once fetch once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        jars, whole = KEPT / "jars", KEPT / "whole"
        if not whole.exists() or whole.read_bytes() != POM.read_bytes():
            shutil.rmtree(jars, ignore_errors=True)
            _fetch(jars)
            whole.write_bytes(POM.read_bytes())
    return f"{jars}/*"


def _fetch(jars: Path) -> None:
    try:
        subprocess.run(
            [
                *("mvn", "--quiet", "--batch-mode", "--file", str(POM)),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={jars}",
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stdout + error.stderr).splitlines()
        raise NoKafkaError("\n".join(lines[-5:])) from error
    except subprocess.TimeoutExpired as error:
        raise NoKafkaError("Maven took too long") from error
