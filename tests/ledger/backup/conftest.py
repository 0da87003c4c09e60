"""A ledger and its backup, for all tests of backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Database, Server, fresh_database
from tests.ledger.backup.filled import ENTRIES, back_up, fill


@pytest.fixture(scope="package")
def source(server: Server, template: str) -> Iterator[Database]:
    made = fresh_database(server, template)
    fill(made, ENTRIES)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="package")
def backup(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "ledger.sijil"
    back_up(source, path)
    return path
