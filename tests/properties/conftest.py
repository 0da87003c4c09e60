"""One database with the reference data for every example of every property test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Server, fresh_database
from tests.properties.desk import Desk


@pytest.fixture(scope="session")
def desk(server: Server, seeded_template: str) -> Iterator[Desk]:
    database = fresh_database(server, seeded_template)
    made = Desk(database)
    try:
        yield made
    finally:
        made.close()
        database.close()
