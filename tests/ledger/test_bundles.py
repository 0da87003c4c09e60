"""Entries in one message are the entries that were stored, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from ledger.names import Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BODIES = (b"", b"\x00", bytes(range(256)), "ختم".encode(), b"\\x00\n\t", b"x" * 60_000)
"""The store takes any bytes: what is no text, and what looks like an escape, too."""


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    recorder = PostgresProcessRecorder(database.datastore(Role.APP))
    recorder.append(
        [
            ActToAppend(
                events=[StoredEvent(uuid4(), number + 1, f"t{number % 2}", body)]
            )
            for number, body in enumerate(BODIES)
        ]
    )
    return LedgerReader(database.datastore(Role.READER))


def test_a_bundle_has_what_the_entries_have(reader: LedgerReader) -> None:
    entries = reader.entries(after=0, limit=100)
    assert [entry.body for entry in entries] == list(BODIES)
    bare = [
        (
            entry.position,
            (entry.recorded_at - EPOCH) // timedelta(microseconds=1),
            str(entry.aggregate_id),
            entry.version,
            entry.topic,
            entry.body,
        )
        for entry in entries
    ]
    assert reader.rows(after=0, limit=100, until=len(BODIES)) == bare
    assert reader.rows(after=1, limit=2, until=len(BODIES)) == bare[1:3]
    assert reader.rows(after=1, limit=9, until=4) == bare[1:4]
    of_topic = reader.rows(after=1, limit=2, until=9, topics=["t1", "none"])
    assert of_topic == [bare[1], bare[3]]


def test_where_nothing_is_found_there_are_no_rows(reader: LedgerReader) -> None:
    assert reader.rows(after=len(BODIES), limit=5, until=100) == []
    assert reader.rows(after=0, limit=5, until=100, topics=["none"]) == []
