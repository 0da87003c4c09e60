"""The office of one test, on a database with the reference data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.office.scene import Scene, scene_in


@pytest.fixture
def scene(seeded_database: Database) -> Iterator[Scene]:
    with scene_in(seeded_database) as made:
        yield made
