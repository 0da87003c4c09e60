"""The reader in the documentation counts what the ledger has, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from consumers.relay import Relay
from ledger.bodies import read_body
from tests.consumers.conftest import Lives, new_topic, relay_until
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "read-from-kafka.md"
MOST_LINES = 36
"""Of a reader that somebody is to understand at once."""


def code() -> str:
    (block,) = [each for each in blocks(PAGE) if each.language == "python"]
    return block.code


def run(folder: Path, options: dict[str, Any], topic: str) -> dict[str, int]:
    (folder / "reader.py").write_text(code(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "reader.py"],
        cwd=folder,
        env={
            **os.environ,
            "SIJIL_KAFKA": ",".join(options["bootstrap_servers"]),
            "TOPIC": topic,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


def submitted(lives: Lives) -> Counter[str]:
    entries = lives.reader.stream(topics=["sijil.request.submitted.v1"])
    return Counter(read_body(each.body)["data"]["governorate"] for each in entries)


def test_it_counts_what_the_ledger_has_and_nothing_twice(
    options: dict[str, Any], lives: Lives, tmp_path: Path
) -> None:
    expected = dict(submitted(lives))
    assert len(expected) > 1
    assert run(tmp_path, options, lives.topic.name) == expected
    # The same entries at other offsets, as after a backfill.
    anew = new_topic(options)
    relay_until(Relay(lives.reader, options, topic=anew), lives.head)
    assert run(tmp_path, options, anew.name) == expected
    kept = json.loads((tmp_path / "submitted.json").read_text(encoding="utf-8"))
    assert max(each["position"] for each in kept["reached"].values()) == lives.head


def test_it_is_short() -> None:
    assert len(code().splitlines()) <= MOST_LINES
