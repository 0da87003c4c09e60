"""The life of one request: what each act does, and what each guard refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.acts import ActorKind
from domain.errors import (
    DocumentsMissingError,
    EffectiveTimeError,
    FeeUnpaidError,
    HeldByAnotherError,
    IneligibleError,
    InvalidValueError,
    NotAssignedError,
    NotPostableError,
    StaleClaimError,
    StampRequiredError,
    UnknownStampError,
    WrongAgencyError,
    WrongAmountError,
    WrongReceiverError,
    WrongRouteError,
    WrongStateError,
)
from domain.money import Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    Declined,
    Delivery,
    Means,
    PaymentChannel,
    ServiceRequest,
)
from domain.services import FeeDue, Relationship
from domain.stages import NextAct, Stage, WaitingFor
from tests.domain.office import (
    DIGEST,
    ITEM,
    NINE,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    forwarded,
    given,
    issued,
    mailed,
    paid,
    refused,
    stamp,
    stamped,
    submitted,
    system,
    terms,
)

R = ServiceRequest


class TestSubmit:
    def test_a_submitted_request_waits_to_be_accepted(self) -> None:
        request = submitted()
        assert request.stage is Stage.WAITING
        assert request.standing.next_act is NextAct.ACCEPT
        assert request.standing.waiting_for is WaitingFor.CLERK
        assert request.version == request.etag_version == 1

    def test_at_the_counter_submitted_and_accepted_are_one_act(self) -> None:
        counter = act("counter")
        request = submitted(counter)
        request.accept(counter, terms=terms(), documents=("id-card",))
        assert [type(e).__name__ for e in request.pending_events] == [
            "Submitted",
            "Accepted",
        ]
        assert {e.act.command_id for e in request.pending_events} == {
            counter.command_id
        }

    def test_another_act_cannot_accept_what_nobody_was_given(self) -> None:
        given(submitted(act("counter"))).when(
            lambda r: r.accept(act("later"), terms=terms(), documents=("id-card",))
        ).refused(NotAssignedError)


class TestAccept:
    def test_acceptance_fixes_the_terms_and_the_due_time(self) -> None:
        request = (
            given(assigned(submitted()))
            .when(
                lambda r: r.accept(
                    act("a"), terms=terms(), documents=("id-card",), token=1
                )
            )
            .then((R.Accepted, {"condition": Relationship.SELF}))
        )
        assert request.stage is Stage.IN_PROGRESS
        assert request.terms is not None
        # Two working days after Monday end on Wednesday at 15:00 in Damascus.
        assert request.terms.due_at == datetime(2026, 11, 25, 12, tzinfo=UTC)

    def test_a_relationship_the_service_does_not_allow_is_refused(self) -> None:
        given(assigned(submitted(relationship=Relationship.FIRST_DEGREE))).when(
            lambda r: r.accept(act(), terms=terms(), documents=("id-card",), token=1)
        ).refused(IneligibleError, allowed="self, representative")

    @pytest.mark.parametrize(("counts", "fits"), [(True, True), (False, False)])
    def test_a_spouse_counts_only_where_the_service_says_so(
        self,
        counts: bool,
        fits: bool,
    ) -> None:
        scene = given(assigned(submitted(relationship=Relationship.SPOUSE))).when(
            lambda r: r.accept(
                act(),
                terms=terms(applicants=("first_degree",), spouse_counts=counts),
                documents=("id-card",),
                token=1,
            )
        )
        if fits:
            scene.then((R.Accepted, {}))
        else:
            scene.refused(IneligibleError)

    def test_anyone_may_ask_where_the_service_is_open_to_all(self) -> None:
        given(assigned(submitted(relationship=Relationship.OTHER))).when(
            lambda r: r.accept(
                act(),
                terms=terms(applicants=("anyone",)),
                documents=("id-card",),
                token=1,
            )
        ).then((R.Accepted, {}))

    def test_missing_documents_are_named(self) -> None:
        given(assigned(submitted())).when(
            lambda r: r.accept(act(), terms=terms(), documents=(), token=1)
        ).refused(DocumentsMissingError, missing="id-card")

    def test_a_request_is_accepted_once(self) -> None:
        given(accepted()).when(
            lambda r: r.accept(act(), terms=terms(), documents=("id-card",), token=1)
        ).refused(WrongStateError, reason="not-waiting")


class TestDecline:
    def test_a_declined_request_ends_there(self) -> None:
        request = (
            given(assigned(submitted()))
            .when(lambda r: r.decline(act(), reason=Declined.INELIGIBLE, token=1))
            .then((R.NotAccepted, {"reason": Declined.INELIGIBLE, "missing": ()}))
        )
        assert request.stage is Stage.NOT_ACCEPTED
        assert request.standing.next_act is NextAct.NOTHING

    def test_missing_documents_must_be_named(self) -> None:
        given(assigned(submitted())).when(
            lambda r: r.decline(act(), reason=Declined.DOCUMENTS_MISSING, token=1)
        ).refused(InvalidValueError, field="missing")


class TestAssign:
    def test_each_assignment_raises_the_token(self) -> None:
        request = assigned(submitted())
        given(request).when(
            lambda r: r.assign(
                system(), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR
            )
        ).then((R.Assigned, {"token": 2, "clerk": "clk-DI-2"}))

    def test_assigning_to_the_holder_changes_nothing(self) -> None:
        given(assigned(submitted())).when(
            lambda r: r.assign(
                system(), clerk="clk-DI-1", reason=AssignedBecause.RESPONSIBLE
            )
        ).then()

    def test_bookkeeping_does_not_move_the_etag(self) -> None:
        request = assigned(submitted())
        request.inform(act(), message="accepted", means=Means.SMS)
        assert (request.version, request.etag_version) == (3, 1)

    def test_an_ended_request_is_not_assigned(self) -> None:
        given(mailed()).when(
            lambda r: r.assign(
                system(), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR
            )
        ).refused(WrongStateError, reason="ended")

    def test_a_stale_claim_is_told_who_has_it_now(self) -> None:
        request = accepted()
        request.assign(system(), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR)
        given(request).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
            )
        ).refused(StaleClaimError, holder="clk-DI-2", token=2)

    def test_the_right_token_in_the_wrong_hands_is_refused(self) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(actor="clk-DI-3"),
                channel=PaymentChannel.CASH,
                amount=3000,
                unit=Unit.NEW,
                token=1,
            )
        ).refused(HeldByAnotherError, holder="clk-DI-1")

    def test_a_supervisor_acts_with_the_token_alone(self) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(kind=ActorKind.SUPERVISOR, actor="sup-DI"),
                channel=PaymentChannel.CASH,
                amount=3000,
                unit=Unit.NEW,
                token=1,
            )
        ).then((R.FeePaid, {}))


class TestPay:
    def test_the_whole_fee_is_taken_line_by_line(self) -> None:
        request = (
            given(accepted())
            .when(
                lambda r: r.pay(
                    act(kind=ActorKind.BANK, actor="bank"),
                    channel=PaymentChannel.BANK,
                    amount=3000,
                    unit=Unit.NEW,
                    bank_reference="B-77",
                )
            )
            .then((R.FeePaid, {"amount": 3000, "bank_reference": "B-77"}))
        )
        assert not request.is_fee_outstanding

    @pytest.mark.parametrize(
        ("amount", "unit"), [(2999, Unit.NEW), (3000, Unit.OLD), (0, Unit.NEW)]
    )
    def test_another_amount_or_unit_is_refused(self, amount: int, unit: Unit) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.CASH, amount=amount, unit=unit, token=1
            )
        ).refused(WrongAmountError, due=3000)

    def test_nothing_is_paid_twice(self) -> None:
        given(paid()).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
            )
        ).refused(WrongStateError, reason="nothing-due")

    def test_a_bank_payment_needs_its_reference(self) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.BANK, amount=3000, unit=Unit.NEW, token=1
            )
        ).refused(InvalidValueError, field="bank_reference")


class TestForward:
    def test_the_first_answer_time_runs_from_here(self) -> None:
        request = (
            given(paid(direct_in=()))
            .when(lambda r: r.forward(act(), working_time=WORKING_TIME, token=1))
            .then((R.Forwarded, {"agency": "CIV"}))
        )
        # Three working days after Monday: Thursday at closing.
        assert request.answer_due_at == datetime(2026, 11, 26, 12, tzinfo=UTC)
        assert request.standing.waiting_for is WaitingFor.AGENCY

    def test_an_unpaid_request_is_not_forwarded(self) -> None:
        given(accepted(direct_in=())).when(
            lambda r: r.forward(act(), working_time=WORKING_TIME, token=1)
        ).refused(FeeUnpaidError, amount=3000)

    def test_a_direct_service_is_never_forwarded(self) -> None:
        given(paid()).when(
            lambda r: r.forward(act(), working_time=WORKING_TIME, token=1)
        ).refused(WrongRouteError, route="direct")

    def test_a_request_is_forwarded_once(self) -> None:
        given(forwarded()).when(
            lambda r: r.forward(act(), working_time=WORKING_TIME, token=1)
        ).refused(WrongStateError, reason="forwarded-already")


class TestRespond:
    def test_a_clerk_reads_the_answer_on_the_direct_route(self) -> None:
        given(paid()).when(
            lambda r: r.respond(
                act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
            )
        ).then((R.AgencyResponded, {"by": "direct", "outcome": Answer.ISSUED}))

    def test_the_agency_answers_what_was_forwarded_to_it(self) -> None:
        request = refused()
        assert request.answer is Answer.REFUSED
        assert request.standing.next_act is NextAct.TELL_RESULT

    def test_an_agency_cannot_answer_anothers_request(self) -> None:
        given(forwarded()).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                working_time=WORKING_TIME,
                outcome=Answer.ISSUED,
                agency="LND",
            )
        ).refused(WrongAgencyError)

    def test_an_agency_cannot_answer_on_the_direct_route(self) -> None:
        given(paid()).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                working_time=WORKING_TIME,
                outcome=Answer.ISSUED,
                agency="CIV",
            )
        ).refused(WrongRouteError, route="direct")

    def test_nothing_is_answered_before_it_was_forwarded(self) -> None:
        given(paid(direct_in=())).when(
            lambda r: r.respond(
                act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
            )
        ).refused(WrongStateError, reason="not-forwarded")

    def test_nothing_is_answered_before_the_fee_is_paid(self) -> None:
        given(accepted()).when(
            lambda r: r.respond(
                act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
            )
        ).refused(FeeUnpaidError)

    def test_a_second_answer_must_name_the_one_it_supersedes(self) -> None:
        given(issued()).when(
            lambda r: r.respond(
                act(), working_time=WORKING_TIME, outcome=Answer.ISSUED, token=1
            )
        ).refused(WrongStateError, reason="answered-already")

    def test_a_superseding_answer_replaces_the_first(self) -> None:
        request = issued()
        first = request.answer_version
        given(request).when(
            lambda r: r.respond(
                act(),
                working_time=WORKING_TIME,
                outcome=Answer.REFUSED,
                reason="record-disputed",
                supersedes=first,
                token=1,
            )
        ).then((R.AgencyResponded, {"supersedes": first}))
        assert request.answer is Answer.REFUSED

    def test_a_refusal_needs_its_reason_and_has_no_document(self) -> None:
        given(paid()).when(
            lambda r: r.respond(
                act(), working_time=WORKING_TIME, outcome=Answer.REFUSED, token=1
            )
        ).refused(InvalidValueError, field="reason")
        given(paid()).when(
            lambda r: r.respond(
                act(),
                working_time=WORKING_TIME,
                outcome=Answer.REFUSED,
                reason="x",
                document_digest=DIGEST,
                token=1,
            )
        ).refused(InvalidValueError, field="document_digest")


class TestStamp:
    def test_the_stamp_records_officer_and_serial(self) -> None:
        given(issued()).when(
            lambda r: r.stamp(
                act(),
                stamp=stamp(),
                serial="ختم-DI-000001",
                working_time=WORKING_TIME,
                stamped_digest=DIGEST,
                token=1,
            )
        ).then((R.Stamped, {"officer": "clk-DI-1", "kind": "live"}))

    @pytest.mark.parametrize("known", [None, stamp(centre="SY-HL-01"), stamp("other")])
    def test_a_stamp_not_issued_to_the_centre_is_refused(self, known: object) -> None:
        given(issued()).when(
            lambda r: r.stamp(
                act(),
                stamp=known,  # type: ignore[arg-type]
                serial="ختم-DI-000001",
                working_time=WORKING_TIME,
                stamped_digest=DIGEST,
                token=1,
            )
        ).refused(UnknownStampError)

    def test_a_refused_request_is_not_stamped(self) -> None:
        given(refused()).when(
            lambda r: r.stamp(
                act(),
                stamp=stamp(),
                serial="x",
                working_time=WORKING_TIME,
                stamped_digest=DIGEST,
                token=1,
            )
        ).refused(WrongStateError, reason="refused")

    def test_where_no_stamp_is_wanted_none_is_put(self) -> None:
        given(issued(live_stamp=False)).when(
            lambda r: r.stamp(
                act(),
                stamp=stamp(),
                serial="x",
                working_time=WORKING_TIME,
                stamped_digest=DIGEST,
                token=1,
            )
        ).refused(WrongStateError, reason="no-stamp-wanted")


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
