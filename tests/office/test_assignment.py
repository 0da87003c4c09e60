"""Assignment: whose a new request is, and that killing it costs and doubles nothing."""

from __future__ import annotations

import json
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from domain.access import Principal
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.centres import Centre
from domain.ids import derived_id, new_id
from domain.requests import Channel, Declined
from ledger.names import Role
from ledger.settings import LedgerSettings
from office.assignment import NAME
from office.commands import AssignRequest
from office.house import House
from tests.office.scene import (
    CLERK,
    OTHER_CLERK,
    SUPERVISOR,
    Scene,
)

ONLINE: dict[str, Any] = {
    "channel": Channel.ONLINE,
    "centre": "SY-DI-01",
    "accept_now": False,
}
CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-77")
ASSIGNED = "sijil.request.assigned.v1"
REQUESTS = 100
KILLS = 6
LONGEST_LIFE_S = 0.12
FINISH_S = 60.0
SEED = 20261124
"""Moments are random, but the same ones in every run."""
_SPAWN = multiprocessing.get_context("spawn")


def administration(at: datetime) -> Act:
    return Act(
        command_id=new_id(at),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
        correlation_id=new_id(at),
        effective_at=at,
    )


def share_civil_registry(scene: Scene) -> None:
    """Make clk-DI-2 responsible beside clk-DI-1."""
    assert scene.house.catalogue.give_agency(
        administration(scene.clock()), clerk="clk-DI-2", agency="CIV"
    )


def assignments(scene: Scene) -> list[tuple[UUID, dict[str, Any]]]:
    return [
        (entry.aggregate_id, json.loads(entry.body))
        for entry in scene.entries()
        if entry.topic == ASSIGNED
    ]


class TestTheChoice:
    def test_the_accepting_clerk_keeps_what_is_theirs(self, scene: Scene) -> None:
        share_civil_registry(scene)
        assert scene.get(scene.assigned(OTHER_CLERK)).clerk == "clk-DI-2"
        assert scene.get(scene.assigned(CLERK)).clerk == "clk-DI-1"

    def test_who_is_not_responsible_keeps_nothing(self, scene: Scene) -> None:
        third = Principal(role=ActorKind.CLERK, id="clk-DI-3", centre="SY-DI-01")
        assert scene.get(scene.assigned(third)).clerk == "clk-DI-1"

    def test_the_least_open_work_decides_and_ties_go_by_id(self, scene: Scene) -> None:
        share_civil_registry(scene)
        clerks = [scene.get(scene.assigned(CITIZEN, **ONLINE)).clerk for _ in range(4)]
        assert clerks == ["clk-DI-1", "clk-DI-2", "clk-DI-1", "clk-DI-2"]

    def test_a_burst_does_not_all_go_to_one(self, scene: Scene) -> None:
        share_civil_registry(scene)
        requests = [scene.submit(CITIZEN, **ONLINE) for _ in range(6)]
        scene.level()
        given = Counter(scene.get(request_id).clerk for request_id in requests)
        assert given == {"clk-DI-1": 3, "clk-DI-2": 3}

    def test_what_is_nobodys_stands_on_the_supervisors_desk(self, scene: Scene) -> None:
        act = administration(scene.clock())
        scene.house.catalogue.publish_once(
            Centre,
            Centre.id_of("SY-DI-02"),
            lambda: Centre.open(
                act,
                code="SY-DI-02",
                governorate="SY-DI",
                name_ar="مركز ثان",
                name_en="A second centre",
            ),
        )
        supervisor = Principal(role=ActorKind.SUPERVISOR, id="sup-2", centre="SY-DI-02")
        request_id = scene.assigned(supervisor)
        assert scene.get(request_id).clerk is None
        desk = scene.house.queries.queue.page(
            supervisor.scope, now=scene.clock(), is_unassigned=True
        )
        assert [item.request_id for item in desk.items] == [request_id]

    def test_a_supervisor_who_was_quicker_has_decided(self, scene: Scene) -> None:
        request_id = scene.submit(CITIZEN, **ONLINE)
        scene.requests.assign(
            AssignRequest(request_id=request_id, clerk="clk-DI-3"),
            scene.seen(request_id, SUPERVISOR, "assignment"),
        )
        scene.level()
        request = scene.get(request_id)
        assert (request.clerk, request.token) == ("clk-DI-3", 1)
        assert marked(scene) == scene.entries(request_id)[0].position


