"""What the fuzz asks is judged by what is sent."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis

from tests.api.door import Door
from tests.fuzz.asking import Asker
from tests.fuzz.running import ground_of


def test_a_number_is_judged_as_the_text_that_it_is_sent_as(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was generated stays.
    monkeypatch.setattr(Asker, "often", lambda _: False)
    schema = schemathesis.openapi.from_asgi("/openapi.json", door.app)
    operation: Any = schema["/v1/stampings"]["GET"]
    given = {"serial": -1.0784196314386256e16, "officer": 7, "limit": 5}
    case = operation.Case(query=dict(given))
    with ground_of(door, 1) as ground:
        ground.asker.make(case)
    assert case.query == {"serial": str(given["serial"]), "officer": "7", "limit": 5}
