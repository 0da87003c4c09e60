"""Telling: what is told of, who is reached, and that nothing of a person is left."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from domain.access import Principal
from domain.acts import MINISTRY, ActorKind
from domain.persons import PersonDetails
from domain.requests import (
    Answer,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Means,
    PartyRole,
    ReturnedBecause,
    WithdrawnBecause,
)
from ledger.names import Role
from office.commands import (
    BringBack,
    CorrectRequest,
    ExpireRequest,
    MailDocument,
    Message,
    RequestInformation,
    WithdrawRequest,
)
from office.couriers import Courier
from office.messages import CAUSES
from office.runner import run
from office.telling import NAME, command_id_of
from tests.docs.test_reference import first_column
from tests.office.mail_servers import Inbox, mail, mail_server
from tests.office.scene import (
    CLERK,
    ITEM,
    MARKED_ADDRESS,
    MARKED_NAME,
    MARKED_NUMBER,
    MARKED_PHONE,
    PERSON,
    POST,
    Scene,
    envelope,
)
from tests.office.telling import INFORMED, MARKED_EMAIL, NO_PAUSE, Box, Office
from tests.office.test_assignment import CITIZEN, ONLINE
from tests.office.test_runner import wait_until

SECOND_ITEM = "RA473124832GB"


class TestWhatIsTold:
    def test_acceptance_is_told_and_recorded_as_an_act_of_the_system(
        self, told: Office
    ) -> None:
        request_id = told.scene.submit()
        told.tell()
        (letter,) = told.box.letters
        (entry,) = told.informed(request_id)
        body = json.loads(entry.body)
        accepted = told.scene.entries(request_id)[1]
        cause = json.loads(accepted.body)
        at = datetime.fromisoformat(cause["effective_at"])
        assert body["actor"] == {"kind": "system", "id": NAME, "place": MINISTRY}
        assert body["data"] == {"message": "accepted", "means": "sms"}
        assert body["effective_at"] == cause["effective_at"]
        assert body["causation_id"] == accepted.key
        assert body["command_id"] == str(letter.id)
        assert letter.id == command_id_of(request_id, 2, Message.ACCEPTED, at)
        assert letter.to == MARKED_PHONE
        assert told.scene.get(request_id).tracking_number in letter.text
        assert told.states() == {"told": 1}

    def test_it_stales_nobodys_page(self, told: Office) -> None:
        request_id = told.scene.submit()
        before = told.scene.get(request_id).etag_version
        told.tell()
        assert told.scene.get(request_id).etag_version == before

    def test_a_posted_paper_is_told_when_it_is_mailed_with_its_number(
        self, told: Office
    ) -> None:
        request_id = told.scene.mailed()
        told.tell()
        assert told.box.messages == ["accepted", "mailed"]
        assert ITEM in told.box.letters[1].text
        assert len(told.informed(request_id)) == 2

    def test_a_paper_for_the_counter_is_told_once_it_is_stamped(
        self, told: Office
    ) -> None:
        request_id = told.scene.assigned(delivery=Delivery.COUNTER)
        told.scene.pay(request_id)
        told.scene.respond(request_id)
        told.tell()
        assert told.box.messages == ["accepted"]
        told.scene.stamp(request_id)
        told.tell()
        assert told.box.messages == ["accepted", "ready"]

    def test_a_refusal_is_told_without_its_reason(self, told: Office) -> None:
        request_id = told.scene.assigned()
        told.scene.pay(request_id)
        told.scene.respond(request_id, outcome=Answer.REFUSED)
        told.tell()
        assert told.box.messages == ["accepted", "refused"]
        assert "no-record" not in told.box.letters[1].text

    def test_a_request_that_was_not_accepted_is_told(self, told: Office) -> None:
        told.scene.submit(accept_now=False, decline_reason=Declined.INELIGIBLE)
        told.tell()
        assert told.box.messages == ["not_accepted"]

    def test_what_waits_is_not_told_of(self, told: Office) -> None:
        told.scene.submit(CITIZEN, **ONLINE)
        told.tell()
        assert not told.box.letters

    def test_missing_information_is_told_without_saying_which(
        self, told: Office
    ) -> None:
        scene = told.scene
        request_id = scene.assigned()
        scene.requests.request_information(
            RequestInformation(
                request_id=request_id,
                token=scene.get(request_id).token,
                missing=("id-card",),
            ),
            scene.seen(request_id, CLERK, "information-request"),
        )
        told.tell()
        assert told.box.messages == ["accepted", "missing_information"]
        assert "id-card" not in told.box.letters[1].text

    def test_a_withdrawal_is_confirmed(self, told: Office) -> None:
        scene = told.scene
        request_id = scene.assigned()
        scene.requests.withdraw(
            WithdrawRequest(
                request_id=request_id, reason=WithdrawnBecause.NO_REASON_GIVEN
            ),
            scene.seen(request_id, CLERK, "withdrawal"),
        )
        told.tell()
        assert told.box.messages == ["accepted", "withdrawn"]

    def test_an_item_that_came_back_is_told_and_so_is_its_second_mailing(
        self, told: Office
    ) -> None:
        scene = told.scene
        request_id = scene.mailed()
        scene.requests.bring_back(
            BringBack(
                request_id=request_id,
                item=ITEM,
                reason=ReturnedBecause.RECEIVER_ABSENT,
            ),
            scene.seen(request_id, POST, "return"),
        )
        told.tell()
        assert told.box.messages == ["accepted", "mailed", "returned"]
        scene.requests.mail(
            MailDocument(
                request_id=request_id,
                token=scene.get(request_id).token,
                item=SECOND_ITEM,
                to=Delivery.HOME,
            ),
            scene.seen(request_id, CLERK, "mailing"),
        )
        told.tell()
        assert told.box.messages[3:] == ["mailed"]
        assert ITEM in told.box.letters[1].text
        assert SECOND_ITEM in told.box.letters[3].text

    def test_an_expiry_by_the_system_is_told(self, told: Office) -> None:
        scene = told.scene
        request_id = scene.assigned()
        due_at = scene.get(request_id).payment_due_at
        assert due_at is not None
        told.tell()
        scene.now = due_at + timedelta(minutes=1)
        system = Principal(role=ActorKind.SYSTEM, id="timers")
        scene.requests.expire(
            ExpireRequest(request_id=request_id, due_at=due_at),
            envelope(system, "system/timers", effective_at=due_at),
        )
        # Recorded now by the ledger's clock, which no test can move.
        scene.now = datetime.now(UTC)
        told.tell()
        assert told.box.messages == ["accepted", "expired"]

    def test_whoever_was_told_the_refusal_meanwhile_is_not_told_again(
        self, told: Office
    ) -> None:
        request_id = told.scene.assigned()
        told.scene.pay(request_id)
        told.scene.respond(request_id, outcome=Answer.REFUSED)
        told.scene.tell(request_id)
        told.tell()
        assert told.box.messages == ["accepted"]
        assert told.states() == {"told": 1, "overtaken": 1}

    def test_every_cause_is_a_topic_that_is_written(self) -> None:
        assert set(CAUSES) <= first_column("topics.md")


class TestWhoIsReached:
    def reach(self, told: Office, *couriers: Courier, **person: Any) -> None:
        told.begin_anew(*couriers)
        told.scene.submit(applicant=PersonDetails(**{**base(), **person}))
        told.tell()

    def test_the_first_courier_that_can_reach_somebody_does(self, told: Office) -> None:
        sms, mails = Box(Means.SMS), Box(Means.EMAIL)
        self.reach(told, sms, mails, phone=MARKED_PHONE, email=MARKED_EMAIL)
        self.reach(told, sms, mails, email=MARKED_EMAIL)
        assert [letter.to for letter in sms.letters] == [MARKED_PHONE]
        assert [letter.to for letter in mails.letters] == [MARKED_EMAIL]
        means = [json.loads(e.body)["data"]["means"] for e in told.informed()]
        assert means == ["sms", "email"]
        # A telephone gets the short words.
        assert len(sms.letters[0].text) < len(mails.letters[0].text)

    def test_a_number_that_is_no_mobiles_gets_no_sms(self, told: Office) -> None:
        sms = Box(Means.SMS)
        self.reach(told, sms, phone="+963112345678")
        self.reach(told, sms, phone="+4915112345678")
        assert [letter.to for letter in sms.letters] == ["+4915112345678"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            (CorrectedField.PHONE, "+963944000111"),
            (CorrectedField.EMAIL, "corrected@example.org"),
        ],
    )
    def test_what_was_corrected_since_is_where_a_message_goes(
        self, told: Office, field: CorrectedField, value: str
    ) -> None:
        scene = told.scene
        carries = Means.SMS if field is CorrectedField.PHONE else Means.EMAIL
        box = Box(carries)
        told.begin_anew(box)
        request_id = scene.submit(applicant=replace(PERSON, email=MARKED_EMAIL))
        scene.level()
        scene.requests.correct(
            CorrectRequest(
                request_id=request_id,
                field=field,
                reason=CorrectedBecause.CHANGED_SINCE,
                party=PartyRole.APPLICANT,
                value=value,
            ),
            scene.seen(request_id, CLERK, "correction"),
        )
        told.tell()
        assert [letter.to for letter in box.letters] == [value]

    def test_the_spool_takes_a_letter_for_the_post_too(self, told: Office) -> None:
        self.reach(told, told.box, address=MARKED_ADDRESS)
        assert told.box.letters[0].to == f"{MARKED_NAME}\n{MARKED_ADDRESS}"
        assert told.box.letters[0].means is Means.POST

    def test_who_cannot_be_reached_is_counted_and_not_recorded_as_informed(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.reach(told, told.box)
        assert not told.informed()
        assert told.states() == {"unreachable": 1}
        assert "telling.unreachable" in "".join(capsys.readouterr())
        told.tell()
        assert told.box.attempts == 0

    def test_a_person_who_was_erased_is_not_reached(self, told: Office) -> None:
        request_id = told.scene.submit()
        (party,) = told.scene.get(request_id).parties
        with told.scene.database.datastore(Role.VAULT).transaction() as cursor:
            cursor.execute(
                "SELECT person_id::text FROM parties WHERE id = %s::uuid",
                (str(party.id),),
            )
            row = cursor.fetchone()
            assert row is not None
        told.scene.house.vault.erase_person(UUID(row[0]), party.id)
        told.tell()
        assert told.states() == {"unreachable": 1}


def base() -> dict[str, str]:
    return {"full_name": MARKED_NAME, "national_number": MARKED_NUMBER}


class TestTheRunner:
    def test_a_runner_tells_by_the_spool_without_anybodys_hand(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        spool = tmp_path / "spool"
        monkeypatch.setenv("SIJIL_SPOOL", str(spool))
        stop = Event()
        thread = threading.Thread(target=run, args=(scene.house, stop))
        thread.start()
        try:
            tracked = scene.house.ledger.process_recorder.max_tracking_id
            wait_until(lambda: tracked(NAME) is not None)
            request_id = scene.submit()
            wait_until(lambda: any(e.topic == INFORMED for e in scene.entries()))
            wait_until(lambda: scene.get(request_id).clerk == "clk-DI-1")
        finally:
            stop.set()
            thread.join()
        (path,) = spool.iterdir()
        assert json.loads(path.read_text("utf-8"))["to"] == MARKED_PHONE


class TestNothingOfAPerson:
    def test_is_in_the_log_the_ledger_or_the_outbox_whatever_a_server_says(
        self, told: Office, capfd: pytest.CaptureFixture[str]
    ) -> None:
        inbox = Inbox()
        inbox.rcpt_answer = f"550 {{0}} {MARKED_NAME} {MARKED_PHONE}"
        with mail_server(inbox) as port:
            told.begin_anew(mail(port), pauses=NO_PAUSE)
            told.scene.submit(applicant=replace(PERSON, email=MARKED_EMAIL, phone=None))
            told.tell()
            inbox.rcpt_answer = None
            inbox.data_answer = f"451 {{0}} {MARKED_NAME}"
            told.scene.submit(applicant=replace(PERSON, email=MARKED_EMAIL, phone=None))
            told.tell()
        assert told.states() == {"given_up": 1, "waiting": 1}
        said = "".join(capfd.readouterr())
        assert "smtp-550" in said
        assert "smtp-451" in said
        stored = told.scene.stored_bytes()
        for marked in (MARKED_NAME, MARKED_EMAIL, MARKED_PHONE, MARKED_NUMBER):
            assert marked not in said
            assert marked.encode() not in stored

    def test_a_message_names_its_address_and_nothing_else_of_the_person(
        self, told: Office
    ) -> None:
        told.scene.mailed()
        told.tell()
        for letter in told.box.letters:
            for marked in (MARKED_NAME, MARKED_NUMBER, MARKED_ADDRESS, MARKED_PHONE):
                assert marked not in letter.text + letter.subject + letter.message
