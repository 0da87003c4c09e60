"""What the first version that could be installed stored still tells the same.

``tests/golden/histories/first-version.json`` holds whole requests as that version
stored them, byte for byte, with what its doors showed of them. It never changes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from domain.requests import ServiceRequest
from ledger.bodies import BodyMapper, encode_body
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.append import ActToAppend
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.runner import ViewRunner
from projections.timers import TimerKind, TimersQueries
from projections.tracking import TrackingQueries
from tests.conftest import Database

GOLDEN = Path(__file__).parents[1] / "golden" / "histories" / "first-version.json"
HISTORIES: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
MAPPER = BodyMapper()


def stored(history: dict[str, Any]) -> list[StoredEvent]:
    return [
        StoredEvent(
            originator_id=UUID(history["id"]),
            originator_version=event["version"],
            topic=event["topic"],
            state=event["body"].encode(),
        )
        for event in history["events"]
    ]


def folded(history: dict[str, Any]) -> ServiceRequest:
    request: Any = None
    for event in stored(history):
        read: Any = MAPPER.to_domain_event(event)
        request = read.mutate(request)
    assert isinstance(request, ServiceRequest)
    return request


@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each["request"])
def test_a_request_stands_where_it_stood_and_never_expires(
    history: dict[str, Any],
) -> None:
    request = folded(history)
    standing = request.standing
    assert {
        "stage": request.stage,
        "next_act": standing.next_act,
        "waiting_for": standing.waiting_for,
        "clerk": request.clerk,
        "token": request.token,
    } == history["shows"]
    # Nobody was told of these limits when it was made.
    assert request.expires_at is None
    assert request.payment_due_at is None


@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each["request"])
def test_its_events_encode_to_the_bytes_that_are_stored(
    history: dict[str, Any],
) -> None:
    for event in stored(history):
        assert encode_body(MAPPER.to_domain_event(event)) == event.state


def test_the_views_take_it_in_and_nothing_of_it_expires(database: Database) -> None:
    recorder = PostgresProcessRecorder(database.datastore("app"))
    for history in HISTORIES:
        recorder.append([ActToAppend(events=stored(history))])
    runner = ViewRunner(
        database.datastore("runner", schema=VIEWS_SCHEMA),
        LedgerReader(database.datastore("runner")),
    )
    runner.catch_up()
    read = database.datastore("app", schema=VIEWS_SCHEMA)
    tracking = TrackingQueries(read)
    for history in HISTORIES:
        request = folded(history)
        row = tracking.by_id(request.id)
        assert row is not None
        assert row.stage is request.stage
        assert row.whereabouts == request.whereabouts
        assert row.state.standing == request.standing
    timers = TimersQueries(read).due(now=FAR_AHEAD, horizon=FAR_AHEAD)
    kinds = {timer.kind for timer in timers}
    assert TimerKind.EXPIRY not in kinds
    assert TimerKind.COMPLETION in kinds
