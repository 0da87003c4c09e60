"""Who has a request: assignment, claims with a lease, warnings of its limits."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.acts import ActorKind
from domain.errors import (
    HeldByAnotherError,
    NotAssignedError,
    StaleClaimError,
    WrongStateError,
)
from domain.money import Unit
from domain.requests import (
    AssignedBecause,
    Delivery,
    Limit,
    Means,
    PaymentChannel,
    ReleasedBecause,
    ReturnedBecause,
    ServiceRequest,
    WarnedWhen,
)
from tests.domain.office import (
    ITEM,
    NINE,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    forwarded,
    given,
    mailed,
    paid,
    refused,
    stamped,
    submitted,
    system,
    terms,
)

R = ServiceRequest
LEASE = timedelta(minutes=15)


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


def claimed(
    request: ServiceRequest, clerk: str = "clk-DI-1", *, now: datetime = NINE
) -> ServiceRequest:
    request.claim(
        act(f"claim by {clerk}", actor=clerk), now=now, lease_until=now + LEASE
    )
    return request


def pay(request: ServiceRequest, token: int | None, clerk: str = "clk-DI-1") -> None:
    request.pay(
        act("pay", actor=clerk),
        channel=PaymentChannel.CASH,
        amount=3000,
        unit=Unit.NEW,
        token=token,
    )


def lease_ends(request: ServiceRequest, *, token: int, now: datetime) -> None:
    request.release(system(), reason=ReleasedBecause.LEASE_ENDED, token=token, now=now)


class TestClaim:
    def test_what_nobody_has_any_clerk_may_claim_and_then_work_on(self) -> None:
        request = (
            given(submitted())
            .when(lambda r: r.claim(act(), now=NINE, lease_until=NINE + LEASE))
            .then((R.Claimed, {"clerk": "clk-DI-1", "token": 1}))
        )
        request.accept(act(), terms=terms(), documents=("id-card",), token=1)
        assert request.assigned_clerk is None

    def test_while_the_lease_runs_nobody_else_claims_and_is_told_until_when(
        self,
    ) -> None:
        given(claimed(submitted())).when(
            lambda r: r.claim(
                act(actor="clk-DI-2"),
                now=NINE + LEASE - timedelta(microseconds=1),
                lease_until=NINE + 2 * LEASE,
            )
        ).refused(HeldByAnotherError, holder="clk-DI-1", until=NINE + LEASE)

    def test_from_the_very_instant_the_lease_ends_another_may_claim(self) -> None:
        request = (
            given(claimed(submitted()))
            .when(lambda r: claimed(r, "clk-DI-2", now=NINE + LEASE))
            .then((R.Claimed, {"clerk": "clk-DI-2", "token": 2}))
        )
        assert request.clerk == "clk-DI-2"

    def test_what_is_assigned_its_clerk_alone_claims_even_without_a_lease(self) -> None:
        given(accepted()).when(lambda r: claimed(r, "clk-DI-2")).refused(
            HeldByAnotherError, holder="clk-DI-1", until=None
        )

    def test_assigned_work_is_done_without_a_claim(self) -> None:
        given(accepted()).when(lambda r: pay(r, 1)).then((R.FeePaid, {}))

    def test_claiming_again_renews_the_lease_and_stales_the_former_token(self) -> None:
        request = claimed(accepted())
        given(request).when(
            lambda r: claimed(r, now=NINE + timedelta(minutes=10))
        ).then((R.Claimed, {"token": 3, "lease_until": NINE + timedelta(minutes=25)}))
        given(request).when(lambda r: pay(r, 2)).refused(
            StaleClaimError, holder="clk-DI-1", token=3
        )

    def test_a_token_serves_after_its_lease_until_somebody_else_has_the_request(
        self,
    ) -> None:
        # The clerk on a dead line comes back: nobody took the work in between.
        given(claimed(accepted())).when(lambda r: pay(r, 2)).then((R.FeePaid, {}))

    def test_back_after_the_lease_the_clerk_is_told_who_has_it(self) -> None:
        request = claimed(submitted())
        lease_ends(request, token=1, now=NINE + LEASE)
        claimed(request, "clk-DI-2", now=NINE + LEASE)
        given(request).when(
            lambda r: r.accept(act(), terms=terms(), documents=("id-card",), token=1)
        ).refused(StaleClaimError, holder="clk-DI-2", token=3)

    def test_an_older_and_a_future_token_are_both_stale(self) -> None:
        for token in (0, 1, 3, None):
            given(claimed(accepted())).when(
                lambda r, token=token: pay(r, token)
            ).refused(StaleClaimError, token=2)

    def test_every_change_of_hands_raises_the_token(self) -> None:
        request = claimed(assigned(submitted()))
        lease_ends(request, token=2, now=NINE + LEASE)
        request.assign(system(), clerk="clk-DI-2", reason=AssignedBecause.REBALANCED)
        tokens = [e.token for e in request.pending_events if hasattr(e, "token")]
        assert tokens == [1, 2, 3, 4]

    def test_an_assignment_ends_the_claim_of_whoever_had_it(self) -> None:
        request = claimed(accepted())
        request.assign(system(), clerk="clk-DI-2", reason=AssignedBecause.SUPERVISOR)
        assert request.claim_held is None
        given(request).when(lambda r: pay(r, 2)).refused(
            StaleClaimError, holder="clk-DI-2", token=3
        )

    def test_assigning_to_who_has_it_claimed_already_leaves_the_claim(self) -> None:
        request = claimed(accepted())
        given(request).when(
            lambda r: r.assign(
                system(), clerk="clk-DI-1", reason=AssignedBecause.REBALANCED
            )
        ).then()
        assert request.claim_held is not None

    def test_a_claim_alone_is_no_assignment(self) -> None:
        given(claimed(submitted())).when(
            lambda r: r.assign(
                system(), clerk="clk-DI-1", reason=AssignedBecause.RESPONSIBLE
            )
        ).then((R.Assigned, {"token": 2}))

    def test_returned_post_is_work_that_can_be_claimed(self) -> None:
        request = mailed()
        request.bring_back(
            act(kind=ActorKind.POST), item=ITEM, reason=ReturnedBecause.NOT_COLLECTED
        )
        given(request).when(claimed).then((R.Claimed, {}))


class TestRelease:
    def test_a_clerk_gives_back_the_claim_and_keeps_what_was_assigned(self) -> None:
        request = (
            given(claimed(accepted()))
            .when(
                lambda r: r.release(act(), reason=ReleasedBecause.GIVEN_BACK, token=2)
            )
            .then((R.Released, {"clerk": "clk-DI-1", "token": 3, "holder": "clk-DI-1"}))
        )
        assert request.claim_held is None
        given(request).when(lambda r: pay(r, 3)).then((R.FeePaid, {}))

    def test_what_was_claimed_only_is_nobodys_after_it(self) -> None:
        request = claimed(submitted())
        request.release(act(), reason=ReleasedBecause.GIVEN_BACK, token=1)
        assert request.clerk is None
        given(request).when(
            lambda r: r.accept(act(), terms=terms(), documents=("id-card",), token=2)
        ).refused(NotAssignedError)

    def test_what_is_not_claimed_is_not_given_back(self) -> None:
        given(accepted()).when(
            lambda r: r.release(act(), reason=ReleasedBecause.GIVEN_BACK, token=1)
        ).refused(WrongStateError, reason="not-claimed")

    def test_nobody_gives_back_what_another_claimed_even_with_its_token(self) -> None:
        given(claimed(submitted())).when(
            lambda r: r.release(
                act(actor="clk-DI-2"), reason=ReleasedBecause.GIVEN_BACK, token=1
            )
        ).refused(HeldByAnotherError, holder="clk-DI-1")

    def test_a_stale_release_is_told_who_has_it_now(self) -> None:
        given(claimed(accepted())).when(
            lambda r: r.release(act(), reason=ReleasedBecause.GIVEN_BACK, token=1)
        ).refused(StaleClaimError, holder="clk-DI-1", token=2)

    def test_a_supervisor_takes_claim_and_assignment(self) -> None:
        request = (
            given(claimed(accepted()))
            .when(
                lambda r: r.release(
                    act(kind=ActorKind.SUPERVISOR, actor="sup-DI"),
                    reason=ReleasedBecause.SUPERVISOR,
                    token=2,
                )
            )
            .then((R.Released, {"clerk": "clk-DI-1", "holder": None}))
        )
        assert (request.clerk, request.assigned_clerk) == (None, None)

    def test_a_supervisor_needs_the_latest_token(self) -> None:
        given(claimed(accepted())).when(
            lambda r: r.release(
                act(kind=ActorKind.SUPERVISOR, actor="sup-DI"),
                reason=ReleasedBecause.SUPERVISOR,
                token=1,
            )
        ).refused(StaleClaimError, token=2)

    def test_a_clerk_who_is_away_keeps_nothing(self) -> None:
        given(accepted()).when(
            lambda r: r.release(
                system(), reason=ReleasedBecause.CLERK_AWAY, token=1, now=NINE
            )
        ).then((R.Released, {"clerk": "clk-DI-1", "holder": None}))


class TestLeaseEnd:
    def test_a_lease_ends_at_its_instant_and_not_before(self) -> None:
        request = claimed(accepted())
        before = NINE + LEASE - timedelta(microseconds=1)
        given(request).when(lambda r: lease_ends(r, token=2, now=before)).then()
        given(request).when(lambda r: lease_ends(r, token=2, now=NINE + LEASE)).then(
            (R.Released, {"token": 3, "holder": "clk-DI-1"})
        )

    def test_a_lease_ends_once(self) -> None:
        request = claimed(accepted())
        lease_ends(request, token=2, now=NINE + LEASE)
        given(request).when(lambda r: lease_ends(r, token=2, now=NINE + LEASE)).then()

    def test_a_renewed_lease_is_not_ended_by_the_former_ones_timer(self) -> None:
        request = claimed(claimed(accepted()), now=NINE + timedelta(minutes=10))
        given(request).when(lambda r: lease_ends(r, token=2, now=NINE + LEASE)).then()

    def test_what_has_ended_has_no_lease_to_end(self) -> None:
        request = claimed(stamped())
        request.mail(act("mail"), item=ITEM, to=Delivery.HOME, token=2)
        given(request).when(lambda r: lease_ends(r, token=2, now=NINE + LEASE)).then()

    def test_bookkeeping_leaves_the_etag_and_the_time_of_the_last_event(self) -> None:
        request = accepted()
        etag = request.etag_version
        claimed(request)
        lease_ends(request, token=2, now=NINE + LEASE)
        assert (request.etag_version, request.modified_on) == (etag, NINE)


def warn(
    request: ServiceRequest,
    due_at: datetime | None,
    *,
    limit: Limit = Limit.COMPLETION,
    when: WarnedWhen = WarnedWhen.BEFORE,
) -> None:
    assert due_at is not None
    request.warn(system(), limit=limit, when=when, due_at=due_at)


class TestWarn:
    def test_a_warning_is_given_once_on_each_side_of_the_limit(self) -> None:
        request = accepted()
        for when in WarnedWhen:
            given(request).when(lambda r, when=when: warn(r, r.due_at, when=when)).then(
                (R.Warned, {"when": when})
            )
            given(request).when(
                lambda r, when=when: warn(r, r.due_at, when=when)
            ).then()

    def test_of_another_due_time_nobody_is_warned(self) -> None:
        given(accepted()).when(
            lambda r: warn(r, r.due_at + timedelta(microseconds=1))
        ).then()

    def test_while_the_clock_stands_still_nobody_is_warned(self) -> None:
        request = accepted()
        request.request_information(act(), missing=("photograph",), token=1)
        given(request).when(lambda r: warn(r, r.due_at)).refused(
            WrongStateError, reason="information-outstanding"
        )

    def test_a_limit_that_has_moved_is_warned_of_anew_and_the_old_one_is_not(
        self,
    ) -> None:
        request = accepted()
        old = request.due_at
        warn(request, old)
        request.request_information(act(), missing=("photograph",), token=1)
        request.supply_information(
            act(minutes=60),
            supplied=("photograph",),
            working_time=WORKING_TIME,
            token=1,
        )
        given(request).when(lambda r: warn(r, old, when=WarnedWhen.AFTER)).then()
        given(request).when(lambda r: warn(r, r.due_at)).then((R.Warned, {}))

    def test_of_the_first_answer_staff_are_warned_until_the_agency_answers(
        self,
    ) -> None:
        given(forwarded()).when(
            lambda r: warn(r, r.answer_due_at, limit=Limit.FIRST_ANSWER)
        ).then((R.Warned, {"limit": Limit.FIRST_ANSWER}))
        given(refused()).when(
            lambda r: warn(r, r.answer_due_at, limit=Limit.FIRST_ANSWER)
        ).then()

    def test_of_what_was_never_forwarded_there_is_no_first_answer_to_warn_of(
        self,
    ) -> None:
        given(paid()).when(lambda r: warn(r, r.due_at, limit=Limit.FIRST_ANSWER)).then()

    def test_of_what_has_ended_nobody_is_warned(self) -> None:
        given(mailed()).when(lambda r: warn(r, r.due_at)).then()
