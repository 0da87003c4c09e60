"""When an act happened: never before what came before it."""

from __future__ import annotations

from datetime import timedelta

from domain.acts import ActorKind
from domain.errors import (
    EffectiveTimeError,
)
from domain.money import Unit
from domain.requests import (
    AssignedBecause,
    PaymentChannel,
    ServiceRequest,
)
from domain.services import Relationship
from tests.domain.office import (
    ITEM,
    NINE,
    accepted,
    act,
    given,
    mailed,
    submitted,
    system,
)

R = ServiceRequest


class TestTwoTimes:
    def test_a_clerks_act_never_lies_before_the_previous_event(self) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(minutes=-1),
                channel=PaymentChannel.CASH,
                amount=3000,
                unit=Unit.NEW,
                token=1,
            )
        ).refused(EffectiveTimeError, reason="before-previous", bound=NINE)

    def test_a_report_from_outside_is_clamped_and_keeps_its_claim(self) -> None:
        claimed = NINE - timedelta(hours=1)
        given(mailed()).when(
            lambda r: r.deliver(
                act(kind=ActorKind.POST, minutes=-60),
                item=ITEM,
                capacity=Relationship.SELF,
            )
        ).then((R.Delivered, {"timestamp": NINE, "claimed_at": claimed}))

    def test_bookkeeping_bars_nobodys_backdated_work(self) -> None:
        request = submitted()
        request.assign(
            system(minutes=-5), clerk="clk-DI-1", reason=AssignedBecause.RESPONSIBLE
        )
        assert request.modified_on == NINE
        assert request.pending_events[-1].claimed_at is None
