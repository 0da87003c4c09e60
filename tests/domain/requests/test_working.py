"""The work on an accepted request: fee, agency, what is missing, stamp."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.acts import ActorKind
from domain.errors import (
    FeeUnpaidError,
    InvalidValueError,
    StampRequiredError,
    UnknownStampError,
    WrongAgencyError,
    WrongAmountError,
    WrongRouteError,
    WrongStateError,
)
from domain.money import Unit
from domain.requests import (
    Answer,
    Delivery,
    PaymentChannel,
    ServiceRequest,
)
from domain.stages import NextAct, WaitingFor
from tests.domain.office import (
    DIGEST,
    ITEM,
    NINE,
    WORKING_TIME,
    accepted,
    act,
    forwarded,
    given,
    issued,
    paid,
    refused,
    stamp,
    stamped,
)

R = ServiceRequest


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


class TestLateRules:
    def test_the_stamp_waits_for_nothing_that_is_missing(self) -> None:
        request = paid()
        request.request_information(act(), missing=("photograph",), token=1)
        given(request).when(
            lambda r: r.stamp(
                act(),
                stamp=stamp(),
                serial="ختم-DI-000001",
                working_time=WORKING_TIME,
                stamped_digest=DIGEST,
                token=1,
            )
        ).refused(WrongStateError, reason="information-outstanding")

    def test_what_was_stamped_may_be_refused_until_it_has_left(self) -> None:
        request = stamped()
        request.respond(
            act(),
            working_time=WORKING_TIME,
            outcome=Answer.REFUSED,
            reason="record-disputed",
            supersedes=request.answer_version,
            token=1,
        )
        assert request.standing.next_act is NextAct.TELL_RESULT
        given(request).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1)
        ).refused(WrongStateError, reason="refused")

    def test_another_document_wants_its_own_stamp(self) -> None:
        request = stamped()
        request.respond(
            act(),
            working_time=WORKING_TIME,
            outcome=Answer.ISSUED,
            supersedes=request.answer_version,
            token=1,
        )
        assert request.standing.next_act is NextAct.STAMP
        given(request).when(
            lambda r: r.mail(act(), item=ITEM, to=Delivery.HOME, token=1)
        ).refused(StampRequiredError)

    def test_an_answer_that_names_another_than_the_one_that_holds_is_refused(
        self,
    ) -> None:
        request = issued()
        stale = (request.answer_version or 0) - 1
        given(request).when(
            lambda r: r.respond(
                act(),
                working_time=WORKING_TIME,
                outcome=Answer.ISSUED,
                supersedes=stale,
                token=1,
            )
        ).refused(WrongStateError, reason="answered-already")

    def test_the_first_answer_time_runs_from_the_event_not_from_an_earlier_claim(
        self,
    ) -> None:
        # The import says Sunday; the payment before it was on Monday.
        request = paid(direct_in=())
        given(request).when(
            lambda r: r.forward(
                act("import", ActorKind.IMPORT, minutes=-24 * 60),
                working_time=WORKING_TIME,
            )
        ).then(
            (
                R.Forwarded,
                {
                    "timestamp": NINE,
                    "answer_due_at": datetime(2026, 11, 26, 12, tzinfo=UTC),
                },
            )
        )

    def test_cash_has_no_bank_reference(self) -> None:
        given(accepted()).when(
            lambda r: r.pay(
                act(),
                channel=PaymentChannel.CASH,
                amount=3000,
                unit=Unit.NEW,
                bank_reference="B-77",
                token=1,
            )
        ).refused(InvalidValueError, field="bank_reference")

    def test_an_agency_reports_late_and_keeps_what_it_claimed(self) -> None:
        claimed = NINE - timedelta(hours=2)
        given(forwarded()).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY, minutes=-120),
                working_time=WORKING_TIME,
                outcome=Answer.ISSUED,
                agency="CIV",
            )
        ).then((R.AgencyResponded, {"timestamp": NINE, "claimed_at": claimed}))
