"""Thousands of generated calls, by every role and by nobody, break no promise.

The answers are as the description has them, none is a failure of ours, and what was
refused changed nothing. ``make fuzz`` asks for longer, and as each role in turn;
``SIJIL_FUZZ_SEED`` asks otherwise.
"""

from __future__ import annotations

import os

import pytest

from tests.api.door import WHO, Door
from tests.fuzz.running import NOBODY, PHASES, ground_of

SECONDS = int(os.environ.get("SIJIL_FUZZ_S", "40"))
SEED = int(os.environ.get("SIJIL_FUZZ_SEED", "1"))
SHORTEST_ALONE_S = 55
"""Under this a role's own turn would not get through the examples of all routes."""
TURNS = (
    (None, *WHO, NOBODY) if SECONDS // (len(WHO) + 2) >= SHORTEST_ALONE_S else (None,)
)
"""Who asks: everybody by turns in one run, and in a long run each alone as well."""

MET = {200, 201, 400, 401, 403, 404, 405, 409, 412, 415, 422, 428}
"""What any run meets."""


@pytest.mark.timeout(2 * SECONDS + 120)
def test_no_generated_call_breaks_a_promise(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = {
        operation["operationId"]
        for methods in door.app.openapi()["paths"].values()
        for operation in methods.values()
    }
    with ground_of(door, SEED) as ground:
        for number, who in enumerate(TURNS):
            found = ground.fuzzed(
                seconds=SECONDS // len(TURNS), seed=SEED + number, who=who
            )
            with capsys.disabled():
                print(f"\n{who or 'everybody'}: {found.summary()}")  # noqa: T201
            assert not found.told(), found.told()
            assert found.phases == set(PHASES)
            # It is no proof of anything unless it came everywhere.
            assert {name for name, _, _ in found.calls} >= operations
            if who is None:
                assert {asker for _, asker, _ in found.calls} >= {*WHO, NOBODY}
                assert set(found.statuses()) >= MET
