"""The scheduler: what falls due is done once, by acts of the system."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from benchmarks.timers_under_kills import (
    drive,
    faults,
    make,
    nine_o_clock,
    strangers,
)
from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import Calendar, office_day
from domain.errors import WrongStateError
from domain.ids import derived_id
from domain.requests import Answer, Channel, ReleasedBecause, ServiceRequest
from domain.stages import Stage
from domain.working_time import WorkingTime
from ledger.bodies import plain
from ledger.entries import Entry
from office.acts import Done
from office.commands import (
    ClaimRequest,
    ExpireRequest,
    RecordResponse,
    RequestInformation,
    SupplyInformation,
)
from office.errors import ConcurrencyError, LedgerUnavailableError
from office.timers import NAME, Scheduler
from tests.conftest import Database
from tests.office.scene import CLERK, Scene, envelope

CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-77")
ONLINE: dict[str, Any] = {
    "channel": Channel.ONLINE,
    "centre": "SY-DI-01",
    "accept_now": False,
}
EXPIRED = "sijil.request.expired.v1"
RELEASED = "sijil.request.released.v1"
WARNED = "sijil.request.warned.v1"
LITTLE = timedelta(minutes=1)


def let_it_be(scene: Scene, at: datetime) -> None:
    """Move the scene's clock to ``at``, let the scheduler act, fold the views."""
    assert at >= scene.clock()
    scene.now = at
    scene.room.runner.catch_up()
    scene.house.scheduler().catch_up(Event())
    scene.room.runner.catch_up()


def done_to(scene: Scene, request_id: UUID) -> list[tuple[Entry, dict[str, Any]]]:
    """What the scheduler did to a request."""
    found = []
    for entry in scene.entries(request_id):
        body = json.loads(entry.body)
        if body["actor"]["id"] == NAME:
            found.append((entry, body))
    return found


def warnings(scene: Scene, request_id: UUID) -> list[tuple[str, str]]:
    return [
        (body["data"]["limit"], body["data"]["when"])
        for entry, body in done_to(scene, request_id)
        if entry.topic == WARNED
    ]


def pending(scene: Scene) -> list[Any]:
    far = scene.now + timedelta(days=4000)
    return list(scene.house.queries.timers.due(now=far, horizon=far))


def at_work(scene: Scene) -> None:
    """Move the scene's clock to ten in the morning of the first of two working days."""
    day = office_day(scene.clock()) + timedelta(days=3)
    published = [
        scene.house.ledger.find(Calendar, Calendar.id_of(day.year + each))
        for each in (0, 1)
    ]
    working = WorkingTime(each for each in published if each is not None)
    while not all(working.is_working_day(day + timedelta(days=n)) for n in (0, 1)):
        day += timedelta(days=1)
    scene.now = working.opening(day) + timedelta(hours=2)


def due_of(request: ServiceRequest) -> datetime:
    assert request.due_at is not None
    return request.due_at


