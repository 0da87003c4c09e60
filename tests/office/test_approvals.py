"""A supervisor's word for one act: given before it, sent along, named in the event."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    ApprovalRequiredError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
)
from domain.requests import CorrectedBecause, CorrectedField, PartyRole
from office.approvals import LIFESPAN, LONGEST_APPROVAL, Approvals
from office.commands import CorrectRequest
from tests.office.scene import (
    AGENCY,
    AUDITOR,
    CENTRE,
    CLERK,
    SUPERVISOR,
    Scene,
    envelope,
    submission,
)

NOW = datetime(2026, 11, 23, 6, 0, 0, 250_000, tzinfo=UTC)
COMMAND = UUID("019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77")
KEY = b"k" * 32


def approvals(now: datetime = NOW, key: bytes = KEY) -> Approvals:
    return Approvals(key, lambda: now)


def given() -> str:
    return approvals().give(SUPERVISOR, COMMAND)[0]


class TestTheText:
    def test_it_names_the_supervisor_for_the_act_it_was_given_for(self) -> None:
        approval, until = approvals().give(SUPERVISOR, COMMAND)
        assert len(approval) <= LONGEST_APPROVAL
        assert until == NOW.replace(microsecond=0) + LIFESPAN
        assert (
            approvals().supervisor_of(approval, COMMAND, None, CENTRE) == SUPERVISOR.id
        )

    def test_the_longest_code_of_a_supervisor_fits(self) -> None:
        longest = Principal(role=ActorKind.SUPERVISOR, id="s" * 64, centre=CENTRE)
        approval, _ = approvals().give(longest, COMMAND)
        assert len(approval) <= LONGEST_APPROVAL

    def test_it_holds_for_no_other_act_and_no_other_centre(self) -> None:
        for command, centre in ((uuid4(), CENTRE), (COMMAND, "SY-HL-01")):
            with pytest.raises(InvalidValueError) as caught:
                approvals().supervisor_of(given(), command, None, centre)
            assert caught.value.reason == "not-of-this-act"
        with pytest.raises(InvalidValueError):
            approvals().supervisor_of(given(), COMMAND, None, None)

    def test_it_ends_after_a_working_day(self) -> None:
        end = NOW.replace(microsecond=0) + LIFESPAN
        last = approvals(end)
        assert last.supervisor_of(given(), COMMAND, None, CENTRE) == SUPERVISOR.id
        over = approvals(end + timedelta(microseconds=1))
        with pytest.raises(InvalidValueError) as caught:
            over.supervisor_of(given(), COMMAND, None, CENTRE)
        assert caught.value.reason == "over"

    @pytest.mark.parametrize(
        "forge",
        [
            lambda parts: [name("sup-HL"), *parts[1:]],
            lambda parts: [parts[0], str(int(parts[1]) + 3600), parts[2]],
            lambda parts: [*parts[:2], "0" * 64],
            lambda parts: [*parts[:2], "ختم"],
            lambda parts: [*parts[:2], ""],
        ],
    )
    def test_a_changed_one_is_none(
        self, forge: Callable[[list[str]], list[str]]
    ) -> None:
        forged = ".".join(forge(given().split(".")))
        with pytest.raises(InvalidValueError) as caught:
            approvals().supervisor_of(forged, COMMAND, None, CENTRE)
        assert caught.value.reason == "not-of-this-act"

    def test_one_of_another_office_is_none(self) -> None:
        with pytest.raises(InvalidValueError):
            approvals(key=b"j" * 32).supervisor_of(given(), COMMAND, None, CENTRE)

    @pytest.mark.parametrize(
        "text",
        ["", "a.b", "a.1.b.c", "a.x.b", "a.١.b", "é.1.b", "a.1.b", "%%.1.b", "/w.1.b"],
    )
    def test_what_has_not_its_shape_is_refused_by_name(self, text: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            approvals().supervisor_of(text, COMMAND, None, CENTRE)
        assert caught.value.field == "approval"

    @pytest.mark.parametrize("principal", [CLERK, AGENCY, AUDITOR])
    def test_nobody_else_approves(self, principal: Principal) -> None:
        with pytest.raises(RoleForbiddenError):
            approvals().give(principal, COMMAND)

    def test_a_supervisor_of_no_centre_approves_nothing(self) -> None:
        nowhere = Principal(role=ActorKind.SUPERVISOR, id="sup", centre=None)
        with pytest.raises(NotFoundError):
            approvals().give(nowhere, COMMAND)


def name(supervisor: str) -> str:
    return base64.urlsafe_b64encode(supervisor.encode()).decode().rstrip("=")


class TestInTheOffice:
    def test_a_clerk_corrects_a_name_with_it_and_the_event_says_whose_word(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        command = CorrectRequest(
            request_id=request_id,
            field=CorrectedField.FULL_NAME,
            reason=CorrectedBecause.TYPING_ERROR,
            party=PartyRole.APPLICANT,
            value="اسم مصحح",
        )
        with pytest.raises(ApprovalRequiredError):
            scene.requests.correct(command, scene.seen(request_id, CLERK, "x"))
        command_id = uuid4()
        for elsewhere in (None, uuid4()):
            approval, _ = scene.house.acts.approvals.give(
                SUPERVISOR, command_id, elsewhere
            )
            with pytest.raises(InvalidValueError):
                scene.requests.correct(
                    command,
                    scene.seen(
                        request_id,
                        CLERK,
                        "corrections",
                        command_id=command_id,
                        approval=approval,
                    ),
                )
        approval, _ = scene.house.acts.approvals.give(
            SUPERVISOR, command_id, request_id
        )
        env = scene.seen(
            request_id, CLERK, "corrections", command_id=command_id, approval=approval
        )
        done = scene.requests.correct(command, env)
        last = scene.entries(request_id)[-1]
        body = json.loads(last.body)
        assert last.topic == "sijil.request.corrected.v1"
        assert body["actor"]["id"] == CLERK.id
        assert body["approved_by"] == body["data"]["allowed_by"] == SUPERVISOR.id
        # Sent again it is the same correction, however old its page is by now.
        again = scene.requests.correct(command, env)
        assert again.is_repeat
        assert again.last_position == done.last_position

    def test_it_carries_a_clerk_beyond_the_bound_of_backdating(
        self, scene: Scene
    ) -> None:
        command_id = uuid4()
        long_ago = scene.clock() - timedelta(days=8)
        approval, _ = scene.house.acts.approvals.give(SUPERVISOR, command_id)
        done = scene.requests.submit(
            submission(),
            envelope(
                CLERK, command_id=command_id, effective_at=long_ago, approval=approval
            ),
        )
        (first, *_) = scene.entries(done.aggregate_id)
        assert json.loads(first.body)["approved_by"] == SUPERVISOR.id
        assert scene.get(done.aggregate_id).created_on == long_ago
