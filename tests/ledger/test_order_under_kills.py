"""Eight processes appending at random, killed at random, and readers tailing them.

One checker judges: dense, visible in order, times rising, no command twice, no part of
an act, nothing lost that was acknowledged. The same checker must catch planted faults.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from eventsourcing.persistence import PersistenceError, StoredEvent

from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Appended, Command, Outcome
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database

WRITERS = 8
READERS = 2
RUN_S = 6.0
KILLS = 12
SHARED = [UUID(int=number) for number in range(1, 6)]
"""Aggregates that all writers fight over, so that acts lose on purpose."""
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Observed:
    """What was seen from outside: rows, commands, acknowledgements, tails."""

    rows: Sequence[tuple[int, datetime, str, int, bytes]]
    commands: Sequence[tuple[str, int | None, int | None]]
    acknowledged: Iterable[tuple[str, int, int]] = ()
    tails: Sequence[Sequence[int]] = field(default_factory=list)


def violations(seen: Observed) -> list[str]:
    """Everything that breaks the promise of the ledger, in words."""
    found = []
    positions = [row[0] for row in seen.rows]
    if positions != list(range(1, len(positions) + 1)):
        found.append("positions are not dense from 1")
    times = [row[1] for row in seen.rows]
    if any(a >= b for a, b in itertools.pairwise(times)):
        found.append("recorded time does not rise with position")
    versions: dict[str, list[int]] = {}
    for _, _, aggregate, version, _ in seen.rows:
        versions.setdefault(aggregate, []).append(version)
    if any(v != list(range(1, len(v) + 1)) for v in versions.values()):
        found.append("an aggregate's versions have a hole or a double")
    # Each body names its act and how many events the act has.
    acts: dict[bytes, list[int]] = {}
    for position, *_, body in seen.rows:
        acts.setdefault(body, []).append(position)
    spans = {}
    for body, at in acts.items():
        name, _, size = body.decode().partition("/")
        if len(at) != int(size) or at != list(range(at[0], at[0] + len(at))):
            found.append("an act is stored in part, twice, or not side by side")
        spans[name] = (at[0], at[-1])
    if {c: (first, last) for c, first, last in seen.commands} != spans:
        found.append("commands and acts do not agree")
    for command, first, last in seen.acknowledged:
        if spans.get(command) != (first, last):
            found.append("an acknowledged act is lost or elsewhere")
    for tail in seen.tails:
        if list(tail) != list(range(1, len(tail) + 1)):
            found.append("a reader saw entries out of order, or passed one over")
    return found


def write(dsn: dict[str, Any], seed: int, told: Queue[Any]) -> None:
    """A writer: random acts on shared and own aggregates, until it is killed."""
    chance = random.Random(seed)  # noqa: S311 -- a test's dice
    store = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=1)
    recorder = PostgresProcessRecorder(store)
    sent: list[ActToAppend] = []
    while True:
        acts = [_act(recorder, chance) for _ in range(chance.choice((1, 1, 1, 4)))]
        if sent and chance.random() < 0.1:
            acts.append(chance.choice(sent))
        try:
            outcomes = recorder.append(acts)
        except PersistenceError:
            continue
        sent += acts
        for act, done in zip(acts, outcomes, strict=True):
            if done.outcome in {Outcome.APPENDED, Outcome.REPEATED}:
                assert act.command is not None
                told.put((str(act.command.id), done.first_position, done.last_position))


def _act(recorder: PostgresProcessRecorder, chance: random.Random) -> ActToAppend:
    command = Command(id=uuid4(), actor="writer", digest=b"d")
    size = chance.choice((1, 1, 2, 3))
    body = f"{command.id}/{size}".encode()
    if chance.random() < 0.5:
        aggregate, version = uuid4(), 0
    else:
        aggregate = chance.choice(SHARED)
        last = recorder.select_events(aggregate, desc=True, limit=1)
        version = last[0].originator_version if last else 0
    events = [
        StoredEvent(aggregate, version + 1 + n, "sijil.test.happened.v1", body)
        for n in range(size)
    ]
    return ActToAppend(events=events, command=command)


def tail(dsn: dict[str, Any], stop: Any, told: Queue[Any]) -> None:
    """A reader that follows from the start and tells what it saw, in its order."""
    store = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=1)
    seen: list[int] = []
    for batch in LedgerReader(store).follow(after=0, stop=stop, batch_size=50):
        seen += [entry.position for entry in batch]
    told.put(seen)


def observe(
    dsn: dict[str, Any],
    acknowledged: Iterable[tuple[str, int, int]] = (),
    tails: Sequence[Sequence[int]] = (),
) -> Observed:
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, recorded_at, aggregate_id::text, version, body"
            " FROM sijil.events ORDER BY position"
        )
        rows = [(*row[:4], bytes(row[4])) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT id::text, first_position, last_position FROM sijil.commands"
        )
        commands = cursor.fetchall()
    return Observed(rows, commands, acknowledged, tails)  # type: ignore[arg-type]


def drained(queue: Queue[Any]) -> list[Any]:
    found = []
    while not queue.empty():
        found.append(queue.get())
    return found


def wait_until_idle(database: Database, user: str) -> None:
    """Until the server has ended what killed writers had sent: it may still commit."""
    deadline = time.monotonic() + 60
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = %s AND datname = current_database()",
                (user,),
            )
            if cursor.fetchone() == (0,):
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_eight_killed_writers_and_tailing_readers(database: Database) -> None:
    dsn = database.dsn(Role.APP)
    acknowledged: list[Any] = []
    # A queue of each writer's own: a SIGKILL may leave its lock held for ever.
    queues: list[Queue[Any]] = []
    stop = _SPAWN.Event()
    tails: Queue[Any] = _SPAWN.Queue()
    readers = [
        _SPAWN.Process(target=tail, args=(database.dsn(Role.READER), stop, tails))
        for _ in range(READERS)
    ]
    chance = random.Random(1)  # noqa: S311 -- a test's dice

    def writer() -> Any:
        queues.append(_SPAWN.SimpleQueue())  # type: ignore[arg-type]
        made = _SPAWN.Process(target=write, args=(dsn, len(queues), queues[-1]))
        made.start()
        return made

    for reader in readers:
        reader.start()
    writers = [writer() for _ in range(WRITERS)]
    began = time.monotonic()
    kills = 0
    while time.monotonic() - began < RUN_S or kills < KILLS:
        for queue in queues[-WRITERS:]:
            acknowledged += drained(queue)
        time.sleep(0.05)
        if len(acknowledged) > 20 and chance.random() < 0.15 and kills < KILLS:
            place = chance.randrange(WRITERS)
            writers[place].kill()
            writers[place].join()
            writers[place] = writer()
            kills += 1
        assert time.monotonic() - began < 120
    for each in writers:
        each.kill()
        each.join()
    wait_until_idle(database, dsn["user"])
    head = LedgerReader(database.datastore(Role.READER)).head().position
    time.sleep(1.5)
    stop.set()
    seen = [tails.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    observed = observe(database.superuser_dsn(), acknowledged, seen)
    assert violations(observed) == []
    assert len(observed.rows) == head > 100
    assert all(len(each) == head for each in seen)
    assert len(acknowledged) > 50


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

    def test_it_catches_ordering_switched_off(self, database: Database) -> None:
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
        assert "a reader saw entries out of order, or passed one over" in violations(
            observed
        )

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
