"""Corrections stand beside what was written; they change no stage and no outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.acts import ActorKind
from domain.errors import ApprovalRequiredError, InvalidValueError, WrongStateError
from domain.requests import (
    IDENTITY_FIELDS,
    CorrectedBecause,
    CorrectedField,
    Delivery,
    PartyRole,
    ReturnedBecause,
    ServiceRequest,
)
from domain.stages import NextAct, Stage
from tests.domain.office import (
    ITEM,
    accepted,
    act,
    given,
    mailed,
    refused,
    stamped,
    submitted,
)

R = ServiceRequest
SUPERVISOR = act("supervisor", ActorKind.SUPERVISOR, actor="sup-DI")
NOT_IDENTITY = sorted({*CorrectedField} - IDENTITY_FIELDS - {CorrectedField.DELIVERY})


def correct(
    request: ServiceRequest,
    field: CorrectedField = CorrectedField.PHONE,
    *,
    by: object = None,
    party: PartyRole | None = PartyRole.APPLICANT,
    delivery: Delivery | None = None,
) -> None:
    request.correct(
        by or act("correct"),  # type: ignore[arg-type]
        field=field,
        reason=CorrectedBecause.TYPING_ERROR,
        party=party,
        delivery=delivery,
    )


def send_to(request: ServiceRequest, delivery: Delivery) -> None:
    correct(request, CorrectedField.DELIVERY, party=None, delivery=delivery)


class TestIdentity:
    @pytest.mark.parametrize("field", sorted(IDENTITY_FIELDS))
    def test_who_somebody_is_takes_a_supervisors_word(
        self, field: CorrectedField
    ) -> None:
        given(accepted()).when(lambda r: correct(r, field)).refused(
            ApprovalRequiredError
        )

    @pytest.mark.parametrize("field", sorted(IDENTITY_FIELDS))
    def test_the_event_names_who_allowed_it(self, field: CorrectedField) -> None:
        approved = replace(act("approved"), approved_by="sup-DI")
        for by in (SUPERVISOR, approved):
            given(accepted()).when(lambda r, by=by: correct(r, field, by=by)).then(
                (R.Corrected, {"field": field, "allowed_by": "sup-DI"})
            )

    @pytest.mark.parametrize("field", NOT_IDENTITY)
    def test_where_somebody_is_reached_a_clerk_corrects_without_a_claim(
        self, field: CorrectedField
    ) -> None:
        given(submitted()).when(lambda r: correct(r, field)).then(
            (R.Corrected, {"party": PartyRole.APPLICANT, "allowed_by": "clk-DI-1"})
        )

    def test_nobody_is_corrected_who_has_no_part_in_the_request(self) -> None:
        given(accepted()).when(lambda r: correct(r, party=PartyRole.CONCERNED)).refused(
            InvalidValueError, field="party", reason="not-in-request"
        )

    def test_a_persons_value_needs_its_party_and_no_delivery(self) -> None:
        given(accepted()).when(lambda r: correct(r, party=None)).refused(
            InvalidValueError, field="party"
        )
        given(accepted()).when(lambda r: correct(r, delivery=Delivery.HOME)).refused(
            InvalidValueError, field="delivery"
        )

    def test_the_act_is_kept_so_that_the_vault_finds_the_values(self) -> None:
        request = accepted()
        correct(request)
        correct(request, CorrectedField.FULL_NAME, by=SUPERVISOR)
        assert [each.command_id for each in request.corrections] == [
            act("correct").command_id,
            SUPERVISOR.command_id,
        ]

    @pytest.mark.parametrize("make", [submitted, refused, stamped, mailed])
    def test_no_stage_outcome_or_limit_moves(self, make: object) -> None:
        request = make()  # type: ignore[operator]
        before = (request.stage, request.answer, request.due_at, request.standing)
        correct(request, CorrectedField.FULL_NAME, by=SUPERVISOR)
        after = (request.stage, request.answer, request.due_at, request.standing)
        assert after == before


class TestDelivery:
    def test_the_next_act_follows_the_corrected_choice(self) -> None:
        request = stamped(Delivery.COUNTER)
        assert request.standing.next_act is NextAct.HAND_OVER
        given(request).when(lambda r: send_to(r, Delivery.POST_OFFICE)).then(
            (R.Corrected, {"delivery": Delivery.POST_OFFICE, "party": None})
        )
        assert request.standing.next_act is NextAct.MAIL

    def test_after_the_paper_has_left_it_cannot_be_sent_elsewhere(self) -> None:
        given(mailed()).when(lambda r: send_to(r, Delivery.COUNTER)).refused(
            WrongStateError, reason="ended"
        )

    def test_what_came_back_may_go_elsewhere_and_stays_completed(self) -> None:
        request = mailed()
        request.bring_back(
            act(kind=ActorKind.POST), item=ITEM, reason=ReturnedBecause.ADDRESS_UNKNOWN
        )
        given(request).when(lambda r: send_to(r, Delivery.POST_OFFICE)).then(
            (R.Corrected, {})
        )
        assert request.stage is Stage.COMPLETED_ISSUED
        assert request.standing.next_act is NextAct.DEAL_WITH_RETURN

    def test_a_delivery_is_no_partys_and_has_to_be_said(self) -> None:
        given(accepted()).when(
            lambda r: correct(r, CorrectedField.DELIVERY, delivery=Delivery.HOME)
        ).refused(InvalidValueError, field="party")
        given(accepted()).when(
            lambda r: correct(r, CorrectedField.DELIVERY, party=None)
        ).refused(InvalidValueError, field="delivery")
