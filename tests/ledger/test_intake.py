"""Acts by the thousand, by COPY: the same acts, and nothing that another could use."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
import pytest
from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)

from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence import intake
from ledger.persistence.append import (
    ActToAppend,
    ClockSkewError,
    Command,
    LedgerSuspendedError,
    Outcome,
)
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.intake import FEWEST_ACTS, bring, packed
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.order import observe, violations
from tests.ledger.proxy import Proxy

LONG_S = 30.0
MANY = FEWEST_ACTS + 10
_COMMANDS = "SELECT id::text FROM sijil.commands"


@pytest.fixture
def recorder(database: Database) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP))


@pytest.fixture
def reader(database: Database) -> LedgerReader:
    return LedgerReader(database.datastore(Role.READER))


def act(*events: StoredEvent, **more: Any) -> ActToAppend:
    command = Command(id=uuid4(), actor="import:s", digest=b"\x01" * 32)
    return ActToAppend(events=events, command=more.pop("command", command), **more)


def acts(count: int = MANY, *, body: bytes = b"{}") -> list[ActToAppend]:
    """Acts of two events each, of which order.observe can tell what they are."""
    made = []
    for _ in range(count):
        command = Command(id=uuid4(), actor="sender", digest=b"d")
        thing, state = uuid4(), f"{command.id}/2".encode()
        events = [StoredEvent(thing, version, "t", state) for version in (1, 2)]
        made.append(ActToAppend(events=events, command=command))
    if body != b"{}":
        made = [act(StoredEvent(uuid4(), 1, "t", body)) for _ in range(count)]
    return made


def _impossible(**changes: Any) -> ActToAppend:
    facts = {"id_": uuid4(), "version": 1, "topic": "t", "state": b"", **changes}
    return act(StoredEvent(*facts.values()), command=None)


IMPOSSIBLE = [
    *(_impossible(id_=each) for each in ("not-a-uuid", None)),
    *(_impossible(version=each) for each in (1.0, 2**31, -1, None)),
    *(_impossible(topic=each) for each in ("tôpic", "", "a\0b", "a\ud800b", 1, None)),
    *(_impossible(state=each) for each in (b"x" * 60_001, "text", None)),
    act(command=Command(id=uuid4(), actor="a", digest=None)),  # type: ignore[arg-type]
    act(command=Command(id=uuid4(), actor=None, digest=b"")),  # type: ignore[arg-type]
    act(command=Command(id="1", actor="a", digest=b"")),  # type: ignore[arg-type]
    act(tracking=Tracking("x", 2**63)),
]


def superuser(database: Database) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(**database.superuser_dsn())
    connection.autocommit = True
    return connection


def session(database: Database, role: Role = Role.APP) -> Any:
    """A connection of a role, not in our hands' pool."""
    connection = psycopg2.connect(
        **database.dsn(role), options=f"-c search_path={LEDGER_SCHEMA},pg_temp"
    )
    connection.autocommit = True
    return closing(connection)


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with closing(superuser(database)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


class Halted:
    """A stream of a batch that stops in the middle until it is let go on."""

    def __init__(self, batch: bytes) -> None:
        self._halves = [batch[: len(batch) // 2], batch[len(batch) // 2 :], b""]
        self.is_half_way = threading.Event()
        self.may_go_on = threading.Event()

    def read(self, _size: int) -> bytes:
        half = self._halves.pop(0)
        if len(self._halves) == 1:
            self.is_half_way.set()
            assert self.may_go_on.wait(LONG_S)
        return half


class Bringer(threading.Thread):
    """Somebody who is in the middle of bringing a batch, on a connection of its own."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        super().__init__()
        self.connection = connection
        self.acts = acts()
        self.stream = Halted(packed(self.acts).at(datetime.now(UTC)))
        self.error: psycopg2.Error | None = None

    def run(self) -> None:
        try:
            with self.connection.cursor() as cursor:
                cursor.copy_expert(
                    "COPY sijil.intake FROM STDIN (FORMAT binary)", self.stream
                )
        except psycopg2.Error as error:
            self.error = error

    def __enter__(self) -> Self:
        self.start()
        assert self.stream.is_half_way.wait(LONG_S)
        return self

    def __exit__(self, *args: object) -> None:
        self.stream.may_go_on.set()
        self.join(LONG_S)
        assert not self.is_alive()


class TestTheSameActs:
    def test_every_value_arrives_as_it_arrives_by_literals(
        self, recorder: PostgresProcessRecorder, reader: LedgerReader
    ) -> None:
        every_byte = bytes(range(256))
        thing, other = UUID(int=0), UUID(int=2**128 - 1)
        odd = [
            act(StoredEvent(thing, 1, 'a "topic" \\ of, {odd} NULL', every_byte)),
            act(StoredEvent(thing, 2, "t", b""), StoredEvent(other, 1, "t", b"\\N")),
            act(command=Command(id=uuid4(), actor="موظف 'ا'\n\t\\", digest=every_byte)),
            act(StoredEvent(uuid4(), 0, "t", b"1"), command=None),
            act(
                StoredEvent(uuid4(), 2**31 - 1, "t", b"2"),
                command=None,
                tracking=Tracking("خارج", 2**63 - 1),
            ),
            act(command=None, tracking=Tracking("x", 0)),
        ]
        padding = [act(StoredEvent(uuid4(), 1, "t", b"p")) for _ in range(MANY)]
        appended = recorder.append([*odd, *padding])
        assert {each.outcome for each in appended} == {Outcome.APPENDED}
        events = [event for each in (*odd, *padding) for event in each.events]
        entries = list(reader.stream())
        assert [(e.aggregate_id, e.version, e.topic, e.body) for e in entries] == [
            (e.originator_id, e.originator_version, e.topic, e.state) for e in events
        ]
        command = odd[2].command
        assert command is not None
        known = recorder.find_command(command.id)
        assert known is not None
        assert (known.actor, known.digest) == (command.actor, command.digest)
        assert recorder.max_tracking_id("خارج") == 2**63 - 1
        assert recorder.max_tracking_id("x") == 0

    @pytest.mark.parametrize("is_whole", [True, False])
    def test_each_act_is_told_what_became_of_it(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        *,
        is_whole: bool,
    ) -> None:
        before = [act(StoredEvent(uuid4(), 1, "t", b"before"))]
        recorder.append(before)
        brought = [*acts(), act(), *acts(3)]
        losing = [] if is_whole else [act(*before[0].events)]
        told = recorder.append([*brought, *losing])
        assert [each.outcome for each in told[len(brought) :]] == (
            [Outcome.VERSION_CONFLICT] * len(losing)
        )
        assert told[MANY].first_position is told[MANY].last_position is None
        stored = dict(rows(database, "SELECT position, recorded_at FROM sijil.events"))
        position = 1
        for each, one in zip(brought, told, strict=False):
            assert one.outcome is Outcome.APPENDED
            assert one.recorded_at == stored[position + len(each.events)]
            position += len(each.events)
            if each.events:
                first, last = one.first_position, one.last_position
                assert (first, last) == (position - len(each.events) + 1, position)
        assert len(stored) == position

    def test_a_second_sending_has_the_first_ones_positions(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        brought = acts()
        first, again = recorder.append(brought), recorder.append(brought)
        assert {each.outcome for each in again} == {Outcome.REPEATED}
        assert [(a.first_position, a.last_position, a.recorded_at) for a in again] == [
            (a.first_position, a.last_position, a.recorded_at) for a in first
        ]
        assert recorder.max_notification_id() == 2 * len(brought)

    def test_an_impossible_value_is_the_same_error_and_stores_nothing(
        self, recorder: PostgresProcessRecorder
    ) -> None:
        for bad in IMPOSSIBLE:
            found = []
            for padding in ([], acts()):
                with pytest.raises(PersistenceError) as caught:
                    recorder.append([*padding, bad])
                found.append(type(caught.value))
            assert found[0] is found[1], bad
        assert recorder.max_notification_id() is None

    def test_a_batch_that_no_server_could_hold_is_not_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intake, "LARGEST_BATCH_BYTES", 1_000)
        with pytest.raises(ProgrammingError, match="too large"):
            packed(acts())

    def test_clocks_apart_are_refused(self, recorder: PostgresProcessRecorder) -> None:
        for minutes in (-2, 2):
            clock = datetime.now(UTC) + timedelta(minutes=minutes)
            with pytest.raises(ClockSkewError):
                recorder.append(acts(), clock=clock)
        assert recorder.max_notification_id() is None

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ("is_suspended = true", LedgerSuspendedError),
            ("recorded_at = now() + interval '2 minutes'", ClockSkewError),
        ],
    )
    def test_a_ledger_that_takes_no_acts_takes_none_in_batches(
        self,
        database: Database,
        recorder: PostgresProcessRecorder,
        change: str,
        error: type[Exception],
    ) -> None:
        with closing(superuser(database)) as connection, connection.cursor() as cursor:
            cursor.execute(f"UPDATE sijil.ledger_head SET {change}")
        with pytest.raises(error):
            recorder.append(acts())
        assert rows(database, "SELECT position FROM sijil.ledger_head") == [(0,)]

    def test_whoever_follows_is_woken(self, database: Database) -> None:
        app = database.datastore(Role.APP)
        with session(database, Role.READER) as listening:
            with listening.cursor() as cursor:
                cursor.execute("SELECT 'sijil_' || md5('sijil.events')")
                ((channel,),) = cursor.fetchall()
                cursor.execute(f"LISTEN {channel}")
            with app.autocommit() as cursor:
                bring(cursor, packed(acts(3)))
            with listening.cursor() as cursor:
                cursor.execute("SELECT")
            assert [each.payload for each in listening.notifies] == ["6"]


class TestNobodyElses:
    @pytest.mark.parametrize("role", [Role.RUNNER, Role.READER])
    def test_only_the_app_brings_anything(self, database: Database, role: Role) -> None:
        other = PostgresProcessRecorder(database.datastore(role))
        with pytest.raises(PersistenceError, match="permission denied"):
            other.append(acts())

    @pytest.mark.parametrize("role", [Role.APP, Role.RUNNER])
    def test_what_was_brought_is_the_owners(
        self, database: Database, role: Role
    ) -> None:
        with session(database, role) as connection, connection.cursor() as cursor:
            for statement in (
                "SELECT FROM sijil.intake",
                "UPDATE sijil.intake SET topics = NULL",
                "DELETE FROM sijil.intake",
                "TRUNCATE sijil.intake",
                "ALTER TABLE sijil.intake DISABLE TRIGGER ALL",
                "SET session_replication_role = replica",
                "CREATE TRIGGER mine AFTER INSERT ON sijil.intake EXECUTE FUNCTION f()",
                "CREATE RULE mine AS ON INSERT TO sijil.intake DO INSTEAD NOTHING",
                "SELECT sijil.take_in()",
            ):
                with pytest.raises(psycopg2.Error) as caught:
                    cursor.execute(statement)
                assert caught.value.pgcode == "42501", statement

    def test_nothing_planted_in_the_session_is_taken_for_the_ledgers(
        self, database: Database, reader: LedgerReader
    ) -> None:
        """Tables and functions of the same names, where an installation allows them."""
        with closing(superuser(database)) as connection, connection.cursor() as cursor:
            cursor.execute(
                f'GRANT TEMPORARY ON DATABASE "{database.name}" TO sijil_app'
            )
        brought = acts()
        taken = act(*brought[7].events)
        with session(database) as connection, connection.cursor() as cursor:
            bring(cursor, packed([taken]))
            for table in ("events", "commands", "tracking", "ledger_head", "brought"):
                cursor.execute(f"CREATE TEMPORARY TABLE {table} (LIKE sijil.events)")
            cursor.execute(
                "CREATE FUNCTION pg_temp.append() RETURNS integer LANGUAGE sql"
                " AS 'SELECT 1'"
            )
            cursor.execute(
                "CREATE FUNCTION pg_temp.pg_notify(text, text) RETURNS void"
                " LANGUAGE plpgsql AS 'BEGIN RAISE ''planted''; END'"
            )
            cursor.execute("CREATE TEMPORARY TABLE own (bodies bytea[])")
            with pytest.raises(psycopg2.Error, match="permission denied"):
                cursor.execute(
                    "CREATE TRIGGER t AFTER INSERT ON own REFERENCING NEW TABLE"
                    " AS brought FOR EACH STATEMENT EXECUTE FUNCTION sijil.take_in()"
                )
            with pytest.raises(psycopg2.Error, match="permission denied"):
                cursor.execute(
                    "CREATE OPERATOR sijil.+"
                    " (leftarg = bigint, rightarg = bigint, function = int8mi)"
                )
            cursor.execute("SET search_path = pg_temp, sijil")
            cursor.execute("SET sijil.taken_in = 'planted'")
            told = bring(cursor, packed(brought))
            cursor.execute("SELECT count(*) FROM pg_temp.events")
            assert cursor.fetchall() == [(0,)]
        outcomes = [each.outcome for each in told]
        assert outcomes[7] is Outcome.VERSION_CONFLICT
        assert set(outcomes[:7] + outcomes[8:]) == {Outcome.APPENDED}
        assert len(list(reader.stream())) == 2 * len(brought)

    def test_what_is_no_batch_is_refused(self, database: Database) -> None:
        with session(database) as connection, connection.cursor() as cursor:
            for statement in (
                "INSERT INTO intake SELECT now() WHERE false",
                "INSERT INTO intake VALUES (now()), (now())",
                "INSERT INTO intake VALUES (now())",
                "INSERT INTO intake (event_counts, aggregate_ids) VALUES ('{1}', '{}')",
            ):
                with pytest.raises(psycopg2.Error):
                    cursor.execute(statement)
        assert rows(database, "SELECT count(*) FROM sijil.intake") == [(0,)]

    def test_a_batch_whose_arrays_do_not_fit_is_refused(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = intake._fields(acts(3))
        short = intake._fields(acts(2))
        with session(database) as connection, connection.cursor() as cursor:
            for number in range(len(whole)):
                fields = [*whole[:number], short[number], *whole[number + 1 :]]
                monkeypatch.setattr(intake, "_fields", lambda *_, f=fields: f)
                with pytest.raises(psycopg2.DataError, match=r"differ|do not have"):
                    bring(cursor, packed([]))
        assert rows(database, "SELECT count(*) FROM sijil.events") == [(0,)]


class TestInTheMiddle:
    def test_who_sends_slowly_holds_up_nobody_and_gives_away_nothing(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        with session(database) as connection:
            with Bringer(connection) as slow:
                mine = acts()
                told = recorder.append(mine)
                assert {each.outcome for each in told} == {Outcome.APPENDED}
                assert recorder.max_notification_id() == 2 * MANY
            assert slow.error is None
        assert recorder.max_notification_id() == 4 * MANY
        first = slow.acts[0].command
        assert first is not None
        known = recorder.find_command(first.id)
        assert known is not None
        assert known.first_position == 2 * MANY + 1
        assert rows(database, "SELECT count(*) FROM sijil.intake") == [(0,)]

    @pytest.mark.parametrize("who", ["client", "backend"])
    def test_who_is_killed_in_the_middle_has_brought_nothing(
        self, database: Database, recorder: PostgresProcessRecorder, who: str
    ) -> None:
        with session(database) as connection:
            with Bringer(connection) as killed:
                pid = connection.get_backend_pid()
                if who == "client":
                    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
                        wire.shutdown(socket.SHUT_RDWR)
                else:
                    rows(database, f"SELECT pg_terminate_backend({pid}, 5000)")
            assert killed.error is not None
        # Until the server has seen to the end of the session.
        rows(database, f"SELECT pg_terminate_backend({pid}, 5000)")
        recorder.append(acts())
        assert recorder.max_notification_id() == 2 * MANY
        stored = {UUID(each) for (each,) in rows(database, _COMMANDS)}
        assert stored.isdisjoint({c.id for each in killed.acts if (c := each.command)})
        assert rows(database, "SELECT count(*) FROM sijil.intake") == [(0,)]
        # And it can be sent again, as if it never had been.
        told = recorder.append(killed.acts)
        assert {each.outcome for each in told} == {Outcome.APPENDED}

    def test_room_is_given_back_unless_somebody_is_bringing(
        self, database: Database, recorder: PostgresProcessRecorder
    ) -> None:
        def size() -> int:
            ((found,),) = rows(
                database, "SELECT pg_total_relation_size('sijil.intake')"
            )
            return int(found)

        large = b"x" * 60_000
        with session(database) as connection:
            with Bringer(connection) as slow:
                while size() < 64 << 20:
                    recorder.append(acts(120, body=large))
                    told = recorder.append(acts())
                with session(database) as other, other.cursor() as cursor:
                    # Whoever waited here would keep others waiting behind it.
                    cursor.execute("SET statement_timeout = '10s'")
                    cursor.execute("SELECT tidy_intake()")
                    assert cursor.fetchall() == [(False,)]
            assert slow.error is None
        assert size() >= 64 << 20
        told = recorder.append(acts())
        assert {each.outcome for each in told} == {Outcome.APPENDED}
        assert size() < 1 << 20


class TestLostAnswers:
    def test_command_ids_tell_what_became_of_a_batch(self, database: Database) -> None:
        acknowledged = []
        kept = []
        with Proxy(database.dsn(Role.APP)) as wire:
            store = PostgresDatastore(wire.dsn, schema=LEDGER_SCHEMA, pool_size=1)
            recorder = PostgresProcessRecorder(store)
            for number, after_bytes in enumerate((None, 0, 5, 25, 60, 120), start=1):
                recorder.find_command(uuid4())
                brought = acts()
                if after_bytes is None:
                    wire.cut_before_the_server()
                else:
                    wire.cut_in_the_answer(after_bytes)
                with pytest.raises((OperationalError, InterfaceError)):
                    recorder.append(brought)
                assert wire.cuts == number
                known = [
                    recorder.find_command(each.command.id)
                    for each in brought
                    if each.command is not None
                ]
                kept.append(all(known))
                assert kept[-1] or not any(known)
                told = recorder.append(brought)
                expected = Outcome.REPEATED if kept[-1] else Outcome.APPENDED
                assert {each.outcome for each in told} == {expected}
                acknowledged += [
                    (str(each.command.id), one.first_position, one.last_position)
                    for each, one in zip(brought, told, strict=True)
                    if each.command and one.first_position and one.last_position
                ]
            store.close()
        assert len(acknowledged) == len(kept) * MANY
        assert set(kept) == {True, False}
        assert violations(observe(database.superuser_dsn(), acknowledged)) == []
