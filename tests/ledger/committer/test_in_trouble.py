"""Connections, servers and callers that go while acts are under way; close and fork."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    PersistenceError,
)

from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence import committer
from ledger.persistence.append import (
    Outcome,
    OutcomeUnknownError,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import PostgresDatastore, is_away
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.committer.callers import (
    LONG_S,
    act,
    as_superuser,
    one_at_the_head,
    queued,
    recorder_of,
    started,
)
from tests.ledger.proxy import Proxy
from tests.ledger.test_lost_answers import held_head, wait_until, waiting


class TestTrouble:
    @pytest.mark.usefixtures("small_second")
    def test_a_lost_connection_is_nobodys_loss(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        with one_at_the_head(database, recorder) as first:
            callers = started(recorder, *(act() for _ in range(4)))
            wait_until(lambda: len(waiting(database)) == 2)
            for pid in waiting(database):
                as_superuser(database, f"SELECT pg_terminate_backend({pid})")
        for caller in (first, *callers):
            assert caller.end().is_appended
        assert reader.head().position == 5

    def test_an_act_without_a_command_is_not_sent_again(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        with held_head(database) as other:
            (first,) = started(recorder, act(command=None))
            wait_until(lambda: len(waiting(database)) == 1)
            (pid,) = waiting(database)
            as_superuser(database, f"SELECT pg_terminate_backend({pid})")
            assert isinstance(first.end().error, OutcomeUnknownError)
            other.rollback()
        assert reader.head().position == 0
        assert recorder.commit(act(command=None)).first_position == 1

    def test_a_commit_whose_answer_was_lost_is_told_as_the_first(
        self, database: Database
    ) -> None:
        with Proxy(database.dsn(Role.APP)) as wire:
            store = PostgresDatastore(wire.dsn, schema=LEDGER_SCHEMA)
            recorder = PostgresProcessRecorder(store)
            recorder.commit(act())
            wire.cut_in_the_answer(0)
            each = act()
            appended = recorder.commit(each)
            assert wire.cuts == 1
            assert (appended.outcome, appended.first_position) == (Outcome.APPENDED, 2)
            again = recorder.commit(each)
            assert (again.outcome, again.first_position) == (Outcome.REPEATED, 2)
            store.close()

    def test_a_server_that_stays_away_is_waited_for_in_bounds(
        self, database: Database
    ) -> None:
        store = PostgresDatastore(
            {**database.dsn(Role.APP), "host": str(database.server.home)},
            schema=LEDGER_SCHEMA,
        )
        recorder = PostgresProcessRecorder(store, limits=CommitterLimits(retry_s=0.3))
        began = time.monotonic()
        with pytest.raises(OperationalError) as caught:
            recorder.commit(act())
        assert 0.3 <= time.monotonic() - began < LONG_S / 2
        assert is_away(caught.value)
        assert not isinstance(caught.value, OutcomeUnknownError)
        store.close()

    def test_a_lock_that_is_held_too_long_is_waited_for_once_more(
        self, database: Database
    ) -> None:
        recorder = recorder_of(database, lock_timeout_ms=100)
        with held_head(database) as other:
            (late,) = started(recorder, act())
            time.sleep(0.4)
            other.rollback()
        assert late.end().is_appended

    def test_who_is_interrupted_leaves_no_lane_behind(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with one_at_the_head(database, recorder) as first:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with pytest.raises(KeyboardInterrupt):
                    recorder.commit(act())
        finally:
            signal.signal(signal.SIGALRM, before)
        assert first.end().is_appended
        assert recorder.commit(act()).first_position == 2

    def test_who_is_interrupted_when_called_hands_the_lane_on(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        """Between the call and the lead, where no signal can be sent on purpose."""
        own = recorder._committer
        for _ in range(committer.LANES + 1):
            called = committer._Waiting(act())
            own._enqueue(called)
            assert called.lane is not None
            own._abandon(called)
        assert recorder.commit(act()).first_position == 1


class TestClose:
    def test_who_waits_is_served_first(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        with one_at_the_head(database, recorder) as first:
            callers = started(recorder, *(act() for _ in range(5)))
            wait_until(lambda: queued(recorder) == 5)
            closing = threading.Thread(target=recorder.datastore.close)
            closing.start()
            wait_until(recorder._committer._closing.is_set)
        closing.join(LONG_S)
        assert all(caller.end().is_appended for caller in (first, *callers))
        with pytest.raises(InterfaceError):
            recorder.commit(act())

    def test_who_cannot_be_served_is_told(self, database: Database) -> None:
        recorder = recorder_of(database, CommitterLimits(close_s=0.1))
        with one_at_the_head(database, recorder) as first:
            (late,) = started(recorder, act())
            wait_until(lambda: queued(recorder) == 1)
            recorder.datastore.close()
            assert isinstance(late.end().error, InterfaceError)
            assert not isinstance(late.error, OutcomeUnknownError)
        assert first.end().is_appended

    def test_under_load_everybody_gets_an_answer(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        stored: list[int] = []
        refused: list[Exception] = []

        def work() -> None:
            while True:
                try:
                    appended = recorder.commit(act())
                except PersistenceError as error:
                    refused.append(error)
                    return
                assert appended.first_position is not None
                stored.append(appended.first_position)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(stored) > 100)
        recorder.datastore.close()
        for thread in threads:
            thread.join(LONG_S)
            assert not thread.is_alive()
        assert len(refused) == len(threads)
        assert all(isinstance(error, InterfaceError) for error in refused)
        assert sorted(stored) == list(range(1, reader.head().position + 1))


class TestFork:
    def test_a_child_has_its_own_connections_and_queue(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        recorder.commit(act())
        with one_at_the_head(database, recorder) as first:
            (late,) = started(recorder, act())
            wait_until(lambda: queued(recorder) == 1)
            child = _forked(lambda: recorder.commit(act()).outcome is Outcome.APPENDED)
        assert first.end().is_appended
        assert late.end().is_appended
        assert child() == 0
        assert recorder.commit(act()).outcome is Outcome.APPENDED
        assert reader.head().position == 5


def _forked(work: Callable[[], bool]) -> Callable[[], int]:
    """Runs in a child; its exit code, 0 when ``work`` said yes, is asked for later."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
