"""Both ways to append against a model that knows nothing of batches: act by act.

One is the append function, the other the batch that comes by COPY. Random batches
with repeats, conflicts, gaps, followed streams and acts of the library without a
command; outcomes, positions, times and every table are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import psycopg2.extensions
import pytest
from eventsourcing.persistence import DataError, StoredEvent, Tracking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.names import Role
from ledger.persistence.append import ActToAppend, Appended, Command, Outcome
from ledger.persistence.columns import ANSWER, IN_ORDER, answers, arguments, columns
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.intake import bring, packed
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.conftest import Database

Said = tuple[Outcome, int | None, int | None]


@dataclass
class Model:
    """What the ledger would be, had each act of a batch come alone.

    But for one rule of batches: an act that stands on a lost one is lost too.
    """

    events: list[tuple[UUID, int, bytes]] = field(default_factory=list)
    commands: dict[UUID, tuple[str, bytes, int | None, int | None]] = field(
        default_factory=dict
    )
    tracking: dict[str, int] = field(default_factory=dict)

    def append(self, acts: list[ActToAppend]) -> list[Said]:
        lost: set[UUID] = set()
        said = []
        for act in acts:
            outcome = self._judged(act, lost)
            said.append(outcome)
            if outcome[0] is not Outcome.APPENDED:
                lost |= {_id(event) for event in act.events}
        return said

    def _judged(self, act: ActToAppend, lost: set[UUID]) -> Said:
        command, tracking = act.command, act.tracking
        if command is not None and command.id in self.commands:
            actor, digest, first, last = self.commands[command.id]
            if (actor, digest) == (command.actor, command.digest):
                return Outcome.REPEATED, first, last
            return Outcome.COMMAND_REUSED, None, None
        if tracking is not None and (
            self.tracking.get(tracking.application_name, -1) >= tracking.notification_id
        ):
            return Outcome.TRACKING_CONFLICT, None, None
        taken = {(each, version) for each, version, _ in self.events}
        own = [(_id(event), event.originator_version) for event in act.events]
        if set(own) & taken or len(set(own)) < len(own) or {n for n, _ in own} & lost:
            return Outcome.VERSION_CONFLICT, None, None
        if command is not None:
            for n, (each, version) in enumerate(own):
                before = (each, version - 1)
                if version < 1 or (
                    version > 1 and before not in taken and before not in own[:n]
                ):
                    return Outcome.VERSION_GAP, None, None
        first = len(self.events) + 1 if own else None
        self.events += [
            (*name, e.state) for name, e in zip(own, act.events, strict=True)
        ]
        last = len(self.events) if own else None
        if command is not None:
            self.commands[command.id] = (command.actor, command.digest, first, last)
        if tracking is not None:
            self.tracking[tracking.application_name] = tracking.notification_id
        return Outcome.APPENDED, first, last


def _id(event: StoredEvent) -> UUID:
    assert isinstance(event.originator_id, UUID)
    return event.originator_id


class Dice:
    """Random acts on few things under few ids, so that they meet."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)  # noqa: S311 -- of a test
        things = self._chance.choice((1, 3, 8))
        self._things = [UUID(int=self._chance.getrandbits(128)) for _ in range(things)]
        self._ids = [UUID(int=self._chance.getrandbits(128)) for _ in range(12)]
        self._with_tracking = self._chance.random() < 0.5
        self._without_command = self._chance.choice((0.0, 0.0, 0.3, 1.0))
        self._newest: dict[UUID, int] = {}
        self._bodies = 0

    def batch(self) -> list[ActToAppend]:
        return [self._act() for _ in range(self._chance.choice((1, 1, 2, 5, 9)))]

    def _act(self) -> ActToAppend:
        chance = self._chance
        thing = chance.choice(self._things)
        events = []
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            if chance.random() < 0.15:
                thing = chance.choice(self._things)
            events.append(self._event(thing))
        command = None
        if chance.random() >= self._without_command:
            is_new = chance.random() < 0.8
            command = Command(
                id=UUID(int=chance.getrandbits(128))
                if is_new
                else chance.choice(self._ids),
                actor=chance.choice(("a", "a", "a", "b")),
                digest=b"d",
            )
        tracking = None
        if self._with_tracking and chance.random() < 0.4:
            tracking = Tracking(chance.choice("xy"), chance.randrange(30))
        return ActToAppend(events=events, command=command, tracking=tracking)

    def _event(self, thing: UUID) -> StoredEvent:
        chance = self._chance
        version = self._newest.get(thing, 0) + 1
        if chance.random() < 0.2:
            version = max(0, version + chance.choice((-2, -1, 1)))
        self._newest[thing] = version
        self._bodies += 1
        return StoredEvent(thing, version, "t", str(self._bodies).encode())


