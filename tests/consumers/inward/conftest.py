"""The post of one test, with an office behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.dead_letters import DeadLetters
from consumers.topic_admin import TopicAdmin
from consumers.topics import dead_letters_of
from tests.conftest import Database
from tests.consumers.inward.letters import senders
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


@pytest.fixture
def real(post: Post) -> Iterator[Post]:
    """Workers that set aside for real."""
    group = post.letters_group
    with closing(TopicAdmin(post.options, replication=1)) as admin:
        admin.apply([dead_letters_of(group)])
    known = senders(post.folder)
    aside = DeadLetters(
        post.options,
        post.scene.house.dead_letters,
        group=group,
        senders=lambda: known,
    )
    with closing(aside):
        made: Any = aside
        post.aside = made
        yield post
