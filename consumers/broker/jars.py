"""Kafka's own jars, brought from Maven once and kept."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import time
from pathlib import Path

POM = Path(__file__).parent / "pom.xml"
TRIES = 3
"""A line may fail for a moment. Maven keeps what it has, and goes on from there."""
TRY_AGAIN_AFTER_S = 2.0
FETCH_TIMEOUT_S = 300
"""Some 45 files and 43 MB: seconds on a usual line."""


class NoKafkaError(RuntimeError):
    """A real Kafka cannot be had here; the words say what is missing."""


def why_not(kept: Path) -> str | None:
    """Which program is missing to run a node, if one is."""
    if shutil.which("java") is None:
        return "java is not installed"
    if not _is_whole(kept) and shutil.which("mvn") is None:
        return "mvn is not installed"
    return None


def class_path(kept: Path) -> str:
    """The class path of the jars below ``kept``, fetched when they are not there.

    Raises NoKafkaError without Java or Maven, and when the jars cannot be fetched.
    """
    missing = why_not(kept)
    if missing is not None:
        raise NoKafkaError(missing)
    kept.mkdir(parents=True, exist_ok=True)
    jars = kept / "jars"
    with (kept / "lock").open("w") as lock:
        # Two that need them at once fetch once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(kept):
            shutil.rmtree(jars, ignore_errors=True)
            _fetch(jars)
            (kept / "whole").write_bytes(POM.read_bytes())
    return f"{jars.absolute()}/*"


def _is_whole(kept: Path) -> bool:
    whole = kept / "whole"
    return whole.exists() and whole.read_bytes() == POM.read_bytes()


def _fetch(jars: Path) -> None:
    command = [
        *("mvn", "--quiet", "--batch-mode", "--file", str(POM)),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={jars.absolute()}",
    ]
    for left in reversed(range(TRIES)):
        try:
            subprocess.run(  # noqa: S603 -- our own pom
                command,
                check=True,
                capture_output=True,
                text=True,
                timeout=FETCH_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise NoKafkaError("Maven took too long") from error
        except subprocess.CalledProcessError as error:
            if not left:
                lines = (error.stdout + error.stderr).splitlines()
                raise NoKafkaError("\n".join(lines[-5:])) from error
            time.sleep(TRY_AGAIN_AFTER_S)
        else:
            return
