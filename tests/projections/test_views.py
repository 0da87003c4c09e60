"""Every view against the aggregates themselves, now and as of any position."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from domain.access import Principal, Scope
from domain.acts import ActorKind
from domain.calendars import OFFICE_ZONE
from domain.errors import InvalidValueError
from domain.resumptions import ResumedBecause
from domain.stages import NextAct, Stage, WaitingFor
from domain.views import FollowedView, SkippedBecause
from ledger.backup.resuming import resume, suspend
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.audit_trail import AuditTrailQueries
from projections.catalogue import CatalogueQueries
from projections.clerk_queue import ClerkQueueQueries
from projections.governorate_counts import CountBy, GovernorateCountsQueries
from projections.progress import ProgressQueries
from projections.roster import Roster, RosterQueries
from projections.runner import ViewRunner
from projections.schema import VIEWS, ensure_views
from projections.tracking import TrackingQueries
from tests.conftest import Database
from tests.domain.office import act
from tests.projections.histories import (
    publish_catalogue,
    publish_days,
    random_history,
    store,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVERYTHING = Scope()


class Views:
    """A ledger, its runner, and the queries, in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.reader = LedgerReader(database.datastore("runner"))
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.read = database.datastore("app", schema=VIEWS_SCHEMA)
        self.runner = ViewRunner(self.written, self.reader)
        self.queue = ClerkQueueQueries(self.read)
        self.counts = GovernorateCountsQueries(self.read)
        self.tracking = TrackingQueries(self.read)
        self.trail = AuditTrailQueries(self.read)
        self.progress = ProgressQueries(self.read)

    def contents(self, *, until: int | None = None) -> dict[str, list[Any]]:
        """Every versioned row there is, by table, for comparing two folds."""
        found = {}
        with self.written.transaction(commit=False) as cursor:
            for view in VIEWS:
                for table in view.tables:
                    cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                    found[table] = cursor.fetchall()
        return found

    def start_over(self) -> None:
        with self.written.transaction() as cursor:
            for view in VIEWS:
                for table in view.tables:
                    cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")


@pytest.fixture
def views(database: Database) -> Iterator[Views]:
    return Views(database)


def all_items(views: Views, **asked: Any) -> list[Any]:
    items: list[Any] = []
    after = None
    while True:
        page = views.queue.page(EVERYTHING, now=NOW, after=after, limit=7, **asked)
        items += page.items
        if page.next is None:
            return items
        after = page.next


def whole_queue(views: Views, as_of: int | None = None) -> dict[Any, Any]:
    return {
        item.request_id: item
        for waiting_for in set(WaitingFor) - {WaitingFor.POST}
        for item in all_items(views, waiting_for=waiting_for, as_of=as_of)
    }


