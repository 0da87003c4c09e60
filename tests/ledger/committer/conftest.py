"""The committer of one process, and a reader beside it."""

from __future__ import annotations

import pytest

from ledger.names import Role
from ledger.persistence import committer
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.committer.callers import recorder_of


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return recorder_of(database)


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    return LedgerReader(database.datastore(Role.READER))


@pytest.fixture
def small_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that wait are worth a second batch."""
    monkeypatch.setattr(committer, "SECOND_LANE_ACTS", 2)
