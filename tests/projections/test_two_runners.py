"""Two runners, or a runner and a rebuild, get ahead of each other all the time."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from ledger.reader import Head
from projections.runner import ViewRunner
from projections.schema import VIEWS
from tests.conftest import Database
from tests.projections.histories import random_history
from tests.projections.live import Views


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


class Overtaken:
    """A reader whose head is old when it is used: others have been here meanwhile."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self.overtaken = 0

    def head(self) -> Head:
        head = self._views.reader.head()
        if self.overtaken < 3:
            self.overtaken += 1
            random_history(self._views.recorder, requests=2, seed=90 + self.overtaken)
            self._views.runner.catch_up()
        return head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views.reader, name)


def test_a_view_brought_further_than_the_head_that_was_asked_is_no_fork(
    views: Views,
) -> None:
    random_history(views.recorder, requests=4, seed=89)
    reader: Any = Overtaken(views)
    overtaken = ViewRunner(views.written, reader)
    with structlog.testing.capture_logs() as logged:
        for _ in range(4):
            overtaken.catch_up()
    # Not for a moment: whoever looks at its state would see a view that stands still.
    assert not [line for line in logged if line["event"] == "views.failed"]
    assert reader.overtaken == 3
    head = views.reader.head().position
    levels = {level.view: level for level in views.progress.levels()}
    assert {level.error for level in levels.values()} == {None}
    assert {levels[view.name].position for view in VIEWS} == {head}
    followed = views.contents()
    views.start_over()
    views.runner.catch_up()
    assert views.contents() == followed
