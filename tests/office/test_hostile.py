"""What a hostile reviewer broke: each was possible once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    EffectiveTimeError,
    InvalidValueError,
    NotFoundError,
    ServiceNotOfferedError,
)
from domain.money import LARGEST_INTEGER, FeeKind, FeeLine, Unit
from domain.requests import Answer, Channel
from domain.services import Document, Offer, Service
from domain.stages import Stage
from office.catalogue_commands import PublishService
from office.commands import RecordResponse
from office.errors import CommandReusedError
from office.moving import MoveWork
from tests.domain.office import service
from tests.office.scene import (
    AGENCY,
    CENTRE,
    CLERK,
    SUPERVISOR,
    Scene,
    envelope,
    submission,
)

ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")


def offer(**changes: Any) -> Offer:
    said = service().published
    facts = {name: getattr(said, name) for name in Offer.__dataclass_fields__}
    return Offer(**{**facts, **changes})


def publish(scene: Scene, said: Offer, *, ago: timedelta) -> None:
    known = scene.house.ledger.find(Service, Service.id_of(said.code))
    scene.house.catalogue.publish_service(
        PublishService(offer=said),
        envelope(
            ADMINISTRATOR,
            "POST /v1/services",
            if_version=None if known is None else known.etag_version,
            effective_at=scene.clock() - ago,
        ),
    )


def refused(scene: Scene) -> UUID:
    request_id = scene.assigned(service="CIV-06")
    scene.pay(request_id)
    scene.forward(request_id)
    scene.respond(request_id, AGENCY, Answer.REFUSED)
    scene.tell(request_id)
    return request_id


class TestAskingAgain:
    def test_a_citizen_learns_nothing_of_others_requests_by_asking_again(
        self, scene: Scene
    ) -> None:
        citizen = Principal(role=ActorKind.CITIZEN, id="subject-1")
        theirs = {"refused": refused(scene), "open": scene.submit(service="CIV-06")}
        for foreign in (*theirs.values(), uuid4()):
            with pytest.raises(NotFoundError):
                scene.submit(
                    citizen,
                    service="CIV-06",
                    centre=CENTRE,
                    channel=Channel.ONLINE,
                    accept_now=False,
                    asks_again=foreign,
                )
        assert scene.attempts() == []


class TestRulesOfTheDay:
    """A backdated act is judged by what was in force then, codes of documents too."""

    def test_documents_are_those_of_the_day_the_act_is_dated(
        self, scene: Scene
    ) -> None:
        before = (Document(code="old-form", name_ar="قديم", name_en="Old"),)
        after = (Document(code="new-form", name_ar="جديد", name_en="New"),)
        publish(scene, offer(code="NEW-01", documents=before), ago=timedelta(days=4))
        publish(scene, offer(code="NEW-01", documents=after), ago=timedelta(days=1))

        def submit(documents: tuple[str, ...], ago: timedelta) -> UUID:
            sent = envelope(CLERK, effective_at=scene.clock() - ago)
            said = submission(service="NEW-01", documents=documents)
            return scene.requests.submit(said, sent).aggregate_id

        made = submit(("old-form",), timedelta(days=2))
        assert scene.get(made).stage is Stage.IN_PROGRESS
        with pytest.raises(InvalidValueError):
            submit(("new-form",), timedelta(days=2))
        assert scene.get(submit(("new-form",), timedelta(0))).stage is not None

    def test_nothing_is_asked_for_before_it_was_offered(self, scene: Scene) -> None:
        publish(scene, offer(code="NEW-01"), ago=timedelta(days=1))
        said = submission(service="NEW-01", accept_now=False)
        for ago, is_offered in ((timedelta(days=2), False), (timedelta(0), True)):
            sent = envelope(CLERK, effective_at=scene.clock() - ago)
            if is_offered:
                scene.requests.submit(said, sent)
                continue
            with pytest.raises(ServiceNotOfferedError):
                scene.requests.submit(said, sent)


class TestReportsFromOutside:
    """They are clamped to what happened before, and no supervisor is out there."""

    def respond(self, scene: Scene, request_id: UUID, ago: timedelta) -> None:
        command = RecordResponse(
            request_id=request_id, token=None, outcome=Answer.ISSUED
        )
        seen = scene.seen(request_id, AGENCY, "response")
        scene.requests.respond(command, replace(seen, effective_at=scene.clock() - ago))

    def test_a_claim_beyond_the_bound_counts_as_what_it_is_clamped_to(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned(service="CIV-06")
        scene.pay(request_id)
        scene.forward(request_id)
        forwarded_at = scene.get(request_id).modified_on
        self.respond(scene, request_id, timedelta(days=9))
        found = scene.get(request_id)
        assert found.answer is Answer.ISSUED
        assert found.modified_on == forwarded_at

    def test_what_is_still_too_long_ago_is_for_a_clerk_to_record(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned(service="CIV-06")
        scene.pay(request_id)
        scene.forward(request_id)
        scene.now += timedelta(days=20)
        with pytest.raises(EffectiveTimeError):
            self.respond(scene, request_id, timedelta(days=9))


class TestMoving:
    def test_the_id_of_a_move_means_no_other_move_also_when_nothing_is_left(
        self, scene: Scene
    ) -> None:
        scene.assigned()
        sent = envelope(SUPERVISOR, "POST /v1/clerks/{code}/moves")
        move = MoveWork(clerk="clk-DI-1", to="clk-DI-2")
        assert len(scene.house.moving.move(move, sent).moved) == 1
        scene.level()
        assert scene.house.moving.move(move, sent).moved == ()
        with pytest.raises(CommandReusedError):
            scene.house.moving.move(replace(move, to="clk-DI-3"), sent)
        other = replace(SUPERVISOR, id="sup-DI-2")
        with pytest.raises(CommandReusedError):
            scene.house.moving.move(move, replace(sent, principal=other))


class TestWhatIsOffered:
    def test_a_fee_that_nobody_could_pay_is_not_offered(self) -> None:
        lines = tuple(
            FeeLine(kind=kind, amount=LARGEST_INTEGER, unit=Unit.NEW)
            for kind in FeeKind
        )
        with pytest.raises(InvalidValueError):
            offer(fee_lines=lines)

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("\u202eخدمة", id="direction overridden"),
            pytest.param("خدمة\u2067", id="direction isolated"),
            pytest.param("خد\u200bمة", id="space of no width"),
            pytest.param("خدمة\ufeff", id="byte order mark"),
            pytest.param("\u200f\u200f", id="marks only"),
        ],
    )
    def test_no_name_reads_as_what_it_is_not(self, name: str) -> None:
        with pytest.raises(InvalidValueError):
            offer(name_ar=name)

    def test_marks_that_good_arabic_needs_are_kept(self) -> None:
        assert offer(name_ar="خدمة \u200e(A4)\u200e").name_ar.startswith("خدمة")


class TestOfficers:
    """Bound to a governorate exactly where the agency exists once in each."""

    @pytest.mark.parametrize(
        ("agency", "told", "bound"),
        [
            ("CIV", "SY-DI", "SY-DI"),
            ("CIV", None, ""),
            ("EDU", "SY-HL", None),
            ("EDU", None, None),
            ("NOBODY", None, None),
        ],
    )
    def test_a_login_is_bound_as_its_agency_was_published(
        self, scene: Scene, agency: str, told: str | None, bound: str | None
    ) -> None:
        login = replace(AGENCY, agency=agency, governorate=told)
        assert scene.house.officer(login).scope.governorate == bound
