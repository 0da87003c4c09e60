"""A view that remembers is what one that reads everything back would be."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from projections import memory
from projections.clerk_queue import ClerkQueue
from projections.folding import Folder, read_batch
from projections.memory import Memory, Remembering
from projections.runner import ViewRunner
from tests.conftest import Database
from tests.projections.histories import random_history
from tests.projections.live import Views


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


def folded_at_once(views: Views) -> dict[str, list[Any]]:
    views.start_over()
    ViewRunner(views.written, views.reader).catch_up()
    return views.contents()


def in_turns(views: Views, runners: list[ViewRunner]) -> int:
    """Runners that fold some entries each, in an order of no pattern."""
    head = views.reader.head().position
    random, at = Random(4), 0  # noqa: S311 -- reproducible test data
    while at < head:
        at = min(head, at + random.randint(1, 40))
        random.choice(runners).catch_up(until=at)
    return head


class TestOfOthers:
    def test_runners_that_take_turns_leave_what_one_does(self, views: Views) -> None:
        random_history(views.recorder, requests=40)
        in_turns(views, [ViewRunner(views.written, views.reader) for _ in range(3)])
        assert views.contents() == folded_at_once(views)

    def test_without_forgetting_they_would_not(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=40)

        def begin_only_once(view: Remembering[Any]) -> None:
            if view._memory is None:
                view._memory = Memory()

        with monkeypatch.context() as planted:
            planted.setattr(Remembering, "forget", begin_only_once)
            in_turns(views, [ViewRunner(views.written, views.reader) for _ in range(3)])
            wrong = views.contents()
        assert wrong != folded_at_once(views)

    def test_rows_that_somebody_put_in_place_are_read(self, views: Views) -> None:
        random_history(views.recorder, requests=20)
        head = views.reader.head().position
        views.runner.catch_up(until=head // 2)
        with views.written.transaction() as cursor:
            # As the switch of a rebuild: other rows, and the progress is touched.
            cursor.execute(
                "UPDATE clerk_queue SET tracking_number = 'another'"
                " WHERE valid_to IS NULL"
            )
            cursor.execute(
                "UPDATE progress SET updated_at = now() WHERE view = 'clerk_queue'"
            )
        views.runner.catch_up()
        with views.written.transaction(commit=False) as cursor:
            cursor.execute(
                "SELECT count(*) FROM clerk_queue WHERE tracking_number = 'another'"
                " AND valid_from > %s",
                (head // 2,),
            )
            assert cursor.fetchone() != (0,)


LONG = 6


class Stumbling(ClerkQueue):
    """Folds a batch, and then fails where it was a long one."""

    times = 0

    def fold(self, cursor: Any, facts: Any) -> None:
        super().fold(cursor, facts)
        if len(facts) > LONG:
            Stumbling.times += 1
            raise RuntimeError("stumbled")


class TestOfWhatWasUndone:
    def test_what_was_undone_is_forgotten(self, views: Views) -> None:
        random_history(views.recorder, requests=30)
        Stumbling.times = 0
        folder = Folder(Stumbling(), views.written, frozenset())
        head, at = views.reader.head(), 0
        while at < head.position:
            batch = read_batch(views.reader, after=at, until=head.position, size=25)
            assert batch is not None
            at = folder.fold(batch, head)
        assert Stumbling.times > 5
        folded = views.contents()["clerk_queue"]
        assert folded == folded_at_once(views)["clerk_queue"]


class Falling:
    """Lets every third write of a planned batch fail when it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.planned = self.failed = 0
        fold_new = Folder._fold_new

        def falling(
            folder: Folder, cursor: Any, facts: Any, at: int, write: Any
        ) -> None:
            fold_new(folder, cursor, facts, at, write)
            if write is not None:
                self.planned += 1
                if self.planned % 3 == 0:
                    self.failed += 1
                    raise RuntimeError("fell")

        monkeypatch.setattr(Folder, "_fold_new", falling)


class TestPlans:
    @pytest.fixture(autouse=True)
    def _small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("projections.runner.BATCH_SIZE", 10)

    def test_batches_are_planned_ahead_and_leave_the_same(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=80)
        written: Counter[str] = Counter()
        fold_new = Folder._fold_new

        def counted(folder: Folder, *given: Any) -> None:
            written[folder.view.name] += given[-1] is not None
            fold_new(folder, *given)

        monkeypatch.setattr(Folder, "_fold_new", counted)
        views.runner.catch_up()
        monkeypatch.undo()
        for name in ("audit_trail", "clerk_queue", "tracking"):
            assert written[name] > 10
        assert views.contents() == folded_at_once(views)

    def test_what_falls_behind_a_plan_takes_the_plans_behind_it_along(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=80)
        with monkeypatch.context() as planted:
            falling = Falling(planted)
            views.runner.catch_up()
        assert falling.failed > 10
        monkeypatch.undo()
        assert views.contents() == folded_at_once(views)

    def test_with_plans_of_another_course_it_would_not(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=80)

        def keep_on(folder: Folder) -> None:
            """Neither forgets nor tells the plans."""

        with monkeypatch.context() as planted:
            Falling(planted)
            planted.setattr(Folder, "_go_astray", keep_on)
            views.runner.catch_up()
        monkeypatch.undo()
        assert views.contents() != folded_at_once(views)

    def test_runners_at_once_leave_what_one_does(self, views: Views) -> None:
        random_history(views.recorder, requests=120)
        runners = [ViewRunner(views.written, views.reader) for _ in range(2)]
        with ThreadPoolExecutor(len(runners)) as pool:
            heads = list(pool.map(ViewRunner.catch_up, runners))
        views.runner.catch_up(until=max(heads))
        assert views.contents() == folded_at_once(views)


class TestBounds:
    def test_what_is_forgotten_for_want_of_room_is_read_again(
        self, views: Views, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random_history(views.recorder, requests=60)
        monkeypatch.setattr(memory, "REMEMBERED", 3)
        monkeypatch.setattr("projections.runner.BATCH_SIZE", 10)
        views.runner.catch_up()
        assert views.contents() == folded_at_once(views)

    def test_two_generations_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "REMEMBERED", 10)
        kept: Memory[int] = Memory()
        for number in range(1_000):
            key = str(number)
            assert kept.unknown({key, "0"}) <= {key, "0"}
            kept.young[key] = number
            kept.young["0"] = 0
            assert len(kept) <= 2 * 12
        assert kept.unknown({"0", "999", "1"}) == {"1"}
