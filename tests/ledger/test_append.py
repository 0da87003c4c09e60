"""The one append function: whole acts, dense versions, repeats, clocks, the guard."""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
import pytest
from eventsourcing.persistence import (
    DatabaseError,
    IntegrityError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.names import Role
from ledger.persistence.append import (
    ActToAppend,
    AppendOnlyError,
    ClockSkewError,
    CommandRepeatedError,
    CommandReusedError,
    LedgerSuspendedError,
    Outcome,
    TrackingConflictError,
    VersionConflictError,
)
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.acts import act, command, event, outcomes


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP))


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    return LedgerReader(database.datastore(Role.READER))


class TestWholeActs:
    def test_an_acts_events_stand_side_by_side_from_position_1(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        one, two = uuid4(), uuid4()
        appended = recorder.append(
            [act(event(one, 1), event(one, 2)), act(event(two, 1))]
        )
        assert [(a.first_position, a.last_position) for a in appended] == [
            (1, 2),
            (3, 3),
        ]
        assert [e.position for e in reader.stream()] == [1, 2, 3]

    def test_a_losing_act_is_dropped_whole_and_costs_no_other(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        taken, free = uuid4(), uuid4()
        recorder.append([act(event(taken, 1), event(taken, 2))])
        appended = recorder.append(
            [
                act(event(free, 1)),
                act(event(taken, 2), event(taken, 3)),
                act(event(free, 2)),
            ]
        )
        assert outcomes(appended) == [
            Outcome.APPENDED,
            Outcome.VERSION_CONFLICT,
            Outcome.APPENDED,
        ]
        assert [(e.aggregate_id, e.version) for e in reader.stream()] == [
            (taken, 1),
            (taken, 2),
            (free, 1),
            (free, 2),
        ]

    def test_duplicates_inside_a_batch_lose_to_the_first(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        one, same = uuid4(), command()
        appended = recorder.append(
            [
                act(event(one, 1), command=same),
                act(event(one, 1)),
                act(event(one, 1), command=same),
                act(event(one, 2), event(one, 2)),
            ]
        )
        assert outcomes(appended) == [
            Outcome.APPENDED,
            Outcome.VERSION_CONFLICT,
            Outcome.REPEATED,
            Outcome.VERSION_CONFLICT,
        ]

    @pytest.mark.parametrize("versions", [(2,), (0,), (1, 3), (2, 1)])
    def test_an_act_of_the_office_leaves_no_hole(
        self, recorder: PostgresProcessRecorder, versions: tuple[int, ...]
    ) -> None:
        one = uuid4()
        appended = recorder.append([act(*(event(one, v) for v in versions))])
        assert outcomes(appended) == [Outcome.VERSION_GAP]
        assert recorder.max_notification_id() is None

    def test_a_batch_with_an_impossible_value_stores_nothing(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        for bad in (
            event(uuid4(), 1, state=b"x" * 60_001),
            event(uuid4(), 1, topic="tôpic"),
            event(uuid4(), 1, topic="a\nb"),
            event(uuid4(), 1, topic="a" * 101),
            event(uuid4(), 1, topic=""),
        ):
            with pytest.raises(IntegrityError):
                recorder.append([act(event(uuid4(), 1)), act(bad)])
        assert recorder.max_notification_id() is None

    def test_only_uuids_name_aggregates(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        with pytest.raises(ProgrammingError):
            recorder.append([act(StoredEvent("not-a-uuid", 1, "t", b""))])


class TestRepeats:
    def test_the_same_command_has_its_first_positions(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        one, same = uuid4(), command()
        first = recorder.append([act(event(one, 1), command=same)])[0]
        again = recorder.append([act(event(one, 1), command=same)])[0]
        assert again.outcome is Outcome.REPEATED
        assert (again.first_position, again.recorded_at) == (
            first.first_position,
            first.recorded_at,
        )
        with pytest.raises(CommandRepeatedError):
            recorder.insert_events([event(one, 2)], command=same)
        known = recorder.find_command(same.id)
        assert known is not None
        assert (known.actor, known.digest) == (same.actor, same.digest)

    @pytest.mark.parametrize("change", [{"actor": "clerk:2"}, {"digest": b"\x02" * 32}])
    def test_another_actor_or_other_input_is_refused(
        self, recorder: PostgresProcessRecorder, change: dict[str, Any]
    ) -> None:
        same = command()
        recorder.append([act(event(uuid4(), 1), command=same)])
        other = command(id=same.id, **change)
        with pytest.raises(CommandReusedError):
            recorder.insert_events([event(uuid4(), 1)], command=other)

    def test_a_lost_act_leaves_its_command_unused(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        one, same = uuid4(), command()
        recorder.append([act(event(one, 1))])
        with pytest.raises(VersionConflictError):
            recorder.insert_events([event(one, 1)], command=same)
        assert recorder.find_command(same.id) is None
        assert recorder.insert_events([event(one, 2)], command=same) == [2]

    def test_an_act_without_events_is_remembered(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        same = command()
        assert recorder.insert_events([], command=same) is None
        known = recorder.find_command(same.id)
        assert known is not None
        assert known.first_position is None

    def test_tracking_is_a_high_water_mark(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        recorder.append([act(event(uuid4(), 1), tracking=Tracking("up", 23))])
        for position in (22, 23):
            with pytest.raises(TrackingConflictError):
                recorder.insert_events(
                    [event(uuid4(), 1)], tracking=Tracking("up", position)
                )
        assert recorder.max_notification_id() == 1
        assert recorder.max_tracking_id("up") == 23


class TestTimes:
    def test_recorded_time_rises_with_every_position(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        for _ in range(20):
            one = uuid4()
            recorder.append([act(*(event(one, v) for v in range(1, 6)))])
        times = [entry.recorded_at for entry in reader.stream()]
        assert all(a < b for a, b in itertools.pairwise(times))

    @pytest.mark.parametrize("minutes", [-2, 2])
    def test_a_callers_clock_over_a_minute_apart_is_refused(
        self, recorder: PostgresProcessRecorder, minutes: int
    ) -> None:
        clock = datetime.now(UTC) + timedelta(minutes=minutes)
        with pytest.raises(ClockSkewError):
            recorder.append([act(event(uuid4(), 1))], clock=clock)

    def test_a_server_behind_its_last_entry_refuses(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        recorder.append([act(event(uuid4(), 1))])
        _as_superuser(
            database,
            "UPDATE sijil.ledger_head SET recorded_at = now() + interval '2 minutes'",
        )
        with pytest.raises(ClockSkewError):
            recorder.append([act(event(uuid4(), 1))])
        _as_superuser(
            database,
            "UPDATE sijil.ledger_head SET recorded_at = now() + interval '20 seconds'",
        )
        (appended,) = recorder.append([act(event(uuid4(), 1))])
        assert appended.recorded_at is not None
        assert appended.recorded_at > datetime.now(UTC)

    def test_waiting_long_for_the_head_is_no_clock_skew(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        # The caller's clock is compared with the statement's time, not the lock's.
        clock = datetime.now(UTC) - timedelta(seconds=50)
        (appended,) = recorder.append([act(event(uuid4(), 1))], clock=clock)
        assert appended.outcome is Outcome.APPENDED


class TestGuard:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE sijil.events SET version = 9",
            "DELETE FROM sijil.events",
            "TRUNCATE sijil.events",
            "UPDATE sijil.events SET version = 9 WHERE false",
        ],
    )
    @pytest.mark.parametrize("who", [Role.OWNER, "superuser"])
    def test_nobody_changes_the_events(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        statement: str,
        who: str,
    ) -> None:
        recorder.append([act(event(uuid4(), 1))])
        dsn = (
            database.superuser_dsn() if who == "superuser" else database.dsn(Role.OWNER)
        )
        with (
            closing(psycopg2.connect(**dsn)) as connection,
            pytest.raises(psycopg2.Error, match="append-only") as caught,
        ):
            connection.cursor().execute(statement)
        assert caught.value.pgcode == "SJ003"

    def test_the_guard_is_a_seat_belt_only(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        recorder.append([act(event(uuid4(), 1))])
        before = next(reader.stream()).leaf_hash()
        _as_superuser(
            database,
            "ALTER TABLE sijil.events DISABLE TRIGGER ALL;"
            "UPDATE sijil.events SET body = '{\"a\":1}'",
        )
        assert next(reader.stream()).leaf_hash() != before

    def test_the_translated_error_has_a_name(self, database: Database) -> None:
        owner = database.datastore(Role.OWNER)
        with pytest.raises(AppendOnlyError), owner.transaction() as cursor:
            cursor.execute("DELETE FROM events")

    @pytest.mark.parametrize("role", [Role.APP, Role.RUNNER, Role.READER])
    def test_no_role_writes_past_the_function(
        self, database: Database, role: Role
    ) -> None:
        for table in ("events", "ledger_head", "commands", "tracking"):
            with (
                pytest.raises(DatabaseError),
                database.datastore(role).transaction() as cursor,
            ):
                cursor.execute(f"DELETE FROM {table}")

    @pytest.mark.parametrize("role", [Role.RUNNER, Role.READER])
    def test_only_the_app_appends(self, database: Database, role: Role) -> None:
        other = PostgresProcessRecorder(database.datastore(role))
        with pytest.raises(DatabaseError):
            other.append([act(event(uuid4(), 1))])


class TestRestore:
    def test_a_ledger_from_a_backup_waits_for_its_operator(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        reader: LedgerReader,
    ) -> None:
        recorder.append([act(event(uuid4(), 1))])
        before = reader.head()
        _as_superuser(database, "SET search_path = sijil; SELECT suspend()")
        with pytest.raises(LedgerSuspendedError):
            recorder.append([act(event(uuid4(), 1))])
        assert reader.head().position == 1
        _as_superuser(
            database, "SET search_path = sijil; SELECT resume_as_new_incarnation()"
        )
        recorder.append([act(event(uuid4(), 1))])
        after = reader.head()
        assert (after.ledger_id, after.incarnation, after.position) == (
            before.ledger_id,
            before.incarnation + 1,
            2,
        )

    @pytest.mark.parametrize("function", ["suspend", "resume_as_new_incarnation"])
    def test_the_app_cannot_resume_it(self, database: Database, function: str) -> None:
        app = database.datastore(Role.APP)
        with pytest.raises(DatabaseError), app.transaction() as cursor:
            cursor.execute(f"SELECT {function}()")


def _as_superuser(database: Database, statement: str) -> None:
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


class TestBatches:
    def test_what_is_written_arrives_whatever_the_servers_way_of_literals_is(
        self, database: Database
    ) -> None:
        """A server can be set to take a backslash in a literal for an escape."""
        _as_superuser(
            database,
            f'ALTER DATABASE "{database.name}" SET standard_conforming_strings = off',
        )
        recorder = PostgresProcessRecorder(database.datastore(Role.APP))
        states = [b"\\x41'\x00", b"\\\\"]
        recorder.commit(act(event(uuid4(), 1, state=states[0])))
        recorder.append([act(event(uuid4(), 1, state=states[1]))])
        reader = LedgerReader(database.datastore(Role.READER))
        assert [entry.body for entry in reader.stream()] == states

    def test_an_act_behind_a_lost_one_is_not_stored_on_what_is_not_there(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        one, two = uuid4(), uuid4()
        recorder.append([act(event(one, 1), event(one, 2))])
        appended = recorder.append(
            [act(event(one, 2)), act(event(two, 1)), act(event(one, 3))]
        )
        assert outcomes(appended) == [
            Outcome.VERSION_CONFLICT,
            Outcome.APPENDED,
            Outcome.VERSION_CONFLICT,
        ]
        assert [e.version for e in reader.aggregate(one)] == [1, 2]

    def test_an_act_behind_a_repeated_one_is_decided_again(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        one, same = uuid4(), command()
        recorder.append([act(event(one, 1), command=same)])
        appended = recorder.append(
            [act(event(one, 1), command=same), act(event(one, 2))]
        )
        assert outcomes(appended) == [Outcome.REPEATED, Outcome.VERSION_CONFLICT]

    @pytest.mark.parametrize("is_whole", [True, False])
    def test_a_batch_says_of_each_act_where_and_when_it_stands(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader, *, is_whole: bool
    ) -> None:
        one, two, known = uuid4(), uuid4(), command()
        recorder.append([act(command=known)])
        first = command(actor="clerk:2", digest=b"\x07" * 32)
        acts = [
            act(event(one, 1), event(two, 1), command=first),
            act(),
            act(event(one, 2, topic="sijil.test.changed.v1", state=b'{"a":1}')),
        ]
        appended = recorder.append([*acts] if is_whole else [*acts, act(command=known)])
        assert [(a.first_position, a.last_position) for a in appended[:3]] == [
            (1, 2),
            (None, None),
            (3, 3),
        ]
        entries = list(reader.stream())
        assert [(e.aggregate_id, e.version) for e in entries] == [
            (one, 1),
            (two, 1),
            (one, 2),
        ]
        assert (entries[2].topic, entries[2].body) == (
            "sijil.test.changed.v1",
            b'{"a":1}',
        )
        assert [a.recorded_at for a in appended[:3:2]] == [
            entries[1].recorded_at,
            entries[2].recorded_at,
        ]
        for each, appended_act in zip(acts, appended, strict=False):
            assert each.command is not None
            kept = recorder.find_command(each.command.id)
            assert kept is not None
            assert (kept.actor, kept.digest) == (
                each.command.actor,
                each.command.digest,
            )
            assert kept.last_position == appended_act.last_position
        head = reader.head()
        assert (head.position, head.recorded_at) == (3, entries[2].recorded_at)

    @given(seed=st.integers(0, 2**32))
    @settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_a_batch_is_stored_as_its_acts_one_after_the_other(
        self, database: Database, seed: int
    ) -> None:
        """Whatever the acts are, but for those that stand on a lost one."""
        chance = Random(seed)  # noqa: S311 -- of a test
        things = [uuid4() for _ in range(3)]
        ids = [uuid4() for _ in range(6)]
        acts = [
            act(
                *(
                    event(chance.choice(things), chance.choice((1, 1, 2, 3)))
                    for _ in range(chance.randint(0, 2))
                ),
                command=command(id=chance.choice(ids)),
            )
            for _ in range(chance.randint(2, 5))
        ]
        app = database.datastore(Role.APP)
        with app.transaction(commit=False) as cursor:
            whole = _appended(cursor, acts)
        known: set[UUID | None] = set()
        lost: set[UUID | str] = set()
        with app.transaction(commit=False) as cursor:
            for each, outcome in zip(acts, whole, strict=True):
                name = each.command.id if each.command else None
                touched = {e.originator_id for e in each.events}
                if touched & lost and name not in known:
                    expected = ("version-conflict", None, None)
                else:
                    (expected,) = _appended(cursor, [each])
                assert outcome == expected
                if outcome[0] == "appended":
                    known.add(name)
                else:
                    lost |= touched


def _appended(
    cursor: psycopg2.extensions.cursor, acts: list[ActToAppend]
) -> list[tuple[str, int | None, int | None]]:
    """What the function says of acts, in a transaction that is undone."""
    events = [event for each in acts for event in each.events]
    nothing = [None] * len(acts)
    cursor.execute(
        "SELECT outcome, first_position, last_position FROM append("
        " %s, %s::uuid[], %s, %s, %s::text[], %s::bigint[], %s, %s::uuid[],"
        " %s::integer[], %s::text[], %s::bytea[]) ORDER BY act",
        (
            datetime.now(UTC),
            [str(each.command.id) for each in acts if each.command],
            [each.command.actor for each in acts if each.command],
            [each.command.digest for each in acts if each.command],
            nothing,
            nothing,
            [len(each.events) for each in acts],
            [str(event.originator_id) for event in events],
            [event.originator_version for event in events],
            [event.topic for event in events],
            [event.state for event in events],
        ),
    )
    return cursor.fetchall()