class TestTheAct:
    def test_it_is_the_systems_at_the_time_of_its_cause(self, scene: Scene) -> None:
        request_id = scene.assigned()
        submitted, *_, assigned = scene.entries(request_id)
        cause, body = json.loads(submitted.body), json.loads(assigned.body)
        assert body["actor"] == {"kind": "system", "id": NAME, "place": MINISTRY}
        assert body["effective_at"] == cause["effective_at"]
        assert body["causation_id"] == submitted.key
        assert body["correlation_id"] == str(request_id)
        at = datetime.fromisoformat(cause["effective_at"])
        assert body["command_id"] == str(derived_id(f"assign/{submitted.key}", at))

    def test_a_runner_whose_clock_is_behind_assigns_all_the_same(
        self, scene: Scene
    ) -> None:
        request_id = scene.submit()
        scene.room.runner.catch_up()
        with House(
            scene.database.settings,
            clock=lambda: datetime.now(UTC) - timedelta(seconds=30),
        ) as other:
            other.assignment().catch_up(Event())
        assert scene.get(request_id).clerk == "clk-DI-1"

    def test_a_declined_request_is_passed_over(self, scene: Scene) -> None:
        request_id = scene.assigned(
            accept_now=False, decline_reason=Declined.INELIGIBLE
        )
        assert scene.get(request_id).clerk is None
        assert marked(scene) == scene.entries(request_id)[0].position
        assert not scene.attempts()


def marked(scene: Scene) -> int | None:
    return scene.house.ledger.process_recorder.max_tracking_id(NAME)


def until_assigned(scene: Scene, *, more_than: int, last: int) -> None:
    """Until more are assigned, or the last request was dealt with."""
    deadline = time.monotonic() + FINISH_S
    while marked(scene) != last and len(assignments(scene)) <= more_than:
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestDying:
    @pytest.mark.long
    def test_killed_at_any_moment_and_run_twice_each_is_assigned_once(
        self, scene: Scene
    ) -> None:
        moments = random.Random(SEED)  # noqa: S311 -- moments of a test
        share_civil_registry(scene)
        requests = [scene.submit(CITIZEN, **ONLINE) for _ in range(REQUESTS)]
        last = scene.entries(requests[-1])[0].position
        seen = []
        with views_running(scene):
            for _ in range(KILLS):
                before = len(assignments(scene))
                with two_assigning(scene.database.settings):
                    time.sleep(moments.uniform(0.01, LONGEST_LIFE_S))
                    # On a busy machine such a life is over before anything was done.
                    until_assigned(scene, more_than=before, last=last)
                seen.append(len(assignments(scene)))
            with two_assigning(scene.database.settings):
                until_assigned(scene, more_than=REQUESTS, last=last)
        assert any(0 < count < REQUESTS for count in seen), "no kill struck at work"
        given = assignments(scene)
        assert sorted(request_id for request_id, _ in given) == sorted(requests)
        assert {body["data"]["token"] for _, body in given} == {1}
        assert not scene.attempts()
        commands = commands_of(scene)
        assert sorted(commands) == sorted(UUID(b["command_id"]) for _, b in given)
        both = Counter(body["data"]["clerk"] for _, body in given)
        assert set(both) == {"clk-DI-1", "clk-DI-2"}


def commands_of(scene: Scene) -> list[UUID]:
    """The commands that the ledger remembers of the process manager."""
    with scene.database.datastore(Role.OWNER).transaction() as cursor:
        cursor.execute(
            "SELECT id::text FROM commands WHERE actor = %s", (f"system:{NAME}",)
        )
        return [UUID(text) for (text,) in cursor.fetchall()]


@contextmanager
def views_running(scene: Scene) -> Iterator[None]:
    stop = Event()
    thread = threading.Thread(target=scene.room.runner.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def two_assigning(settings: LedgerSettings) -> Iterator[None]:
    """Two processes that assign the same requests, killed at the end."""
    children = []
    for _ in range(2):
        ours, theirs = _SPAWN.Pipe()
        child = _SPAWN.Process(target=_assign, args=(settings, theirs), daemon=True)
        child.start()
        children.append((child, ours))
    try:
        for _, ours in children:
            assert ours.poll(FINISH_S)
        for _, ours in children:
            ours.send("go")
        yield
    finally:
        for child, ours in children:
            child.kill()
            child.join()
            child.close()
            ours.close()


def _assign(settings: LedgerSettings, parent: Connection) -> None:
    with House(settings) as house:
        parent.send("ready")
        parent.recv()
        house.assignment().run(Event())
