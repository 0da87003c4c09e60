"""Writers in several processes, killed at random with the server, and readers of them.

One checker judges: dense, visible in order, times rising, no command twice, no part of
an act, nothing lost that was acknowledged. The same checker must catch planted faults:
in observations, in stores whose order is off, and in a store that acknowledges early.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from eventsourcing.persistence import PersistenceError, StoredEvent

from ledger.embedded import EmbeddedServer
from ledger.names import Role
from ledger.persistence.append import ActToAppend, Appended
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from tests.conftest import Database
from tests.ledger import at_work, order, planted
from tests.ledger.order import Observed, observe, violations
from tests.ledger.trial import BACKEND, GENTLE, POSTMASTER, ROUGH, Trial
from tests.own_server import own_server

BLOWS = 12
ROUNDS = 30
"""Tries to catch a planted fault that needs a moment's luck; the first nearly does."""

CRASHES = 10
"""Each loses what was acknowledged in the last moment, with near certainty; the first
that does is enough."""


@pytest.fixture
def own() -> Iterator[tuple[EmbeddedServer, LedgerSettings]]:
    with own_server() as made:
        yield made


def test_killed_writers_and_readers_and_ended_sessions(database: Database) -> None:
    with Trial(database.settings, database.superuser_dsn()) as trial:
        trial.wait_for_more(50)
        for _ in range(BLOWS):
            trial.strike(GENTLE)
            trial.wait_for_more(25)
        seen = trial.end()
    assert violations(seen) == []
    assert len(seen.rows) > 100
    assert all(len(tail) == len(seen.rows) for tail in seen.tails)


def test_a_server_that_is_killed_and_recovers_under_them(
    own: tuple[EmbeddedServer, LedgerSettings],
) -> None:
    server, settings = own
    superuser = server.dsn(dbname=settings.database_name)
    with Trial(settings, superuser, server=server) as trial:
        trial.wait_for_more(50)
        for number in range(BLOWS):
            # Each of the two crashes at least once, the rest by chance.
            trial.strike({0: [BACKEND], 1: [POSTMASTER]}.get(number, ROUGH))
            trial.wait_for_more(25)
        seen = trial.end()
    assert violations(seen) == []
    assert all(len(tail) == len(seen.rows) for tail in seen.tails)


def sound() -> Observed:
    """A small observation without a fault, to plant faults in."""
    command = str(uuid4())
    body = f"{command}/2".encode()
    rows = [
        (1, datetime(2026, 1, 1, tzinfo=UTC), "a", 1, body),
        (2, datetime(2026, 1, 2, tzinfo=UTC), "a", 2, body),
    ]
    return Observed(rows, [(command, 1, 2)], [(command, 1, 2)], [[1, 2], [1]])


