"""An interface of one module's own: the acts of its tests go to different requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.door import Door, door_of
from tests.conftest import Server, fresh_database


@pytest.fixture(scope="module")
def door(server: Server, seeded_template: str) -> Iterator[Door]:
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database) as made:
            yield made
    finally:
        database.close()