class TestAgainstTheAggregates:
    def test_queue_counts_and_tracking_say_what_the_rules_say(
        self, views: Views
    ) -> None:
        lives = random_history(views.recorder, requests=60)
        views.runner.catch_up()
        queue = whole_queue(views)
        for life in lives:
            request = life.request
            standing = request.standing
            tracked = views.tracking.by_id(life.id)
            assert tracked is not None
            assert tracked.stage is request.stage
            assert tracked.whereabouts == request.whereabouts
            assert tracked.state.etag_version == request.etag_version
            assert tracked.state.version == request.version
            assert tracked.state.standing == standing
            if standing.next_act is NextAct.NOTHING:
                assert life.id not in queue
            else:
                item = queue.pop(life.id)
                assert (item.next_act, item.waiting_for) == (
                    standing.next_act,
                    standing.waiting_for,
                )
                assert (item.clerk, item.token) == (request.clerk, request.token)
        assert not queue
        recount = Counter((life.governorate, life.request.stage) for life in lives)
        for count in views.counts.stocks(EVERYTHING):
            place = count.group["governorate"]
            for stage in Stage:
                assert getattr(count, stage) == recount[place, stage]
            assert count.submitted == sum(
                number for (where, _), number in recount.items() if where == place
            )

    def test_flows_are_counted_by_the_effective_day(self, views: Views) -> None:
        lives = random_history(views.recorder, requests=40)
        views.runner.catch_up()
        days = Counter(
            life.request.created_on.astimezone(OFFICE_ZONE).date().isoformat()
            for life in lives
        )
        first = min(life.request.created_on for life in lives).date()
        flows = views.counts.flows(
            EVERYTHING, first=first, last=first + timedelta(days=9)
        )
        assert {flow.group["day"]: flow.submitted for flow in flows} == dict(days)
        assert all(flow.waiting is None for flow in flows)

    def test_the_national_total_is_one_group(self, views: Views) -> None:
        lives = random_history(views.recorder, requests=20)
        views.runner.catch_up()
        (total,) = views.counts.stocks(EVERYTHING, by=())
        assert total.submitted == len(lives)
        assert total.completed == sum(
            life.request.stage in {Stage.COMPLETED_ISSUED, Stage.COMPLETED_REFUSED}
            for life in lives
        )

    def test_stocks_have_no_day(self, views: Views) -> None:
        with pytest.raises(InvalidValueError):
            views.counts.stocks(EVERYTHING, by=[CountBy.DAY])

    def test_the_trail_has_every_event_with_its_leaf(self, views: Views) -> None:
        random_history(views.recorder, requests=5)
        views.runner.catch_up()
        rows = views.trail.page(limit=200).items
        entries = list(views.reader.stream())
        assert [row.leaf_hash for row in rows] == [e.leaf_hash() for e in entries]
        assert [row.recorded_at for row in rows] == [e.recorded_at for e in entries]

    def test_catalogue_and_roster_show_what_was_published(self, views: Views) -> None:
        publish_catalogue(views.recorder)
        views.runner.catch_up()
        published = CatalogueQueries(views.read).one("service", "CIV-06")
        assert published is not None
        assert published.facts["agency"] == "CIV"
        roster = RosterQueries(views.read)
        assert roster.responsible_for(centre="SY-DI-01", agency="CIV") == (
            "clk-1",
            "clk-3",
        )
        assert len(roster.clerks("SY-DI-01")) == 3

    def test_days_of_rest_and_absence_are_the_same_in_any_batch(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish_days(views.recorder)
        views.runner.catch_up()
        whole = views.contents()
        rows = {table: whole[table] for table in ("catalogue", "roster")}
        assert all(rows.values())
        today = date(2026, 11, 23)
        published = CatalogueQueries(views.read).one("service", "CIV-06")
        assert published is not None
        assert [
            published.is_active_on(today + timedelta(days=n)) for n in range(5)
        ] == [True, False, False, True, True]
        roster = RosterQueries(views.read)
        assert [
            roster.responsible_for(
                centre="SY-DI-01", agency="CIV", day=today + timedelta(days=n)
            )
            for n in range(5)
        ] == [("clk-9",), (), ("clk-9",), (), ()]
        views.start_over()
        monkeypatch.setattr("projections.runner.BATCH_SIZE", 1)
        views.runner.catch_up()
        again = views.contents()
        assert {table: again[table] for table in rows} == rows


class TestAsOf:
    def test_each_view_answers_as_of_any_position(self, views: Views) -> None:
        random_history(views.recorder, requests=12, seed=3)
        head = views.reader.head().position
        views.runner.catch_up()
        final = {
            position: (whole_queue(views, position), stocks(views, position))
            for position in range(0, head + 1, 5)
        }
        tracked = {
            position: views.tracking.page(EVERYTHING, limit=200, as_of=position).items
            for position in final
        }
        views.start_over()
        for position, (queue, counts) in final.items():
            views.runner.catch_up(until=position)
            assert whole_queue(views) == queue
            assert stocks(views) == counts
            assert views.tracking.page(EVERYTHING, limit=200).items == tracked[position]

    def test_batches_of_any_size_make_the_same_rows(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=15, seed=4)
        views.runner.catch_up()
        whole = views.contents()
        views.start_over()
        monkeypatch.setattr("projections.runner.BATCH_SIZE", 1)
        views.runner.catch_up()
        assert views.contents() == whole


def stocks(views: Views, as_of: int | None = None) -> list[Any]:
    found = views.counts.stocks(EVERYTHING, by=[CountBy.CENTRE], as_of=as_of)
    return [count for count in found if count.submitted]


class TestScopeAndPages:
    def test_every_scope_shows_what_the_rule_says(self, views: Views) -> None:
        lives = random_history(views.recorder, requests=40, seed=5)
        views.runner.catch_up()
        kinds = ActorKind
        for principal in (
            Principal(role=kinds.CLERK, id="c", centre="SY-DI-01"),
            Principal(role=kinds.CLERK, id="c"),
            Principal(role=kinds.AGENCY, id="a", agency="CIV", governorate="SY-HL"),
            Principal(role=kinds.AGENCY, id="a", agency="CIV"),
            Principal(role=kinds.AGENCY, id="a", agency="LND"),
            Principal(role=kinds.POST, id="p"),
            Principal(role=kinds.BANK, id="b"),
            Principal(role=kinds.AUDITOR, id="o"),
            Principal(role=kinds.CITIZEN, id="x"),
            Principal(
                role=kinds.CITIZEN, id="x", parties=frozenset({str(lives[0].party)})
            ),
        ):
            seen = {
                row.request_id
                for row in views.tracking.page(principal.scope, limit=200).items
            }
            assert seen == {
                life.id
                for life in lives
                if principal.scope.includes(life.request.whereabouts)
            }

    def test_pages_show_each_row_once_in_order(self, views: Views) -> None:
        random_history(views.recorder, requests=60, seed=6)
        views.runner.catch_up()
        items = all_items(views)
        assert len({item.request_id for item in items}) == len(items) > 7
        never = datetime.max.replace(tzinfo=UTC)
        keys = [(i.until or never, i.since, i.request_id) for i in items]
        assert keys == sorted(keys)

    def test_what_is_overdue_stands_first(self, views: Views) -> None:
        random_history(views.recorder, requests=30, seed=6)
        views.runner.catch_up()
        late = NOW + timedelta(days=30)
        items = views.queue.page(EVERYTHING, now=late, limit=200).items
        overdue = [item.is_overdue for item in items]
        assert overdue == sorted(overdue, reverse=True)
        assert any(overdue)

    @pytest.mark.parametrize("cursor", ["x", "e30", "W10", "WzFd", "é", "=" * 5])
    def test_a_cursor_that_is_not_ours_is_refused(
        self, views: Views, cursor: str
    ) -> None:
        for ask in (
            lambda: views.queue.page(EVERYTHING, now=NOW, after=cursor),
            lambda: views.tracking.page(EVERYTHING, after=cursor),
        ):
            with pytest.raises(InvalidValueError):
                ask()

    @pytest.mark.parametrize("limit", [0, -1, 5_001])
    def test_a_page_has_a_bound(self, views: Views, limit: int) -> None:
        with pytest.raises(InvalidValueError):
            views.tracking.page(EVERYTHING, limit=limit)

    def test_only_open_work_of_the_clerk_is_counted(self, views: Views) -> None:
        random_history(views.recorder, requests=30, seed=7)
        views.runner.catch_up()
        mine = Counter(item.clerk for item in all_items(views))
        work = views.queue.open_work(["clk-1", "clk-2", "nobody"])
        assert work == {"clk-1": mine["clk-1"], "clk-2": mine["clk-2"], "nobody": 0}


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
    deadline = time.monotonic() + 60
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