def appended(
    cursor: psycopg2.extensions.cursor, acts: list[ActToAppend]
) -> list[Appended]:
    cursor.execute(f"{ANSWER}{arguments(map(columns, acts))} {IN_ORDER}")
    return answers(cursor.fetchall())


@pytest.fixture
def app(database: Database) -> PostgresDatastore:
    return database.datastore(Role.APP)


Way = Callable[[psycopg2.extensions.cursor, list[ActToAppend]], list[Appended]]


def brought(
    cursor: psycopg2.extensions.cursor, acts: list[ActToAppend]
) -> list[Appended]:
    return bring(cursor, packed(acts))


@pytest.mark.parametrize("way", [appended, brought], ids=["append", "copy"])
@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_batches_are_what_their_acts_are(
    app: PostgresDatastore, seed: int, way: Way
) -> None:
    dice, model = Dice(seed), Model()
    with app.transaction(commit=False) as cursor:
        for _ in range(4):
            acts = dice.batch()
            done = way(cursor, acts)
            said = [(a.outcome, a.first_position, a.last_position) for a in done]
            assert said == model.append(acts)
            _must_be(cursor, model, done)


def _must_be(
    cursor: psycopg2.extensions.cursor, model: Model, done: list[Appended]
) -> None:
    cursor.execute(
        "SELECT position, aggregate_id::text, version, body, recorded_at FROM events"
        " ORDER BY position"
    )
    rows = cursor.fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    stored = [(UUID(row[1]), row[2], bytes(row[3])) for row in rows]
    assert stored == model.events
    times = [row[4] for row in rows]
    assert times == sorted(set(times))
    cursor.execute(
        "SELECT id::text, actor, digest, first_position, last_position FROM commands"
    )
    commands = {UUID(r[0]): (r[1], bytes(r[2]), r[3], r[4]) for r in cursor.fetchall()}
    assert commands == model.commands
    cursor.execute("SELECT name, position FROM tracking")
    assert dict(cursor.fetchall()) == model.tracking
    cursor.execute("SELECT position, recorded_at::text FROM ledger_head")
    (head,) = cursor.fetchall()
    assert head[0] == len(rows)
    if rows:
        assert datetime.fromisoformat(head[1]) == times[-1]
    else:
        assert head[1] == "-infinity"
    for each in done:
        if each.outcome is Outcome.APPENDED and each.last_position is not None:
            assert each.recorded_at == times[each.last_position - 1]
        is_known = each.outcome in {Outcome.APPENDED, Outcome.REPEATED}
        assert (each.recorded_at is not None) == is_known


@pytest.mark.parametrize("number", [1, 2, 3])
def test_arrays_that_do_not_fit_are_refused(database: Database, number: int) -> None:
    """Else positions would be taken that no event has."""
    recorder = PostgresProcessRecorder(database.datastore(Role.APP))
    one = "'{00000000000000000000000000000001}'"
    two = "'{00000000000000000000000000000001,00000000000000000000000000000002}'"
    none = "'{NULL}'"
    head = f"('{datetime.now(UTC).isoformat()}', {none}, {none}, {none}, {none}, {none}"
    wrong = {
        1: f"{head}, '{{2}}', {one}, '{{1}}', '{{t}}', '{{x}}')",
        2: f"{head}, '{{1}}', {two}, '{{1,1}}', '{{t,t}}', '{{x,x}}')",
        3: f"{head}, '{{1,1}}', {two}, '{{1,1}}', '{{t,t}}', '{{x,x}}')",
    }
    store = recorder.datastore
    with pytest.raises(DataError), store.autocommit() as cursor:
        cursor.execute(f"SELECT FROM append{wrong[number]}")
    assert recorder.max_notification_id() is None
