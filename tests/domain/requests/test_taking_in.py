"""A request comes in: submitted, accepted under its terms, or not accepted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.errors import (
    DocumentsMissingError,
    IneligibleError,
    InvalidValueError,
    NotAssignedError,
    WrongStateError,
)
from domain.requests import (
    Declined,
    ServiceRequest,
)
from domain.services import Document, FeeDue, Relationship, Route
from domain.stages import NextAct, Stage, WaitingFor
from tests.domain.office import (
    accepted,
    act,
    assigned,
    given,
    submitted,
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


class TestTerms:
    def test_what_is_wanted_only_where_it_exists_may_be_missing(self) -> None:
        documents = (
            Document(code="id-card", name_ar="هوية", name_en="ID card"),
            Document(
                code="old-extract", name_ar="بيان", name_en="Extract", is_required=False
            ),
        )
        given(assigned(submitted())).when(
            lambda r: r.accept(
                act(),
                terms=terms(documents=documents),
                documents=("id-card",),
                token=1,
            )
        ).then((R.Accepted, {"documents": ("id-card",)}))

    def test_the_route_goes_by_the_governorate_of_the_centre(self) -> None:
        assert terms(direct_in=("SY-DI",)).route is Route.DIRECT
        assert terms(governorate="SY-HL", direct_in=("SY-DI",)).route is Route.REPLY

    def test_at_five_past_closing_day_0_is_the_next_working_day(self) -> None:
        # Monday 15:05 in Damascus; two days after Tuesday end on Thursday at 15:00.
        late = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
        assert terms(late).due_at == datetime(2026, 11, 26, 12, tzinfo=UTC)

    def test_the_time_to_pay_runs_from_acceptance_where_the_fee_is_due_then(
        self,
    ) -> None:
        assert terms().payment_due_at == datetime(2026, 12, 2, 12, tzinfo=UTC)
        assert terms(fee_due=FeeDue.HAND_OVER).payment_due_at is None
        assert terms(fee_lines=()).payment_due_at is None


class TestAskedWhileWaiting:
    def asked(self) -> ServiceRequest:
        request = assigned(submitted())
        request.request_information(act(), missing=("id-card",), token=1)
        return request

    def test_what_is_asked_for_has_to_come_before_acceptance(self) -> None:
        given(self.asked()).when(
            lambda r: r.accept(act(), terms=terms(), documents=("id-card",), token=1)
        ).refused(WrongStateError, reason="information-outstanding")

    def test_what_never_came_is_a_reason_to_decline(self) -> None:
        given(self.asked()).when(
            lambda r: r.decline(
                act(), reason=Declined.DOCUMENTS_MISSING, missing=("id-card",), token=1
            )
        ).then((R.NotAccepted, {"missing": ("id-card",)}))
