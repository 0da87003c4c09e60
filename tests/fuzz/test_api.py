"""Thousands of generated calls, by every role and by nobody, break no promise.

The answers are as the description has them, none is a failure of ours, and what was
refused changed nothing. On any machine it makes the same calls each time, but for ids
and times that answers gave; with another ``SIJIL_FUZZ_SEED`` it makes others.
``SIJIL_FUZZ_WHO`` names who asks alone, turn by turn, and ``SIJIL_FUZZ_S`` for how many
seconds in all. ``make fuzz`` (benchmarks/fuzz.py) asks so for longer, and keeps what
was asked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.api.door import WHO, Door
from tests.fuzz.running import NOBODY, PHASES, Found, ground_of

SEED = int(os.environ.get("SIJIL_FUZZ_SEED", "1"))
EVERYBODY = "everybody"
TURNS = os.environ.get("SIJIL_FUZZ_WHO", EVERYBODY).split(",")
"""Who asks: everybody by turns in one run, or one alone."""
SECONDS = int(os.environ.get("SIJIL_FUZZ_S", "0")) // len(TURNS)
"""How long each turn is, if no number of calls ends it."""
HOW_MUCH: dict[str, Any] = (
    {"seconds": SECONDS} if SECONDS else {"boundaries": 0.15, "examples": 4}
)
RECORD = os.environ.get("SIJIL_FUZZ_RECORD")
"""Where each turn leaves what it asked, as a line of JSON."""

MET = {200, 201, 400, 401, 403, 404, 405, 409, 412, 415, 422, 428}
"""What any run meets."""


@pytest.mark.long
@pytest.mark.timeout(2 * SECONDS * len(TURNS) + 600)
def test_no_generated_call_breaks_a_promise(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = {
        operation["operationId"]
        for methods in door.app.openapi()["paths"].values()
        for operation in methods.values()
    }
    assert set(TURNS) <= {EVERYBODY, *WHO, NOBODY}
    with ground_of(door, SEED) as ground:
        for number, turn in enumerate(TURNS):
            who = None if turn == EVERYBODY else turn
            found = ground.fuzzed(seed=SEED + number, who=who, **HOW_MUCH)
            with capsys.disabled():
                print(f"\n{turn}: {found.summary()}")  # noqa: T201
            assert not found.told(), found.told()
            assert set(found.cases) == set(PHASES)
            # It is no proof of anything unless it came everywhere.
            assert {name for name, _, _ in found.calls} >= operations
            if who is None:
                assert {asker for _, asker, _ in found.calls} >= {*WHO, NOBODY}
                assert set(found.statuses()) >= MET
            if RECORD is not None:
                keep(Path(RECORD), turn, SEED + number, found, len(operations))


def keep(path: Path, turn: str, seed: int, found: Found, operations: int) -> None:
    """What a turn asked that found nothing wrong."""
    told = {
        "turn": turn,
        "state": os.environ.get("SIJIL_FUZZ_STATE", "unknown"),
        "seed": seed,
        "seconds": SECONDS,
        "operations": operations,
        "cases": dict(found.cases),
        "statuses": {str(status): n for status, n in found.statuses().items()},
        "askers": dict(found.askers()),
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(told, sort_keys=True)}\n")
