"""Work finds who is there: absences, reliefs, returns, and a supervisor's moves."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from benchmarks.assignment_under_kills import drive, faults
from domain.access import Principal
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.calendars import office_day
from domain.clerks import AwayBecause, Clerk
from domain.errors import (
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
    ServiceNotOfferedError,
)
from domain.ids import new_id
from domain.requests import AssignedBecause, Channel, WithdrawnBecause
from office.acts import Envelope
from office.assignment import NAME
from office.commands import (
    AssignRequest,
    ClaimRequest,
    ReleaseRequest,
    WithdrawRequest,
)
from office.moving import MoveWork
from tests.office.scene import (
    AUDITOR,
    CLERK,
    FOREIGN_CLERK,
    SUPERVISOR,
    Scene,
    envelope,
)

ONLINE: dict[str, Any] = {
    "channel": Channel.ONLINE,
    "centre": "SY-DI-01",
    "accept_now": False,
}
CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-77")


def change(scene: Scene, code: str, do: Any) -> None:
    """Something that happens to a clerk, now."""
    now = scene.clock()
    act = Act(
        command_id=new_id(now),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
        correlation_id=new_id(now),
        effective_at=now,
    )
    clerk = scene.house.ledger.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    do(clerk, act)
    scene.house.ledger.append(clerk)


def responsible(scene: Scene, code: str, agency: str = "CIV") -> None:
    change(scene, code, lambda clerk, act: clerk.make_responsible(act, agency=agency))


def away(scene: Scene, code: str, **days: int | None) -> None:
    today = office_day(scene.clock())
    told = {
        name: None if more is None else today + timedelta(days=more)
        for name, more in {"first": 0, **days}.items()
    }
    change(
        scene,
        code,
        lambda clerk, act: clerk.be_away(act, reason=AwayBecause.LEAVE, **told),
    )


def rebalance(scene: Scene) -> None:
    scene.level()
    scene.house.assignment().rebalance(Event())
    scene.room.runner.catch_up()


def submitted(scene: Scene, number: int = 1) -> list[UUID]:
    made = [scene.submit(CITIZEN, **ONLINE) for _ in range(number)]
    scene.level()
    return made


def last(scene: Scene, request_id: UUID) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(scene.entries(request_id)[-1].body)
    return body


class TestAbsence:
    def test_the_work_of_who_is_away_goes_to_who_is_there(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        away(scene, "clk-DI-1")
        rebalance(scene)
        assert scene.get(request_id).clerk == "clk-DI-2"
        told = last(scene, request_id)
        assert told["data"]["reason"] == "clerk_away"
        assert told["actor"] == {"id": NAME, "kind": "system", "place": MINISTRY}

    def test_with_nobody_else_it_goes_to_the_desk_and_back_to_whom_is_back(
        self, scene: Scene
    ) -> None:
        (request_id,) = submitted(scene)
        away(scene, "clk-DI-1")
        rebalance(scene)
        assert scene.get(request_id).clerk is None
        assert last(scene, request_id)["data"]["reason"] == "clerk_away"
        change(scene, "clk-DI-1", lambda clerk, act: clerk.be_back(act))
        rebalance(scene)
        assert scene.get(request_id).clerk == "clk-DI-1"
        assert last(scene, request_id)["data"]["reason"] == "responsible"

    def test_an_absence_to_come_moves_nothing_before_its_day(
        self, scene: Scene
    ) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        away(scene, "clk-DI-1", first=2)
        rebalance(scene)
        assert scene.get(request_id).clerk == "clk-DI-1"
        scene.now += timedelta(days=2)
        scene.house.assignment().rebalance(Event())
        assert scene.get(request_id).clerk == "clk-DI-2"

    def test_new_requests_pass_by_who_is_away(self, scene: Scene) -> None:
        away(scene, "clk-DI-1")
        responsible(scene, "clk-DI-2")
        scene.room.runner.catch_up()
        (request_id,) = submitted(scene)
        assert scene.get(request_id).clerk == "clk-DI-2"

    def test_the_work_is_spread_over_who_is_there(self, scene: Scene) -> None:
        made = submitted(scene, 6)
        responsible(scene, "clk-DI-2")
        responsible(scene, "clk-DI-3")
        away(scene, "clk-DI-1")
        rebalance(scene)
        held = Counter(scene.get(request_id).clerk for request_id in made)
        assert held == {"clk-DI-2": 3, "clk-DI-3": 3}

    def test_who_left_keeps_nothing(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        change(
            scene,
            "clk-DI-1",
            lambda clerk, act: clerk.leave(act, on=office_day(scene.clock())),
        )
        rebalance(scene)
        assert scene.get(request_id).clerk == "clk-DI-2"

    def test_who_went_to_another_centre_leaves_the_work_behind(
        self, scene: Scene
    ) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        change(
            scene,
            "clk-DI-1",
            lambda clerk, act: clerk.appoint_again(act, centre="SY-HL-01"),
        )
        rebalance(scene)
        assert scene.get(request_id).clerk == "clk-DI-2"

    def test_it_bars_nobodys_backdated_work(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        before = scene.get(request_id).modified_on
        responsible(scene, "clk-DI-2")
        away(scene, "clk-DI-1")
        rebalance(scene)
        assert scene.get(request_id).modified_on == before


class TestComingBack:
    def test_who_is_away_or_has_left_claims_nothing(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        away(scene, "clk-DI-1")
        claim = ClaimRequest(request_id=request_id)
        with pytest.raises(ServiceNotOfferedError):
            scene.requests.claim(claim, scene.seen(request_id, CLERK, "claim"))
        change(scene, "clk-DI-1", lambda clerk, act: clerk.be_back(act))
        scene.requests.claim(claim, scene.seen(request_id, CLERK, "claim"))
        assert scene.get(request_id).token == 2

    def test_a_login_alone_makes_no_clerk(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        change(
            scene,
            "clk-DI-1",
            lambda clerk, act: clerk.leave(act, on=office_day(scene.clock())),
        )
        rebalance(scene)
        nobody = Principal(role=ActorKind.CLERK, id="clk-DI-99", centre="SY-DI-01")
        with pytest.raises(ServiceNotOfferedError):
            scene.requests.claim(
                ClaimRequest(request_id=request_id),
                scene.seen(request_id, nobody, "claim"),
            )


class TestExactlyOnce:
    def test_run_twice_and_by_two_at_once_each_item_moves_once(
        self, scene: Scene
    ) -> None:
        made = submitted(scene, 8)
        responsible(scene, "clk-DI-2")
        away(scene, "clk-DI-1")
        scene.level()
        stop = Event()
        # The views are folded meanwhile, as the runner does it.
        folding = Thread(target=scene.room.runner.run, args=(stop,))
        threads = [
            Thread(target=scene.house.assignment().rebalance, args=(Event(),))
            for _ in range(3)
        ]
        for thread in (folding, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        folding.join()
        for request_id in made:
            topics = [e.topic.split(".")[2] for e in scene.entries(request_id)]
            assert topics == ["submitted", "assigned", "assigned"]
            assert scene.get(request_id).clerk == "clk-DI-2"

    def test_a_supervisor_who_was_quicker_has_decided(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        away(scene, "clk-DI-1")
        scene.level()
        # The queue still shows clk-DI-1; the supervisor gives it to clk-DI-3.
        scene.requests.assign(
            AssignRequest(request_id=request_id, clerk="clk-DI-3"),
            scene.seen(request_id, SUPERVISOR, "assignment"),
        )
        manager = scene.house.assignment()
        (item,) = scene.house.queries.queue.held_by(["clk-DI-1"])
        manager._move(item, AssignedBecause.CLERK_AWAY)
        assert scene.get(request_id).clerk == "clk-DI-3"

    def test_what_a_supervisor_took_back_stays_on_the_desk(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        token = scene.get(request_id).token
        scene.requests.release(
            ReleaseRequest(request_id=request_id, token=token),
            scene.seen(request_id, SUPERVISOR, "release"),
        )
        rebalance(scene)
        assert scene.get(request_id).clerk is None


class TestRelief:
    def test_who_is_relieved_of_an_agency_hands_its_work_on(self, scene: Scene) -> None:
        (request_id,) = submitted(scene)
        responsible(scene, "clk-DI-2")
        change(scene, "clk-DI-1", lambda clerk, act: clerk.relieve(act, agency="CIV"))
        scene.level()
        assert scene.get(request_id).clerk == "clk-DI-2"
        assert last(scene, request_id)["data"]["reason"] == "rebalanced"


class TestMoving:
    def move(self, scene: Scene, principal: Principal, **more: Any) -> Any:
        command = MoveWork(**{"clerk": "clk-DI-1", "to": "clk-DI-2", **more})
        return scene.house.moving.move(command, envelope(principal, "moves"))

    def test_a_supervisor_moves_all_work_under_one_correlation(
        self, scene: Scene
    ) -> None:
        made = submitted(scene, 3)
        moved = self.move(scene, SUPERVISOR)
        assert set(moved.moved) == set(made)
        assert moved.is_all
        for request_id in made:
            body = last(scene, request_id)
            assert body["correlation_id"] == str(moved.correlation_id)
            assert body["data"]["clerk"] == "clk-DI-2"
            assert body["data"]["reason"] == "supervisor"

    def test_sent_again_nothing_moves_twice(self, scene: Scene) -> None:
        made = submitted(scene, 2)
        sent = Envelope(principal=SUPERVISOR, command_id=uuid4(), route="POST moves")
        command = MoveWork(clerk="clk-DI-1", to="clk-DI-2")
        scene.house.moving.move(command, sent)
        before = [len(scene.entries(request_id)) for request_id in made]
        scene.house.moving.move(command, sent)
        assert [len(scene.entries(request_id)) for request_id in made] == before

    def test_only_the_supervisor_of_the_centre_may(self, scene: Scene) -> None:
        submitted(scene)
        for principal in (CLERK, AUDITOR):
            with pytest.raises(RoleForbiddenError):
                self.move(scene, principal)
        foreign = Principal(
            role=ActorKind.SUPERVISOR, id="sup-HL", centre=FOREIGN_CLERK.centre
        )
        with pytest.raises(NotFoundError):
            self.move(scene, foreign)
        with pytest.raises(NotFoundError):
            self.move(scene, SUPERVISOR, to="clk-HL-1")

    def test_to_who_is_not_there_nothing_moves_and_it_is_said_once(
        self, scene: Scene
    ) -> None:
        submitted(scene, 2)
        away(scene, "clk-DI-2")
        scene.level()
        with pytest.raises(ServiceNotOfferedError):
            self.move(scene, SUPERVISOR)
        with pytest.raises(InvalidValueError):
            self.move(scene, SUPERVISOR, to="clk-DI-1")
        assert scene.attempts() == []

    def test_what_ended_meanwhile_is_kept(self, scene: Scene) -> None:
        kept, moved = submitted(scene, 2)
        scene.requests.withdraw(
            WithdrawRequest(request_id=kept, reason=WithdrawnBecause.NOT_NEEDED),
            scene.seen(kept, CLERK, "withdrawal"),
        )
        found = self.move(scene, SUPERVISOR)
        assert found.kept == (kept,)
        assert found.moved == (moved,)


class TestDying:
    def test_killed_at_any_moment_each_request_is_assigned_and_moved_once(
        self, scene: Scene
    ) -> None:
        """A short run of the benchmark; that one kills hundreds over thousands."""
        outcome = drive(scene.database.settings, requests=80, kills=12)
        assert outcome.wrong == []
        assert outcome.kills_at_work
        assert outcome.moved

    def test_the_checker_sees_what_is_missing_and_what_is_doubled(
        self, scene: Scene
    ) -> None:
        missing, doubled = submitted(scene, 2)
        other = uuid4()
        scene.requests.assign(
            AssignRequest(request_id=doubled, clerk="clk-DI-2", token=1),
            envelope(Principal(role=ActorKind.SYSTEM, id=NAME), "system/rebalancing"),
        )
        wrong = faults(scene.house.ledger.reader, {missing, doubled, other}, {missing})
        named = " ".join(wrong)
        for request_id in (missing, doubled, other):
            assert str(request_id) in named
