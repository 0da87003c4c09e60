"""A command that comes again is answered as it was, and does nothing twice."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from domain.errors import StaleClaimError
from domain.money import Unit
from domain.requests import PaymentChannel
from domain.services import Relationship
from office.acts import Envelope
from office.commands import AssignRequest, PayFee
from office.errors import CommandReusedError
from tests.office.scene import (
    CLERK,
    OTHER_CLERK,
    SUPERVISOR,
    Scene,
    envelope,
    submission,
)


class TestRepeats:
    def ask(self, scene: Scene, env: Envelope, **changes: Any) -> Any:
        return scene.requests.submit(submission(**changes), env)

    def test_the_same_command_has_the_same_outcome(self, scene: Scene) -> None:
        env = envelope(CLERK)
        first = self.ask(scene, env)
        head = scene.house.ledger.reader.head().position
        again = self.ask(scene, env)
        assert again.is_repeat
        assert not first.is_repeat
        assert (again.aggregate_id, again.last_position, again.etag_version) == (
            first.aggregate_id,
            first.last_position,
            first.etag_version,
        )
        assert scene.house.ledger.reader.head().position == head

    def test_a_repeat_answers_as_it_was_then(self, scene: Scene) -> None:
        env = envelope(CLERK)
        first = self.ask(scene, env)
        scene.level()
        scene.pay(first.aggregate_id)
        assert self.ask(scene, env).etag_version == first.etag_version

    @pytest.mark.parametrize(
        "change",
        [
            {"service": "CIV-02", "documents": ("id-card", "family-book")},
            {"relationship": Relationship.REPRESENTATIVE},
        ],
    )
    def test_other_input_under_the_same_id_is_refused(
        self, scene: Scene, change: dict[str, Any]
    ) -> None:
        env = envelope(CLERK)
        self.ask(scene, env)
        with pytest.raises(CommandReusedError):
            self.ask(scene, env, **change)

    def test_another_actor_under_the_same_id_is_refused(self, scene: Scene) -> None:
        env = envelope(CLERK)
        self.ask(scene, env)
        with pytest.raises(CommandReusedError):
            self.ask(scene, envelope(OTHER_CLERK, command_id=env.command_id))

    def test_a_refused_act_leaves_its_id_unused(self, scene: Scene) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "payment")
        wrong = PayFee(
            request_id=request_id,
            token=99,
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
        )
        with pytest.raises(StaleClaimError):
            scene.requests.pay(wrong, env)
        right = PayFee(
            request_id=request_id,
            token=1,
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
        )
        assert not scene.requests.pay(right, env).is_repeat

    def test_a_repeat_is_looked_up_before_the_version(self, scene: Scene) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "payment")
        command = PayFee(
            request_id=request_id,
            token=1,
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
        )
        scene.requests.pay(command, env)
        assert scene.requests.pay(command, env).is_repeat

    def test_eight_at_once_make_one_request(self, scene: Scene) -> None:
        env = envelope(CLERK)
        outcomes: list[Any] = []
        start = threading.Barrier(8)

        def ask() -> None:
            start.wait()
            outcomes.append(self.ask(scene, env))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({done.aggregate_id for done in outcomes}) == 1
        assert sum(not done.is_repeat for done in outcomes) == 1
        assert len(scene.entries(outcomes[0].aggregate_id)) == 2

    def test_an_act_that_changes_nothing_is_remembered(self, scene: Scene) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, SUPERVISOR, "assignment")
        command = AssignRequest(request_id=request_id, clerk="clk-DI-1")
        first = scene.requests.assign(command, env)
        assert first.last_position is None
        assert scene.requests.assign(command, env).is_repeat
