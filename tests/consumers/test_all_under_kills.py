"""Relays, workers and the ledger killed together: out and in, nothing lost or twice.

A short version of benchmarks/relay_under_kills.py; the broker dies where that is worst,
when a commit is written down and the partitions do not have it yet.
"""

from __future__ import annotations

import pytest

from benchmarks.struck_relays import (
    MISSED,
    RELAY,
    SERVER,
    STANDBY,
    WORKER,
    WRITTEN_DOWN,
    trial,
)
from consumers.broker.jars import NoKafkaError
from tests.kafka import shared

BLOWS = (RELAY, STANDBY, WORKER, SERVER, WRITTEN_DOWN)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_is_whole_after_kills_of_relays_workers_broker_and_ledger() -> None:
    try:
        with trial(nodes=1, blows=BLOWS) as struck:
            for _ in BLOWS:
                struck.strike()
            assert struck.end() == []
    except NoKafkaError as error:
        if shared.is_demanded():
            raise
        pytest.skip(f"no real Kafka: {error}")
    assert struck.blows == dict.fromkeys(BLOWS, 1) | {MISSED: 0}
    assert struck.sent
    # Two began, and what was killed was started again.
    assert struck.starts > 2
