"""Telling: once per event, never on replay, and a courier's trouble is its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

import office.telling
from domain.access import Principal
from domain.acts import MINISTRY, ActorKind
from domain.errors import WrongStateError
from domain.persons import PersonDetails
from domain.requests import (
    Answer,
    Channel,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Means,
    PartyRole,
    ReturnedBecause,
    WithdrawnBecause,
)
from ledger.entries import Entry
from ledger.names import Role
from ledger.outbox import OutboxState
from ledger.settings import SettingMissingError
from office.commands import (
    BringBack,
    CorrectRequest,
    ExpireRequest,
    MailDocument,
    Message,
    RequestInformation,
    WithdrawRequest,
)
from office.couriers import Courier, CourierError, Letter
from office.house import House
from office.messages import CAUSES
from office.runner import run
from office.spool import Spool
from office.telling import NAME, PAUSES, Telling, command_id_of
from office.telling_settings import TellingSettings
from tests.docs.test_reference import first_column
from tests.office.scene import (
    CENTRE,
    CLERK,
    ITEM,
    MARKED_ADDRESS,
    MARKED_NAME,
    MARKED_NUMBER,
    MARKED_PHONE,
    PERSON,
    POST,
    Scene,
    days,
    envelope,
    submission,
)
from tests.office.test_assignment import CITIZEN, ONLINE
from tests.office.test_couriers import Inbox, mail, mail_server
from tests.office.test_runner import wait_until

INFORMED = "sijil.request.informed.v1"
MARKED_EMAIL = "marked.citizen@example.org"
FAST = 60_000
SECOND_ITEM = "RA473124832GB"
NO_PAUSE = (timedelta(0), timedelta(0))


class Box:
    """A courier that keeps its letters, and fails as it is told to."""

    name = "box"

    def __init__(self, *carries: Means) -> None:
        self.carries = carries or (Means.SMS, Means.EMAIL, Means.POST)
        self.letters: list[Letter] = []
        self.troubles: list[Exception] = []
        self.attempts = 0

    def send(self, letter: Letter) -> None:
        self.attempts += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.letters.append(letter)

    def sweep(self) -> int:
        return 0

    @property
    def messages(self) -> list[str]:
        return [letter.message for letter in self.letters]


class Office:
    """A scene that tells its citizens by hand."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.box = Box()
        self._tellings: list[Telling] = []
        self.telling = self.another(self.box)
        self.tell()

    def another(
        self,
        *couriers: Courier,
        house: House | None = None,
        pauses: tuple[timedelta, ...] = NO_PAUSE,
    ) -> Telling:
        house = house or self.scene.house
        made = Telling(
            house.ledger,
            house.requests,
            vault=house.vault,
            outbox=house.outbox,
            couriers=couriers,
            clock=self.scene.clock,
            per_minute=FAST,
            pauses=pauses,
        )
        self._tellings.append(made)
        return made

    def tell(self) -> None:
        self.telling.catch_up(Event())

    def begin_anew(self, *couriers: Courier, **more: Any) -> Telling:
        """End this process manager and begin another, as a restart does."""
        self.telling.close()
        self.telling = self.another(*(couriers or (self.box,)), **more)
        return self.telling

    def informed(self, request_id: UUID | None = None) -> list[Entry]:
        return [e for e in self.scene.entries(request_id) if e.topic == INFORMED]

    def states(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.scene.house.outbox.tally():
            found[each.state] = found.get(each.state, 0) + each.count
        return found

    def execute(self, statement: str) -> None:
        with self.scene.database.datastore(Role.VAULT).transaction() as cursor:
            cursor.execute(statement)

    def forget_what_was_followed(self) -> None:
        """As if the tracking came from a backup, at the ledger's beginning."""
        with self.scene.database.datastore(Role.OWNER).transaction() as cursor:
            cursor.execute("UPDATE tracking SET position = 1 WHERE name = %s", (NAME,))

    def close(self) -> None:
        for telling in self._tellings:
            telling.close()


@pytest.fixture
def told(scene: Scene) -> Iterator[Office]:
    made = Office(scene)
    try:
        yield made
    finally:
        made.close()


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


class TestNeverTwice:
    def test_restarts_and_second_runners_tell_nothing_again(self, told: Office) -> None:
        request_id = told.scene.mailed()
        told.tell()
        told.begin_anew()
        told.tell()
        other = told.another(told.box)
        other.catch_up(Event())
        assert told.box.attempts == 2
        assert len(told.informed(request_id)) == 2

    def test_only_one_of_two_runners_has_the_turn(self, told: Office) -> None:
        told.scene.submit()
        other_box = Box()
        other = told.another(other_box)
        other.catch_up(Event())
        assert not other_box.letters
        told.telling.close()
        other.catch_up(Event())
        assert other_box.messages == ["accepted"]

    def test_who_lost_the_connection_lost_the_turn_and_takes_it_again(
        self, told: Office
    ) -> None:
        turn = told.telling._turn
        assert turn.is_ours()
        with told.scene.database.datastore(Role.VAULT).transaction() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND d.datname = current_database()"
            )
        assert not turn.is_ours()
        told.scene.submit()
        told.tell()
        assert told.box.messages == ["accepted"]

    def test_a_tracking_from_a_backup_tells_nothing_again(self, told: Office) -> None:
        told.scene.mailed()
        told.tell()
        told.forget_what_was_followed()
        told.begin_anew()
        told.tell()
        assert told.box.attempts == 2
        assert len(told.informed()) == 2
        assert told.states() == {"told": 2}

    def test_nor_when_the_outbox_was_lost_as_well(self, told: Office) -> None:
        told.scene.mailed()
        told.tell()
        told.forget_what_was_followed()
        told.execute("DELETE FROM outbox")
        told.begin_anew()
        told.tell()
        assert told.box.attempts == 2
        assert len(told.informed()) == 2

    def test_a_ledger_that_lost_the_record_gets_it_again_without_a_message(
        self, told: Office
    ) -> None:
        request_id = told.scene.submit()
        told.tell()
        self.lose_the_last_entry(told)
        assert not told.informed(request_id)
        told.begin_anew()
        told.tell()
        assert told.box.attempts == 1
        assert len(told.informed(request_id)) == 1

    def lose_the_last_entry(self, told: Office) -> None:
        """Make the ledger the earlier one that a backup would have brought back."""
        import psycopg2

        connection = psycopg2.connect(**told.scene.database.superuser_dsn())
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SET search_path = sijil; SET session_replication_role = replica;"
                "DELETE FROM commands WHERE last_position ="
                " (SELECT max(position) FROM events);"
                "DELETE FROM events WHERE position ="
                " (SELECT max(position) FROM events);"
                "UPDATE ledger_head SET position = position - 1;"
                "UPDATE tracking SET position = 1 WHERE name = 'telling'"
            )
        connection.close()

    def test_a_ledger_that_waits_for_its_operator_tells_nobody(
        self, told: Office
    ) -> None:
        told.scene.submit()
        with told.scene.database.datastore(Role.OWNER).transaction() as cursor:
            cursor.execute("UPDATE ledger_head SET is_suspended = true")
        told.tell()
        assert told.box.attempts == 0

    def test_what_happened_before_telling_began_is_not_told(self, scene: Scene) -> None:
        scene.mailed()
        made = Office(scene)
        try:
            made.tell()
            scene.submit()
            made.tell()
            assert made.box.messages == ["accepted"]
        finally:
            made.close()

    def test_what_was_recorded_too_long_ago_is_passed_over_and_counted(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told.scene.submit()
        told.scene.now += days(1) + timedelta(minutes=1)
        told.tell()
        assert not told.box.letters
        said = "".join(capsys.readouterr())
        assert "telling.passed_over" in said

    def test_what_was_dated_back_but_recorded_now_is_told(self, told: Office) -> None:
        at = told.scene.clock() - days(5)
        told.scene.requests.submit(submission(), envelope(CLERK, effective_at=at))
        told.tell()
        assert told.box.messages == ["accepted"]

    def test_imported_history_is_never_told(self, told: Office) -> None:
        importer = replace(CLERK, role=ActorKind.IMPORT, id="old-system")
        told.scene.requests.submit(
            submission(centre=CENTRE, channel=Channel.COUNTER), envelope(importer)
        )
        told.tell()
        assert not told.box.letters
        assert told.states() == {}

    def test_an_office_that_tells_nobody_passes_everything_over(
        self, told: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(office.telling, "_PASS_EVERY_S", 0.0)
        told.telling.close()
        silent = told.another()
        told.scene.submit()
        silent.catch_up(Event())
        silent.close()
        told.begin_anew()
        told.tell()
        assert not told.box.letters


class TestDyingBetween:
    def test_what_had_gone_is_recorded_and_not_sent_again(self, told: Office) -> None:
        request_id = told.scene.submit()
        told.tell()
        (letter,) = told.box.letters
        # Another life in which it had gone when the process ended.
        other = told.scene.submit()
        accepted = told.scene.entries(other)[1]
        at = datetime.fromisoformat(json.loads(accepted.body)["effective_at"])
        gone = command_id_of(other, 2, Message.ACCEPTED, at)
        told.begin_anew(failing := Box())
        failing.troubles.append(CourierError("timeout"))
        told.telling = told.begin_anew(failing, pauses=(timedelta(days=1),))
        told.tell()
        told.scene.house.outbox.sent(gone, means="sms")
        told.begin_anew()
        told.tell()
        assert told.box.letters == [letter]
        assert len(told.informed(other)) == 1
        assert len(told.informed(request_id)) == 1

    def test_an_attempt_that_lost_its_process_is_made_again_under_the_same_id(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Dies(Box):
            def send(self, letter: Letter) -> None:
                super().send(letter)
                raise KeyboardInterrupt

        dying = Dies()
        told.begin_anew(dying)
        told.scene.submit()
        with pytest.raises(KeyboardInterrupt):
            told.tell()
        assert told.states() == {"sending": 1}
        assert not told.informed()
        told.begin_anew()
        told.tell()
        assert [x.id for x in told.box.letters] == [x.id for x in dying.letters]
        assert len(told.informed()) == 1
        assert "telling.interrupted" in "".join(capsys.readouterr())

    def test_a_letter_that_kills_its_process_again_and_again_is_given_up(
        self, told: Office
    ) -> None:
        class Dies(Box):
            def send(self, letter: Letter) -> None:
                raise KeyboardInterrupt

        told.scene.submit()
        for _ in range(len(NO_PAUSE) + 1):
            told.begin_anew(Dies())
            with pytest.raises(KeyboardInterrupt):
                told.tell()
        told.begin_anew()
        told.tell()
        assert told.states() == {"given_up": 1}
        assert told.box.attempts == 0


class TestTrouble:
    def test_a_courier_that_is_down_is_tried_again_and_then_given_up(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told.box.troubles = [CourierError("smtp-451") for _ in range(3)]
        told.scene.submit()
        for attempts in (1, 2, 3, 3):
            told.tell()
            assert told.box.attempts == attempts
        assert told.states() == {"given_up": 1}
        assert not told.informed()
        assert "telling.given_up" in "".join(capsys.readouterr())

    def test_a_final_no_is_not_asked_twice(self, told: Office) -> None:
        told.box.troubles = [CourierError("smtp-550", is_final=True)]
        told.scene.submit()
        told.tell()
        told.tell()
        assert told.box.attempts == 1
        assert told.states() == {"given_up": 1}

    def test_one_poisoned_letter_holds_up_no_other(self, told: Office) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [ValueError(MARKED_PHONE)]
        for _ in range(3):
            told.scene.submit()
        told.tell()
        assert len(told.box.letters) == 2
        assert len(told.informed()) == 2
        (stuck,) = [
            each for each in told.scene.house.outbox.tally() if each.state == "waiting"
        ]
        assert stuck.failure == "unforeseen-valueerror"

    def test_a_message_of_a_later_release_holds_up_no_other(self, told: Office) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout")]
        told.scene.submit()
        told.tell()
        told.execute(
            "UPDATE outbox SET message = 'unheard-of',"
            " next_try_at = clock_timestamp() - interval '1 day'"
        )
        told.scene.submit()
        told.tell()
        assert told.box.messages == ["accepted"]
        assert told.states() == {"given_up": 1, "told": 1}

    def test_a_record_that_a_rule_refuses_holds_up_no_other(
        self, told: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Refusing:
            """Requests whose first word to a citizen breaks a rule."""

            refusals = 1

            def inform(self, *arguments: Any, **more: Any) -> Any:
                if self.refusals:
                    self.refusals -= 1
                    raise WrongStateError(act="inform", stage="waiting", reason="x")
                return told.scene.requests.inform(*arguments, **more)

        told.begin_anew(told.box)
        told.telling._requests = Refusing()  # type: ignore[assignment]
        told.scene.submit()
        told.scene.submit()
        told.tell()
        assert len(told.box.letters) == 2
        assert told.states() == {"sent": 1, "told": 1}
        assert "telling.not_recorded" in "".join(capsys.readouterr())
        told.execute("UPDATE outbox SET next_try_at = clock_timestamp()")
        told.tell()
        assert len(told.box.letters) == 2
        assert told.states() == {"told": 2}

    def test_a_courier_that_is_down_costs_the_others_no_attempt(
        self, told: Office
    ) -> None:
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout", is_down=True)]
        for _ in range(3):
            told.scene.submit()
        told.tell()
        assert told.box.attempts == 1
        told.tell()
        assert told.box.attempts == 1, "nothing was due yet"
        told.execute("UPDATE outbox SET next_try_at = clock_timestamp()")
        told.tell()
        assert len(told.box.letters) == 3

    def test_the_pauses_grow_and_end(self) -> None:
        assert list(PAUSES) == sorted(PAUSES)
        assert timedelta(hours=12) < sum(PAUSES, timedelta()) < timedelta(hours=24)

    def test_its_operator_can_have_it_tried_again(self, told: Office) -> None:
        outbox = told.scene.house.outbox
        told.box.troubles = [CourierError("smtp-550", is_final=True)]
        told.scene.submit()
        told.tell()
        (stuck,) = outbox.stuck(limit=10)
        assert (stuck.state, stuck.failure) == (OutboxState.GIVEN_UP, "smtp-550")
        assert outbox.retry(stuck.id)
        assert not outbox.retry(stuck.id)
        told.tell()
        assert told.states() == {"told": 1}
        assert len(told.informed()) == 1

    def test_what_ended_long_ago_is_swept_and_what_waits_is_not(
        self, told: Office
    ) -> None:
        told.scene.submit()
        told.tell()
        told.begin_anew(told.box, pauses=PAUSES)
        told.box.troubles = [CourierError("timeout")]
        told.scene.submit()
        told.tell()
        told.execute("UPDATE outbox SET changed_at = changed_at - interval '40 days'")
        assert told.scene.house.outbox.sweep(older_than=days(30)) == 1
        assert told.states() == {"waiting": 1}

    def test_a_wrong_setting_stops_nothing_but_telling(
        self,
        scene: Scene,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SIJIL_TELLING", "smtp")
        stop = Event()
        thread = threading.Thread(target=run, args=(scene.house, stop))
        thread.start()
        try:
            request_id = scene.submit()
            wait_until(lambda: scene.get(request_id).clerk == "clk-DI-1")
        finally:
            stop.set()
            thread.join()
        said = "".join(capsys.readouterr())
        assert "telling.setting_missing_or_wrong" in said
        assert "SIJIL_SMTP_HOST" in said

    def test_sending_is_bounded_in_its_rate(self, scene: Scene) -> None:
        made = Office(scene)
        box = Box()
        slow = Telling(
            scene.house.ledger,
            scene.house.requests,
            vault=scene.house.vault,
            outbox=scene.house.outbox,
            couriers=[box],
            clock=scene.clock,
            per_minute=300,
        )
        made.telling.close()
        for _ in range(3):
            scene.submit()
        started = time.monotonic()
        slow.catch_up(Event())
        slow.close()
        assert len(box.letters) == 3
        assert time.monotonic() - started >= 0.6


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


class TestTheSettings:
    def settings(self, home: Path, **given: Any) -> TellingSettings:
        return TellingSettings.load(home, **given)

    def test_the_spool_in_the_home_is_the_default(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path)
        assert settings.couriers == ("spool",)
        assert settings.spool_folder == tmp_path / "spool"

    def test_several_are_tried_in_their_order(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path, telling="webhook, smtp,spool")
        assert settings.couriers == ("webhook", "smtp", "spool")
        assert self.settings(tmp_path, telling="off").couriers == ()

    @pytest.mark.parametrize(
        "given",
        [
            {"telling": "pigeon"},
            {"telling": "spool,spool"},
            {"telling": "off,spool"},
            {"telling": ""},
            {"smtp_from": "x"},
            {"smtp_from": "a@example.org\nBcc: b@example.org"},
            {"sms_webhook_url": "http://gateway.example.org/"},
            {"sms_webhook_url": "https://user:password@gateway.example.org/"},
            {"sms_webhook_url": "file:///x"},
        ],
    )
    def test_what_is_wrong_is_refused(
        self, tmp_path: Path, given: dict[str, str]
    ) -> None:
        with pytest.raises(ValueError, match=r"Sett"):
            self.settings(tmp_path, **given)

    def test_mail_in_the_clear_leaves_no_machine(self, tmp_path: Path) -> None:
        given = {"smtp_from": "a@example.org", "smtp_host": "mail.example.org"}
        assert self.settings(tmp_path, **given).mail_server().tls == "starttls"
        with pytest.raises(SettingMissingError):
            self.settings(tmp_path, **given, smtp_tls="none").mail_server()
        here = {**given, "smtp_host": "127.0.0.1"}
        assert self.settings(tmp_path, **here).mail_server().tls == "none"
        assert (
            self.settings(tmp_path, **here, smtp_tls="starttls").mail_server().tls
            == "starttls"
        )

    @pytest.mark.parametrize(
        "key", [None, "x", "00" * 31], ids=["none", "no-hex", "short"]
    )
    def test_a_gateway_wants_its_key(self, tmp_path: Path, key: str | None) -> None:
        settings = self.settings(
            tmp_path,
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key=None if key is None else SecretStr(key),
        )
        with pytest.raises(SettingMissingError, match=r"SIJIL_SMS_WEBHOOK_KEY"):
            settings.webhook()

    def test_no_secret_is_in_their_repr(self, tmp_path: Path) -> None:
        settings = self.settings(
            tmp_path,
            smtp_host="mail.example.org",
            smtp_from="a@example.org",
            smtp_user="sijil",
            smtp_password="secret-word",
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key="ab" * 32,
        )
        assert settings.webhook()[1] == b"\xab" * 32
        shown = repr(settings) + repr(settings.mail_server())
        assert "secret-word" not in shown
        assert "abab" not in shown

    def test_the_house_makes_each_courier(self, scene: Scene, tmp_path: Path) -> None:
        settings = self.settings(
            tmp_path,
            telling="smtp,webhook,spool",
            smtp_host="mail.example.org",
            smtp_from="a@example.org",
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key="ab" * 32,
        )
        made = scene.house.telling(settings)._couriers
        assert [courier.name for courier in made] == ["smtp", "webhook", "spool"]
        assert isinstance(made[2], Spool)
