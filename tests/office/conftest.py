"""The office of one test, on a database with the reference data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.office.scene import Scene, scene_in
from tests.office.telling import Office
from tests.office.whole_history import Whole


@pytest.fixture
def scene(seeded_database: Database) -> Iterator[Scene]:
    with scene_in(seeded_database) as made:
        yield made


@pytest.fixture
def told(scene: Scene) -> Iterator[Office]:
    made = Office(scene)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def whole(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with scene_in(database) as scene:
        yield Whole(scene, tmp_path)
