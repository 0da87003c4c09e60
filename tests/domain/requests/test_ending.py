"""Ends without a result, withdrawn or expired; and what is paid back afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.acts import ActorKind
from domain.errors import EffectiveTimeError, InvalidValueError, WrongStateError
from domain.money import FeeKind, FeeLine, Unit
from domain.requests import (
    Answer,
    ExpiredBecause,
    Means,
    PaymentChannel,
    RefundedBecause,
    ServiceRequest,
    WithdrawnBecause,
)
from domain.services import FeeDue
from domain.stages import Stage
from tests.domain.office import (
    FEE,
    NINE,
    PARTY_ID,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    given,
    issued,
    mailed,
    paid,
    refused,
    stamped,
    submitted,
    system,
    terms,
)

R = ServiceRequest
LIMIT = NINE + timedelta(days=42)
CHARGE = FeeLine(kind=FeeKind.SERVICE_CHARGE, amount=500, unit=Unit.NEW)


def withdraw(request: ServiceRequest) -> None:
    request.withdraw(
        act("withdraw", ActorKind.CITIZEN, actor=str(PARTY_ID)),
        reason=WithdrawnBecause.NOT_NEEDED,
    )


def expire(
    request: ServiceRequest, due_at: datetime | None, *, at: datetime | None = None
) -> None:
    assert due_at is not None
    request.expire(system().at(at or due_at), due_at=due_at)


def answer(
    request: ServiceRequest, outcome: Answer, *, supersedes: int | None, hours: int = 0
) -> None:
    request.respond(
        act(f"answer {outcome} {hours}", minutes=60 * hours),
        outcome=outcome,
        reason=None if outcome is Answer.ISSUED else "record-disputed",
        supersedes=supersedes,
        working_time=WORKING_TIME,
        token=1,
    )


class TestWithdraw:
    @pytest.mark.parametrize("make", [submitted, accepted, paid, issued, stamped])
    def test_until_it_has_ended_a_request_is_withdrawn_without_a_claim(
        self, make: object
    ) -> None:
        request = (
            given(make())  # type: ignore[operator]
            .when(withdraw)
            .then((R.Withdrawn, {"reason": WithdrawnBecause.NOT_NEEDED}))
        )
        assert request.stage is Stage.WITHDRAWN

    def test_a_clerk_records_the_citizens_word_whoever_has_the_request(self) -> None:
        given(accepted()).when(
            lambda r: r.withdraw(
                act(actor="clk-DI-3"), reason=WithdrawnBecause.TOO_LATE
            )
        ).then((R.Withdrawn, {}))

    def test_nothing_that_has_left_is_withdrawn(self) -> None:
        given(mailed()).when(withdraw).refused(WrongStateError, reason="ended")

    def test_nothing_is_withdrawn_twice(self) -> None:
        request = submitted()
        withdraw(request)
        given(request).when(withdraw).refused(WrongStateError, reason="ended")


class TestExpire:
    def test_what_nobody_accepted_expires_at_its_limit(self) -> None:
        request = (
            given(assigned(submitted(expires_at=LIMIT)))
            .when(lambda r: expire(r, LIMIT))
            .then((R.Expired, {"reason": ExpiredBecause.NOT_ACCEPTED, "due_at": LIMIT}))
        )
        assert request.stage is Stage.EXPIRED

    def test_nothing_expires_before_its_limit(self) -> None:
        early = LIMIT - timedelta(microseconds=1)
        given(submitted(expires_at=LIMIT)).when(
            lambda r: expire(r, LIMIT, at=early)
        ).refused(EffectiveTimeError, reason="before-limit", bound=LIMIT)

    def test_another_due_time_than_the_one_that_holds_changes_nothing(self) -> None:
        for due_at in (LIMIT - timedelta(days=1), LIMIT + timedelta(days=1)):
            given(submitted(expires_at=LIMIT)).when(
                lambda r, due_at=due_at: expire(r, due_at)
            ).then()

    def test_what_was_accepted_in_time_does_not_expire_as_waiting(self) -> None:
        request = assigned(submitted(expires_at=LIMIT))
        request.accept(act(), terms=terms(), documents=("id-card",), token=1)
        assert request.expires_at is None
        given(request).when(lambda r: expire(r, LIMIT)).then()

    def test_a_request_without_a_limit_never_expires(self) -> None:
        given(submitted()).when(lambda r: expire(r, LIMIT)).then()

    def test_waiting_for_the_citizen_does_not_keep_a_request_alive(self) -> None:
        request = assigned(submitted(expires_at=LIMIT))
        request.request_information(act(), missing=("photograph",), token=1)
        given(request).when(lambda r: expire(r, LIMIT)).then((R.Expired, {}))

    def test_what_nobody_paid_for_expires(self) -> None:
        # Seven working days after Monday end on Wednesday of the next week.
        request = accepted()
        assert request.payment_due_at == datetime.fromisoformat("2026-12-02T12:00Z")
        given(request).when(lambda r: expire(r, r.payment_due_at)).then(
            (R.Expired, {"reason": ExpiredBecause.NOT_PAID})
        )

    def test_what_was_paid_does_not_expire(self) -> None:
        due_at = accepted().payment_due_at
        given(paid()).when(lambda r: expire(r, due_at)).then()

    def test_an_expiry_is_not_earlier_than_what_happened_before_it(self) -> None:
        request = accepted()
        late = request.payment_due_at + timedelta(hours=3)
        request.inform(system().at(late), message="fee-due", means=Means.SMS)
        given(request).when(lambda r: expire(r, r.payment_due_at)).then(
            (R.Expired, {"timestamp": late, "claimed_at": None})
        )

    def test_what_is_imported_never_expires(self) -> None:
        by_import = act("import", ActorKind.IMPORT, actor="import")
        request = submitted(by_import)
        due_at = terms().payment_due_at
        request.accept(by_import, terms=terms(), documents=("id-card",))
        assert request.payment_due_at is None
        given(request).when(lambda r: expire(r, due_at)).then()


class TestLaterFee:
    """A fee that falls due at hand-over, for a paper without a stamp."""

    def make(self) -> ServiceRequest:
        request = accepted(fee_due=FeeDue.HAND_OVER, live_stamp=False)
        answer(request, Answer.ISSUED, supersedes=None)
        return request

    def test_the_time_to_pay_runs_from_the_last_step_before_the_hand_over(
        self,
    ) -> None:
        request = accepted(fee_due=FeeDue.HAND_OVER, live_stamp=False)
        assert request.payment_due_at is None
        answer(request, Answer.ISSUED, supersedes=None, hours=24)
        assert request.payment_due_at == datetime.fromisoformat("2026-12-03T12:00Z")

    def test_a_positive_answer_anew_gives_the_time_to_pay_anew(self) -> None:
        request = self.make()
        due_at = request.payment_due_at
        answer(request, Answer.ISSUED, supersedes=request.answer_version, hours=24)
        assert due_at is not None
        assert request.payment_due_at == due_at + timedelta(days=1)

    def test_a_refusal_that_supersedes_takes_the_time_to_pay_back(self) -> None:
        # The citizen has to be told of it; it must not run out as unpaid before.
        request = self.make()
        due_at = request.payment_due_at
        answer(request, Answer.REFUSED, supersedes=request.answer_version)
        assert request.payment_due_at is None
        given(request).when(lambda r: expire(r, due_at)).then()

    def test_issued_after_all_the_time_to_pay_runs_anew(self) -> None:
        request = self.make()
        answer(request, Answer.REFUSED, supersedes=request.answer_version)
        answer(request, Answer.ISSUED, supersedes=request.answer_version, hours=24 * 9)
        assert request.payment_due_at == datetime.fromisoformat("2026-12-13T12:00Z")

    def test_where_there_is_nothing_to_hand_over_no_fee_is_taken(self) -> None:
        request = self.make()
        answer(request, Answer.REFUSED, supersedes=request.answer_version)
        given(request).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
            )
        ).refused(WrongStateError, reason="nothing-due")


def refund(
    request: ServiceRequest,
    *kinds: FeeKind,
    reason: RefundedBecause = RefundedBecause.WITHDRAWN,
    channel: PaymentChannel = PaymentChannel.CASH,
    bank_reference: str | None = None,
) -> None:
    request.refund(
        act("refund", ActorKind.SUPERVISOR, actor="sup-DI"),
        kinds=kinds or (FeeKind.STATE_FEE,),
        reason=reason,
        channel=channel,
        bank_reference=bank_reference,
    )


def withdrawn() -> ServiceRequest:
    """Withdrawn after both lines of the fee were paid."""
    request = accepted(fee_lines=(FEE, CHARGE))
    request.pay(act(), channel=PaymentChannel.CASH, amount=3500, unit=Unit.NEW, token=1)
    withdraw(request)
    return request


class TestRefund:
    def test_what_was_withdrawn_is_paid_back_line_by_line(self) -> None:
        request = (
            given(withdrawn())
            .when(lambda r: refund(r, FeeKind.SERVICE_CHARGE))
            .then((R.FeeRefunded, {"lines": (CHARGE,), "amount": 500}))
        )
        given(request).when(lambda r: refund(r, FeeKind.STATE_FEE)).then(
            (R.FeeRefunded, {"lines": (FEE,), "amount": 3000, "unit": Unit.NEW})
        )
        assert request.stage is Stage.WITHDRAWN

    def test_both_lines_are_paid_back_at_once(self) -> None:
        given(withdrawn()).when(lambda r: refund(r, *FeeKind)).then(
            (R.FeeRefunded, {"amount": 3500})
        )

    @pytest.mark.parametrize("kinds", [(FeeKind.STATE_FEE,), tuple(FeeKind)])
    def test_no_line_is_paid_back_twice_not_even_among_others(
        self, kinds: tuple[FeeKind, ...]
    ) -> None:
        request = withdrawn()
        refund(request, FeeKind.STATE_FEE)
        given(request).when(lambda r: refund(r, *kinds)).refused(
            WrongStateError, reason="refunded-already"
        )

    def test_a_line_that_was_not_paid_is_not_paid_back(self) -> None:
        request = paid()
        withdraw(request)
        given(request).when(lambda r: refund(r, FeeKind.SERVICE_CHARGE)).refused(
            InvalidValueError, field="kinds"
        )

    def test_in_progress_the_fee_is_still_owed(self) -> None:
        given(paid()).when(refund).refused(WrongStateError, reason="not-ended")

    def test_nothing_is_paid_back_where_nothing_was_paid(self) -> None:
        request = accepted()
        withdraw(request)
        given(request).when(refund).refused(WrongStateError, reason="not-paid")

    @pytest.mark.parametrize(
        ("stage", "reason", "fits"),
        [
            (Stage.WITHDRAWN, RefundedBecause.REFUSED, False),
            (Stage.WITHDRAWN, RefundedBecause.CHARGED_WRONGLY, True),
            (Stage.COMPLETED_REFUSED, RefundedBecause.WITHDRAWN, False),
            (Stage.COMPLETED_REFUSED, RefundedBecause.REFUSED, True),
            (Stage.COMPLETED_REFUSED, RefundedBecause.CHARGED_WRONGLY, True),
            (Stage.COMPLETED_ISSUED, RefundedBecause.REFUSED, False),
            (Stage.COMPLETED_ISSUED, RefundedBecause.WITHDRAWN, False),
            (Stage.COMPLETED_ISSUED, RefundedBecause.CHARGED_WRONGLY, True),
        ],
    )
    def test_the_reason_has_to_fit_the_end(
        self, stage: Stage, reason: RefundedBecause, fits: bool
    ) -> None:
        request = {
            Stage.WITHDRAWN: withdrawn,
            Stage.COMPLETED_REFUSED: refused,
            Stage.COMPLETED_ISSUED: mailed,
        }[stage]()
        if stage is Stage.COMPLETED_REFUSED:
            request.tell_result(act(), means=Means.PHONE, token=1)
        scene = given(request).when(lambda r: refund(r, reason=reason))
        if fits:
            scene.then((R.FeeRefunded, {"reason": reason}))
        else:
            scene.refused(WrongStateError, reason="other-end")

    @pytest.mark.parametrize(
        ("channel", "reference"),
        [(PaymentChannel.BANK, None), (PaymentChannel.CASH, "B-78")],
    )
    def test_a_refund_has_a_bank_reference_exactly_through_the_bank(
        self, channel: PaymentChannel, reference: str | None
    ) -> None:
        given(withdrawn()).when(
            lambda r: refund(r, channel=channel, bank_reference=reference)
        ).refused(InvalidValueError, field="bank_reference")

    def test_what_was_paid_back_is_not_outstanding_again(self) -> None:
        request = withdrawn()
        refund(request, *FeeKind)
        assert not request.is_fee_outstanding
