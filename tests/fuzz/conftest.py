"""The interface of these tests: the one of the tests of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.door import Door, door_of
from tests.conftest import Database, Server, fresh_database


@pytest.fixture(scope="module")
def database(server: Server, seeded_template: str) -> Iterator[Database]:
    made = fresh_database(server, seeded_template)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def door(database: Database) -> Iterator[Door]:
    with door_of(database) as made:
        yield made
