"""Runners and a rebuild killed at random moments, and with the server beneath them.

A short version of benchmarks/views_under_kills.py. The same checker must catch planted
faults: progress in another transaction than the rows, a switch in two transactions, and
a live row that somebody changed.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from ledger.persistence.append import ActToAppend
from projections.schema import ensure_views
from tests.conftest import Database
from tests.own_server import own_server
from tests.projections import at_work
from tests.projections.examining import Examination
from tests.projections.live import Views
from tests.projections.seen import Looking
from tests.projections.trial import (
    BACKEND,
    FORKED,
    GENTLE,
    LONG_S,
    POSTMASTER,
    REBUILD_SWITCHING,
    ROUGH,
    RUNNER_FOLDING,
    Trial,
    history,
)

BLOWS = 10
ACTS_A_BLOW = 30


def test_whoever_is_killed_the_views_are_a_clean_fold() -> None:
    acts = history(requests=50, seed=11)
    first = {0: [RUNNER_FOLDING], 1: [REBUILD_SWITCHING], 2: [BACKEND], 3: [POSTMASTER]}
    with own_server() as (server, settings):
        ensure_views(settings)
        superuser = server.dsn(dbname=settings.database_name)
        with Trial(
            settings, superuser, acts, server=server, acts_a_blow=ACTS_A_BLOW
        ) as trial:
            for number in range(BLOWS):
                # Each of the rarest once, the rest by chance.
                trial.strike(first.get(number, ROUGH if number % 2 else GENTLE))
                if number % 3 == 0:
                    trial.come_level()
                    trial.look()
            wrong = trial.end()
    assert wrong == []
    assert trial.blows.total() == BLOWS
    assert trial.undone.total() > 0
    assert len({then.position for then in trial.seen}) > 1


class TestTheChecker:
    @pytest.mark.parametrize(
        ("body", "plant"),
        [
            (at_work.follow, at_work.PROGRESS_APART),
            (at_work.rebuild, at_work.MOVED_APART),
            (at_work.rebuild, at_work.DROPPED_APART),
        ],
    )
    def test_it_catches_a_planted_fault(
        self, database: Database, tmp_path: Path, body: Any, plant: str
    ) -> None:
        """Killed between the two transactions, and nowhere else."""
        views = Views(database)
        acts = [ActToAppend(events=each) for each in history(requests=10, seed=12)]
        views.recorder.append(acts[:60])
        views.runner.catch_up()
        views.recorder.append(acts[60:])
        child = FORKED.Process(
            target=body,
            args=(database.settings, str(tmp_path / "diary"), "planted", plant),
            kwargs={"dies": True},
        )
        child.start()
        child.join(LONG_S)
        assert child.exitcode == -signal.SIGKILL
        with Examination(database.settings) as examined:
            assert examined.faults()

    def test_it_catches_what_is_told_otherwise_as_of_then(
        self, database: Database
    ) -> None:
        views = Views(database)
        acts = history(requests=5, seed=13)
        views.recorder.append([ActToAppend(events=events) for events in acts])
        views.runner.catch_up()
        looking = Looking(views.written)
        seen = {each.view: each for each in looking.now()}
        assert [looking.differing(then) for then in seen.values()] == [[]] * len(seen)
        with views.written.transaction() as cursor:
            cursor.execute("DELETE FROM tracking WHERE step <> 'submitted'")
            cursor.execute("DELETE FROM audit_trail WHERE position = 4")
        at = seen["tracking"].position
        assert looking.differing(seen["tracking"]) == [
            f"tracking as of {at} is another",
            f"requests as of {at} is another",
        ]
        assert looking.differing(seen["audit_trail"]) == [
            f"audit_trail as of {at} is another"
        ]
        assert looking.differing(seen["timers"]) == []
