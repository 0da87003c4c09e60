"""Group commit: one fault one loser, no lost wake-up, no doubt left, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from random import Random
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    OperationalError,
    PersistenceError,
    StoredEvent,
    Tracking,
)

from ledger.names import Role
from ledger.persistence import committer
from ledger.persistence.append import (
    ActToAppend,
    ClockSkewError,
    LedgerBusyError,
    LedgerSuspendedError,
    Outcome,
    OutcomeUnknownError,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import is_away
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.committer.callers import (
    LONG_S,
    act,
    as_superuser,
    command,
    one_at_the_head,
    queued,
    recorder_of,
    started,
    together,
)
from tests.ledger.test_lost_answers import held_head, wait_until, waiting


class TestOneTransaction:
    def test_who_waits_together_is_stored_together(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        callers = together(database, recorder, *(act() for _ in range(10)))
        assert all(caller.is_appended for caller in callers)
        with database.datastore(Role.READER).autocommit() as cursor:
            cursor.execute("SELECT count(DISTINCT xmin::text), count(*) FROM events")
            assert cursor.fetchone() == (2, 11)

    def test_each_has_the_position_of_its_own_event(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        callers = together(database, recorder, *(act() for _ in range(10)))
        at = {entry.aggregate_id: entry.position for entry in reader.stream()}
        for caller in callers:
            assert caller.appended is not None
            (event,) = caller.act.events
            assert isinstance(event.originator_id, UUID)
            assert caller.appended.first_position == at[event.originator_id]

    def test_a_batch_has_its_limits(
        self, database: Database, reader: LedgerReader
    ) -> None:
        recorder = recorder_of(database, CommitterLimits(batch_acts=3))
        callers = together(database, recorder, *(act() for _ in range(10)))
        assert all(caller.is_appended for caller in callers)
        with database.datastore(Role.READER).autocommit() as cursor:
            cursor.execute(
                "SELECT max(n) FROM (SELECT count(*) AS n FROM events"
                " GROUP BY xmin::text) AS t"
            )
            assert cursor.fetchone() == (3,)
        assert reader.head().position == 11

    def test_many_threads_all_get_their_answers(
        self, database: Database, reader: LedgerReader
    ) -> None:
        recorder = recorder_of(database)
        told: list[int] = []

        def work() -> None:
            for _ in range(20):
                appended = recorder.commit(act())
                assert appended.first_position is not None
                told.append(appended.first_position)

        threads = [threading.Thread(target=work) for _ in range(48)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert sorted(told) == list(range(1, 48 * 20 + 1))
        assert reader.head().position == 48 * 20


class TestOnlyItsOwnFault:
    def test_a_conflict_loses_one_act(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        taken = uuid4()
        recorder.commit(act(taken))
        late = act(taken)
        callers = together(database, recorder, late, *(act() for _ in range(6)))
        assert callers[0].appended is not None
        assert callers[0].appended.outcome is Outcome.VERSION_CONFLICT
        assert all(caller.is_appended for caller in callers[1:])

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (lambda: act(topic="tôpic"), IntegrityError),
            (lambda: act(topic="a\nb"), IntegrityError),
            (lambda: act(state=b"x" * 60_001), IntegrityError),
            (lambda: act(version=-1, command=None), IntegrityError),
            (lambda: act(version=2**31), DataError),
            (lambda: act(tracking=Tracking(_unpressable(), 1)), OperationalError),
            (lambda: act(tracking=Tracking("up", 2**63)), DataError),
        ],
    )
    def test_an_impossible_value_fails_its_own_caller(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
        bad: Callable[[], ActToAppend],
        error: type[Exception],
    ) -> None:
        good = [act() for _ in range(7)]
        callers = together(database, recorder, *good[:3], bad(), *good[3:])
        guilty = callers.pop(3)
        assert isinstance(guilty.error, error)
        assert not isinstance(guilty.error, OutcomeUnknownError)
        assert not is_away(guilty.error)
        assert all(caller.is_appended for caller in callers)
        assert reader.head().position == 8

    @pytest.mark.parametrize(
        "bad",
        [
            lambda: act(command=command(actor="a\0b")),
            lambda: act(command=command(actor="\ud800")),
            lambda: act(command=command(digest="text")),
            lambda: act(topic=None),
            lambda: act(state="text"),
            lambda: act(version="1"),
            lambda: ActToAppend(events=[StoredEvent("no-uuid", 1, "t", b"")]),
        ],
    )
    def test_what_cannot_be_written_is_not_sent(
        self, recorder: PostgresProcessRecorder, bad: Callable[[], ActToAppend]
    ) -> None:
        with pytest.raises(PersistenceError):
            recorder.commit(bad())
        assert recorder.commit(act()).first_position == 1

    def test_texts_and_bytes_arrive_as_they_were_sent(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        actor = """NULL,{}"'\\ س 😀 ' "{\\"""
        topic = """ NULL,{}"'\\'~ """
        body = bytes(range(256))
        each = command(actor=actor, digest=b"")
        recorder.commit(act(command=each, topic=topic, state=body))
        (entry,) = reader.stream()
        assert (entry.topic, entry.body) == (topic, body)
        known = recorder.find_command(each.id)
        assert known is not None
        assert (known.actor, known.digest) == (actor, b"")

    def test_several_guilty_ones_are_all_found(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        acts = [act(topic="é") if n % 3 == 0 else act() for n in range(13)]
        callers = together(database, recorder, *acts)
        for number, caller in enumerate(callers):
            assert isinstance(caller.error, IntegrityError) == (number % 3 == 0)
            assert caller.is_appended == (number % 3 > 0)

    def test_a_suspended_ledger_is_everybodys(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        with held_head(database) as other:
            first = started(recorder, act())
            wait_until(lambda: len(waiting(database)) == 1)
            callers = first + started(recorder, *(act() for _ in range(3)))
            wait_until(lambda: queued(recorder) == 3)
            # The lock is let go by this very change.
            other.cursor().execute("SET search_path = sijil; SELECT suspend()")
            other.commit()
        ends = [caller.end() for caller in callers]
        assert all(isinstance(each.error, LedgerSuspendedError) for each in ends)

    def test_a_clock_far_off_is_everybodys(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        recorder.commit(act())
        as_superuser(
            database,
            "UPDATE sijil.ledger_head SET recorded_at = now() + interval '2 minutes'",
        )
        with pytest.raises(ClockSkewError):
            recorder.commit(act())


class TestBounds:
    def test_a_full_queue_refuses_at_once(
        self, database: Database, reader: LedgerReader
    ) -> None:
        recorder = recorder_of(database, CommitterLimits(queue_acts=2))
        with one_at_the_head(database, recorder) as first:
            callers = started(recorder, act(), act())
            wait_until(lambda: queued(recorder) == 2)
            refused = act()
            with pytest.raises(LedgerBusyError):
                recorder.commit(refused)
        assert all(caller.end().is_appended for caller in (first, *callers))
        assert reader.head().position == 3
        assert refused.command is not None
        assert recorder.find_command(refused.command.id) is None
        assert recorder.commit(refused).first_position == 4

    def test_a_queue_is_full_by_bytes_too(self, database: Database) -> None:
        limits = CommitterLimits(queue_bytes=200_000)
        recorder = recorder_of(database, limits)
        with one_at_the_head(database, recorder) as first:
            callers = started(recorder, act(state=b"x" * 60_000))
            wait_until(lambda: queued(recorder) == 1)
            with pytest.raises(LedgerBusyError):
                recorder.commit(act(state=b"x" * 60_000))
        assert all(caller.end().is_appended for caller in (first, *callers))

    def test_an_act_larger_than_the_queue_is_taken_by_an_empty_one(
        self, database: Database
    ) -> None:
        limits = CommitterLimits(queue_bytes=10, batch_bytes=10)
        recorder = recorder_of(database, limits)
        assert recorder.commit(act()).first_position == 1

    def test_who_waits_too_long_is_taken_out(
        self, database: Database, reader: LedgerReader
    ) -> None:
        recorder = recorder_of(database, CommitterLimits(wait_s=0.2))
        with one_at_the_head(database, recorder) as first:
            (late,) = started(recorder, act())
            assert isinstance(late.end().error, LedgerBusyError)
            assert queued(recorder) == 0
        assert first.end().is_appended
        assert reader.head().position == 1

    @pytest.mark.usefixtures("small_second")
    def test_who_was_sent_is_told_to_ask_the_command_id(
        self, database: Database
    ) -> None:
        # Not before it was sent, however long the other takes to come.
        recorder = recorder_of(database, CommitterLimits(wait_s=3))
        with one_at_the_head(database, recorder) as first:
            callers = started(recorder, act(), act())
            wait_until(lambda: len(waiting(database)) == 2)
            wait_until(lambda: any(caller.error for caller in callers))
            (late,) = (caller for caller in callers if caller.error)
            assert isinstance(late.error, OutcomeUnknownError)
            assert is_away(late.error)
        assert first.end().is_appended
        assert sum(caller.end().is_appended for caller in callers) == 1
        assert late.act.command is not None
        assert recorder.find_command(late.act.command.id) is not None
        assert recorder.commit(late.act).outcome is Outcome.REPEATED

    def test_who_gave_up_is_not_counted_on_to_wake_the_next(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer, "SECOND_LANE_ACTS", 3)
        recorder = recorder_of(database)
        patient = recorder._committer._limits
        callers = []
        with one_at_the_head(database, recorder):
            for number, wait_s in enumerate((LONG_S, 3, LONG_S)):
                recorder._committer._limits = replace(patient, wait_s=wait_s)
                callers += started(recorder, act())
                if number < 2:
                    wait_until(lambda n=number: queued(recorder) == n + 1)  # type: ignore[misc]
            assert isinstance(callers[1].end().error, OutcomeUnknownError)
        for caller in (callers[0], callers[2]):
            caller.join(LONG_S / 3)
            assert caller.is_appended

    def test_nobody_who_gives_up_keeps_the_others_from_waking(
        self, database: Database
    ) -> None:
        """Waits so short that some end in every state an act can be in."""
        recorder = recorder_of(database, CommitterLimits(wait_s=0.004))
        stored: list[UUID] = []
        doubtful: list[UUID] = []
        refused: list[UUID] = []

        def work() -> None:
            for _ in range(30):
                each = command()
                try:
                    recorder.commit(act(command=each))
                except OutcomeUnknownError:
                    doubtful.append(each.id)
                except LedgerBusyError:
                    refused.append(each.id)
                else:
                    stored.append(each.id)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
            assert not thread.is_alive()
        assert len(stored) + len(doubtful) + len(refused) == 40 * 30
        assert stored
        assert refused or doubtful
        wait_until(lambda: not recorder._committer._under_way)
        assert all(recorder.find_command(each) for each in stored)
        assert not any(recorder.find_command(each) for each in refused)


def _unpressable() -> str:
    """A name that is too long for an index, also when it is compressed."""
    chance = Random(1)  # noqa: S311 -- of a test
    return "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(9_000))
