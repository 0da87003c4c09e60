"""The runner: what stops, stops alone, and whoever is killed loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from domain.acts import ActorKind
from domain.resumptions import ResumedBecause
from domain.views import FollowedView, SkippedBecause
from ledger.backup.resuming import resume, suspend
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from projections.roster import Roster
from projections.runner import ViewRunner
from projections.schema import VIEWS, ensure_views
from tests.conftest import Database
from tests.domain.office import act
from tests.projections.histories import (
    random_history,
    store,
)
from tests.projections.live import Views


@pytest.fixture
def views(database: Database) -> Iterator[Views]:
    return Views(database)


class BrokenView:
    """A view that cannot fold what it meets at some position."""

    name = "roster"
    version = Roster.version
    tables = ("roster",)
    ddl = ""

    def __init__(self, breaks_at: int) -> None:
        self.breaks_at: int | None = breaks_at

    def fold(self, cursor: Any, facts: Any) -> None:
        if self.breaks_at and any(f.position >= self.breaks_at for f in facts):
            raise ValueError("marked-value")


class TestRunner:
    def test_a_view_that_fails_stops_alone_before_the_entry_to_blame(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=5)
        head = views.reader.head().position
        broken = BrokenView(3)
        sound = tuple(view for view in VIEWS if view.name != "roster")
        runner = ViewRunner(views.written, views.reader, (*sound, broken))
        runner.catch_up()
        levels = {level.view: level for level in views.progress.levels()}
        assert levels["roster"].position == 2
        assert levels["roster"].error == "ValueError at position 3"
        assert levels["roster"].failed_position == 3
        assert levels["roster"].failed_code == "ValueError"
        assert {levels[view.name].position for view in sound} == {head}
        broken.breaks_at = None
        monkeypatch.setattr("projections.runner.RETRY_FAILED_S", 0.0)
        runner.catch_up()
        levels = {level.view: level for level in views.progress.levels()}
        assert (levels["roster"].position, levels["roster"].error) == (head, None)
        assert levels["roster"].failed_position is None

    @pytest.mark.parametrize(
        "change",
        [
            "ledger_id = gen_random_uuid()",
            "incarnation = incarnation + 1",
            "position = position - 1",
        ],
    )
    def test_a_fork_is_not_followed(self, views: Views, change: str) -> None:
        life = random_history(views.recorder, requests=3)[0]
        views.runner.catch_up()
        before = views.contents()
        with psycopg2.connect(**views.database.superuser_dsn()) as connection:
            connection.cursor().execute(f"UPDATE sijil.ledger_head SET {change}")
        connection.close()
        if "position" not in change:
            life.request.inform(life.act(), message="ready", means="sms")
            store(views.recorder, life.request)
        views.runner.catch_up()
        assert views.contents() == before
        for level in views.progress.levels():
            assert level.error is not None
            assert level.error.startswith("follower-fork")

    def test_views_that_saw_what_came_back_go_on_after_it_is_resumed(
        self, views: Views
    ) -> None:
        life = random_history(views.recorder, requests=3)[0]
        suspend(views.database.settings)
        views.runner.catch_up()
        resume(views.database.settings, ResumedBecause.RESTORED)
        life.request.inform(life.act(), message="ready", means="sms")
        store(views.recorder, life.request)
        # One that had been running all the while, and one that is started now.
        for runner in (views.runner, ViewRunner(views.written, views.reader)):
            head = runner.catch_up()
            assert {
                (level.position, level.incarnation, level.error)
                for level in views.progress.levels()
            } == {(head, 2, None)}
        followed = views.contents()
        views.start_over()
        views.runner.catch_up()
        assert views.contents() == followed

    @pytest.mark.parametrize(("incarnation", "beyond"), [(1, 0), (3, -1)])
    def test_views_that_saw_what_was_lost_stop(
        self, views: Views, incarnation: int, beyond: int
    ) -> None:
        life = random_history(views.recorder, requests=3)[0]
        views.runner.catch_up()
        suspend(views.database.settings)
        begins = resume(views.database.settings, ResumedBecause.RESTORED).position
        life.request.inform(life.act(), message="ready", means="sms")
        store(views.recorder, life.request)
        before = views.contents()
        with views.written.transaction() as cursor:
            cursor.execute(
                "UPDATE progress SET incarnation = %s, position = %s",
                (incarnation, begins + beyond),
            )
        views.runner.catch_up()
        assert views.contents() == before
        for level in views.progress.levels():
            assert level.error is not None
            assert level.error.startswith("follower-fork")

    def test_two_runners_at_once_do_no_harm(self, views: Views) -> None:
        random_history(views.recorder, requests=40, seed=8)
        runners = [ViewRunner(views.written, views.reader) for _ in range(2)]
        threads = [threading.Thread(target=runner.catch_up) for runner in runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        both = views.contents()
        views.start_over()
        views.runner.catch_up()
        assert views.contents() == both

    def test_a_running_runner_follows_new_entries(self, views: Views) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=views.runner.run, args=(stop,))
        thread.start()
        try:
            random_history(views.recorder, requests=3)
            head = views.reader.head().position
            names = [view.name for view in VIEWS]
            assert views.progress.wait_for(names, head, timeout_s=30)
            assert not views.progress.wait_for(names, head + 1, timeout_s=0.05)
        finally:
            stop.set()
            thread.join()

    def test_a_running_runner_outlives_its_connections(self, views: Views) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=views.runner.run, args=(stop,))
        thread.start()
        try:
            random_history(views.recorder, requests=2)
            views.progress.wait_for(["tracking"], 1, timeout_s=30)
            with psycopg2.connect(**views.database.superuser_dsn()) as connection:
                connection.cursor().execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE usename = 'sijil_runner'"
                )
            connection.close()
            random_history(views.recorder, requests=2, seed=11)
            head = views.reader.head().position
            assert views.progress.wait_for(["tracking"], head, timeout_s=30)
        finally:
            stop.set()
            thread.join()

    def test_a_changed_view_is_made_anew(self, views: Views) -> None:
        random_history(views.recorder, requests=3)
        views.runner.catch_up()
        before = views.contents()
        newer = tuple(Newer(view) for view in VIEWS)
        assert set(ensure_views(views.database.settings, newer)) == {
            view.name for view in VIEWS
        }
        ViewRunner(views.written, views.reader, newer).catch_up()
        assert views.contents() == before
        assert ensure_views(views.database.settings, newer) == []

    @pytest.mark.long
    def test_a_folding_process_killed_at_any_moment_loses_nothing(
        self, views: Views
    ) -> None:
        random_history(views.recorder, requests=120, seed=12)
        head = views.reader.head().position
        kill_folding_processes(views, head)
        killed = views.contents()
        views.start_over()
        views.runner.catch_up()
        assert views.contents() == killed


class Newer:
    """The same view under the next version number."""

    def __init__(self, view: Any) -> None:
        self.name, self.tables, self.ddl = view.name, view.tables, view.ddl
        self.version = view.version + 1
        self.fold = view.fold


def fold_slowly(dsn: dict[str, Any]) -> None:
    """The body of a process that folds in small batches until it is killed."""
    import projections.runner as module

    module.BATCH_SIZE = 5
    reader = LedgerReader(PostgresDatastore(dsn, schema="sijil"))
    written = PostgresDatastore(dsn, schema=VIEWS_SCHEMA)
    ViewRunner(written, reader).catch_up()


def kill_folding_processes(views: Views, head: int) -> None:
    import multiprocessing

    spawn = multiprocessing.get_context("spawn")
    deadline = time.monotonic() + 240
    kills = 0
    while min(level.position for level in views.progress.levels()) < head:
        assert time.monotonic() < deadline
        process = spawn.Process(
            target=fold_slowly, args=(views.database.dsn("runner"),)
        )
        process.start()
        started = min(level.position for level in views.progress.levels())
        while process.is_alive():
            level = max(level.position for level in views.progress.levels())
            if level > started + 40 + 17 * kills and kills < 6:
                process.kill()
                kills += 1
                break
        process.join()
    assert kills >= 2


class TestSkipping:
    def test_a_stopped_view_passes_over_exactly_what_an_event_says(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("projections.runner.RETRY_FAILED_S", 0.0)
        random_history(views.recorder, requests=5)
        picky = PickyView(2, 4)
        others = tuple(view for view in VIEWS if view.name != "roster")
        runner = ViewRunner(views.written, views.reader, (*others, picky))
        for position in (2, 4):
            runner.catch_up()
            level = self.level(views)
            assert (level.position, level.failed_position) == (position - 1, position)
            if position == 2:
                decided = skip(position)
            else:
                decided.skip_also(
                    act("again", ActorKind.ADMINISTRATOR),
                    view_version=Roster.version,
                    position=position,
                    reason=SkippedBecause.OTHER,
                )
            store(views.recorder, decided)
        runner.catch_up()
        level = self.level(views)
        assert (level.position, level.error) == (views.reader.head().position, None)
        assert {2, 4}.isdisjoint(picky.folded)
        assert {1, 3, 5} <= picky.folded

    def test_a_skip_of_another_version_is_not_heeded(self, views: Views) -> None:
        random_history(views.recorder, requests=2)
        store(views.recorder, skip(2, Roster.version + 1))
        runner = ViewRunner(views.written, views.reader, (PickyView(2),))
        runner.catch_up()
        assert self.level(views).failed_position == 2

    def level(self, views: Views) -> Any:
        return next(each for each in views.progress.levels() if each.view == "roster")


def skip(position: int, version: int = Roster.version) -> FollowedView:
    return FollowedView.skip(
        act("skip", ActorKind.ADMINISTRATOR),
        view="roster",
        view_version=version,
        position=position,
        reason=SkippedBecause.VIEW_DEFECT,
    )


class PickyView(BrokenView):
    """A view that cannot fold some entries, and remembers those it did."""

    def __init__(self, *breaks_at: int) -> None:
        self.bad = set(breaks_at)
        self.folded: set[int] = set()

    def fold(self, cursor: Any, facts: Any) -> None:
        positions = {fact.position for fact in facts}
        if positions & self.bad:
            raise ValueError("marked-value")
        self.folded |= positions
