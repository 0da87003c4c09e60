"""Relays, workers and the ledger killed together: out and in, nothing lost or twice.

Short versions of benchmarks/relay_under_kills.py. One node dies where that is worst,
when a commit is written down and the partitions do not have it yet; of three nodes one
dies, one falls silent, and all die at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from benchmarks import struck_relays
from benchmarks.blows import (
    ALL_NODES,
    BROKER,
    RELAY,
    SERVER,
    STANDBY,
    STOPPED,
    WORKER,
    WRITTEN_DOWN,
)
from benchmarks.struck_relays import Trial, trial
from tests.kafka.shared import must_be_had

BLOWS = (RELAY, STANDBY, WORKER, SERVER, WRITTEN_DOWN)
BLOWS_ON_NODES = (BROKER, STOPPED, ALL_NODES)


@pytest.fixture(autouse=True)
def _aims_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    # None may be missed here, and what the blow before has killed has to come back.
    monkeypatch.setattr(struck_relays, "AIM_S", 120.0)


def _struck(nodes: int, blows: Sequence[str]) -> Trial:
    """A trial that is over, in which each has struck once and nothing went wrong."""
    must_be_had()
    with trial(nodes=nodes, blows=blows) as struck:
        for _ in blows:
            struck.strike()
        assert struck.end() == []
    # None missed, and no node ended by itself.
    assert struck.blows == Counter(blows)
    assert struck.sent
    return struck


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_is_whole_after_kills_of_relays_workers_broker_and_ledger() -> None:
    struck = _struck(1, BLOWS)
    # Two began, and what was killed was started again.
    assert struck.starts > 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_is_whole_after_kills_of_nodes_that_keep_three_copies() -> None:
    _struck(3, BLOWS_ON_NODES)
