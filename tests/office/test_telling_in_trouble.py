"""Telling in trouble: what a courier, a rule or a setting spoils is its own alone."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from domain.errors import WrongStateError
from ledger.outbox import OutboxState
from office.couriers import CourierError
from office.runner import run
from office.telling import PAUSES, Telling
from tests.office.scene import MARKED_PHONE, Scene, days
from tests.office.telling import Box, Office
from tests.office.test_runner import wait_until


class TestTrouble:
    def test_a_courier_that_is_down_is_tried_again_and_then_given_up(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told.box.troubles = [CourierError("smtp-451") for _ in range(3)]
        told.scene.submit()
        for attempts in (1, 2, 3, 3):
            told.tell()
            assert told.box.attempts == attempts
        assert told.states() == {"given_up": 1}
        assert not told.informed()
        assert "telling.given_up" in "".join(capsys.readouterr())

    def test_a_final_no_is_not_asked_twice(self, told: Office) -> None:
        told.box.troubles = [CourierError("smtp-550", is_final=True)]
        told.scene.submit()
        told.tell()
        told.tell()
        assert told.box.attempts == 1
        assert told.states() == {"given_up": 1}

    def test_one_poisoned_letter_holds_up_no_other(self, told: Office) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [ValueError(MARKED_PHONE)]
        for _ in range(3):
            told.scene.submit()
        told.tell()
        assert len(told.box.letters) == 2
        assert len(told.informed()) == 2
        (stuck,) = [
            each for each in told.scene.house.outbox.tally() if each.state == "waiting"
        ]
        assert stuck.failure == "unforeseen-valueerror"

    def test_a_message_of_a_later_release_holds_up_no_other(self, told: Office) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout")]
        told.scene.submit()
        told.tell()
        told.execute(
            "UPDATE outbox SET message = 'unheard-of',"
            " next_try_at = clock_timestamp() - interval '1 day'"
        )
        told.scene.submit()
        told.tell()
        assert told.box.messages == ["accepted"]
        assert told.states() == {"given_up": 1, "told": 1}

    def test_a_record_that_a_rule_refuses_holds_up_no_other(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Refusing:
            """Requests whose first word to a citizen breaks a rule."""

            refusals = 1

            def inform(self, *arguments: Any, **more: Any) -> Any:
                if self.refusals:
                    self.refusals -= 1
                    raise WrongStateError(act="inform", stage="waiting", reason="x")
                return told.scene.requests.inform(*arguments, **more)

        told.begin_anew(told.box)
        told.telling._requests = Refusing()  # type: ignore[assignment]
        told.scene.submit()
        told.scene.submit()
        told.tell()
        assert len(told.box.letters) == 2
        assert told.states() == {"sent": 1, "told": 1}
        assert "telling.not_recorded" in "".join(capsys.readouterr())
        told.execute("UPDATE outbox SET next_try_at = clock_timestamp()")
        told.tell()
        assert len(told.box.letters) == 2
        assert told.states() == {"told": 2}

    def test_a_courier_that_is_down_costs_the_others_no_attempt(
        self, told: Office
    ) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout", is_down=True)]
        for _ in range(3):
            told.scene.submit()
        told.tell()
        assert told.box.attempts == 1
        told.tell()
        assert told.box.attempts == 1, "nothing was due yet"
        told.execute("UPDATE outbox SET next_try_at = clock_timestamp()")
        told.tell()
        assert len(told.box.letters) == 3

    def test_the_pauses_grow_and_end(self) -> None:
        assert list(PAUSES) == sorted(PAUSES)
        assert timedelta(hours=12) < sum(PAUSES, timedelta()) < timedelta(hours=24)

    def test_its_operator_can_have_it_tried_again(self, told: Office) -> None:
        outbox = told.scene.house.outbox
        told.box.troubles = [CourierError("smtp-550", is_final=True)]
        told.scene.submit()
        told.tell()
        (stuck,) = outbox.stuck(limit=10)
        assert (stuck.state, stuck.failure) == (OutboxState.GIVEN_UP, "smtp-550")
        assert outbox.retry(stuck.id)
        assert not outbox.retry(stuck.id)
        told.tell()
        assert told.states() == {"told": 1}
        assert len(told.informed()) == 1

    def test_what_ended_long_ago_is_swept_and_what_waits_is_not(
        self, told: Office
    ) -> None:
        told.scene.submit()
        told.tell()
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout")]
        told.scene.submit()
        told.tell()
        told.execute("UPDATE outbox SET changed_at = changed_at - interval '40 days'")
        assert told.scene.house.outbox.sweep(older_than=days(30)) == 1
        assert told.states() == {"waiting": 1}

    def test_a_wrong_setting_stops_nothing_but_telling(
        self,
        scene: Scene,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SIJIL_TELLING", "smtp")
        stop = Event()
        thread = threading.Thread(target=run, args=(scene.house, stop))
        thread.start()
        try:
            request_id = scene.submit()
            wait_until(lambda: scene.get(request_id).clerk == "clk-DI-1")
        finally:
            stop.set()
            thread.join()
        said = "".join(capsys.readouterr())
        assert "telling.setting_missing_or_wrong" in said
        assert "SIJIL_SMTP_HOST" in said

    def test_sending_is_bounded_in_its_rate(self, scene: Scene) -> None:
        made = Office(scene)
        box = Box()
        slow = Telling(
            scene.house.ledger,
            scene.house.requests,
            vault=scene.house.vault,
            outbox=scene.house.outbox,
            couriers=[box],
            clock=scene.clock,
            per_minute=300,
        )
        made.telling.close()
        for _ in range(3):
            scene.submit()
        started = time.monotonic()
        slow.catch_up(Event())
        slow.close()
        assert len(box.letters) == 3
        assert time.monotonic() - started >= 0.6
