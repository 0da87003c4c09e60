"""Relays, workers and the ledger killed together: out and in, nothing lost or twice.

A short version of benchmarks/relay_under_kills.py, whose broker stays alive here.
"""

from __future__ import annotations

import pytest

from benchmarks.struck_relays import RELAY, SERVER, STANDBY, WORKER, trial
from consumers.broker.jars import NoKafkaError
from tests.kafka import shared

BLOWS = (RELAY, STANDBY, WORKER, SERVER)


@pytest.mark.timeout(600)
def test_all_is_whole_after_kills_of_relays_workers_and_ledger() -> None:
    try:
        with trial(nodes=1, blows=BLOWS) as struck:
            for _ in BLOWS:
                struck.strike()
            assert struck.end() == []
    except NoKafkaError as error:
        if shared.is_demanded():
            raise
        pytest.skip(f"no real Kafka: {error}")
    assert struck.blows == dict.fromkeys(BLOWS, 1)
    assert struck.sent
    # Two began, and what was killed was started again.
    assert struck.starts > 2