class TestExpiry:
    def test_what_nobody_accepts_expires_at_its_time(self, scene: Scene) -> None:
        request_id = scene.assigned(CITIZEN, **ONLINE)
        due = scene.get(request_id).expires_at
        assert due is not None
        let_it_be(scene, due - LITTLE)
        assert scene.get(request_id).stage is Stage.WAITING
        let_it_be(scene, due + timedelta(days=2))
        assert scene.get(request_id).stage is Stage.EXPIRED
        ((entry, body),) = done_to(scene, request_id)
        assert entry.topic == EXPIRED
        assert body["effective_at"] == plain(due)
        assert body["data"] == {"reason": "not_accepted", "due_at": plain(due)}
        assert body["actor"] == {"kind": "system", "id": NAME, "place": "ministry"}
        assert body["causation_id"] == f"{request_id}/1"
        name = f"timer/expiry/{request_id}/{plain(due)}"
        assert body["command_id"] == str(derived_id(name, due))
        assert not pending(scene)

    def test_what_nobody_pays_for_expires_and_what_is_paid_does_not(
        self, scene: Scene
    ) -> None:
        unpaid, paid = scene.assigned(), scene.assigned()
        scene.pay(paid)
        due = scene.get(unpaid).payment_due_at
        assert due is not None
        let_it_be(scene, due)
        assert scene.get(unpaid).stage is Stage.EXPIRED
        assert scene.get(paid).stage is Stage.IN_PROGRESS
        assert [
            body["data"]["reason"]
            for entry, body in done_to(scene, unpaid)
            if entry.topic == EXPIRED
        ] == ["not_paid"]

    def test_paid_while_the_view_was_behind_nothing_wrong_is_done(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        due = scene.get(request_id).payment_due_at
        assert due is not None
        let_it_be(scene, due - LITTLE)
        scene.pay(request_id)
        before = scene.get(request_id).version
        scene.now = due + LITTLE
        scene.house.scheduler().catch_up(Event())
        assert scene.get(request_id).version == before
        assert not scene.attempts()
        scene.room.runner.catch_up()
        assert "expiry" not in {timer.kind for timer in pending(scene)}


class TestLeases:
    def test_a_lease_ends_and_the_clerk_who_had_it_is_too_late(
        self, scene: Scene
    ) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.requests.claim(
            ClaimRequest(request_id=request_id), scene.seen(request_id, CLERK, "claim")
        )
        claimed = scene.get(request_id)
        assert claimed.claim_held is not None
        until = claimed.claim_held.until
        let_it_be(scene, until - LITTLE)
        assert scene.get(request_id).claim_held is not None
        let_it_be(scene, until)
        released = scene.get(request_id)
        assert released.claim_held is None
        assert released.token == claimed.token + 1
        ((entry, body),) = done_to(scene, request_id)
        assert entry.topic == RELEASED
        assert body["data"]["reason"] == ReleasedBecause.LEASE_ENDED
        name = f"timer/lease/{request_id}/{claimed.token}"
        assert body["command_id"] == str(derived_id(name, until))
        # Bookkeeping: at the time of the event before it, and nobody's page is stale.
        *_, before, _ = scene.entries(request_id)
        assert body["effective_at"] == json.loads(before.body)["effective_at"]
        assert released.etag_version == claimed.etag_version


class TestWarnings:
    def test_a_limit_is_warned_of_from_the_closing_of_the_day_before_and_after_it(
        self, scene: Scene
    ) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.pay(request_id)
        due = due_of(scene.get(request_id))
        closing = due - timedelta(days=1)
        let_it_be(scene, closing - LITTLE)
        assert not warnings(scene, request_id)
        let_it_be(scene, closing + LITTLE)
        assert warnings(scene, request_id) == [("completion", "before")]
        let_it_be(scene, due - LITTLE)
        let_it_be(scene, due)
        let_it_be(scene, due + timedelta(days=1))
        assert warnings(scene, request_id) == [
            ("completion", "before"),
            ("completion", "after"),
        ]
        for (_, body), side in zip(
            done_to(scene, request_id), ("before", "after"), strict=True
        ):
            name = f"timer/warning/{request_id}/completion/{side}/{plain(due)}"
            assert body["command_id"] == str(derived_id(name, due))
        assert not pending(scene)

    def test_a_limit_that_passed_unwarned_is_warned_of_after_it_only(
        self, scene: Scene
    ) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.pay(request_id)
        let_it_be(scene, due_of(scene.get(request_id)) + timedelta(days=1))
        assert warnings(scene, request_id) == [("completion", "after")]

    def test_nothing_is_warned_of_before_when_the_setting_says_so(
        self, scene: Scene
    ) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.pay(request_id)
        scene.now = due_of(scene.get(request_id)) - LITTLE
        scene.room.runner.catch_up()
        scheduler_of(scene, warn_before=timedelta(0)).catch_up(Event())
        assert not warnings(scene, request_id)

    def test_while_the_citizen_is_asked_nobody_is_warned(self, scene: Scene) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.pay(request_id)
        token = scene.get(request_id).token
        scene.requests.request_information(
            RequestInformation(
                request_id=request_id, token=token, missing=("id-card",)
            ),
            scene.seen(request_id, CLERK, "asking"),
        )
        first = due_of(scene.get(request_id))
        let_it_be(scene, first + timedelta(days=3))
        assert not warnings(scene, request_id)
        scene.requests.supply_information(
            SupplyInformation(
                request_id=request_id, token=token, supplied=("id-card",)
            ),
            scene.seen(request_id, CLERK, "supplying"),
        )
        moved = due_of(scene.get(request_id))
        assert moved > first
        let_it_be(scene, moved + LITTLE)
        assert warnings(scene, request_id) == [("completion", "after")]

    def test_a_warning_bars_nobodys_work_of_the_day_before(self, scene: Scene) -> None:
        at_work(scene)
        request_id = scene.assigned()
        scene.pay(request_id)
        claimed_at = scene.clock() + timedelta(hours=1)
        let_it_be(scene, due_of(scene.get(request_id)) + LITTLE)
        assert warnings(scene, request_id)
        scene.requests.respond(
            RecordResponse(
                request_id=request_id,
                token=scene.get(request_id).token,
                outcome=Answer.ISSUED,
            ),
            scene.seen(request_id, CLERK, "response", effective_at=claimed_at),
        )
        assert scene.get(request_id).modified_on == claimed_at


def scheduler_of(scene: Scene, **changes: Any) -> Scheduler:
    house = scene.house
    return Scheduler(
        house.ledger,
        changes.pop("requests", house.requests),
        timers=house.queries.timers,
        clock=scene.clock,
        **{"warn_before": timedelta(hours=7), **changes},
    )


class Counting:
    """Use cases that count what they are asked, and fall as they are told."""

    def __init__(self, *falls: Exception) -> None:
        self.asked: list[Any] = []
        self.falls = list(falls)

    def expire(self, command: Any, _: Any) -> Done:
        self.asked.append(command)
        if self.falls:
            raise self.falls.pop(0)
        return Done(
            aggregate_id=command.request_id,
            first_position=1,
            last_position=1,
            etag_version=1,
            is_repeat=False,
        )


class TestTheLoop:
    def expiring(self, scene: Scene) -> UUID:
        request_id = scene.assigned(CITIZEN, **ONLINE)
        due = scene.get(request_id).expires_at
        assert due is not None
        scene.now = max(scene.now, due + LITTLE)
        return request_id

    def test_what_was_dealt_with_is_not_sent_again_while_the_view_is_behind(
        self, scene: Scene
    ) -> None:
        self.expiring(scene)
        counting = Counting()
        scheduler = scheduler_of(scene, requests=counting)
        scheduler.catch_up(Event())
        scheduler.catch_up(Event())
        assert len(counting.asked) == 1

    def test_what_stays_is_tried_again_later(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("office.timers.SETTLED_FOR_S", 0.0)
        self.expiring(scene)
        moved_on = WrongStateError(act="expire", stage="waiting", reason="test")
        counting = Counting(moved_on)
        scheduler = scheduler_of(scene, requests=counting)
        scheduler.catch_up(Event())
        scheduler.catch_up(Event())
        assert len(counting.asked) == 2

    def test_a_lost_race_is_tried_again_at_the_next_look(self, scene: Scene) -> None:
        self.expiring(scene)
        counting = Counting(ConcurrencyError())
        scheduler = scheduler_of(scene, requests=counting)
        scheduler.catch_up(Event())
        scheduler.catch_up(Event())
        scheduler.catch_up(Event())
        assert len(counting.asked) == 2

    def test_a_request_that_cannot_be_acted_on_holds_up_no_other(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second = self.expiring(scene), self.expiring(scene)
        counting = Counting(ValueError("01000099887"))
        scheduler_of(scene, requests=counting).catch_up(Event())
        assert [command.request_id for command in counting.asked] == [first, second]
        said = "".join(capsys.readouterr())
        assert "timers.act_failed" in said
        assert "01000099887" not in said

    def test_a_store_that_is_away_is_waited_for(self, scene: Scene) -> None:
        self.expiring(scene)
        counting = Counting(LedgerUnavailableError())
        stop = Event()
        thread = threading.Thread(
            target=scheduler_of(scene, requests=counting).run, args=(stop,)
        )
        thread.start()
        try:
            for _ in range(1_200):
                if len(counting.asked) >= 2:
                    break
                stop.wait(0.05)
        finally:
            stop.set()
            thread.join()
        assert len(counting.asked) == 2

    def test_what_it_remembers_has_a_bound(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("office.timers.MOST_REMEMBERED", 2)
        requests = [scene.submit(CITIZEN, **ONLINE) for _ in range(4)]
        scene.level()
        due = scene.get(requests[-1]).expires_at
        assert due is not None
        scene.now = due + LITTLE
        counting = Counting()
        scheduler = scheduler_of(scene, requests=counting)
        scheduler.catch_up(Event())
        scheduler.catch_up(Event())
        assert len(counting.asked) == 8

    def test_stopped_in_the_middle_it_goes_no_further(self, scene: Scene) -> None:
        self.expiring(scene)
        stop = Event()
        stop.set()
        counting = Counting()
        scheduler_of(scene, requests=counting).catch_up(stop)
        assert not counting.asked

    def test_two_at_once_do_each_thing_once(self, scene: Scene) -> None:
        requests = [scene.submit(CITIZEN, **ONLINE) for _ in range(20)]
        scene.level()
        due = scene.get(requests[-1]).expires_at
        assert due is not None
        scene.now = due + LITTLE
        threads = [
            threading.Thread(target=scheduler_of(scene).catch_up, args=(Event(),))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(done_to(scene, each)) for each in requests] == [1] * 20


GROUP = 40
KILLS = 24


def test_killed_at_random_moments_each_thing_happens_once_and_nothing_else(
    seeded_database: Database,
) -> None:
    outcome = drive(seeded_database.settings, group=GROUP, kills=KILLS)
    assert not outcome.wrong
    assert outcome.kills >= 20
    assert outcome.kills_at_work > 0, "no kill struck at work"
    assert outcome.requests == 6 * GROUP


def test_the_check_of_that_sees_what_is_missing_and_what_has_no_cause(
    scene: Scene,
) -> None:
    ledger, settings = scene.house.ledger, scene.database.settings
    planned = make(scene.house, group=1, nine=nine_o_clock(scene.clock()))
    waits, *_, withdrawn = planned
    assert len(faults(ledger.reader, planned)) == 4
    assert len(strangers(settings, planned)) == 1 + 3 + 4 + 1
    due = ledger.repository.get(waits.id).expires_at
    for plan in (waits, withdrawn):
        scene.requests.expire(
            ExpireRequest(request_id=plan.id, due_at=due),
            envelope(
                Principal(role=ActorKind.SYSTEM, id=NAME), "test", effective_at=due
            ),
        )
    assert len(faults(ledger.reader, planned)) == 3
    assert len(faults(ledger.reader, planned[1:])) == 4
    assert sum("no cause" in each for each in strangers(settings, planned)) == 2
