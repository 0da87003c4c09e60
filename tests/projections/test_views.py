"""Every view against the aggregates themselves, now and as of any position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import OFFICE_ZONE
from domain.errors import InvalidValueError
from domain.stages import NextAct, Stage
from projections.catalogue import CatalogueQueries
from projections.governorate_counts import CountBy
from projections.roster import RosterQueries
from tests.conftest import Database
from tests.projections.histories import (
    publish_catalogue,
    publish_days,
    random_history,
)
from tests.projections.live import EVERYTHING, NOW, Views, all_items, whole_queue


@pytest.fixture
def views(database: Database) -> Iterator[Views]:
    return Views(database)


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
