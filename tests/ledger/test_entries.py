"""The entry and its leaf, against the contract's vector."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from ledger.entries import Entry

BODY = (
    '{"actor":{"id":"clk-0147","kind":"clerk","place":"SY-DR-01"},"command_id":'
    '"019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77","correlation_id":'
    '"019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10","data":{"kind":"live","officer":'
    '"clk-0147","serial":"ختم-DR-000481","stamped_digest":'
    '"1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"},'
    '"effective_at":"2026-11-23T08:14:05.120000Z"}'
).encode()
VECTOR = Entry(
    position=48213,
    recorded_at=datetime(2026, 11, 23, 8, 14, 5, 473912, tzinfo=UTC),
    aggregate_id=UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"),
    version=7,
    topic="sijil.request.stamped.v1",
    body=BODY,
)
LEAF = "7d00c9ca03383a03c957da2d6d2caec4287438d25e17beca374d321a51aed61b"


def test_the_vector_of_the_contract_comes_out() -> None:
    assert len(BODY) == 370
    assert len(VECTOR.to_bytes()) == 483
    assert VECTOR.leaf_hash().hex() == LEAF
    assert hashlib.sha256(b"\x00" + VECTOR.to_bytes()).hexdigest() == LEAF


def test_the_zone_a_time_was_read_in_does_not_matter() -> None:
    damascus = timezone(timedelta(hours=3))
    moved = replace(VECTOR, recorded_at=VECTOR.recorded_at.astimezone(damascus))
    assert moved.leaf_hash() == VECTOR.leaf_hash()


@pytest.mark.parametrize(
    "change",
    [
        {"position": 48214},
        {"recorded_at": VECTOR.recorded_at + timedelta(microseconds=1)},
        {"aggregate_id": UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e11")},
        {"version": 8},
        {"topic": "sijil.request.stamped.v2"},
        {"body": BODY + b" "},
    ],
)
def test_every_column_moves_the_leaf(change: dict[str, object]) -> None:
    assert replace(VECTOR, **change).leaf_hash().hex() != LEAF  # type: ignore[arg-type]


def test_an_event_is_named_by_aggregate_and_version() -> None:
    assert VECTOR.key == "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10/7"
