"""The post of one test, with an office behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.consumers.inward.post import Post
from tests.office.scene import scene_in


@pytest.fixture
def post(
    options: dict[str, Any], seeded_database: Database, tmp_path: Path
) -> Iterator[Post]:
    with (
        scene_in(seeded_database) as scene,
        closing(Post(options, scene, tmp_path)) as p,
    ):
        yield p
