"""What every view answered during a run is what replay and ``as_of`` say of it later.

The answers are recorded over HTTP at random positions while the ledger grows, with
the rows of every table; afterwards the events are folded up to each of the positions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from ledger.persistence.recorders import PostgresProcessRecorder
from projections.replay import Until
from projections.schema import VIEWS
from tests.api.door import Door, door_of
from tests.api.test_recount import ask_of
from tests.conftest import Server, fresh_database
from tests.domain.office import NINE
from tests.projections import wild_lives
from tests.projections.live import Views
from tests.projections.test_replay import replayed, shown_live
from tests.projections.whole_histories import BLOCK, whole_history
from tests.recount.moment import Asker
from tests.recount.questions import IN_DAYS, LIVE_ONLY
from tests.recount.register import RECOUNTS

ASKERS = (
    Asker(role="auditor", code="aud-1"),
    Asker(role="supervisor", code="sup-1", centre="SY-DI-01"),
)
RECORDED = 5
"""Moments of the run at which everything is asked."""
REQUESTS = 70


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What was answered at a position, and what each table showed."""

    position: int
    at: datetime
    answers: dict[str, Any]
    tables: dict[str, list[Any]]


class Run:
    """A ledger that grows, and what was asked meanwhile."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.ask = ask_of(door)
        self.views = Views(door.scene.database)
        self.recorded: list[Recorded] = []

    def record(self) -> None:
        """Ask everything where the ledger is now, as of the moment of its head."""
        house = self.door.scene.house
        position = self.views.runner.catch_up()
        entry = house.ledger.reader.entry(position)
        assert entry is not None
        at = entry.recorded_at
        house.clock = lambda: at
        self.recorded.append(
            Recorded(
                position=position,
                at=at,
                answers=self.answers(),
                tables=shown_live(self.views),
            )
        )
        house.clock = self.door.scene.clock

    def answers(self, *when: tuple[str, str]) -> dict[str, Any]:
        """Every list and count, whole, by everybody who may ask it."""
        found: dict[str, Any] = {}
        for operation, recount in RECOUNTS.items():
            if recount.things is not None or operation in LIVE_ONLY:
                continue
            for asker in ASKERS:
                if asker.role in recount.roles:
                    told = f"{operation} by {asker.role}"
                    found[told] = self._whole(operation, asker, when)
        return found

    def _whole(
        self, operation: str, asker: Asker, when: tuple[tuple[str, str], ...]
    ) -> list[Any]:
        path = RECOUNTS[operation].path
        days = [("first", "2026-10-01"), ("last", "2026-12-31")]
        asked = [*when, *(days if operation in IN_DAYS else [])]
        pages: list[Any] = []
        cursor: list[tuple[str, str]] = []
        while True:
            heard = self.ask(asker, path, [*asked, *cursor])
            assert heard.status == 200, heard.text
            answer = json.loads(heard.text)
            # The cursor names a place; all else is what was told.
            following = answer.pop("next", None)
            pages.append(answer)
            if following is None:
                return pages
            cursor = [("cursor", following)]


@pytest.fixture(scope="module")
def run(server: Server, template: str) -> Iterator[Run]:
    database = fresh_database(server, template)
    random = Random(5)  # noqa: S311 -- reproducible moments
    try:
        with door_of(database) as door, pytest.MonkeyPatch.context() as patched:
            patched.setattr("projections.governorate_counts.folding.BLOCK", BLOCK)
            # Some lives expire days later: nothing may happen in the future.
            patched.setattr(wild_lives, "NINE", NINE - timedelta(days=28))
            made = Run(door)
            moments = set(random.sample(range(40, 400), RECORDED))
            whole_history(
                PostgresProcessRecorder(database.datastore("app")),
                requests=REQUESTS,
                seed=7,
                beside=lambda acts: made.record() if acts in moments else None,
            )
            made.record()
            yield made
    finally:
        database.close()


def test_it_was_asked_at_some_moments_and_every_view_had_something(run: Run) -> None:
    assert len(run.recorded) == RECORDED + 1
    last = run.recorded[-1]
    assert {table for table, rows in last.tables.items() if rows} == {
        table for view in VIEWS for table in view.tables
    }
    answered = {
        name.partition(" ")[0]
        for told in run.recorded
        for name, pages in told.answers.items()
        if any(page["items"] for page in pages)
    }
    assert answered == {name.partition(" ")[0] for name in last.answers}


def test_as_of_each_position_the_same_is_told(run: Run) -> None:
    for told in run.recorded:
        assert run.answers(("as_of", str(told.position))) == told.answers


def test_as_of_each_time_the_same_is_told(run: Run) -> None:
    for told in run.recorded:
        at = told.at.astimezone(UTC).isoformat()
        assert run.answers(("as_of", at)) == told.answers


def test_a_replay_to_each_position_shows_the_same_rows(run: Run) -> None:
    for told in run.recorded:
        assert replayed(run.views, Until(position=told.position)) == told.tables


def test_a_fault_in_what_is_told_would_be_seen(run: Run) -> None:
    """What each route tells changes in the run, so that equality says something."""
    first, *others = run.recorded
    static = {"list_services", "list_agencies", "list_centres", "list_calendars"}
    static |= {"list_stamps", "list_clerks", "list_registered_stamps"}
    same = {
        name.partition(" ")[0]
        for name, pages in first.answers.items()
        if name.endswith("auditor")
        and all(each.answers[name] == pages for each in others)
    }
    assert same <= static
