"""The paper leaves, comes back, is received; the citizen is told."""

from __future__ import annotations

from domain.acts import ActorKind
from domain.errors import (
    FeeUnpaidError,
    InvalidValueError,
    NotPostableError,
    StaleClaimError,
    StampRequiredError,
    WrongReceiverError,
    WrongStateError,
)
from domain.money import Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    Delivery,
    Means,
    PaymentChannel,
    ReturnedBecause,
    ServiceRequest,
)
from domain.services import FeeDue, Relationship
from domain.stages import NextAct, Stage, WaitingFor
from tests.domain.office import (
    DIGEST,
    ITEM,
    WORKING_TIME,
    accepted,
    act,
    given,
    issued,
    mailed,
    paid,
    refused,
    stamp,
    stamped,
    system,
)

R = ServiceRequest


class TestLeaving:
    def test_the_first_mailing_completes_the_request(self) -> None:
        request = (
            given(stamped())
            .when(lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1))
            .then((R.Mailed, {"item": ITEM}))
        )
        assert request.stage is Stage.COMPLETED_ISSUED

    def test_a_wrong_check_digit_is_refused(self) -> None:
        given(stamped()).when(
            lambda r: r.mail(act(), item="RA473124828GB", to=Delivery.HOME, token=1)
        ).refused(InvalidValueError, reason="check-digit")

    def test_an_unstamped_paper_does_not_leave(self) -> None:
        for leave in (
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1),
            lambda r: r.hand_over(act(), capacity=Relationship.SELF, token=1),
        ):
            given(issued()).when(leave).refused(StampRequiredError)

    def test_a_service_that_is_not_posted_is_handed_over(self) -> None:
        request = stamped(post=False)
        assert request.standing.next_act is NextAct.HAND_OVER
        given(request).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1)
        ).refused(NotPostableError)
        given(request).when(
            lambda r: r.hand_over(act(), capacity=Relationship.SELF, token=1)
        ).then((R.HandedOver, {"capacity": Relationship.SELF}))
        assert request.stage is Stage.COMPLETED_ISSUED

    def test_a_fee_due_at_hand_over_blocks_only_the_hand_over(self) -> None:
        request = accepted(fee_due=FeeDue.HAND_OVER)
        request.respond(
            act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
        )
        request.stamp(
            act(),
            stamp=stamp(),
            serial="ختم-DI-000001",
            working_time=WORKING_TIME,
            stamped_digest=DIGEST,
            token=1,
        )
        assert request.standing.next_act is NextAct.TAKE_FEE
        given(request).when(
            lambda r: r.hand_over(act(), capacity=Relationship.SELF, token=1)
        ).refused(FeeUnpaidError)

    def test_the_item_is_delivered_to_who_may_receive_it(self) -> None:
        post = act(kind=ActorKind.POST, actor="post-1")
        given(mailed()).when(
            lambda r: r.deliver(post, item=ITEM, capacity=Relationship.FIRST_DEGREE)
        ).refused(WrongReceiverError, allowed="self, representative")
        given(mailed()).when(
            lambda r: r.deliver(post, item=ITEM, capacity=Relationship.SELF)
        ).then((R.Delivered, {"capacity": Relationship.SELF}))

    def test_another_item_is_not_delivered(self) -> None:
        given(mailed()).when(
            lambda r: r.deliver(
                act(kind=ActorKind.POST),
                item="EB000717618HK",
                capacity=Relationship.SELF,
            )
        ).refused(WrongStateError, reason="other-item")

    def test_nothing_is_delivered_before_it_was_mailed(self) -> None:
        given(stamped()).when(
            lambda r: r.deliver(
                act(kind=ActorKind.POST), item=ITEM, capacity=Relationship.SELF
            )
        ).refused(WrongStateError, reason="not-mailed")


class TestTellResult:
    def test_a_refusal_completes_when_it_is_told(self) -> None:
        request = (
            given(refused())
            .when(lambda r: r.tell_result(act(), means=Means.PHONE, token=1))
            .then((R.ResultTold, {"outcome": Answer.REFUSED}))
        )
        assert request.stage is Stage.COMPLETED_REFUSED

    def test_a_service_without_paper_completes_when_told(self) -> None:
        request = issued(paper=False, live_stamp=False)
        assert request.standing.next_act is NextAct.TELL_RESULT
        given(request).when(
            lambda r: r.tell_result(act(), means=Means.SMS, token=1)
        ).then((R.ResultTold, {"outcome": Answer.ISSUED}))
        assert request.stage is Stage.COMPLETED_ISSUED

    def test_a_paper_is_not_told_away(self) -> None:
        given(stamped()).when(
            lambda r: r.tell_result(act(), means=Means.SMS, token=1)
        ).refused(WrongStateError, reason="paper-must-leave")

    def test_there_is_nothing_to_tell_before_the_answer(self) -> None:
        given(paid()).when(
            lambda r: r.tell_result(act(), means=Means.SMS, token=1)
        ).refused(WrongStateError, reason="not-answered")


OTHER_ITEM = "EB000717618HK"
POST = act("post", ActorKind.POST, actor="post-1")


def returned(request: ServiceRequest | None = None, item: str = ITEM) -> ServiceRequest:
    request = request or mailed()
    request.bring_back(POST, item=item, reason=ReturnedBecause.RECEIVER_ABSENT)
    return request


def mailed_to_post_office() -> ServiceRequest:
    request = stamped(Delivery.POST_OFFICE)
    request.mail(act("mail"), item=ITEM, to=Delivery.POST_OFFICE, token=1)
    return request


