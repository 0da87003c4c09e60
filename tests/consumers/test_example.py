"""The reader in the documentation counts what the ledger has, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ledger.bodies import read_body
from tests.consumers.conftest import Lives
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "read-from-kafka.md"
MOST_LINES = 36
"""Of a reader that somebody is to understand at once."""


def code() -> str:
    (block,) = [each for each in blocks(PAGE) if each.language == "python"]
    return block.code


def run(folder: Path, options: dict[str, Any], lives: Lives) -> dict[str, int]:
    (folder / "reader.py").write_text(code(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "reader.py"],
        cwd=folder,
        env={
            **os.environ,
            "SIJIL_KAFKA": ",".join(options["bootstrap_servers"]),
            "TOPIC": lives.topic.name,
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
    assert run(tmp_path, options, lives) == expected
    kept = tmp_path / "submitted.json"
    said = json.loads(kept.read_text(encoding="utf-8"))
    # As after a topic was filled anew: the same positions at other offsets.
    for reached in said["reached"].values():
        reached["offset"] = 0
    kept.write_text(json.dumps(said), encoding="utf-8")
    assert run(tmp_path, options, lives) == expected


def test_it_is_short() -> None:
    assert len(code().splitlines()) <= MOST_LINES
