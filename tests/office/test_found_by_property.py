"""What tests/properties/test_office.py found, each shrunk to one sentence."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.access import Principal
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.errors import (
    EffectiveTimeError,
    NotFoundError,
    ServiceNotOfferedError,
    UnknownStampError,
)
from domain.ids import new_id
from domain.requests import (
    Answer,
    Channel,
    Declined,
    ReturnedBecause,
)
from domain.services import FeeDue, Offer, Service
from domain.stages import NextAct, Stage, WaitingFor
from domain.stamps import LIVE, Stamp
from office.commands import (
    AssignRequest,
    BringBack,
    ClaimRequest,
    ExpireRequest,
    RecordResponse,
    StampDocument,
)
from projections.timers import TimerKind
from tests.domain.office import service
from tests.office.scene import (
    CENTRE,
    CLERK,
    DIGEST,
    ITEM,
    POST,
    SUPERVISOR,
    Scene,
    days,
    envelope,
    submission,
)

SYSTEM = Principal(role=ActorKind.SYSTEM, id="timers")


def administration(at: datetime) -> Act:
    return Act(
        command_id=new_id(at),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
        correlation_id=new_id(at),
        effective_at=at,
    )


def publish(scene: Scene, at: datetime, **said: Any) -> None:
    """Say at a time what the service NEW-01 is."""
    told = service(code="NEW-01", **said).published
    offer = Offer(**{each.name: getattr(told, each.name) for each in fields(Offer)})
    found = scene.house.ledger.find(Service, Service.id_of(offer.code))
    if found is None:
        found = Service.publish(administration(at), offer)
    else:
        found.publish_again(administration(at), offer)
    scene.house.ledger.append(found)


class TestTimes:
    def test_bookkeeping_that_claims_a_time_is_bounded_like_any_act(
        self, scene: Scene
    ) -> None:
        """Without a claimed time it takes its cause's, however long ago that was."""
        old = scene.clock() - days(20)
        done = scene.requests.submit(
            submission(),
            envelope(SUPERVISOR, effective_at=old, approved_by=SUPERVISOR.id),
        )
        request_id = done.aggregate_id
        command = ClaimRequest(request_id=request_id)
        with pytest.raises(EffectiveTimeError) as caught:
            scene.requests.claim(
                command,
                scene.seen(request_id, CLERK, "claim", effective_at=old + days(1)),
            )
        assert caught.value.reason == "needs-approval"
        scene.requests.claim(command, scene.seen(request_id, CLERK, "claim"))
        assert scene.get(request_id).modified_on == old

    def test_not_even_the_system_acts_tomorrow(self, scene: Scene) -> None:
        """A limit that lies ahead expires nobody, whoever says it is over."""
        request_id = scene.submit(accept_now=False)
        due_at = scene.get(request_id).expires_at
        assert due_at is not None
        with pytest.raises(EffectiveTimeError) as caught:
            scene.requests.expire(
                ExpireRequest(request_id=request_id, due_at=due_at),
                envelope(SYSTEM, "timers/expiry", effective_at=due_at),
            )
        assert caught.value.reason == "in-the-future"
        assert scene.get(request_id).stage is Stage.WAITING

    def test_the_system_may_take_the_time_of_a_clock_that_is_a_little_ahead(
        self, scene: Scene
    ) -> None:
        request_id = scene.submit(accept_now=False)
        scene.requests.assign(
            AssignRequest(request_id=request_id, clerk=CLERK.id),
            envelope(
                SYSTEM,
                "system/assignment",
                effective_at=scene.clock() + timedelta(seconds=30),
            ),
        )
        assert scene.get(request_id).clerk == CLERK.id