class TestInThePost:
    def test_an_item_for_a_post_office_is_collected_not_delivered(self) -> None:
        given(mailed_to_post_office()).when(
            lambda r: r.deliver(POST, item=ITEM, capacity=Relationship.SELF)
        ).refused(WrongStateError, reason="to-post-office")
        given(mailed_to_post_office()).when(
            lambda r: r.collect(POST, item=ITEM, capacity=Relationship.SELF)
        ).then((R.Collected, {"item": ITEM, "condition": ("self", "representative")}))

    def test_an_item_sent_home_that_met_nobody_is_collected(self) -> None:
        given(mailed()).when(
            lambda r: r.collect(POST, item=ITEM, capacity=Relationship.SELF)
        ).then((R.Collected, {}))

    def test_the_post_office_asks_for_the_receipt_condition_too(self) -> None:
        given(mailed_to_post_office()).when(
            lambda r: r.collect(POST, item=ITEM, capacity=Relationship.SPOUSE)
        ).refused(WrongReceiverError, allowed="self, representative")

    def test_what_was_received_is_not_received_or_returned_again(self) -> None:
        request = mailed()
        request.deliver(POST, item=ITEM, capacity=Relationship.SELF)
        for again in (
            lambda r: r.deliver(POST, item=ITEM, capacity=Relationship.SELF),
            lambda r: r.collect(POST, item=ITEM, capacity=Relationship.SELF),
            returned,
        ):
            given(request).when(again).refused(
                WrongStateError, reason="received-already"
            )

    def test_a_paper_in_the_post_is_not_at_the_counter(self) -> None:
        given(mailed()).when(
            lambda r: r.hand_over(act(), capacity=Relationship.SELF, token=1)
        ).refused(WrongStateError, reason="not-in-progress")

    def test_nothing_is_mailed_to_the_counter(self) -> None:
        given(stamped()).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.COUNTER, token=1)
        ).refused(NotPostableError)

    def test_a_fee_due_at_hand_over_is_paid_there_and_nothing_posted(self) -> None:
        request = accepted(fee_due=FeeDue.HAND_OVER, live_stamp=False)
        request.respond(
            act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
        )
        request.pay(
            act(), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
        )
        given(request).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1)
        ).refused(NotPostableError)


class TestReturned:
    def test_a_returned_item_opens_work_and_ends_nothing_again(self) -> None:
        request = (
            given(mailed())
            .when(returned)
            .then((R.Returned, {"reason": ReturnedBecause.RECEIVER_ABSENT}))
        )
        assert request.stage is Stage.COMPLETED_ISSUED
        assert request.standing.next_act is NextAct.DEAL_WITH_RETURN
        assert request.standing.waiting_for is WaitingFor.CLERK

    def test_an_item_comes_back_once(self) -> None:
        given(returned()).when(returned).refused(
            WrongStateError, reason="returned-already"
        )

    def test_it_is_mailed_again_under_another_number_only(self) -> None:
        given(returned()).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1)
        ).refused(WrongStateError, reason="same-item")
        # The same number with spaces and small letters is the same number.
        given(returned()).when(
            lambda r: r.mail(act(), item="ra 473124829 gb", to=Delivery.HOME, token=1)
        ).refused(WrongStateError, reason="same-item")
        request = (
            given(returned())
            .when(lambda r: r.mail(act(), item=OTHER_ITEM, to=Delivery.HOME, token=1))
            .then((R.Mailed, {"item": OTHER_ITEM}))
        )
        assert request.standing.next_act is NextAct.NOTHING

    def test_a_late_scan_of_the_former_item_moves_nothing(self) -> None:
        request = returned()
        request.mail(act(), item=OTHER_ITEM, to=Delivery.HOME, token=1)
        given(request).when(returned).refused(WrongStateError, reason="other-item")

    def test_the_second_item_can_come_back_as_well(self) -> None:
        request = returned()
        request.mail(act(), item=OTHER_ITEM, to=Delivery.POST_OFFICE, token=1)
        given(request).when(lambda r: returned(r, OTHER_ITEM)).then((R.Returned, {}))

    def test_no_number_of_an_earlier_journey_serves_again(self) -> None:
        request = returned()
        request.mail(act(), item=OTHER_ITEM, to=Delivery.HOME, token=1)
        returned(request, OTHER_ITEM)
        for item in (ITEM, OTHER_ITEM):
            given(request).when(
                lambda r, item=item: r.mail(act(), item=item, to=Delivery.HOME, token=1)
            ).refused(WrongStateError, reason="same-item")

    def test_it_is_handed_over_under_the_receipt_condition(self) -> None:
        given(returned()).when(
            lambda r: r.hand_over(act(), capacity=Relationship.OTHER, token=1)
        ).refused(WrongReceiverError)
        request = (
            given(returned())
            .when(lambda r: r.hand_over(act(), capacity=Relationship.SELF, token=1))
            .then((R.HandedOver, {}))
        )
        assert request.standing.next_act is NextAct.NOTHING

    def test_dealing_with_it_takes_the_latest_token(self) -> None:
        request = returned()
        request.assign(system(), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR)
        given(request).when(
            lambda r: r.mail(act(), item=OTHER_ITEM, to=Delivery.HOME, token=1)
        ).refused(StaleClaimError, holder="clk-DI-2", token=2)

    def test_nothing_comes_back_that_was_never_mailed(self) -> None:
        given(stamped()).when(returned).refused(WrongStateError, reason="not-mailed")


class TestInform:
    def test_a_message_is_no_completion_and_moves_no_etag(self) -> None:
        request = stamped()
        etag = request.etag_version
        given(request).when(
            lambda r: r.inform(system(), message="ready", means=Means.SMS)
        ).then((R.Informed, {"message": "ready"}))
        assert request.stage is Stage.IN_PROGRESS
        assert request.etag_version == etag
