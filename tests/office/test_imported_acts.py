"""What an import may tell that people do one by one: claims, corrections, expiry."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from benchmarks.bulk import life
from domain.errors import (
    EffectiveTimeError,
    HeldByAnotherError,
    InvalidValueError,
    ServiceNotOfferedError,
    WrongStateError,
)
from domain.requests import (
    CorrectedBecause,
    CorrectedField,
    Delivery,
    ReleasedBecause,
    ServiceRequest,
)
from domain.stages import Stage
from office import commands
from office.acts import Envelope
from office.bulk import BulkDesk
from office.requests.taking_in import request_id_of
from tests.office.scene import CLERK, Scene, envelope


class Told:
    """The first steps of an imported life, and what else is told of it."""

    def __init__(self, scene: Scene, steps: int) -> None:
        self.scene = scene
        self.items = list(life("told", 1))
        for item in self.items[:steps]:
            BulkDesk.do(scene.requests, item)
        first = self.items[0].envelope
        assert first.effective_at is not None
        self.start: datetime = first.effective_at
        self.id: UUID = request_id_of(first.command_id, self.start)
        self.number = 100

    def later(self, **more: Any) -> Envelope:
        self.number += 1
        return replace(
            self.items[0].envelope,
            command_id=UUID(int=(7 << 76) | (2 << 62) | self.number),
            effective_at=self.start + timedelta(**more),
        )

    @property
    def request(self) -> ServiceRequest:
        found = self.scene.house.ledger.find(ServiceRequest, self.id)
        assert found is not None
        return found


def test_a_claim_names_its_clerk_and_its_lease_was_over_long_ago(scene: Scene) -> None:
    told = Told(scene, 1)
    claim = commands.ClaimRequest(request_id=told.id, clerk="clk-DI-2")
    scene.requests.claim(claim, told.later(hours=1))
    held = told.request.claim_held
    assert held is not None
    assert (held.clerk, told.request.clerk) == ("clk-DI-2", "clk-DI-2")
    assert held.until < told.start + timedelta(days=1)
    other = commands.ClaimRequest(request_id=told.id, clerk="clk-DI-1")
    with pytest.raises(HeldByAnotherError):
        scene.requests.claim(other, told.later(hours=1, seconds=1))
    with pytest.raises(ServiceNotOfferedError):
        scene.requests.claim(replace(other, clerk="clk-HL-1"), told.later(days=2))
    scene.requests.release(
        commands.ReleaseRequest(
            request_id=told.id, token=None, reason=ReleasedBecause.GIVEN_BACK
        ),
        told.later(days=3),
    )
    assert told.request.clerk is None


def test_only_an_import_names_whose_claim_it_is(scene: Scene) -> None:
    told = Told(scene, 1)
    for clerk, sent in ((None, told.later(hours=1)), ("clk-DI-1", envelope(CLERK))):
        with pytest.raises(InvalidValueError):
            scene.requests.claim(
                commands.ClaimRequest(request_id=told.id, clerk=clerk), sent
            )


def test_an_imported_correction_is_of_its_own_day_and_of_codes_only(
    scene: Scene,
) -> None:
    told = Told(scene, 3)
    where = commands.CorrectRequest(
        request_id=told.id,
        field=CorrectedField.DELIVERY,
        reason=CorrectedBecause.TYPING_ERROR,
        delivery=Delivery.POST_OFFICE,
    )
    scene.requests.correct(where, told.later(days=1))
    assert told.request.delivery is Delivery.POST_OFFICE
    assert told.request.modified_on == told.start + timedelta(days=1)
    with pytest.raises(InvalidValueError):
        scene.requests.correct(
            replace(where, field=CorrectedField.PHONE, delivery=None),
            told.later(days=2),
        )


@pytest.mark.parametrize(
    ("steps", "early", "late", "reason"),
    [(2, 20, 60, "not_accepted"), (3, 3, 20, "not_paid")],
)
def test_an_imported_expiry_keeps_the_rule_of_its_day(
    scene: Scene, steps: int, early: int, late: int, reason: str
) -> None:
    told = Told(scene, steps)
    expire = commands.ExpireRequest(request_id=told.id)
    with pytest.raises(EffectiveTimeError) as caught:
        scene.requests.expire(expire, told.later(days=early))
    assert caught.value.facts()["reason"] == "before-limit"
    scene.requests.expire(expire, told.later(days=late))
    assert told.request.stage is Stage.EXPIRED
    assert f'"reason":"{reason}"'.encode() in scene.entries(told.id)[-1].body


def test_what_was_paid_does_not_expire_in_an_import_either(scene: Scene) -> None:
    told = Told(scene, 4)
    with pytest.raises(WrongStateError):
        scene.requests.expire(
            commands.ExpireRequest(request_id=told.id), told.later(days=90)
        )
