"""A view is made anew beside the live one, and put in its place whole or not at all."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg2
import pytest

from ledger.names import REBUILD_SCHEMA
from ledger.settings import LedgerSettings
from projections.folding import CannotFoldError
from projections.rebuilding import RebuildUnderWayError, rebuilding
from projections.runner import ViewRunner
from projections.schema import VIEWS, views_named
from tests.conftest import Database
from tests.forks import forks
from tests.projections.histories import publish_catalogue, random_history
from tests.projections.live import Views
from tests.projections.test_replay import Forgetful

_FORKED = forks("projections.rebuilding", "projections.schema")


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


def is_beside(views: Views) -> bool:
    """Whether anything of a rebuild is left."""
    with psycopg2.connect(**views.database.superuser_dsn()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", (REBUILD_SCHEMA,))
        (found,) = cursor.fetchone() or (None,)
    connection.close()
    return bool(found)


def rebuild_all(settings: LedgerSettings) -> None:
    """Make every view anew; also the body of a process that is killed."""
    with rebuilding(settings, VIEWS) as made:
        made.fold()
        for view in VIEWS:
            made.switch(view)


def test_every_view_made_anew_is_what_it_was(views: Views) -> None:
    publish_catalogue(views.recorder)
    random_history(views.recorder, requests=10, seed=31)
    views.runner.catch_up()
    before = views.contents()
    heard: list[int] = []
    with rebuilding(views.database.settings, VIEWS) as made:
        made.fold(folded=heard.append)
        for view in VIEWS:
            compared = made.compare(view)
            assert compared.differences is not None
            assert all(each.is_same for each in compared.differences)
            assert all(each.is_compared for each in compared.differences)
            made.switch(view)
    assert heard[-1] == views.reader.head().position
    assert views.contents() == before
    assert not is_beside(views)
    random_history(views.recorder, requests=3, seed=32)
    views.runner.catch_up()
    after = views.contents()
    views.start_over()
    views.runner.catch_up()
    assert views.contents() == after


def test_what_differs_is_shown_and_mended_by_the_switch(views: Views) -> None:
    random_history(views.recorder, requests=5, seed=33)
    (tracking,) = views_named("tracking")
    wrong = tuple(Forgetful() if v.name == "tracking" else v for v in VIEWS)
    ViewRunner(views.written, views.reader, wrong).catch_up()
    with rebuilding(views.database.settings, (tracking,)) as made:
        made.fold()
        compared = made.compare(tracking)
        assert compared.differences is not None
        found = {each.table: each for each in compared.differences}
        assert not found["tracking"].is_same
        assert found["tracking"].keys
        made.switch(tracking)
    mended = views.contents()
    views.start_over()
    views.runner.catch_up()
    assert views.contents() == mended


def test_a_view_that_cannot_be_folded_is_not_switched(views: Views) -> None:
    random_history(views.recorder, requests=3, seed=34)
    views.runner.catch_up()
    before = views.contents()
    broken = Forgetful()
    broken.breaks_at = 4
    with (
        pytest.raises(CannotFoldError) as caught,
        rebuilding(views.database.settings, (broken,)) as made,
    ):
        made.fold()
    assert caught.value.position == 4
    assert views.contents() == before
    assert not is_beside(views)


def test_a_second_one_at_once_is_refused(views: Views) -> None:
    with (
        rebuilding(views.database.settings, views_named("looks")),
        pytest.raises(RebuildUnderWayError),
        rebuilding(views.database.settings, views_named("looks")),
    ):
        pass
    with rebuilding(views.database.settings, views_named("looks")) as made:
        made.fold()


def test_readers_and_the_runner_go_on_while_all_are_made_anew(views: Views) -> None:
    random_history(views.recorder, requests=30, seed=35)
    views.runner.catch_up()
    stop = threading.Event()
    failures: list[Exception] = []
    answered = [0]

    def read() -> None:
        while not stop.is_set():
            try:
                views.tracking.page(_everything(), limit=50)
                assert views.counts.stocks(_everything())
            except Exception as error:  # noqa: BLE001 -- told by the test's thread
                failures.append(error)
            answered[0] += 1

    def is_answered() -> None:
        """Wait for an answer to what was asked after now: one may be under way."""
        before, deadline = answered[0], time.monotonic() + 60
        while answered[0] < before + 2:
            assert time.monotonic() < deadline, "a reader waits for the rebuild"
            time.sleep(0.001)

    threads = [
        threading.Thread(target=read),
        threading.Thread(target=views.runner.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        with rebuilding(views.database.settings, VIEWS) as made:
            made.fold()
            is_answered()
            random_history(views.recorder, requests=5, seed=36)
            for view in VIEWS:
                made.switch(view)
                is_answered()
        head = views.reader.head().position
        names = [view.name for view in VIEWS]
        assert views.progress.wait_for(names, head, timeout_s=60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert all(level.error is None for level in views.progress.levels())
    live = views.contents()
    views.start_over()
    views.runner.catch_up()
    assert views.contents() == live


def _everything() -> Any:
    from domain.access import Scope

    return Scope()


def test_killed_at_any_moment_the_live_views_are_what_they_were(views: Views) -> None:
    publish_catalogue(views.recorder)
    random_history(views.recorder, requests=20, seed=37)
    views.runner.catch_up()
    before = views.contents()
    left = 0
    for pause_s in (0.0, 0.05, 0.15, 0.3, 0.5):
        process = _FORKED.Process(target=rebuild_all, args=(views.database.settings,))
        process.start()
        while process.is_alive() and not is_beside(views):
            time.sleep(0.01)
        time.sleep(pause_s)
        process.kill()
        process.join()
        left += is_beside(views)
        assert views.contents() == before
    assert left
    _rebuild_when_the_killed_one_is_gone(views)
    assert views.contents() == before
    assert not is_beside(views)


def _rebuild_when_the_killed_one_is_gone(views: Views) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            rebuild_all(views.database.settings)
        except RebuildUnderWayError:
            # The server has not yet noticed that the killed client is gone.
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
