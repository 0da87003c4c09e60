"""What came back waits for its operator, and then is another incarnation."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.resumptions import ResumedBecause, ReturnedLedger
from ledger.backup.restoring import restore
from ledger.backup.resuming import NotSuspendedError, is_common, resume, suspend
from ledger.names import Role
from ledger.persistence.append import LedgerSuspendedError, Outcome
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.backup.filled import act


@pytest.fixture
def returned(backup: Path, database: Database) -> Database:
    restore(database.settings, backup)
    return database


class TestReturn:
    def test_it_waits_for_its_operator_and_goes_on_as_another_incarnation(
        self, returned: Database
    ) -> None:
        recorder = PostgresProcessRecorder(returned.datastore(Role.APP))
        reader = LedgerReader(returned.datastore(Role.READER))
        last = reader.head().position
        with pytest.raises(LedgerSuspendedError):
            recorder.append([act(5_000)])
        assert reader.entry(last) is not None
        done = resume(returned.settings, ResumedBecause.RESTORED)
        head = reader.head()
        assert (done.incarnation, done.position) == (2, last + 1)
        assert (head.incarnation, head.position) == (2, last + 1)
        assert not head.is_suspended
        entry = reader.entry(last + 1)
        assert entry is not None
        assert entry.topic == "sijil.ledger.resumed.v1"
        assert b'"data":{"incarnation":2,"reason":"restored"}' in entry.body
        (appended,) = recorder.append([act(5_000)])
        assert appended.first_position == last + 2

    def test_a_command_sent_again_has_the_outcome_it_had(
        self, source: Database, returned: Database
    ) -> None:
        resume(returned.settings, ResumedBecause.RESTORED)
        acts = [each for each in map(act, range(300)) if each.command is not None]
        answers = [
            PostgresProcessRecorder(each.datastore(Role.APP)).append(acts)
            for each in (source, returned)
        ]
        assert answers[0] == answers[1]
        assert {each.outcome for each in answers[0]} == {Outcome.REPEATED}

    def test_what_takes_acts_is_not_resumed(self, returned: Database) -> None:
        resume(returned.settings, ResumedBecause.RESTORED)
        reader = LedgerReader(returned.datastore(Role.READER))
        before = reader.head()
        with pytest.raises(NotSuspendedError):
            resume(returned.settings, ResumedBecause.OTHER)
        assert reader.head() == before
        suspend(returned.settings)
        assert reader.head().is_suspended
        assert resume(returned.settings, ResumedBecause.OTHER).incarnation == 3

    def test_an_incarnation_that_others_know_is_not_given_again(
        self, returned: Database
    ) -> None:
        done = resume(returned.settings, ResumedBecause.RESTORED, after=6)
        assert done.incarnation == 7
        reader = LedgerReader(returned.datastore(Role.READER))
        (entry,) = reader.aggregate(ReturnedLedger.id_of(done.ledger_id))
        assert b'"incarnation":7' in entry.body

    def test_who_saw_no_more_than_came_back_has_followed_this_ledger(
        self, returned: Database
    ) -> None:
        reader = LedgerReader(returned.datastore(Role.READER))
        ledger_id, last = reader.head().ledger_id, reader.head().position

        def common(incarnation: int, position: int, **other: UUID) -> bool:
            return is_common(
                reader,
                ledger_id=other.get("ledger_id", ledger_id),
                incarnation=incarnation,
                position=position,
            )

        assert common(1, last)
        assert not common(1, last + 1)
        resume(returned.settings, ResumedBecause.RESTORED)
        recorder = PostgresProcessRecorder(returned.datastore(Role.APP))
        recorder.append([act(5_000)])
        assert common(1, last)
        assert common(1, 0)
        # What stood there before was lost: another entry has the position now.
        assert not common(1, last + 1)
        assert not common(1, last + 2)
        assert common(2, last + 2)
        assert not common(3, 1)
        assert not common(1, last, ledger_id=uuid4())
        suspend(returned.settings)
        resume(returned.settings, ResumedBecause.RESTORED, after=8)
        assert not common(1, last), "nobody says where the incarnations between began"
        assert not common(2, last + 2)

    def test_who_followed_an_incarnation_that_was_lost_has_not(
        self, returned: Database
    ) -> None:
        """An older backup had made a second one; this ledger has nothing of it."""
        reader = LedgerReader(returned.datastore(Role.READER))
        last = reader.head().position
        done = resume(returned.settings, ResumedBecause.RESTORED, after=2)
        assert done.incarnation == 3

        def common(incarnation: int) -> bool:
            return is_common(
                reader,
                ledger_id=done.ledger_id,
                incarnation=incarnation,
                position=last - 50,
            )

        assert not common(2), "what it saw may be of the incarnation that was lost"
        assert not common(0)
        assert common(3)

    def test_who_followed_an_incarnation_that_came_back_has(
        self, returned: Database
    ) -> None:
        reader = LedgerReader(returned.datastore(Role.READER))
        second = resume(returned.settings, ResumedBecause.RESTORED)
        suspend(returned.settings)
        resume(returned.settings, ResumedBecause.RESTORED)
        assert is_common(
            reader,
            ledger_id=second.ledger_id,
            incarnation=second.incarnation,
            position=second.position,
        )
