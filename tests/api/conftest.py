"""An interface of one module's own: the acts of its tests go to different requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.door import Door, door_of
from tests.api.live import LiveServer, live_in
from tests.conftest import Server, fresh_database


@pytest.fixture(scope="module")
def door(server: Server, seeded_template: str) -> Iterator[Door]:
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database) as made:
            yield made
    finally:
        database.close()


@pytest.fixture
def live(server: Server, seeded_template: str) -> Iterator[LiveServer]:
    database = fresh_database(server, seeded_template)
    try:
        with live_in(database) as made:
            yield made
    finally:
        database.close()


@pytest.fixture
def quiet(server: Server, seeded_template: str) -> Iterator[LiveServer]:
    """A server without anything that writes beside it."""
    database = fresh_database(server, seeded_template)
    try:
        with live_in(database, is_following=False) as made:
            yield made
    finally:
        database.close()