class TestTheChecker:
    def test_it_passes_what_is_sound(self) -> None:
        assert violations(sound()) == []

    def test_it_catches_every_planted_fault(self) -> None:
        good = sound()
        one, two = good.rows
        command = good.commands[0][0]
        lost = str(uuid4())
        faults = {
            "a hole": Observed([one, (3, *two[1:])], good.commands),
            "times that fall": Observed([(1, *two[1:]), (2, *one[1:])], good.commands),
            "part of an act": Observed([one], good.commands),
            "a command twice": Observed(
                [one, two, (3, datetime(2026, 1, 3, tzinfo=UTC), "b", 1, one[4])],
                good.commands,
            ),
            "a lost act": Observed(good.rows, good.commands, [(lost, 3, 3)]),
            "a forgotten command": Observed(good.rows, []),
            "a version twice": Observed([one, (*two[:3], 1, two[4])], good.commands),
            "a reader that passed one over": Observed(
                good.rows, good.commands, [(command, 1, 2)], [[2, 1]]
            ),
        }
        for name, fault in faults.items():
            assert violations(fault), name

    def test_it_says_what_is_wrong(self) -> None:
        good = sound()
        command = good.commands[0][0]
        acknowledged = [(command, 1, 2)]
        kept: tuple[Any, ...] = (good.rows, good.commands, acknowledged)
        named = {
            order.REFUSED_STORED: Observed(*kept, refused={command}),
            order.NEVER_SENT: Observed(*kept, sent={str(uuid4())}),
            order.HEAD: Observed(*kept, head=3),
            order.LOST: Observed(*kept[:2], [(command, 1, 1)]),
            order.PASSED_OVER: Observed(*kept, [[2]]),
        }
        for said, fault in named.items():
            assert violations(fault) == [said]

    def test_what_a_kill_left_of_a_line_says_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "reader-0-follow"
        for left in (b"saw 3 4\nsaw 5 6", b"saw 3 4\nsto", b"saw 3 4\n"):
            path.write_bytes(left)
            assert at_work.told(tmp_path).tails == {path.name: [3, 4]}
            assert at_work.last_seen(path) == 4
            at_work.Diary(path).note("saw 5 61")
            assert at_work.told(tmp_path).tails == {path.name: [3, 4, 5, 61]}
        path.write_bytes(b"saw 1")
        assert at_work.last_seen(path) == 0

    def test_it_catches_a_store_whose_order_is_switched_off(
        self, database: Database
    ) -> None:
        """All of ours but the head's lock: under the same load, readers pass over."""
        superuser = database.superuser_dsn()
        planted.switch_order_off(superuser, Role.OWNER.login)
        # Acts that meet on nothing, so that nothing else puts them in order.
        with Trial(database.settings, superuser, fresh_share=1.0) as trial:
            for _ in range(ROUNDS):
                trial.wait_for_more(200)
                seen = observe(superuser, tails=trial.tails())
                if order.PASSED_OVER in violations(seen):
                    return
        pytest.fail("a store without order was not caught")

    def test_it_catches_the_librarys_functions_in_the_database(
        self, database: Database
    ) -> None:
        """``POSTGRES_ENABLE_DB_FUNCTIONS``: fast, and its tailing readers lose."""
        superuser = database.superuser_dsn()
        with planted.library(superuser, db_functions=True) as recorder:
            for _ in range(ROUNDS):
                if order.PASSED_OVER in violations(
                    planted.watched(recorder, superuser)
                ):
                    return
        pytest.fail("the library's unordered path was not caught")

    def test_it_passes_the_librarys_order_as_shipped(self, database: Database) -> None:
        """Under its table lock nothing is passed over: the checker cries no wolf."""
        superuser = database.superuser_dsn()
        with planted.library(superuser, db_functions=False) as recorder:
            seen = planted.watched(recorder, superuser)
        assert len(seen.rows) > planted.FEWEST_SEEN
        assert order.PASSED_OVER not in violations(seen)

    def test_it_catches_what_was_acknowledged_too_early(
        self, own: tuple[EmbeddedServer, LedgerSettings]
    ) -> None:
        server, settings = own
        superuser = server.dsn(dbname=settings.database_name)
        planted.risk_commits(superuser)
        with Trial(settings, superuser, server=server) as trial:
            for _ in range(CRASHES):
                trial.wait_for_more(100)
                trial.strike([BACKEND])
                acknowledged = at_work.told(trial.folder).acknowledged
                if order.LOST in violations(observe(superuser, acknowledged)):
                    return
        pytest.fail("what was acknowledged too early was not caught")

    def test_it_catches_a_schedule_that_only_order_forbids(
        self, database: Database
    ) -> None:
        """Positions from a sequence, without the head's lock: a reader passes one."""
        superuser = database.superuser_dsn()
        with (
            closing(psycopg2.connect(**superuser)) as slow,
            closing(psycopg2.connect(**superuser)) as fast,
        ):
            fast.autocommit = True
            fast.cursor().execute("CREATE SEQUENCE sijil.unordered")
            _unordered_append(slow)
            _unordered_append(fast)
            reader = LedgerReader(database.datastore(Role.READER))
            seen = [e.position for e in reader.entries(after=0, limit=10)]
            slow.commit()
            seen += [e.position for e in reader.entries(after=seen[-1], limit=10)]
            observed = observe(superuser, tails=[seen])
        assert seen == [2]
        assert order.PASSED_OVER in violations(observed)

    def test_the_lock_makes_the_second_writer_wait(self, database: Database) -> None:
        """With ordering on, the same schedule cannot happen: the fast one waits."""
        recorder = PostgresProcessRecorder(
            database.datastore(Role.APP, lock_timeout_ms=300)
        )
        with closing(psycopg2.connect(**database.superuser_dsn())) as slow:
            slow.cursor().execute("SELECT FROM sijil.ledger_head FOR UPDATE")
            with pytest.raises(PersistenceError):
                recorder.append([_one()])
            slow.rollback()
        (done,) = recorder.append([_one()])
        assert isinstance(done, Appended)
        assert done.first_position == 1


def _one() -> ActToAppend:
    return ActToAppend(events=[StoredEvent(uuid4(), 1, "t", b"x/1")])


def _unordered_append(connection: Any) -> None:
    command = uuid4()
    cursor = connection.cursor()
    cursor.execute("SELECT nextval('sijil.unordered')")
    (position,) = cursor.fetchone()
    cursor.execute(
        "INSERT INTO sijil.events VALUES (%s, clock_timestamp(), %s::uuid, 1, 't', %s)",
        (position, str(uuid4()), f"{command}/1".encode()),
    )
