"""A replay shows what the live view showed, touches nothing, finds a planted error."""

from __future__ import annotations

import json
import time
from io import BytesIO
from random import Random
from threading import Thread
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from ledger.names import VIEWS_SCHEMA
from ledger.reader import LedgerReader
from projections.folding import CannotFoldError
from projections.rebuilding import rebuilding
from projections.replay import NotComparableError, Replay, Until, replaying, steps_of
from projections.schema import VIEWS, views_named
from projections.tables import TableKind, columns_of, kind_of
from projections.tracking import Tracking
from tests.conftest import Database
from tests.projections.histories import publish_catalogue, random_history
from tests.projections.live import Views

EXPIRE_ONE = """
UPDATE tracking SET stage = 'expired' WHERE ctid = (SELECT min(ctid) FROM tracking)
"""
DAY_LATER = """
UPDATE clerk_queue SET until = until + interval '1 day'
WHERE ctid = (SELECT max(ctid) FROM clerk_queue WHERE until IS NOT NULL)
"""
END_LATER = """
UPDATE clerk_queue SET valid_to = 1000000000
WHERE ctid = (SELECT max(ctid) FROM clerk_queue WHERE valid_to IS NULL)
"""
STEP_LATER = """
UPDATE tracking SET valid_from = 1000000000
WHERE ctid = (SELECT max(ctid) FROM tracking)
"""
MOVE_LATER = """
UPDATE audit_trail SET position = 1000000000 WHERE position = 3
"""
CURRENT = {
    TableKind.VERSIONED: "valid_to IS NULL",
    TableKind.STEPS: """
        valid_from = (
            SELECT max(valid_from) FROM {table} n WHERE n.request_id = t.request_id
        )
    """,
}


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


def shown_live(views: Views) -> dict[str, list[Any]]:
    """What each table of the live views shows now, as a replay would write it."""
    shown = {}
    with views.written.transaction(commit=False) as cursor:
        for view in VIEWS:
            for table in view.tables:
                which = CURRENT.get(kind_of(columns_of(cursor, table)), "true")
                cursor.execute(
                    f"SELECT row_to_json(t)::text FROM {table} t"
                    f" WHERE {which.format(table=table)}"
                )
                rows = [json.loads(row) for (row,) in cursor.fetchall()]
                shown[table] = in_order(rows)
    return shown


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(
        json.dumps({k: v for k, v in row.items() if k != "valid_to"}, sort_keys=True)
        for row in rows
    )


def replayed(views: Views, until: Until) -> dict[str, list[str]]:
    with replaying(views.database.settings, VIEWS) as (made, _):
        made.fold(until)
        return {
            table: in_order([json.loads(row) for row in made.rows_as_json(table)])
            for table in made.tables()
        }


