"""The readings of decision 0013 that only the office can show."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    DocumentsMissingError,
    InvalidValueError,
    UnknownStampError,
)
from domain.money import Unit, total
from domain.requests import Answer, Channel, MissingFact, PaymentChannel
from domain.services import Offer, Service
from domain.stamps import StampWithdrawnBecause
from office.acts import Envelope
from office.catalogue_commands import IssueStamp, PublishService, WithdrawStamp
from office.commands import (
    AcceptRequest,
    PayFee,
    RecordResponse,
    RequestInformation,
    StampDocument,
)
from office.seeding import SEEDED_AT
from tests.office.scene import CLERK, DIGEST, STAMP, Scene, envelope, submission

ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")


def publish_anew(scene: Scene, code: str, **changes: object) -> None:
    service = scene.house.ledger.find(Service, Service.id_of(code))
    assert service is not None
    said = {each.name: getattr(service.published, each.name) for each in fields(Offer)}
    scene.house.catalogue.publish_service(
        PublishService(offer=Offer(**{**said, **changes})),
        envelope(ADMINISTRATOR, if_version=service.etag_version),
    )


class TestWhatWasInForce:
    def test_a_backdated_acceptance_goes_by_the_service_of_its_time(
        self, scene: Scene
    ) -> None:
        at = scene.clock() - timedelta(hours=2)
        done = scene.requests.submit(
            submission(channel=Channel.PHONE, accept_now=False),
            envelope(CLERK, effective_at=at),
        )
        scene.level()
        before = scene.house.ledger.find(Service, Service.id_of("CIV-01"))
        assert before is not None
        publish_anew(scene, "CIV-01", completion_days=99)
        scene.requests.accept(
            AcceptRequest(
                request_id=done.aggregate_id, token=1, documents=("id-card",)
            ),
            scene.seen(
                done.aggregate_id,
                CLERK,
                "acceptance",
                effective_at=at + timedelta(minutes=5),
            ),
        )
        old = scene.get(done.aggregate_id).terms
        new = scene.get(scene.submit()).terms
        assert old is not None
        assert new is not None
        assert old.service_version == before.version
        assert (old.completion_days, new.completion_days) == (
            before.published.completion_days,
            99,
        )

    def test_a_stamp_is_good_for_the_days_before_it_was_withdrawn(
        self, scene: Scene
    ) -> None:
        # Not a day: the minutes after it are today's when midnight is near.
        before = scene.clock() - timedelta(days=2)
        request_id = scene.requests.submit(
            submission(), envelope(CLERK, effective_at=before)
        ).aggregate_id
        scene.level()
        todays = scene.assigned()
        scene.pay(todays)
        scene.respond(todays)
        scene.house.catalogue.withdraw_stamp(
            WithdrawStamp(serial=STAMP, reason=StampWithdrawnBecause.LOST),
            envelope(ADMINISTRATOR, if_version=1),
        )

        def seen(minutes: int) -> Envelope:
            at = before + timedelta(minutes=minutes)
            return scene.seen(request_id, CLERK, "act", effective_at=at)

        fee = scene.get(request_id).terms
        assert fee is not None
        scene.requests.pay(
            PayFee(
                request_id=request_id,
                token=1,
                channel=PaymentChannel.CASH,
                amount=sum(line.amount for line in fee.fee_lines),
                unit=Unit.NEW,
            ),
            seen(5),
        )
        scene.requests.respond(
            RecordResponse(request_id=request_id, token=1, outcome=Answer.ISSUED),
            seen(6),
        )
        scene.requests.stamp(
            StampDocument(
                request_id=request_id, token=1, serial=STAMP, stamped_digest=DIGEST
            ),
            seen(7),
        )
        assert scene.get(request_id).stamp_serial == STAMP
        with pytest.raises(UnknownStampError):
            scene.stamp(todays)


class TestWhatIsImported:
    def test_it_was_stamped_before_the_stamp_stood_in_our_register(
        self, scene: Scene
    ) -> None:
        importer = replace(CLERK, role=ActorKind.IMPORT, id="old-system")
        serial = "ختم-DI-000077"
        scene.house.catalogue.issue_stamp(
            IssueStamp(serial=serial, centre=str(CLERK.centre)), envelope(ADMINISTRATOR)
        )

        def then() -> Envelope:
            return envelope(importer, effective_at=SEEDED_AT + timedelta(days=9))

        request_id = scene.requests.submit(
            submission(centre=CLERK.centre), then()
        ).aggregate_id
        terms = scene.get(request_id).terms
        assert terms is not None
        amount, unit = total(terms.fee_lines)
        scene.requests.pay(
            PayFee(
                request_id=request_id,
                token=None,
                channel=PaymentChannel.CASH,
                amount=amount,
                unit=unit,
            ),
            then(),
        )
        scene.requests.respond(
            RecordResponse(request_id=request_id, token=None, outcome=Answer.ISSUED),
            then(),
        )
        scene.requests.stamp(
            StampDocument(
                request_id=request_id,
                token=None,
                serial=serial,
                stamped_digest=DIGEST,
            ),
            then(),
        )
        assert scene.get(request_id).stamp_serial == serial


class TestWhatMayBeAsked:
    def test_a_document_of_the_service_or_one_of_the_known_facts(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        scene.requests.request_information(
            RequestInformation(
                request_id=request_id,
                token=1,
                missing=("id-card", MissingFact.MOTHER_NAME),
            ),
            scene.seen(request_id, CLERK, "information-requests"),
        )
        assert scene.get(request_id).information_asked == ("id-card", "mother_name")

    def test_no_word_of_ones_own(self, scene: Scene) -> None:
        request_id = scene.assigned()
        before = scene.entries(request_id)
        with pytest.raises(InvalidValueError):
            scene.requests.request_information(
                RequestInformation(
                    request_id=request_id, token=1, missing=("اسم الأم مريم",)
                ),
                scene.seen(request_id, CLERK, "information-requests"),
            )
        assert scene.entries(request_id) == before


class TestACountersRefusedSubmission:
    def test_it_is_recorded_on_the_request_that_the_same_command_then_makes(
        self, scene: Scene
    ) -> None:
        command_id = uuid4()
        with pytest.raises(DocumentsMissingError):
            scene.requests.submit(
                submission(documents=()), envelope(CLERK, command_id=command_id)
            )
        (attempt,) = scene.attempts()
        told = json.loads(attempt.body)["data"]
        assert (told["code"], told["target_version"]) == ("documents-missing", 0)
        # Only success uses an id up.
        done = scene.requests.submit(
            submission(), envelope(CLERK, command_id=command_id)
        )
        assert told["target"] == str(done.aggregate_id)
