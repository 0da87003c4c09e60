"""The use cases on a real ledger: both outcomes, scope, refused attempts, persons."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    EffectiveTimeError,
    HeldByAnotherError,
    IneligibleError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
    ServiceNotOfferedError,
    UnknownStampError,
    WrongStateError,
)
from domain.money import Unit
from domain.requests import (
    Answer,
    Channel,
    Declined,
    Means,
    PartyRole,
    PaymentChannel,
    ServiceRequest,
)
from domain.services import Relationship
from domain.stages import Stage
from office.commands import AssignRequest, InformCitizen, Message, PayFee
from office.errors import PreconditionRequiredError, StaleVersionError
from tests.marks import stands_in
from tests.office.scene import (
    AGENCY,
    AUDITOR,
    BANK,
    CENTRE,
    CLERK,
    FOREIGN_CLERK,
    MARKED_ADDRESS,
    MARKED_NAME,
    MARKED_NUMBER,
    MARKED_PHONE,
    OTHER_CLERK,
    PERSON,
    POST,
    SUPERVISOR,
    Scene,
    envelope,
    submission,
)

CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-77")


class TestWholeLives:
    def test_a_direct_request_goes_from_the_counter_to_the_post(
        self, scene: Scene
    ) -> None:
        request_id = scene.mailed()
        assert scene.get(request_id).stage is Stage.COMPLETED_ISSUED
        scene.deliver(request_id)
        assert [e.topic.split(".")[2] for e in scene.entries(request_id)] == [
            "submitted",
            "accepted",
            "assigned",
            "fee-paid",
            "agency-responded",
            "stamped",
            "mailed",
            "delivered",
        ]

    def test_a_refusal_by_the_agency_completes_when_told(self, scene: Scene) -> None:
        request_id = scene.assigned(service="CIV-06")
        scene.pay(request_id)
        scene.forward(request_id)
        scene.respond(request_id, AGENCY, Answer.REFUSED)
        scene.tell(request_id)
        assert scene.get(request_id).stage is Stage.COMPLETED_REFUSED

    def test_a_citizens_request_waits_for_a_clerk(self, scene: Scene) -> None:
        request_id = scene.submit(
            CITIZEN, channel=Channel.ONLINE, centre="SY-DI-01", accept_now=False
        )
        scene.level()
        request = scene.get(request_id)
        assert request.stage is Stage.WAITING
        assert request.clerk == "clk-DI-1"
        scene.accept(request_id)
        assert scene.get(request_id).stage is Stage.IN_PROGRESS
        (submitted, *_) = scene.entries(request_id)
        actor = json.loads(submitted.body)["actor"]
        assert actor["id"] == str(request.parties[0].id)
        known = scene.house.citizen("subject-77")
        assert scene.requests.get(request_id, known).id == request_id
        with pytest.raises(NotFoundError):
            scene.requests.get(request_id, scene.house.citizen("subject-78"))

    def test_naming_anothers_number_shows_nothing_of_theirs(self, scene: Scene) -> None:
        theirs = scene.submit()
        scene.submit(
            CITIZEN, channel=Channel.ONLINE, centre="SY-DI-01", accept_now=False
        )
        with pytest.raises(NotFoundError):
            scene.requests.get(theirs, scene.house.citizen("subject-77"))

    def test_a_counter_request_may_be_declined_in_the_same_act(
        self, scene: Scene
    ) -> None:
        request_id = scene.submit(
            accept_now=False,
            documents=(),
            decline_reason=Declined.DOCUMENTS_MISSING,
            missing=("id-card",),
        )
        scene.level()
        request = scene.get(request_id)
        assert (request.stage, request.clerk) == (Stage.NOT_ACCEPTED, None)

    def test_an_ineligible_applicant_leaves_no_half_request(self, scene: Scene) -> None:
        before = scene.house.ledger.reader.head().position
        with pytest.raises(IneligibleError):
            scene.submit(service="CRM-01", relationship=Relationship.FIRST_DEGREE)
        assert scene.house.ledger.reader.head().position == before + 1
        attempt = json.loads(scene.attempts()[-1].body)["data"]
        assert attempt["code"] == "ineligible"
        assert scene.house.ledger.find(ServiceRequest, UUID(attempt["target"])) is None


class TestVersions:
    def test_a_change_says_what_it_was_made_on(self, scene: Scene) -> None:
        request_id = scene.assigned()
        with pytest.raises(PreconditionRequiredError):
            scene.requests.inform(
                InformCitizen(
                    request_id=request_id, message=Message.READY, means=Means.SMS
                ),
                envelope(CLERK, "message"),
            )

    def test_a_stale_page_is_told_the_version_now(self, scene: Scene) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "response")
        scene.pay(request_id)
        with pytest.raises(StaleVersionError) as caught:
            scene.requests.inform(
                InformCitizen(
                    request_id=request_id, message=Message.READY, means=Means.SMS
                ),
                env,
            )
        assert caught.value.current == scene.get(request_id).etag_version
        assert not scene.attempts()

    def test_bookkeeping_stales_nobodys_page(self, scene: Scene) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, SUPERVISOR, "assignment")
        scene.requests.inform(
            InformCitizen(
                request_id=request_id, message=Message.ACCEPTED, means=Means.SMS
            ),
            scene.seen(request_id, CLERK, "message"),
        )
        done = scene.requests.assign(
            AssignRequest(request_id=request_id, clerk="clk-DI-2"), env
        )
        assert done.last_position is not None


class TestScope:
    def test_a_foreign_request_does_not_exist(self, scene: Scene) -> None:
        request_id = scene.assigned()
        with pytest.raises(NotFoundError):
            scene.requests.get(request_id, FOREIGN_CLERK)
        with pytest.raises(NotFoundError):
            scene.pay(request_id, FOREIGN_CLERK)
        assert not scene.attempts()

    @pytest.mark.parametrize("who", [AGENCY, POST])
    def test_what_has_not_reached_them_is_not_theirs(
        self, scene: Scene, who: Principal
    ) -> None:
        request_id = scene.assigned(service="CIV-06")
        with pytest.raises(NotFoundError):
            scene.requests.get(request_id, who)

    def test_a_role_may_not_do_anothers_act(self, scene: Scene) -> None:
        request_id = scene.assigned()
        with pytest.raises(RoleForbiddenError):
            scene.pay(request_id, AUDITOR)
        with pytest.raises(RoleForbiddenError):
            scene.requests.parties(request_id, AUDITOR)

    def test_a_clerk_takes_requests_at_the_own_centre_only(self, scene: Scene) -> None:
        with pytest.raises(NotFoundError):
            scene.submit(centre="SY-HL-01")

    @pytest.mark.parametrize(
        "change",
        [
            {"channel": Channel.ONLINE},
            {"accept_now": True, "decline_reason": Declined.INELIGIBLE},
            {"channel": Channel.PHONE},
            {"documents": ("no-such-paper",)},
            {"applicant": None},
            {"missing": ("id-card",)},
        ],
    )
    def test_what_does_not_fit_together_is_refused(
        self, scene: Scene, change: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidValueError):
            scene.submit(**change)

    def test_what_is_not_offered_cannot_be_asked_for(self, scene: Scene) -> None:
        with pytest.raises(ServiceNotOfferedError):
            scene.submit(service="XXX-99")


class TestRefusedAttempts:
    @pytest.mark.parametrize(
        ("attempt", "error", "code"),
        [
            (
                lambda s, r: s.stamp(r, "ختم-HL-000001"),
                UnknownStampError,
                "unknown-stamp",
            ),
            (lambda s, r: s.mail(r), WrongStateError, "stamp-required"),
            (
                lambda s, r: s.respond(r),
                WrongStateError,
                "wrong-state",
            ),
            (
                lambda s, r: s.stamp(r, principal=OTHER_CLERK),
                HeldByAnotherError,
                "held-by-another",
            ),
        ],
    )
    def test_a_broken_rule_is_recorded_and_moves_nothing(
        self,
        scene: Scene,
        attempt: Callable[[Scene, Any], None],
        error: type[Exception],
        code: str,
    ) -> None:
        request_id = scene.assigned()
        scene.pay(request_id)
        scene.respond(request_id)
        before = scene.entries(request_id)
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- checked below
            attempt(scene, request_id)
        assert getattr(caught.value, "code", None) == code
        assert error is WrongStateError or isinstance(caught.value, error)
        assert scene.entries(request_id) == before
        (refused,) = scene.attempts()
        body = json.loads(refused.body)
        assert body["data"]["target"] == str(request_id)
        assert body["data"]["code"] == code
        assert body["data"]["target_version"] == before[-1].version
        assert refused.aggregate_id != request_id

    def test_an_attempt_stands_in_its_targets_trail(self, scene: Scene) -> None:
        request_id = scene.assigned()
        with pytest.raises(HeldByAnotherError):
            scene.pay(request_id, OTHER_CLERK)
        scene.level()
        trail = scene.house.queries.trail.page(subject=request_id).items
        assert trail[-1].topic == "sijil.attempt.refused.v1"


class TestTwoTimes:
    def test_yesterdays_work_is_recorded_today(self, scene: Scene) -> None:
        yesterday = scene.clock() - timedelta(days=1)
        done = scene.requests.submit(
            submission(), envelope(CLERK, effective_at=yesterday)
        )
        assert scene.get(done.aggregate_id).created_on == yesterday

    def test_tomorrow_is_refused(self, scene: Scene) -> None:
        with pytest.raises(EffectiveTimeError) as caught:
            scene.requests.submit(
                submission(),
                envelope(CLERK, effective_at=scene.clock() + timedelta(days=1)),
            )
        assert caught.value.reason == "in-the-future"

    def test_beyond_the_bound_a_supervisor_must_approve(self, scene: Scene) -> None:
        long_ago = scene.clock() - timedelta(days=8)
        with pytest.raises(EffectiveTimeError):
            scene.requests.submit(
                submission(),
                envelope(CLERK, effective_at=long_ago, approved_by="sup-DI"),
            )
        done = scene.requests.submit(
            submission(),
            envelope(SUPERVISOR, effective_at=long_ago, approved_by="sup-DI"),
        )
        (first, *_) = scene.entries(done.aggregate_id)
        assert json.loads(first.body)["approved_by"] == "sup-DI"

    def test_assignment_bars_nobodys_backdated_work(self, scene: Scene) -> None:
        at = scene.clock() - timedelta(hours=3)
        done = scene.requests.submit(submission(), envelope(CLERK, effective_at=at))
        scene.level()
        env = scene.seen(
            done.aggregate_id,
            CLERK,
            "payment",
            effective_at=at + timedelta(minutes=5),
        )
        command = PayFee(
            request_id=done.aggregate_id,
            token=1,
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
        )
        assert scene.requests.pay(command, env).last_position is not None


class TestPersons:
    def test_no_value_of_a_person_is_stored_or_said_in_clear(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        request_id = scene.mailed()
        with pytest.raises(HeldByAnotherError):
            scene.respond(scene.assigned(), OTHER_CLERK)
        scene.level()
        stored = scene.stored_bytes()
        said = "".join(capsys.readouterr())
        assert str(request_id).encode() in stored
        for value in (
            MARKED_NAME,
            MARKED_NUMBER,
            MARKED_PHONE,
            MARKED_ADDRESS,
            MARKED_PHONE.removeprefix("+963"),
        ):
            assert not stands_in(stored, value)
            assert value not in said

    def test_staff_read_what_was_told(self, scene: Scene) -> None:
        request_id = scene.assigned()
        (details,) = scene.requests.parties(request_id, CLERK).values()
        assert details == PERSON

    def test_two_requests_of_one_person_share_no_party(self, scene: Scene) -> None:
        first, second = scene.submit(), scene.submit()
        parties = [
            {party.id for party in scene.get(request_id).parties}
            for request_id in (first, second)
        ]
        assert not parties[0] & parties[1]
        found = scene.house.vault.find_parties("national_number", MARKED_NUMBER)
        assert set(found) == parties[0] | parties[1]

    def test_a_party_that_no_event_named_is_swept(self, scene: Scene) -> None:
        from office.sweeping import sweep_parties

        kept = scene.submit()
        lost = uuid4()
        scene.house.vault.open_party(
            party_id=lost, request_id=uuid4(), role=PartyRole.APPLICANT, details=PERSON
        )
        swept = sweep_parties(
            scene.house.ledger, scene.house.vault, older_than=timedelta(0)
        )
        assert swept == 1
        assert scene.house.vault.unnamed(older_than=timedelta(0)) == {}
        assert scene.house.vault.details(lost) is None
        assert scene.requests.parties(kept, CLERK)

    def test_a_ledger_from_a_backup_sweeps_nobody(self, scene: Scene) -> None:
        from office.sweeping import sweep_parties

        lost = uuid4()
        scene.house.vault.open_party(
            party_id=lost,
            request_id=uuid4(),
            role=PartyRole.APPLICANT,
            details=PERSON,
        )
        with scene.database.datastore("owner").transaction() as cursor:
            cursor.execute("SELECT suspend()")
        house = scene.house
        assert sweep_parties(house.ledger, house.vault, older_than=timedelta(0)) == 0
        assert house.vault.details(lost) == PERSON

    def test_a_citizen_claims_no_earlier_time(self, scene: Scene) -> None:
        with pytest.raises(InvalidValueError):
            scene.requests.submit(
                submission(channel=Channel.ONLINE, centre=CENTRE, accept_now=False),
                envelope(CITIZEN, effective_at=scene.clock() - timedelta(hours=1)),
            )

    def test_a_bank_pays_what_is_due(self, scene: Scene) -> None:
        request_id = scene.assigned()
        scene.requests.pay(
            PayFee(
                request_id=request_id,
                token=None,
                channel=PaymentChannel.BANK,
                amount=3000,
                unit=Unit.NEW,
                bank_reference="B-1",
            ),
            scene.seen(request_id, BANK, "payment"),
        )
        assert not scene.get(request_id).is_fee_outstanding


class TestAskingAgain:
    def test_a_new_request_names_a_refused_one_and_only_the_vault_knows(
        self, scene: Scene
    ) -> None:
        refused = scene.assigned(service="CIV-06")
        scene.pay(refused)
        scene.forward(refused)
        scene.respond(refused, AGENCY, Answer.REFUSED)
        scene.tell(refused)
        again = scene.submit(service="CIV-06", asks_again=refused)
        assert scene.requests.refused_before(again) == refused
        for entry in scene.entries(again):
            assert str(refused).encode() not in entry.body

    def test_only_what_was_refused_for_the_same_service_is_asked_again(
        self, scene: Scene
    ) -> None:
        waiting = scene.submit(service="CIV-06")
        with pytest.raises(WrongStateError):
            scene.submit(service="CIV-06", asks_again=waiting)
        with pytest.raises(NotFoundError):
            scene.submit(service="CIV-06", asks_again=uuid4())