def temporary_tables(views: Views) -> int:
    with psycopg2.connect(**views.database.superuser_dsn()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'")
        (count,) = cursor.fetchone() or (0,)
    connection.close()
    return int(count)


class TestReplay:
    def test_it_shows_at_any_position_what_the_live_view_showed_there(
        self, views: Views
    ) -> None:
        publish_catalogue(views.recorder)
        random_history(views.recorder, requests=15, seed=21)
        head = views.reader.head().position
        random = Random(4)  # noqa: S311 -- reproducible positions
        positions = sorted({random.randint(1, head) for _ in range(4)} | {head})
        recorded = {}
        for position in positions:
            views.runner.catch_up(until=position)
            recorded[position] = shown_live(views)
        for position in positions:
            assert replayed(views, Until(position=position)) == recorded[position]

    def test_the_live_views_are_the_same_as_of_any_position(self, views: Views) -> None:
        publish_catalogue(views.recorder)
        random_history(views.recorder, requests=10, seed=22)
        views.runner.catch_up()
        before = views.contents()
        head = views.reader.head().position
        for position in (0, 1, head // 3, head - 1, head):
            with replaying(views.database.settings, VIEWS) as (made, _):
                made.fold(Until(position=position))
                found = made.compare(position)
                assert all(each.is_same for each in found)
        assert views.contents() == before

    @pytest.mark.parametrize(
        ("change", "table", "counts"),
        [
            (EXPIRE_ONE, "tracking", (1, 1)),
            ("DELETE FROM audit_trail WHERE position = 3", "audit_trail", (0, 1)),
            (DAY_LATER, "clerk_queue", (1, 1)),
            (END_LATER, "clerk_queue", (1, 1)),
            (STEP_LATER, "tracking", (1, 1)),
            (MOVE_LATER, "audit_trail", (1, 1)),
        ],
    )
    def test_a_changed_live_row_is_named(
        self, views: Views, change: str, table: str, counts: tuple[int, int]
    ) -> None:
        random_history(views.recorder, requests=5, seed=23)
        views.runner.catch_up()
        with views.written.transaction() as cursor:
            cursor.execute(change)
        head = views.reader.head().position
        with replaying(views.database.settings, VIEWS) as (made, _):
            made.fold(Until(position=head))
            found = [each for each in made.compare(head) if not each.is_same]
        assert [each.table for each in found] == [table]
        assert (found[0].only_live, found[0].only_folded) == counts
        assert found[0].keys

    def test_an_error_planted_in_a_views_code_is_named(self, views: Views) -> None:
        random_history(views.recorder, requests=5, seed=24)
        views.runner.catch_up()
        head = views.reader.head().position
        with replaying(views.database.settings, (Forgetful(),)) as (made, _):
            made.fold(Until(position=head))
            found = {each.table: each for each in made.compare(head)}
        assert not found["tracking"].is_same
        assert any(
            key.startswith("only live: request_id=") for key in found["tracking"].keys
        )

    def test_a_view_switched_while_it_is_compared_is_the_same(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its new rows are younger than the snapshot of who compares."""
        random_history(views.recorder, requests=5, seed=29)
        views.runner.catch_up()
        head = views.reader.head().position
        live = Replay._live

        def switch() -> None:
            with rebuilding(views.database.settings, views_named("tracking")) as beside:
                beside.fold()
                beside.switch(*views_named("tracking"))

        def live_and_switched(self: Replay, cursor: Any) -> Any:
            found = live(self, cursor)
            asked.append(found)
            if len(asked) == 2:
                # From the second on it is one snapshot.
                switching.start()
                # It is through by then, or waits for who compares.
                switching.join(2)
            return found

        asked: list[Any] = []
        switching = Thread(target=switch)
        monkeypatch.setattr(Replay, "_live", live_and_switched)
        with replaying(views.database.settings, views_named("tracking")) as (made, _):
            made.fold(Until(position=head))
            found = made.compare(head)
        switching.join()
        assert [each.table for each in found if not each.is_same] == []

    def test_an_effective_time_leaves_out_what_had_not_happened(
        self, views: Views
    ) -> None:
        random_history(views.recorder, requests=8, seed=25)
        entries = list(views.reader.stream())
        bodies = [json.loads(entry.body) for entry in entries]
        times = sorted(body["effective_at"] for body in bodies)
        from datetime import datetime

        bound = times[len(times) // 2]
        until = Until(
            position=entries[-1].position, effective_at=datetime.fromisoformat(bound)
        )
        rows = replayed(views, until)["audit_trail"]
        assert len(rows) == sum(body["effective_at"] <= bound for body in bodies)
        assert 0 < len(rows) < len(entries)

    def test_what_is_not_as_far_cannot_be_compared(self, views: Views) -> None:
        random_history(views.recorder, requests=3, seed=26)
        head = views.reader.head().position
        with replaying(views.database.settings, VIEWS) as (made, _):
            made.fold(Until(position=head))
            with pytest.raises(NotComparableError):
                made.compare(head)

    def test_a_view_that_cannot_fold_says_where(self, views: Views) -> None:
        random_history(views.recorder, requests=3, seed=26)
        broken = Forgetful()
        broken.breaks_at = 4
        with (
            replaying(views.database.settings, (broken,)) as (made, _),
            pytest.raises(CannotFoldError) as caught,
        ):
            made.fold(Until(position=views.reader.head().position))
        assert (caught.value.code, caught.value.position) == ("KeyError", 4)

    def test_its_tables_are_gone_and_its_role_can_write_nothing_live(
        self, views: Views
    ) -> None:
        random_history(views.recorder, requests=3, seed=27)
        with replaying(views.database.settings, VIEWS) as (made, _):
            made.fold(Until(position=views.reader.head().position))
            with (
                pytest.raises(Exception, match="permission denied"),
                made.transaction() as cursor,
            ):
                cursor.execute(
                    sql.SQL("DELETE FROM {}").format(
                        sql.Identifier(VIEWS_SCHEMA, "tracking")
                    )
                )
        # The server drops them as it ends the session, a moment after the client.
        deadline = time.monotonic() + 30
        while temporary_tables(views):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_csv_has_a_line_of_columns_and_one_a_row(self, views: Views) -> None:
        random_history(views.recorder, requests=3, seed=28)
        head = views.reader.head().position
        file = BytesIO()
        with replaying(views.database.settings, VIEWS) as (made, _):
            made.fold(Until(position=head))
            made.write_csv("audit_trail", file)
        lines = file.getvalue().decode().splitlines()
        assert lines[0].startswith("position,")
        assert len(lines) == head + 1


class TestSteps:
    def test_each_step_shows_the_rows_that_its_event_made(self, views: Views) -> None:
        publish_catalogue(views.recorder)
        lives = random_history(views.recorder, requests=5, seed=29)
        life = max(lives, key=lambda each: each.request.version)
        head = views.reader.head().position
        with replaying(views.database.settings, VIEWS) as (made, reader):
            assert isinstance(reader, LedgerReader)
            seen = []
            for batch in steps_of(reader, life.id, Until(position=head)):
                made.take(batch)
                rows = made.touched_at(batch.last)
                assert ("audit_trail", "+") in {(r.table, r.sign) for r in rows}
                seen.append({r.table for r in rows})
        assert len(seen) == life.request.version
        assert "clerk_queue" in seen[0]
        assert "tracking" in set.union(*seen)


class Forgetful(Tracking):
    """Tracking with a planted error: it never hears that a fee was paid."""

    breaks_at = 0

    def fold(self, cursor: Any, facts: Any) -> None:
        if any(fact.position == self.breaks_at for fact in facts):
            raise KeyError("marked-value")
        super().fold(cursor, [f for f in facts if f.happened != "fee-paid"])

    def plan(self, facts: Any) -> None:
        """Forget it in every way of folding."""
