"""Telling: once per event, whatever dies, restarts or comes from a backup."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event

import pytest

import office.telling
from domain.acts import ActorKind
from domain.requests import Channel
from ledger.names import Role
from office.commands import Message
from office.couriers import CourierError, Letter
from office.telling import command_id_of
from tests.office.scene import CENTRE, CLERK, Scene, days, envelope, submission
from tests.office.telling import NO_PAUSE, Box, Office


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
