"""The supervisor's desk says what the events say, and its load what the queue has."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from domain.access import Scope
from domain.calendars import office_day
from domain.stages import NextAct, WaitingFor
from projections.clerk_queue import ClerkQueue, ClerkQueueQueries
from projections.roster import Roster
from projections.supervisor_desk import (
    ApprovalFilter,
    AttemptFilter,
    SupervisorDesk,
    SupervisorDeskQueries,
)
from tests.conftest import Database
from tests.domain.office import NINE
from tests.projections.desks import EVERYTHING, Desks, Happened, everything
from tests.projections.histories import publish_days

NOW = NINE + timedelta(days=1)
WORK = (WaitingFor.CLERK, WaitingFor.AGENCY, WaitingFor.CITIZEN)


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (SupervisorDesk(), ClerkQueue(), Roster()))

    publish_days(desks.recorder)
    desks.live(requests=60, seed=41)
    return desks


def approvals(told: list[Happened]) -> list[tuple[Any, ...]]:
    """The first event of each act that somebody allowed, the newest first."""
    acts: dict[str, Happened] = {}
    for each in told:
        if "approved_by" in each.body:
            acts.setdefault(each.body["command_id"], each)
    return [
        (
            each.position,
            each.body["command_id"],
            each.key,
            f"sijil.{each.name}.v1",
            each.body["actor"]["place"],
            each.body["approved_by"],
            each.body["actor"]["id"],
            each.at,
            each.recorded_at,
        )
        for each in sorted(acts.values(), key=lambda each: -each.position)
    ]


def shown(row: Any) -> tuple[Any, ...]:
    return (
        row.position,
        str(row.command_id),
        str(row.aggregate_id),
        row.topic,
        row.centre,
        row.approved_by,
        row.actor_id,
        row.effective_at,
        row.recorded_at,
    )


def test_approvals_are_the_acts_that_somebody_allowed(desks: Desks) -> None:
    queries = SupervisorDeskQueries(desks.read)
    events = Counter(
        each.body["command_id"] for each in desks.told if "approved_by" in each.body
    )
    assert max(events.values()) > 1, "no approved act of several events"
    for position in desks.positions():
        told = desks.until(desks.head if position is None else position)
        rows = everything(queries.approvals, scope=EVERYTHING, as_of=position)
        assert [shown(row) for row in rows] == approvals(told)
    wanted = approvals(desks.told)
    middle = wanted[len(wanted) // 2][-1]
    for only, keeps in (
        (ApprovalFilter(centre="SY-HL-01"), lambda r: r[4] == "SY-HL-01"),
        (ApprovalFilter(approved_by="nobody"), lambda _: False),
        (ApprovalFilter(actor="clk-1"), lambda r: r[6] == "clk-1"),
        (ApprovalFilter(since=middle), lambda r: r[-1] >= middle),
        (ApprovalFilter(until=middle), lambda r: r[-1] < middle),
    ):
        rows = everything(queries.approvals, scope=EVERYTHING, only=only)
        assert [shown(row) for row in rows] == [row for row in wanted if keeps(row)]
    own = everything(queries.approvals, scope=Scope(centre="SY-DI-01"))
    assert {row.centre for row in own} == {"SY-DI-01"}


def test_attempts_are_those_that_a_rule_refused(desks: Desks) -> None:
    queries = SupervisorDeskQueries(desks.read)
    for position in desks.positions(6):
        told = desks.until(desks.head if position is None else position)
        wanted = [
            (
                each.position,
                each.data["centre"],
                each.data["attempted"],
                each.data["target"],
                each.data["target_version"],
                each.data["code"],
                each.data.get("reason"),
                each.data.get("holder"),
                each.body["actor"]["id"],
                each.at,
            )
            for each in told[::-1]
            if each.name == "attempt.refused"
        ]
        rows = everything(queries.attempts, scope=EVERYTHING, as_of=position)
        assert [
            (
                row.position,
                row.centre,
                row.attempted,
                str(row.target),
                row.target_version,
                row.code,
                row.reason,
                row.holder,
                row.actor_id,
                row.effective_at,
            )
            for row in rows
        ] == wanted
    only = AttemptFilter(centre="SY-QU-01", code="wrong-state")
    rows = everything(queries.attempts, scope=EVERYTHING, only=only)
    assert {row.centre for row in rows} == {"SY-QU-01"}


def test_the_load_is_the_work_that_the_queue_shows_by_clerk(desks: Desks) -> None:
    queue = ClerkQueueQueries(desks.read)
    queries = SupervisorDeskQueries(desks.read)
    for position in desks.positions(6):
        items = [
            item
            for waiting_for in WORK
            for item in everything(
                queue.page,
                scope=EVERYTHING,
                now=NOW,
                waiting_for=waiting_for,
                as_of=position,
            )
            if item.clerk is not None
        ]
        counts = Counter((i.centre, i.clerk, i.waiting_for) for i in items)
        overdue = Counter(
            (i.centre, i.clerk)
            for i in items
            if i.is_overdue and i.waiting_for is WaitingFor.CLERK
        )
        rows = everything(
            queries.load,
            scope=EVERYTHING,
            now=NOW,
            day=office_day(NOW),
            as_of=position,
        )
        keys = [(row.centre, row.code) for row in rows]
        assert keys == sorted(set(keys))
        assert {(i.centre, i.clerk) for i in items} <= set(keys)
        for row in rows:
            key = (row.centre, row.code)
            assert row.to_move == counts[*key, WaitingFor.CLERK]
            assert row.waiting_for_agency == counts[*key, WaitingFor.AGENCY]
            assert row.waiting_for_citizen == counts[*key, WaitingFor.CITIZEN]
            assert row.overdue == overdue[key]
            mine = [
                i.since
                for i in items
                if (i.centre, i.clerk) == key and i.waiting_for is WaitingFor.CLERK
            ]
            assert row.oldest == min(mine, default=None)


def test_clerks_who_are_away_or_have_nothing_are_shown_too(desks: Desks) -> None:
    queries = SupervisorDeskQueries(desks.read)
    told = {}
    for days in range(4):
        now = NINE + timedelta(days=days)
        rows = queries.load(
            Scope(centre="SY-DI-01"), now=now, day=office_day(now)
        ).items
        [idle] = [row for row in rows if row.code == "clk-9"]
        assert (idle.is_here, idle.to_move, idle.oldest) == (True, 0, None)
        assert idle.agencies == ["CIV"]
        told[days] = (idle.is_away, idle.has_left)
    assert told == {
        0: (False, False),
        1: (True, False),
        2: (False, False),
        3: (False, True),
    }
    rows = everything(
        queries.load, scope=EVERYTHING, now=NOW, day=office_day(NOW), centre="SY-HL-01"
    )
    assert rows
    assert not any(row.is_here for row in rows)


def test_unassigned_work_and_returned_post_are_parts_of_the_queue(
    desks: Desks,
) -> None:
    queue = ClerkQueueQueries(desks.read)
    found = {"unassigned": 0, "returned": 0}
    came_back = [e.position for e in desks.told if e.name == "request.returned"]
    for position in (*desks.positions(4), *came_back[:4]):
        asked = {"scope": EVERYTHING, "now": NOW, "as_of": position}
        items = [
            item
            for waiting_for in WORK
            for item in everything(queue.page, **asked, waiting_for=waiting_for)
        ]
        unassigned = everything(
            queue.page, **asked, waiting_for=None, is_unassigned=True
        )
        assert {item.request_id for item in unassigned} == {
            item.request_id for item in items if item.clerk is None
        }
        returned = everything(queue.page, **asked, next_act=NextAct.DEAL_WITH_RETURN)
        assert {item.request_id for item in returned} == {
            item.request_id
            for item in items
            if item.next_act is NextAct.DEAL_WITH_RETURN
        }
        own = everything(queue.page, **asked, centre="SY-DI-01")
        assert {item.centre for item in own} <= {"SY-DI-01"}
        found["unassigned"] += len(unassigned)
        found["returned"] += len(returned)
    assert all(found.values())


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_of_any_size_make_the_same_desk(
    desks: Desks, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desks.is_same_in_batches(size, monkeypatch)