class TestWhatWasNotThereYet:
    def test_a_service_cannot_have_been_asked_for_before_it_was_published(
        self, scene: Scene
    ) -> None:
        now = scene.clock()
        publish(scene, now - days(1))
        for accept_now in (False, True):
            with pytest.raises(ServiceNotOfferedError):
                scene.requests.submit(
                    submission(service="NEW-01", accept_now=accept_now),
                    envelope(CLERK, effective_at=now - days(2)),
                )
        scene.submit(service="NEW-01")

    def test_a_request_expires_by_the_rules_of_its_first_day(
        self, scene: Scene
    ) -> None:
        now = scene.clock()
        publish(scene, now - days(6), acceptance_days=3)
        publish(scene, now - days(1), acceptance_days=300)
        limits = [
            scene.get(
                scene.requests.submit(
                    submission(service="NEW-01", accept_now=False),
                    envelope(CLERK, effective_at=at),
                ).aggregate_id
            ).expires_at
            for at in (now - days(2), None)
        ]
        assert limits[0] is not None
        assert limits[1] is not None
        assert limits[0] < now + days(30) < limits[1]

    def test_nobody_stamped_with_a_stamp_before_it_was_issued(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        scene.pay(request_id)
        scene.respond(request_id)
        scene.now += days(1)
        serial = "ختم-DI-900001"
        scene.house.ledger.append(
            Stamp.issue(
                administration(scene.now), serial=serial, kind=LIVE, centre=CENTRE
            )
        )
        command = StampDocument(
            request_id=request_id, token=1, serial=serial, stamped_digest=DIGEST
        )
        earlier = scene.now - timedelta(hours=1)
        with pytest.raises(UnknownStampError):
            scene.requests.stamp(
                command, scene.seen(request_id, CLERK, "stamp", effective_at=earlier)
            )
        scene.requests.stamp(command, scene.seen(request_id, CLERK, "stamp"))


class TestAskingAgain:
    def test_a_citizen_asks_again_for_the_own_request_only(self, scene: Scene) -> None:
        """Nobody learns whether somebody's request exists, or ties a file to it."""
        theirs = scene.submit(accept_now=False, decline_reason=Declined.INELIGIBLE)
        online = {"channel": Channel.ONLINE, "centre": CENTRE, "accept_now": False}
        citizen = scene.house.citizen("subject-1")
        with pytest.raises(NotFoundError):
            scene.requests.submit(
                submission(**online, asks_again=theirs), envelope(citizen)
            )
        assert not scene.attempts()


class TestAFeeDueAtHandOver:
    def test_it_is_due_no_more_when_the_answer_turns_out_a_refusal(
        self, scene: Scene
    ) -> None:
        """A refusal is told; it never expires for a fee of what nobody gets."""
        publish(
            scene,
            scene.clock() - days(1),
            live_stamp=False,
            fee_due=FeeDue.HAND_OVER,
            payment_days=1,
        )
        request_id = scene.assigned(service="NEW-01")
        scene.respond(request_id)
        request = scene.get(request_id)
        due_at = request.payment_due_at
        assert due_at is not None
        scene.requests.respond(
            RecordResponse(
                request_id=request_id,
                token=request.token,
                outcome=Answer.REFUSED,
                reason="no-record",
                supersedes=request.answer_version,
            ),
            scene.seen(request_id, CLERK, "response"),
        )
        assert scene.get(request_id).payment_due_at is None
        scene.now = due_at + timedelta(minutes=1)
        done = scene.requests.expire(
            ExpireRequest(request_id=request_id, due_at=due_at),
            envelope(SYSTEM, "timers/expiry", effective_at=due_at),
        )
        assert done.last_position is None
        scene.room.runner.catch_up()
        timers = scene.house.queries.timers.due(now=scene.now, horizon=scene.now)
        assert TimerKind.EXPIRY not in {timer.kind for timer in timers}
        scene.tell(request_id)


class TestReturnedPost:
    def test_what_comes_back_after_the_view_saw_it_leave_is_work_again(
        self, scene: Scene
    ) -> None:
        """It had left the queue for good when it was mailed."""
        request_id = scene.mailed()
        scene.room.runner.catch_up()
        queue = scene.house.queries.queue
        for waiting_for in set(WaitingFor) - {WaitingFor.POST}:
            assert not queue.page(
                CLERK.scope, now=scene.now, waiting_for=waiting_for
            ).items
        scene.requests.bring_back(
            BringBack(
                request_id=request_id,
                item=ITEM,
                reason=ReturnedBecause.RECEIVER_ABSENT,
            ),
            scene.seen(request_id, POST, "return"),
        )
        scene.room.runner.catch_up()
        [item] = queue.page(CLERK.scope, now=scene.now).items
        assert item.request_id == request_id
        assert item.next_act is NextAct.DEAL_WITH_RETURN

    def test_an_item_that_was_received_is_kept_no_longer(self, scene: Scene) -> None:
        request_id = scene.mailed()
        scene.room.runner.catch_up()
        assert not scene.house.queries.queue.held_by([CLERK.id])
        scene.deliver(request_id)
        scene.room.runner.catch_up()
        with scene.database.datastore("runner").autocommit() as cursor:
            cursor.execute(
                "SELECT count(*) FROM sijil_views.clerk_queue WHERE valid_to IS NULL"
            )
            assert cursor.fetchone() == (0,)
